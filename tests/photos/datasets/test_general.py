from pathlib import Path

import pytest

from biranet.errors import InputError
from biranet.photos.datasets import DATASETS, LabelledPhoto, read_labels


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not opened here")
    return folder


def table(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def refusal(photos, labels=None, dataset="auto"):
    with pytest.raises(InputError) as caught:
        read_labels(photos, labels, dataset)
    return str(caught.value)


def test_a_plain_folder_has_no_grades(tmp_path):
    photos = make(tmp_path / "clinic", "b.jpg", "a/c.PNG", "a/d.dcm", "notes.txt", ".hidden.jpg", "._b.jpg", ".x/e.jpg")
    found = read_labels(photos).photos
    assert [photo.file for photo in found] == ["a/c.PNG", "a/d.dcm", "b.jpg"]
    assert found[0] == LabelledPhoto("a/c.PNG", None, "", "", "", "clinic")


def test_prepared_folders_inside_are_passed_by(tmp_path):
    photos = make(tmp_path, "a.jpg", "prepared/preparation.json", "prepared/images/ab/abc.jpg")
    assert [photo.file for photo in read_labels(photos).photos] == ["a.jpg"]


def test_class_folders(tmp_path):
    photos = make(tmp_path, "0/10_left.jpeg", "0/10_right.jpeg", "4/11_left.jpeg", "lone.jpg")
    found = {photo.file: photo for photo in read_labels(photos).photos}
    assert [photo.grade for photo in found.values()] == [0, 0, 4, None]
    assert {(photo.group, photo.eye) for photo in found.values()} == {
        ("10", "left"),
        ("10", "right"),
        ("11", "left"),
        ("", ""),
    }


def test_class_folders_within_parts(tmp_path):
    photos = make(tmp_path, "train/0/a.jpg", "valid/3/b.jpg", "Test/4/deeper/c.jpg")
    found = [(photo.file, photo.grade, photo.split) for photo in read_labels(photos).photos]
    assert sorted(found) == [
        ("Test/4/deeper/c.jpg", 4, "test"),
        ("train/0/a.jpg", 0, "train"),
        ("valid/3/b.jpg", 3, "validation"),
    ]


def test_a_class_folder_that_is_no_grade(tmp_path):
    message = refusal(make(tmp_path, "0/a.jpg", "7/b.jpg"))
    assert "'7' is not a grade" in message
    assert "b.jpg" in message
    assert "--dataset folder" in message
    assert len(read_labels(tmp_path, None, "folder").photos) == 2


def test_csv_with_all_columns(tmp_path):
    photos = make(tmp_path / "photos", "x/one.jpg", "two.png")
    text = (
        "\ufefffile,grade,group,eye,split,source,dme,sha256\r\n"
        "x/one.jpg,3.0,p 7,OD,valid,north,1,abc\r\n\r\n"
        "two,,p8,L,,,,\r\n"
    )
    found = read_labels(photos, table(tmp_path / "l.csv", text), "auto").photos
    assert found == [
        LabelledPhoto("x/one.jpg", 3, "p 7", "right", "validation", "north", further={"dme": "1", "sha256": "abc"}),
        LabelledPhoto("two.png", None, "p8", "left", "", "photos", further={"dme": "", "sha256": ""}),
    ]


def test_csv_finds_photos_however_they_are_named(tmp_path):
    photos = make(tmp_path, "a/001.jpg", "b/dots.v2.jpg", "b/odd.xyz", "c.d/IMG.jpg")
    named = ["001", "dots.v2", "b/odd.xyz", str(photos / "c.d/IMG.jpg")]
    text = "file,grade\n" + "\n".join(f"{name},1" for name in named) + "\n"
    found = [photo.file for photo in read_labels(photos, table(tmp_path / "l.csv", text), "csv").photos]
    assert found == ["a/001.jpg", "b/dots.v2.jpg", "b/odd.xyz", "c.d/IMG.jpg"]


def test_csv_names_with_everything_in_them(tmp_path):
    names = ["a b.jpg", "comma,.jpg", 'quote".jpg', "line\nbreak.jpg", "😀.jpg"]
    photos = make(tmp_path / "photos", *names)
    cells = ['"' + name.replace('"', '""') + '",2' for name in names]
    labels = table(tmp_path / "l.csv", "file,grade\n" + "\n".join(cells) + "\n")
    assert [photo.file for photo in read_labels(photos, labels).photos] == names


def test_a_photo_that_is_not_there_stays_in_the_list(tmp_path):
    photos = make(tmp_path / "photos", "a.jpg")
    (tmp_path / "outside.jpg").write_bytes(b"x")
    text = "file,grade\na.jpg,1\ngone.jpg,2\n../outside.jpg,2\n"
    found = read_labels(photos, table(tmp_path / "l.csv", text), "auto").photos
    assert [photo.file for photo in found] == ["a.jpg", "gone.jpg", "../outside.jpg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,grade\na.jpg,1\n", ["no column 'file'", "name, grade", "--columns file=NAME"]),
        ("file,label\na.jpg,1\n", ["no column 'grade'"]),
        ("file,grade\na.jpg,1\nb.jpg,7\n", ["l.csv", "row 3", "'7'", "0 to 4"]),
        ("file,grade\na.jpg,mild\n", ["row 2", "'mild'"]),
        ("file,grade,split\na.jpg,1,later\n", ["row 2", "'split'", "'later'", "calibration"]),
        ("file,grade\na.jpg,1\n a.jpg ,2\n", ["l.csv, row 3: the photo 'a.jpg' has grade 2 here and grade 1 in row 2"]),
        ("file,grade\ntwin,1\n", ["row 2", "x/twin.jpg", "y/twin.jpg"]),
        ("file,grade\n,1\n", ["row 2", "no file name"]),
        ("file,grade\ngone.jpg,1\nlost.jpg,1\n", ["none of the photos", "'gone.jpg'"]),
    ],
)
def test_wrong_csv(tmp_path, text, words):
    photos = make(tmp_path / "photos", "a.jpg", "b.jpg", "x/twin.jpg", "y/twin.jpg")
    message = refusal(photos, table(tmp_path / "l.csv", text))
    for word in words:
        assert word in message


