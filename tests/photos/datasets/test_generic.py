import os

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biranet.errors import InputError
from biranet.photos.datasets import LabeledPhoto, LabelSource, outside, read_labels
from biranet.tables import write_table

NAMED = {"group_from": "labels"}


def test_names_written_on_another_system_find_their_photos(tmp_path):
    (tmp_path / "Eyes").mkdir()
    for name in ("Eyes/A.jpg", "b.JPG", "c.jpg", "C.JPG"):
        (tmp_path / name).touch()
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade\nEyes\\A.jpg,1\nB.jpg,2\nc.jpg,3\nC.JPG,4\n")
    found = read_labels(tmp_path, LabelSource(labels)).photos
    assert [(photo.file, photo.grade) for photo in found] == [
        ("Eyes/A.jpg", 1),
        ("b.JPG", 2),
        ("c.jpg", 3),
        ("C.JPG", 4),
    ]
    labels.write_text("file,grade\nc.JPG,1\n")
    with pytest.raises(InputError, match=r"'c\.JPG' could be 'C\.JPG' or 'c\.jpg'"):
        read_labels(tmp_path, LabelSource(labels))


def test_patient_and_eye_are_read_from_the_usual_endings_of_names(tmp_path):
    for name in (
        "10_left.jpg",
        "10_RIGHT.jpg",
        "p7_L.png",
        "p7_r.png",
        "q_OS.jpg",
        "q_od.jpg",
        "x_color.jpg",
        "left.jpg",
    ):
        (tmp_path / name).touch()
    found = {photo.file: (photo.group, photo.eye) for photo in read_labels(tmp_path).photos}
    assert found == {
        "10_left.jpg": ("10", "left"), "10_RIGHT.jpg": ("10", "right"), "p7_L.png": ("p7", "left"),
        "p7_r.png": ("p7", "right"), "q_OS.jpg": ("q", "left"), "q_od.jpg": ("q", "right"),
        "x_color.jpg": ("", ""), "left.jpg": ("", "left"),
    }  # fmt: skip


def test_dicom_files_are_found_without_an_ending(tmp_path):
    for name in ("IM000001", "1.2.840.7", "README", "notes.2024"):
        (tmp_path / name).write_bytes(b"words" if name[0] in "Rn" else bytes(128) + b"DICM")
    assert [photo.file for photo in read_labels(tmp_path).photos] == ["1.2.840.7", "IM000001"]


def test_a_table_of_grades_among_the_photos_is_pointed_at(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "labels.csv").write_text("file,grade\na.jpg,1\n")
    labels = read_labels(tmp_path)
    assert labels.dataset == "folder"
    assert labels.why.endswith(f"{tmp_path / 'labels.csv'} looks like a table of grades: name it with --labels")


def test_a_spreadsheet_is_to_be_saved_as_csv(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"labels\.xlsx is a spreadsheet; save its table as CSV in UTF-8"):
        read_labels(tmp_path, LabelSource(tmp_path / "labels.xlsx"))


def test_a_plain_folder_has_no_grades(tmp_path, lay):
    photos = lay(
        tmp_path / "clinic",
        "b.jpg",
        "a/c.PNG",
        "a/12_left.dcm",
        "a/12_right.dcm",
        texts={"notes.txt": "seen on Monday"},
    )
    found = read_labels(photos)
    assert (found.dataset, found.already_cropped) == ("folder", False)
    assert found.photos == [
        LabeledPhoto("a/12_left.dcm", None, "12", "left", "", "clinic", group_from="name"),
        LabeledPhoto("a/12_right.dcm", None, "12", "right", "", "clinic", group_from="name"),
        LabeledPhoto("a/c.PNG", None, "", "", "", "clinic"),
        LabeledPhoto("b.jpg", None, "", "", "", "clinic"),
    ]


def test_photos_that_lead_out_of_the_folder_keep_their_rows(photos, lay, tmp_path):
    lay(tmp_path / "elsewhere", "z.jpg")
    lay(photos, "a.jpg")
    (photos / "link").symlink_to(tmp_path / "elsewhere")
    assert [photo.file for photo in read_labels(photos).photos] == ["a.jpg", "link"]


