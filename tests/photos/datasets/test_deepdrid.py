import csv
import io
import os

import pytest
from PIL import Image

from biranet.photos.datasets import LabelledPhoto, read_labels

MESSIDOR = (
    "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
    "20051020_43808_0100_PP.png,0,0,1\n20051020_43832_0100_PP.png,3,1,1\nIM003718.jpg,,,0\nIM004812.jpg,2,0,1\n"
)
PAIRS = "left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\nIM003718.JPG;IM004812.JPG\n"
MESSIDOR_FILES = ("20051020_43808_0100_PP.png", "20051020_43832_0100_PP.png", "IM003718.JPG", "IM004812.JPG")

DEEPDRID_HEADER = (
    "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,right_eye_DR_Level,patient_DR_Level,"
    "Clarity,Field definition,Artifact\n"
)


def with_comment(comment):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", comment=comment)
    return file.getvalue()


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
    found = read_labels(photos, tmp_path / "messidor_data.csv").photos
    first, second = "20051020_43808_0100_PP", "IM003718"
    assert [photo.group for photo in found] == [first, first, second, second]
    assert [photo.eye for photo in found] == ["left", "right", "left", "right"]


def test_messidor2_in_the_other_columns_and_another_format(photos, lay, tmp_path):
    text = MESSIDOR.replace("image_id,adjudicated_dr_grade", "id_code,diagnosis")
    lay(photos, *(name.rpartition(".")[0] + ".tif" for name in MESSIDOR_FILES))
    lay(tmp_path, texts={"messidor_data.csv": text})
    found = read_labels(photos, tmp_path / "messidor_data.csv")
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


@pytest.fixture
def idrid(photos, lay):
    """The grading task of IDRiD as published: the same names in both parts, and labels with trailing commas."""
    header = "Image name,Retinopathy grade,Risk of macular edema ,,,,,,,,,\n"
    return lay(
        photos,
        texts={
            "1. Original Images/a. Training Set/IDRiD_001.jpg": with_comment("visit 7"),
            "1. Original Images/a. Training Set/IDRiD_002.jpg": with_comment("visit 8"),
            "1. Original Images/b. Testing Set/IDRiD_001.jpg": with_comment("visit 7"),
            "1. Original Images/b. Testing Set/IDRiD_002.jpg": with_comment(b""),
            "2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv": (
                header + "IDRiD_001,3,2,,,,,,,,,\nIDRiD_002,0,0,,,,,,,,,\n"
            ),
            "2. Groundtruths/b. IDRiD_Disease Grading_Testing Labels.csv": (
                header + "IDRiD_001,4,1,,,,,,,,,\nIDRiD_002,1,0,,,,,,,,,\n"
            ),
        },
    )


def test_idrid_as_published(idrid):
    found = read_labels(idrid)
    assert found.dataset == "idrid"
    rows = [(photo.file, photo.grade, photo.split) for photo in found.photos]
    assert rows == [
        ("1. Original Images/a. Training Set/IDRiD_001.jpg", 3, "train"),
        ("1. Original Images/a. Training Set/IDRiD_002.jpg", 0, "train"),
        ("1. Original Images/b. Testing Set/IDRiD_001.jpg", 4, "test"),
        ("1. Original Images/b. Testing Set/IDRiD_002.jpg", 1, "test"),
    ]
    assert [photo.extra_columns for photo in found.photos] == [{"Risk of macular edema": risk} for risk in "2010"]


def test_idrid_comments_are_groups_without_what_they_say(idrid):
    groups = [photo.group for photo in read_labels(idrid).photos]
    assert groups[0] == groups[2] != groups[1]
    assert all(groups[:3])
    assert groups[3] == ""
    assert "visit" not in "".join(groups)


def test_idrid_labels_of_one_part_are_not_given_to_the_other(idrid, refusal):
    labels = idrid / "2. Groundtruths"
    test_photos = idrid / "1. Original Images" / "b. Testing Set"
    assert "none of the photos" in refusal(test_photos, labels / "a. IDRiD_Disease Grading_Training Labels.csv")
    found = read_labels(test_photos, labels / "b. IDRiD_Disease Grading_Testing Labels.csv").photos
    assert [photo.grade for photo in found] == [4, 1]


def test_idrid_with_its_other_tasks_beside(idrid, lay, tmp_path):
    whole = tmp_path / "IDRiD"
    whole.mkdir()
    idrid.rename(whole / "B. Disease Grading")
    names = ("IDRiD_001.jpg", "IDRiD_002.jpg")
    lay(whole, *(f"C. Localization/1. Original Images/a. Training Set/{name}" for name in names))
    lay(whole, *(f"A. Segmentation/1. Original Images/b. Testing Set/{name}" for name in names))
    found = read_labels(whole).photos
    assert [photo.grade for photo in found] == [3, 0, 4, 1]
    assert all(photo.file.startswith("B. Disease Grading/") for photo in found)


def test_idrid_comments_outside_are_not_read(idrid, tmp_path):
    photo = idrid / "1. Original Images/a. Training Set/IDRiD_001.jpg"
    photo.rename(tmp_path / "elsewhere.jpg")
    photo.symlink_to(tmp_path / "elsewhere.jpg")
    found = read_labels(idrid).photos
    assert [bool(photo.group) for photo in found] == [False, True, True, False]


