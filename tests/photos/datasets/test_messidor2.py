import csv

import pytest

from biranet.photos.datasets import LabelSource, read_labels

MESSIDOR = (
    "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
    "20051020_43808_0100_PP.png,0,0,1\n20051020_43832_0100_PP.png,3,1,1\nIM003718.jpg,,,0\nIM004812.jpg,2,0,1\n"
)

PAIRS = "left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\nIM003718.JPG;IM004812.JPG\n"

MESSIDOR_FILES = ("20051020_43808_0100_PP.png", "20051020_43832_0100_PP.png", "IM003718.JPG", "IM004812.JPG")


def test_messidor2_as_published(photos, lay):
    lay(photos, *(f"IMAGES/{name}" for name in MESSIDOR_FILES), texts={"messidor_data.csv": MESSIDOR})
    found = read_labels(photos)
    assert found.dataset == "messidor2"
    assert [(photo.file, photo.grade, bool(photo.ungradable)) for photo in found.photos] == [
        ("IMAGES/20051020_43808_0100_PP.png", 0, False),
        ("IMAGES/20051020_43832_0100_PP.png", 3, False),
        ("IMAGES/IM003718.JPG", None, True),
        ("IMAGES/IM004812.JPG", 2, False),
    ]
    assert {(photo.group, photo.eye, photo.split, photo.source) for photo in found.photos} == {
        ("", "", "", "messidor2")
    }
    assert found.photos[1].extra_columns == {"adjudicated_dme": "1", "adjudicated_gradable": "1"}


@pytest.mark.parametrize("place", ["photos/messidor-2.csv", "messidor-2.csv"], ids=["with photos", "with labels"])
def test_messidor2_examinations_are_groups(photos, lay, tmp_path, place):
    lay(photos, *MESSIDOR_FILES)
    lay(tmp_path, texts={"messidor_data.csv": MESSIDOR, place: PAIRS})
    found = read_labels(photos, LabelSource(tmp_path / "messidor_data.csv")).photos
    first, second = "20051020_43808_0100_PP", "IM003718"
    assert [photo.group for photo in found] == [first, first, second, second]
    assert [photo.eye for photo in found] == ["left", "right", "left", "right"]


def test_messidor2_in_the_other_columns_and_another_format(photos, lay, tmp_path):
    text = MESSIDOR.replace("image_id,adjudicated_dr_grade", "id_code,diagnosis")
    lay(photos, *(name.rpartition(".")[0] + ".tif" for name in MESSIDOR_FILES))
    lay(tmp_path, texts={"messidor_data.csv": text})
    found = read_labels(photos, LabelSource(tmp_path / "messidor_data.csv"))
    assert found.dataset == "messidor2"
    assert [photo.grade for photo in found.photos] == [0, 3, None, 2]
    assert all((photos / photo.file).is_file() for photo in found.photos)


def test_messidor2_what_is_ungradable_has_no_grade(photos, lay):
    lay(
        photos, *MESSIDOR_FILES, texts={"messidor_data.csv": MESSIDOR.replace("IM003718.jpg,,,0", "IM003718.jpg,3,1,0")}
    )
    photo = read_labels(photos).photos[2]
    assert (photo.grade, photo.ungradable) == (None, "the graders of the data set found it ungradable")


def test_messidor2_gradable_is_yes_or_no(photos, lay, refusal):
    lay(photos, *MESSIDOR_FILES, texts={"messidor_data.csv": MESSIDOR.replace("2,0,1", "2,0,yes")})
    assert "messidor_data.csv, row 5, column 'adjudicated_gradable': 'yes' is neither 0 nor 1" in refusal(photos)


@pytest.mark.real
def test_real_messidor2_labels(real_data, photos, lay):
    path = real_data / "adapter_labels" / "messidor_data.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lay(photos, *(row["id_code"] for row in rows[::20]))
    found = read_labels(photos, LabelSource(path))
    assert found.dataset == "messidor2"
    assert [(photo.file, str(photo.grade)) for photo in found.photos] == [
        (row["id_code"], row["diagnosis"]) for row in rows
    ]
    assert not any(photo.ungradable for photo in found.photos)
