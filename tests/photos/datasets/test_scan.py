import os
import sys

import pytest

from biranet.photos.datasets import PhotoFolder, outside, read_labels
from biranet.photos.datasets import scan as scan_module
from biranet.photos.datasets.scan import describe_skipped, scan


def test_hidden_files_and_prepared_folders_are_passed_by(photos, lay):
    lay(photos, "b.jpg", "a/c.PNG", "a/d.dcm", "notes.md", ".hidden.jpg", "._b.jpg", ".x/e.jpg", "l.csv", "a/x.npz")
    lay(photos, "prepared/preparation.json", "prepared/images/ab/abc.jpg", "prepared/manifest.csv")
    found = scan(photos)
    assert found.photos == ["a/c.PNG", "a/d.dcm", "b.jpg"]
    assert found.labels == ["a/x.npz", "l.csv"]


def test_pipes_are_no_label_files(photos, lay):
    lay(photos, "a.jpg")
    os.mkfifo(photos / "trainLabels.csv")
    assert scan(photos).labels == []
    assert read_labels(photos).dataset == "folder"


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xf7", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"RIFF\x10\0\0\0WEBP", b"GIF89a",
        b"BM\x10\0\0\0\0\0\0\0",
        b"\0\0\0\x0cjP  \r\n", b"\xff\x4f\xff\x51", b"\0\0\0\x20ftypavif", b"\0\0\0\x18ftypheic",
        b"\xff\x0a", b"\0\0\0\x0cJXL \r\n", bytes(128) + b"DICM",
        b"IIRO\x08\0", b"IIU\0", b"FUJIFILMCCD-RAW", b"II\xbc\x01",
    ],
)  # fmt: skip
def test_where_the_ending_is_unknown_the_content_says_what_is_a_photo(photos, lay, start):
    lay(
        photos,
        texts={"a.unknown": start, "no ending": start, "b.jpg_original": start, "words.md": b"P1 3", "empty": b""},
    )
    found = scan(photos)
    assert found.photos == ["a.unknown", "b.jpg_original", "no ending"]
    assert found.unrecognized == {".md": 1, "": 1}


def test_what_is_passed_by_is_counted_and_said(photos, lay, refusal):
    lay(photos, "a.xmp", "b.XMP", "e.\x1b[2J", "deep/t.zip", "l.csv", ".hidden.xmp")
    os.mkfifo(photos / "pipe")
    assert describe_skipped(scan(photos).unrecognized) == (
        "5 files are no photos by their ending and content, and are passed by: .xmp, no ending, '.\\x1b[2j', .zip"
    )
    assert scan(photos).packed == ["deep/t.zip"]
    assert refusal(photos).endswith("; " + describe_skipped(scan(photos).unrecognized))


def test_only_what_has_no_known_ending_is_opened(photos, lay, monkeypatch):
    lay(photos, "a.jpg", "b.dcm", "c.csv", "d.unknown")
    opened = []
    original = scan_module.open_regular
    monkeypatch.setattr(scan_module, "open_regular", lambda path: opened.append(path.name) or original(path))
    scan(photos)
    assert opened == ["d.unknown"]


def test_labels_that_were_seen_and_not_used(photos, lay):
    lay(
        photos,
        "a.jpg",
        "deep/trainLabels.csv.zip",
        "l.xlsx",
        texts={"deep/mine.tsv": "image\tdr\na\t1\n", "x.txt": "a"},
    )
    assert read_labels(photos).unused_label_files == (
        "deep/trainLabels.csv.zip (unpack it)", "l.xlsx (save it as CSV)", "deep/mine.tsv (name it with --labels)",
    )  # fmt: skip
    lay(photos, "3/b.jpg")
    assert read_labels(photos).unused_label_files == ()


