"""What people give to `biranet grade`."""

import pandas as pd
import pytest

from biranet.errors import InputError
from biranet.inference.inputs import list_photos
from biranet.photos.datasets import OUTSIDE


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "clinic"
    for name in ("b.jpg", "a.PNG", "sub/c.tif", "sub/deep/d.jpeg", "notes.md", ".hidden.jpg", ".trash/e.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_folder_is_searched_whole_in_the_order_of_names(photos):
    names = ["a.PNG", "b.jpg", "sub/c.tif", "sub/deep/d.jpeg"]
    assert list_photos([photos]).files == [photos / name for name in names]


def test_prepared_folder_inside_is_passed_by(photos):
    (photos / "prepared").mkdir()
    (photos / "prepared" / "preparation.json").write_text("{}")
    (photos / "prepared" / "cut.jpg").write_bytes(b"x")
    assert photos / "prepared" / "cut.jpg" not in list_photos([photos]).files


def test_given_order_is_kept_and_nothing_is_dropped(photos):
    table = photos / "list.csv"
    table.write_text("grade,file\n1,sub/c.tif\n,missing.jpg\n2,b.jpg\n")
    given = [photos / "b.jpg", table, photos / "sub", photos / "notes.md"]
    assert list_photos(given).files == [
        photos / "b.jpg",
        *(photos / name for name in ("sub/c.tif", "missing.jpg", "b.jpg", "sub/c.tif", "sub/deep/d.jpeg", "notes.md")),
    ]


def test_absolute_paths_in_a_csv_stay(photos, tmp_path):
    table = tmp_path / "elsewhere.CSV"
    table.write_text(f"file\n{photos / 'b.jpg'}\n")
    assert list_photos([table]).files == [photos / "b.jpg"]


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.parquet", "Unicode text.txt"])
def test_a_table_finds_photos_as_prepare_does(photos, name):
    names = ["b.jpg ", "sub\\C.TIF", "A", "B.jpg", "b.jpeg", "sub/deep/../c"]
    files = ["b.jpg", "sub/c.tif", "a.PNG", "b.jpg", "b.jpg", "sub/c.tif"]
    table = pd.DataFrame({"file": names, "camera": "x"})
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
        table.to_parquet(photos / name)
    else:
        separator = ";" if name.endswith(".csv") else "\t"
        encoding = "utf-16" if name.endswith(".txt") else "utf-8"
        table.to_csv(photos / name, sep=separator, index=False, encoding=encoding)
    listed = list_photos([photos / name])
    assert listed.files == [photos / file for file in files]
    assert listed.refused == {}


def test_names_that_mean_no_photo_or_several(photos):
    (photos / "0010.jpg").touch()
    (photos / "sub" / "b.jpg").touch()
    table = photos / "list.csv"
    table.write_text("file\n10\ngone\n")
    listed = list_photos([table])
    assert listed.files == [photos / "10", photos / "gone"]
    assert listed.refused == {
        photos / "10": "no such file, but '0010.jpg' is there; did a spreadsheet strip the zeros?"
    }
    for name, words in [
        ("B", r"list\.csv, row 2: 'B' could be 'b.jpg' or 'sub/b.jpg'"),
        (" ,1", "row 2: there is no file"),
    ]:
        table.write_text(f"file,note\n{name}\n")
        with pytest.raises(InputError, match=words):
            list_photos([table])


def test_the_folder_is_not_searched_for_photos_that_are_there(photos, monkeypatch):
    table = photos / "list.csv"
    table.write_text("file\nb.jpg\n")
    monkeypatch.setattr("biranet.photos.datasets.photo_folder.scan", lambda root: pytest.fail(f"{root} was searched"))
    assert list_photos([table]).files == [photos / "b.jpg"]


def test_links_out_of_a_folder_are_refused_as_prepare_does(photos, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (photos / "away").symlink_to(tmp_path)
    (photos / "near.jpg").symlink_to(photos / "b.jpg")
    table = photos / "list.csv"
    table.write_text("file\nlink.jpg\naway/secret.jpg\nnear.jpg\n../secret.jpg\n")
    for given, files in [(photos, ["link.jpg", "away"]), (table, ["link.jpg", "away/secret.jpg"])]:
        assert list_photos([given]).refused == {photos / file: OUTSIDE for file in files}


def test_what_is_passed_by_in_folders_is_said(photos):
    assert list_photos([photos, photos / "sub"]).skipped == [
        "1 file is no photo by its ending and content, and is passed by: .md"
    ]


def test_what_cannot_be_listed_is_refused(photos, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    table = tmp_path / "list.csv"
    table.write_text("name\nb.jpg\n")
    packed = tmp_path / "list.zip"
    packed.write_bytes(b"PK\x03\x04")
    for given, words in [
        ([], "no photos were given"),
        ([empty], "holds no photos; known are"),
        ([tmp_path / "none.jpg"], "does not exist"),
        ([photos, tmp_path / "none"], "does not exist"),
        ([tmp_path / "none.csv"], "cannot read"),
        ([table], "no column 'file'; its columns are: name"),
        ([packed], r"list\.zip is an archive; unpack it"),
    ]:
        with pytest.raises(InputError, match=words):
            list_photos(given)


def test_names_that_no_table_can_hold_are_refused(photos):
    bad = photos / "bad\udcff.jpg"
    bad.write_bytes(b"x")
    for given in (bad, photos):
        with pytest.raises(InputError, match=r"not UTF-8; rename the file"):
            list_photos([given])


def test_what_was_entered_is_a_list_once_it_stands_in_one(photos):
    """As in a table that the page of the service gave away: it may be off by a row by now."""
    table = photos / "grades.csv"
    table.write_text("file,group,group_from,eye,eye_from\nb.jpg,P1,entered,left,entered over header\n")
    found = list_photos([table]).subjects[photos / "b.jpg"]
    assert (found.patient_from, found.eye, found.eye_from) == ("labels", "left", "labels")
    (photos / "other.csv").write_text("file,patient\nb.jpg,P2\n")
    with pytest.raises(InputError, match="is of the patient 'P1' by the list, and of 'P2' by the list"):
        list_photos([table, photos / "other.csv"])