def test_a_table_with_all_columns(photos, lay, tmp_path):
    lay(photos, "x/one.jpg", "two.png")
    text = (
        "\ufefffile,grade,group,eye,split,source,dme,sha256\r\n"
        "x/one.jpg,3.0,p 7,OD,valid,north,1,abc\r\n\r\n"
        "two,,p8,L,,,,\r\n"
    )
    lay(tmp_path, texts={"l.csv": text})
    found = read_labels(photos, LabelSource(tmp_path / "l.csv"))
    assert (found.dataset, found.why) == ("csv", "l.csv is a table")
    assert found.photos == [
        LabeledPhoto(
            "x/one.jpg", 3, "p 7", "right", "validation", "north", extra_columns={"dme": "1", "sha256": "abc"}, **NAMED
        ),
        LabeledPhoto("two.png", None, "p8", "left", "", "photos", extra_columns={"dme": "", "sha256": ""}, **NAMED),
    ]


def test_photos_are_found_however_they_are_named(photos, lay, tmp_path):
    lay(photos, "a/001.jpg", "b/dots.v2.jpg", "b/odd.xyz", "c.d/IMG.jpg", "e/f/same.jpg", "e/g/same.jpg")
    named = ["001", "dots.v2", "b/odd.xyz", str(photos / "c.d/IMG.jpg"), "f/same", "b/../e/g/same.jpg"]
    lay(tmp_path, texts={"l.csv": "file,grade\n" + "".join(f"{name},1\n" for name in named)})
    found = [photo.file for photo in read_labels(photos, LabelSource(tmp_path / "l.csv")).photos]
    assert found == ["a/001.jpg", "b/dots.v2.jpg", "b/odd.xyz", "c.d/IMG.jpg", "e/f/same.jpg", "e/g/same.jpg"]


def test_names_with_everything_in_them(photos, lay, tmp_path):
    names = ["a b.jpg", "comma,.jpg", 'quote".jpg', "line\nbreak.jpg", "😀.jpg", "semi;colon.jpg", "tab\t.jpg"]
    lay(photos, *names)
    cells = ['"' + name.replace('"', '""') + '",2\n' for name in names]
    lay(tmp_path, texts={"l.csv": "file,grade\n" + "".join(cells)})
    assert [photo.file for photo in read_labels(photos, LabelSource(tmp_path / "l.csv")).photos] == names


def test_a_photo_that_is_not_there_stays_in_the_list(photos, lay, tmp_path):
    lay(photos, "a.jpg")
    lay(tmp_path, "outside.jpg")
    names = ["a.jpg", "gone.jpg", "../outside.jpg", "/etc/hostname", "x" * 5000]
    lay(tmp_path, texts={"l.csv": "file,grade\n" + "".join(f"{name},1\n" for name in names)})
    assert [photo.file for photo in read_labels(photos, LabelSource(tmp_path / "l.csv")).photos] == names