@pytest.mark.parametrize("kind", ["pipe", "folder", "missing"])
def test_idrid_photos_that_cannot_be_read_keep_their_rows(idrid, kind):
    photo = idrid / "1. Original Images/a. Training Set/IDRiD_001.jpg"
    photo.unlink()
    {"pipe": os.mkfifo, "folder": os.mkdir, "missing": str}[kind](photo)
    found = read_labels(idrid).photos
    assert [(photo.grade, bool(photo.group)) for photo in found] == [(3, False), (0, True), (4, True), (1, False)]


def test_deepdrid_as_published(photos, lay):
    base = "regular_fundus_images"
    rows = (
        "1,1_l1,\\regular-fundus-training\\1\\1_l1.jpg,0,0,,2,8,8,4\n"
        "1,1_l2,\\regular-fundus-training\\1\\1_l2.jpg,1,0,,2,8,8,0\n"
        "1,1_r1,\\regular-fundus-training\\1\\1_r1.jpg,0,,2,2,8,8,4\n"
        # In the published file the name of one patient's photo says the other eye than its grade.
        "56,56_r3,\\regular-fundus-training\\56\\56_r3.jpg,0,1,,1,10,8,1\n"
    )
    validation = "265,265_r1,\\regular-fundus-validation\\265\\265_r1.jpg,1,,4,4,10,8,0\n"
    files = [
        *(f"{base}/regular-fundus-training/Images/{name}.jpg" for name in ("1/1_l1", "1/1_l2", "1/1_r1", "56/56_r3")),
        f"{base}/regular-fundus-validation/Images/265/265_r1.jpg",
    ]
    lay(
        photos,
        *files,
        f"{base}/Online-Challenge1&2-Evaluation/Images/347/347_l1.jpg",
        texts={
            f"{base}/regular-fundus-training/regular-fundus-training.csv": DEEPDRID_HEADER + rows,
            f"{base}/regular-fundus-validation/regular-fundus-validation.csv": DEEPDRID_HEADER + validation,
            f"{base}/Online-Challenge1&2-Evaluation/Challenge1_upload.csv": "image_id,DR_Level\n347_l1,\n",
        },
    )
    found = read_labels(photos)
    assert found.dataset == "deepdrid"
    assert [(photo.file, photo.grade, photo.group, photo.eye, photo.split) for photo in found.photos] == [
        (files[0], 0, "1", "left", "train"),
        (files[1], 0, "1", "left", "train"),
        (files[2], 2, "1", "right", "train"),
        (files[3], 1, "56", "left", "train"),
        (files[4], 4, "265", "right", "validation"),
    ]
    assert found.photos[1].extra_columns["Overall quality"] == "1"
    assert {"image_path", "patient_DR_Level", "Clarity", "Field definition", "Artifact"} < set(
        found.photos[0].extra_columns
    )


def test_deepdrid_test_labels_saved_as_csv(photos, lay):
    folder = "Online-Challenge1&2-Evaluation"
    names = [f"{folder}/Images/347/347_{shot}.jpg" for shot in ("l1", "r1")]
    lay(photos, *names, texts={f"{folder}/Challenge1_labels.csv": "image_id,DR_Levels\n347_l1,1\n347_r1,4\n"})
    assert read_labels(photos).photos == [
        LabelledPhoto(names[0], 1, "347", "left", "test", "deepdrid", group_from="data set"),
        LabelledPhoto(names[1], 4, "347", "right", "test", "deepdrid", group_from="data set"),
    ]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        # Messidor, whose grades 0 to 3 are another scale, has the columns of IDRiD.
        ("Image name,Ophthalmologic department,Retinopathy grade,Risk of macular edema", "a.tif,Service,3,1"),
        ("image_id,DR_Levels", "a,3"),
    ],
)
def test_other_sets_in_the_same_columns_are_not_taken_for_them(photos, lay, header, row):
    lay(photos, "a.tif", texts={"labels.csv": f"{header}\n{row}\n"})
    found = read_labels(photos)
    assert (found.dataset, found.photos[0].grade) == ("folder", None)


@pytest.mark.real
def test_real_messidor2_labels(real_data, photos, lay):
    path = real_data / "adapter_labels" / "messidor_data.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lay(photos, *(row["id_code"] for row in rows[::20]))
    found = read_labels(photos, path)
    assert found.dataset == "messidor2"
    assert [(photo.file, str(photo.grade)) for photo in found.photos] == [
        (row["id_code"], row["diagnosis"]) for row in rows
    ]
    assert not any(photo.ungradable for photo in found.photos)


@pytest.mark.real
def test_real_idrid_labels_and_visits(real_data):
    """The comments of these photos were replaced by the group that `labels.csv` names: the readers must agree."""
    folder = real_data / "images512" / "idrid"
    found = read_labels(folder, real_data / "adapter_labels" / "a. IDRiD_Disease Grading_Training Labels.csv").photos
    with (real_data / "labels.csv").open(newline="") as file:
        known = {row["image_id"]: row for row in csv.DictReader(file) if row["source"] == "idrid"}
    there = [photo for photo in found if (folder / photo.file).is_file()]
    assert len(there) == len(known) == 353
    visits = {}
    for photo in there:
        row = known[photo.file.removesuffix(".jpg")]
        assert str(photo.grade) == row["grade"]
        assert photo.extra_columns == {"Risk of macular edema": row["dme"]}
        visits.setdefault(photo.group, set()).add(row["group"])
    assert all(len(groups) == 1 for groups in visits.values())
    assert len(visits) == len({row["group"] for row in known.values()})
