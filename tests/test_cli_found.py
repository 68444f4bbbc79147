"""What the commands find in folders and tables as people have them, and what they say of the rest."""

import csv
import shutil

import pytest


@pytest.fixture
def photos(drawn_photos, tmp_path, monkeypatch):
    """Folder with one photograph, `a.jpg`; it lies in the current folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(drawn_photos / "drawn_0001_left.jpg", folder / "a.jpg")
    monkeypatch.chdir(tmp_path)
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_photos_with_other_endings_do_not_vanish(photos, biranet, shipped_folder, tmp_path):
    for name in ("b.mpo", "f.jpg_original", "IM0001"):
        shutil.copy(photos / "a.jpg", photos / name)
    (photos / "e.jxl").write_bytes(b"\xff\x0a\xfa\x1f")
    (photos / "notes.xyz").write_text("seen on Monday")
    skipped = "1 file is no photo by its ending and content, and is passed by: .xyz."
    answer = biranet("prepare", "photos", "p", "--size", 64, "--workers", 0)
    assert answer.status == 1
    found = rows(tmp_path / "p" / "manifest.csv")
    assert [name for name, row in found.items() if row["status"] == "ok"] == [
        "IM0001",
        "a.jpg",
        "b.mpo",
        "f.jpg_original",
    ]
    assert found["e.jxl"]["reason"]
    assert skipped in answer.out.splitlines()
    answer = biranet("grade", "photos", "--workers", 0, "--out", "grades.csv")
    assert skipped in answer.out.splitlines()
    graded = rows(tmp_path / "grades.csv")
    assert [name for name, row in graded.items() if row["status"] == "ok"] == [
        f"photos/{name}" for name in ("IM0001", "a.jpg", "b.mpo", "f.jpg_original")
    ]
    assert len(graded) == 5


def test_labels_that_are_still_packed(photos, biranet):
    (photos / "trainLabels.csv.zip").write_bytes(b"PK\x03\x04" + bytes(26) + b"trainLabels.csv")
    answer = biranet("prepare", "photos", "p", "--size", 64, "--workers", 0)
    assert answer.status == 0
    assert answer.out.splitlines()[-2:] == [
        "No photo has a grade; these files may hold labels and were not used: trainLabels.csv.zip (unpack it)",
        "Next: biranet prepare photos p --labels FILE --size 64",
    ]
    answer = biranet("prepare", "photos", "q", "--labels", "photos/trainLabels.csv.zip")
    sentence = "biranet: photos/trainLabels.csv.zip is an archive; unpack it, and name what is in it\n"
    assert (answer.status, answer.err) == (2, sentence)


def test_names_that_a_spreadsheet_changed(photos, biranet, tmp_path):
    (photos / "a.jpg").rename(photos / "0010.jpg")
    shutil.copy(photos / "0010.jpg", photos / "b.jpg")
    (tmp_path / "labels.csv").write_bytes("sep=;\r\nfile;grade\r\n10;3\r\nB.jpeg;1\r\n".encode("utf-8-sig"))
    answer = biranet("prepare", "photos", "p", "--labels", "labels.csv", "--size", 64, "--workers", 0)
    assert answer.status == 1
    reason = "no such file, but '0010.jpg' is there; did a spreadsheet strip the zeros?"
    assert f"  unreadable: 10: {reason}" in answer.out.splitlines()
    found = rows(tmp_path / "p" / "manifest.csv")
    assert (found["10"]["reason"], found["b.jpg"]["grade"]) == (reason, "1")


def test_a_list_of_photos_and_links_out_of_a_folder(photos, biranet, shipped_folder, tmp_path):
    (photos / "list.tsv").write_text("file\tcamera\na.jpg \tx\nA\tx\n..\\photos\\a.jpg\tx\n")
    answer = biranet("grade", "photos/list.tsv", "--workers", 0, "--out", "grades.csv")
    assert "2 of 3 photos graded" in answer.out
    (photos / "list.tsv").unlink()
    (photos / "a.jpg").rename(tmp_path / "secret.jpg")
    (photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    answer = biranet("grade", "photos", "--workers", 0, "--out", "grades.csv", "--overlay", "looked")
    assert answer.status == 1
    assert rows(tmp_path / "grades.csv")["photos/link.jpg"]["reason"].startswith("lies outside the folder of photos; ")
    assert not (tmp_path / "looked").exists()