def test_photos_outside_are_no_photos_of_the_folder(photos, lay, tmp_path, refusal):
    lay(photos, "a.jpg")
    lay(tmp_path, "outside.jpg", texts={"l.csv": "file,grade\n../outside.jpg,1\n"})
    assert "none of the photos" in refusal(photos, tmp_path / "l.csv")


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["..", "../a.jpg", "/", "~", "a.jpg/b", "./a", "sub/../a.jpg", "\n", "a.jpg ", "x" * 300, "sub", "%s", "*.jpg"]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(names, st.sampled_from(["0", "4", "", "5", "x"])), max_size=5))
def test_any_names_are_rows_or_one_sentence(tmp_path_factory, rows):
    photos = tmp_path_factory.getbasetemp() / "any_names"
    (photos / "sub").mkdir(parents=True, exist_ok=True)
    (photos / "a.jpg").touch()
    labels = photos / "l.csv"
    write_table(labels, pd.DataFrame([("a.jpg", "1"), *rows], columns=["file", "grade"], dtype=object))
    try:
        found = read_labels(photos, LabelSource(labels)).photos
    except InputError as error:
        assert f"{labels}, row " in str(error)
        return
    kept = [grade for name, grade in rows if name.strip() or grade]
    assert [photo.grade for photo in found] == [1, *(int(grade) if grade else None for grade in kept)]
    for photo in found:
        assert outside(photos, photo.file) == (photo.file.startswith(("/", "../")) or photo.file == "..")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,grade\na.jpg,1\n", ["no column 'file'", "name, grade", "--columns file=NAME"]),
        ("file,label\na.jpg,1\n", ["no column 'grade'", "--columns grade=NAME"]),
        ("file,grade\na.jpg,1\nb.jpg,7\n", ["l.csv, row 3, column 'grade': '7' is not a grade from 0 to 4"]),
        ("file,grade\na.jpg,npdr\n", ["row 2", "'npdr'", "it may mean several grades"]),
        ("file,grade,split\na.jpg,1,later\n", ["row 2", "'split'", "'later'", "calibration"]),
        ("file,grade\na.jpg,1\n a.jpg ,1\n", ["l.csv, row 3: the photo 'a.jpg' stands in row 2 too"]),
        ("file,grade\na,1\n\na.jpg,2\n", ["row 4: the photo 'a.jpg' has grade 2 here and grade 1 in row 2"]),
        ("file,grade\na,1\na.jpg,\n", ["row 3: the photo 'a.jpg' has no grade here and grade 1 in row 2"]),
        ("file,grade\ntwin,1\n", ["row 2", "x/twin.jpg", "y/twin.jpg"]),
        ("file,grade\n,1\n", ["row 2", "no file name"]),
        ("file,grade\na\0.jpg,1\n", ["row 2", "no file name"]),
        ("file,grade\ngone.jpg,1\nlost.jpg,1\n", ["none of the photos", "'gone.jpg'"]),
        (b"file,grade\ncaf\xe9.jpg,1\n", ["not a CSV table in UTF-8"]),
        ("", ["no rows", "l.csv"]),
    ],
)
def test_wrong_tables(photos, lay, tmp_path, refusal, text, words):
    lay(photos, "a.jpg", "b.jpg", "x/twin.jpg", "y/twin.jpg")
    message = refusal(photos, lay(tmp_path, texts={"l.csv": text}) / "l.csv")
    for word in words:
        assert word in message


COLUMNS = {"file": "Image name", "grade": "level", "group": "Patient", "eye": "side"}


@pytest.mark.parametrize(("name", "separator"), [("l.csv", ","), ("l.csv", ";"), ("l.tsv", "\t"), ("l.txt", "\t")])
def test_columns_of_any_name_with_any_separator(photos, lay, tmp_path, name, separator):
    rows = (
        ("Image name", "level", "Patient", "side", "grade"),
        ("a", "3", "p1", "OS", "mild"),
        ("b", "", "p2", "", ""),
    )
    lay(photos, "a.jpg", "b.jpg")
    lay(tmp_path, texts={name: "".join(separator.join(row) + "\n" for row in rows)})
    found = read_labels(photos, LabelSource(tmp_path / name, columns=COLUMNS))
    assert (found.dataset, found.why) == ("csv", "its columns were named")
    assert found.photos == [
        LabeledPhoto("a.jpg", 3, "p1", "left", "", "photos", extra_columns={"grade": "mild"}, **NAMED),
        LabeledPhoto("b.jpg", None, "p2", "", "", "photos", extra_columns={"grade": ""}, **NAMED),
    ]


def test_parquet(photos, lay, tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "level": [3.0, None], "n": [7, 8]})
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "l.parquet")
    lay(photos, "a.jpg", "b.jpg")
    found = read_labels(photos, LabelSource(tmp_path / "l.parquet", columns={"file": "id", "grade": "level"})).photos
    assert [(photo.file, photo.grade, photo.extra_columns) for photo in found] == [
        ("a.jpg", 3, {"n": "7"}),
        ("b.jpg", None, {"n": "8"}),
    ]