def test_links_out_of_the_tree_are_listed_and_not_followed(photos, lay, tmp_path):
    lay(tmp_path / "elsewhere", "z.jpg", "deep/y.jpg")
    lay(photos, "a.jpg")
    (photos / "folder").symlink_to(tmp_path / "elsewhere")
    (photos / "photo.jpg").symlink_to(tmp_path / "elsewhere" / "z.jpg")
    (photos / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    assert scan(photos).photos == ["a.jpg", "broken.jpg", "folder", "photo.jpg"]
    assert [outside(photos, file) for file in scan(photos).photos] == [False, True, True, True]


def test_links_inside_the_tree_are_followed_once(photos, lay):
    lay(photos, "b/real/z.jpg", ".store/y.jpg")
    (photos / "a").symlink_to(photos / "b")
    (photos / "b" / "circle").symlink_to(photos)
    (photos / "shown").symlink_to(photos / ".store")
    (photos / "again").symlink_to(photos / ".store")
    (photos / "photo.jpg").symlink_to(photos / "b" / "real" / "z.jpg")
    (photos / "self.jpg").symlink_to(photos / "self.jpg")
    found = scan(photos).photos
    assert found == ["again/y.jpg", "b/real/z.jpg", "photo.jpg", "self.jpg"]
    assert not any(outside(photos, file) for file in found)


def test_the_folder_itself_may_be_a_link(photos, lay, tmp_path):
    lay(photos, "a/b.jpg")
    (tmp_path / "link").symlink_to(photos)
    assert scan(tmp_path / "link").photos == ["a/b.jpg"]
    assert not outside(tmp_path / "link", "a/b.jpg")


def test_a_folder_that_must_not_be_read_is_listed(photos, lay, monkeypatch):
    lay(photos, "a.jpg", "locked/b.jpg")
    original = os.scandir

    def scandir(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", place)
        return original(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert scan(photos).photos == ["a.jpg", "locked"]


def test_a_name_that_is_not_utf8_is_refused(photos, refusal):
    with open(os.fsencode(photos) + b"/caf\xe9.jpg", "wb"):  # noqa: PTH123
        pass
    assert "'caf\\udce9.jpg' is not UTF-8" in refusal(photos)


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "b/link/../../a.jpg", "link/a.jpg"])
def test_outside(photos, lay, tmp_path, name):
    lay(photos, "b/c.jpg")
    lay(tmp_path / "far" / "away", "x.jpg")
    (photos / "b" / "link").symlink_to(tmp_path / "far" / "away")
    (photos / "link").symlink_to(tmp_path)
    assert outside(photos, name)


@pytest.mark.parametrize("name", ["a.jpg", "b/../a.jpg", "b//a.jpg", "x" * 5000, "nul\0", "a.jpg/train_images/0001"])
def test_inside(photos, lay, name):
    lay(photos, "a.jpg", "b/c.jpg")
    assert not outside(photos, name)
    assert not outside(photos, f"{photos}/a.jpg")


def calls(function):
    """How many functions run, of Python or C: what time hangs on, and the same on every machine."""
    count = 0

    def one_more(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(one_more)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_twice_as_many_photos_take_twice_the_work(photos):
    for folder in range(10):
        (photos / str(folder)).mkdir()
    # One file has many names, which costs a fraction of many files.
    (photos / "first.jpg").touch()

    def work(count):
        names = [f"{item // 2}_{('left', 'right')[item % 2]}" for item in range(count)]
        for item, name in enumerate(names):
            if not (link := photos / str(item % 10) / f"{name}.jpeg").exists():
                os.link(photos / "first.jpg", link)
        rows = "\n".join(f"{name},{item % 5}" for item, name in enumerate(names))
        (photos / "trainLabels.csv").write_text(f"image,level\n{rows}\n")
        assert len(PhotoFolder(photos, None).files) == count + 1

        def read():
            assert len({photo.group for photo in read_labels(photos).photos}) == count // 2

        return calls(read)

    work(100)  # what is imported at the first time is no work for photos
    once, twice = work(4000), work(8000)
    assert twice / once < 2.1


def test_photos_in_a_prepared_folder_that_are_none_of_its_own_are_counted_and_said(photos, lay, refusal):
    own = ["images/ab/1.jpg", "contact_sheet.jpg", ".hidden.jpg"]
    lay(photos, "a.jpg", *(f"done/{name}" for name in (*own, "mine.jpg", "more/images/mine.tif")))
    lay(photos, "b/done/images/ab/1.jpg", texts={"done/preparation.json": "{}", "b/done/preparation.json": "{}"})
    found = scan(photos)
    assert (found.photos, found.strays) == (["a.jpg"], {"done": 2})
    (photos / "a.jpg").unlink()
    assert refusal(photos).endswith(
        "; 2 photos lie in the prepared folder done and are passed by; move them out of there"
    )