def test_the_two_lists(tmp_path):
    photos = make(tmp_path / "photos", "train/10_left.jpeg", "train/10_right.jpeg", "valid/21_left.jpeg")
    lists = tmp_path / "lists"
    lists.mkdir()
    table(lists / "TrainSet.txt", "10_left 0\r\n\r\n10_right 3\r\n")
    table(lists / "ValidSet.txt", "21_left 4\r\n\r\n")
    expected = [
        ("train/10_left.jpeg", 0, "10", "left", "train"),
        ("train/10_right.jpeg", 3, "10", "right", "train"),
        ("valid/21_left.jpeg", 4, "21", "left", "validation"),
    ]

    def seen(labels, dataset="auto"):
        return [(p.file, p.grade, p.group, p.eye, p.split) for p in read_labels(photos, labels, dataset).photos]

    assert seen(lists) == expected
    assert seen(lists / "ValidSet.txt") == expected[2:]
    for name in ("TrainSet.txt", "ValidSet.txt"):
        (photos / name).write_bytes((lists / name).read_bytes())
    assert seen(None) == expected
    assert seen(None, "lists") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10_left 0\r\n\r\n10_right 7\r\n", ["TrainSet.txt", "row 3", "'7'"]),
        ("10_left\n", ["row 1", "'10_left'"]),
        ("\r\n", ["names no photos"]),
        ("10_left 0\n10_left\t1\n", ["row 2", "grade 1 here and grade 0 in row 1"]),
        ("10_left 1\n10_left 1\n", ["row 2", "stands in row 1 too"]),
    ],
)
def test_wrong_lists(tmp_path, text, words):
    photos = make(tmp_path / "photos", "10_left.jpeg", "10_right.jpeg")
    message = refusal(photos, table(tmp_path / "TrainSet.txt", text))
    for word in words:
        assert word in message


def test_wrong_use(tmp_path):
    photos = make(tmp_path / "photos", "a.jpg")
    labels = table(tmp_path / "l.csv", "file,grade\na,1\n")
    (tmp_path / "empty").mkdir()
    assert "there is no folder" in refusal(tmp_path / "gone")
    assert "not a folder" in refusal(photos / "a.jpg")
    assert "no photographs" in refusal(tmp_path / "empty")
    assert "no label file" in refusal(photos, tmp_path / "gone.csv")
    assert "known are: auto, eyepacs, aptos" in refusal(photos, None, "kaggle")
    assert "needs a label file" in refusal(photos, None, "csv")
    assert "has no label file" in refusal(photos, labels, "classes")
    (tmp_path / "l.xlsx").write_bytes(b"PK\x03\x04\xff")
    message = refusal(photos, tmp_path / "l.xlsx")
    assert "no layout fits" in message
    assert all(f"{name} has" in message for name in DATASETS)
    assert "neither of the lists" in refusal(photos, None, "lists")
    (photos / "preparation.json").write_text("{}")
    assert "prepared by biranet already" in refusal(photos)


@pytest.mark.real
def test_real_labels(real_data):
    found = read_labels(real_data / "originals", real_data / "originals" / "index.csv").photos
    assert len(found) == 44
    assert {photo.source for photo in found} == {"idrid", "srahim"}
    assert all((real_data / "originals" / photo.file).is_file() for photo in found)
    assert set(found[0].further) == {"image_id"}