def test_json_lines(photos, lay, tmp_path):
    lay(
        tmp_path, texts={"l.jsonl": '{"file": "a.jpg", "grade": 3, "n": 7}\n{"file": "b.jpg", "grade": null, "n": 8}\n'}
    )
    lay(photos, "a.jpg", "b.jpg")
    found = read_labels(photos, LabelSource(tmp_path / "l.jsonl"))
    assert [(photo.file, photo.grade, photo.extra_columns) for photo in found.photos] == [
        ("a.jpg", 3, {"n": "7"}),
        ("b.jpg", None, {"n": "8"}),
    ]


def test_wrong_columns(photos, lay, tmp_path, refusal):
    labels = lay(tmp_path, texts={"l.csv": "image,level\na,1\n"}) / "l.csv"
    lay(photos, "a.jpg")
    message = refusal(photos, labels, columns={"photo": "image"})
    assert "there is no column 'photo' to fill; known are file, grade, group, eye, split, source" in message
    message = refusal(photos, labels, columns={"file": "image", "grade": "dr"})
    assert "--columns grade=dr: there is no column 'dr'" in message
    assert "has the columns: image, level" in message
    assert "the layout 'eyepacs' has its own columns" in refusal(photos, labels, "eyepacs", {"file": "image"})
    assert "name it with --labels" in refusal(photos, columns={"file": "image"})


@pytest.mark.real
def test_real_labels(real_data):
    found = read_labels(real_data / "originals", LabelSource(real_data / "originals" / "index.csv")).photos
    assert len(found) == 44
    assert {photo.source for photo in found} == {"idrid", "srahim"}
    assert all((real_data / "originals" / photo.file).is_file() for photo in found)
    assert set(found[0].extra_columns) == {"image_id"}


def test_eyes_of_a_table_are_understood_or_refused(photos, lay, tmp_path, refusal):
    lay(photos, *(f"{name}.jpg" for name in "abcdef"))
    rows = {"a": "RE", "b": "LE", "c": "right eye", "d": "OS", "e": "NA", "f": ""}
    text = "file,grade,eye\n" + "".join(f"{name}.jpg,1,{eye}\n" for name, eye in rows.items())
    labels = lay(tmp_path, texts={"l.csv": text}) / "l.csv"
    assert [photo.eye for photo in read_labels(photos, LabelSource(labels)).photos] == [
        "right",
        "left",
        "right",
        "left",
        "",
        "",
    ]
    labels.write_text("file,grade,side\na.jpg,1,1\n")
    message = refusal(photos, labels, columns={"eye": "side"})
    assert "l.csv, row 2, column 'side': '1' is not an eye (numbers mean other eyes in other sets); write" in message


@pytest.mark.parametrize("nothing", ["", "NA", "NaN", "<NA>", "NULL"])
def test_what_r_and_pandas_write_for_nothing_is_nothing_in_every_column(photos, lay, tmp_path, nothing):
    lay(photos, "a.jpg", "b.jpg")
    text = "file,grade,group,eye,split,source\n" + "".join(f"{name}.jpg{f',{nothing}' * 5}\n" for name in "ab")
    found = read_labels(photos, LabelSource(lay(tmp_path, texts={"l.csv": text}) / "l.csv")).photos
    assert found == [LabeledPhoto(f"{name}.jpg", None, "", "", "", "photos") for name in "ab"]


def test_label_files_that_are_none(photos, lay, tmp_path, refusal):
    lay(photos, "a.jpg")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zeros.csv"):
        assert refusal(photos, tmp_path / name) == f"cannot read {tmp_path / name}: it is no regular file"
    assert "it is no regular file" in refusal(photos, tmp_path / "pipe.csv", "lists")


def test_names_of_columns_give_no_orders_to_the_terminal(photos, lay, refusal):
    lay(photos, "a.jpg")
    lay(photos.parent, texts={"escape.csv": "file,\x1b[2J\x1b[31mall well\na.jpg,0\n"})
    assert r"has the columns: file, '\x1b[2J\x1b[31mall well'" in refusal(photos, photos.parent / "escape.csv")
