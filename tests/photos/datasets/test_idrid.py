import csv
import io
import os

import pytest
from PIL import Image

from biranet.photos.datasets import LabelSource, read_labels


def with_comment(comment):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", comment=comment)
    return file.getvalue()


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
    found = read_labels(test_photos, LabelSource(labels / "b. IDRiD_Disease Grading_Testing Labels.csv")).photos
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


@pytest.mark.real
def test_real_idrid_labels_and_visits(real_data):
    """The comments of these photos were replaced by the group that `labels.csv` names: the readers must agree."""
    folder = real_data / "images512" / "idrid"
    found = read_labels(
        folder, LabelSource(real_data / "adapter_labels" / "a. IDRiD_Disease Grading_Training Labels.csv")
    ).photos
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
