from collections import Counter

import pytest

from biranet.photos.datasets import LabelSource, read_labels

GDRBENCH = {
    "DEEPDR_train.txt": "DEEPDR/nodr/1_l1.jpg 0\nDEEPDR/mild_npdr/1_r2.jpg 1\n",
    "RLDR_train.txt": "RLDR/moderate_npdr/1_right.jpg 2\n",
    "DDR_crossval.txt": "DDR/pdr/007-0004-000.jpg 4\n",
    "MESSIDOR_crossval.txt": "MESSIDOR/nodr/20051020_43808_0100_PP.png 0\n",
}

GDRBENCH_PHOTOS = [line.rpartition(" ")[0] for text in GDRBENCH.values() for line in text.splitlines()]


def test_gdrbench_as_published(photos, lay):
    lay(
        photos,
        *(f"{folder}/{name}" for folder in ("images", "masks") for name in GDRBENCH_PHOTOS),
        texts={f"splits/{name}": text for name, text in GDRBENCH.items()},
    )
    found = read_labels(photos)
    assert found.dataset == "gdrbench"
    expected = {
        ("images/DEEPDR/nodr/1_l1.jpg", 0, "DEEPDR 1", "left", "train", "DEEPDR"),
        ("images/DEEPDR/mild_npdr/1_r2.jpg", 1, "DEEPDR 1", "right", "train", "DEEPDR"),
        ("images/RLDR/moderate_npdr/1_right.jpg", 2, "1", "right", "train", "RLDR"),
        ("images/DDR/pdr/007-0004-000.jpg", 4, "", "", "validation", "DDR"),
        ("images/MESSIDOR/nodr/20051020_43808_0100_PP.png", 0, "", "", "validation", "MESSIDOR"),
    }
    assert {
        (photo.file, photo.grade, photo.group, photo.eye, photo.split, photo.source) for photo in found.photos
    } == expected


def test_lists_of_something_else_are_not_gdrbench(photos, lay):
    lay(photos, "a.jpg", texts={"DDR_train.txt": "a.jpg 0\n", "my_DDR_train.txt": "DDR/a.jpg 0\n"})
    assert read_labels(photos).dataset == "folder"


def test_one_domain_of_gdrbench(photos, lay, tmp_path):
    lay(photos, "DDR/pdr/007-0004-000.jpg")
    lay(tmp_path, texts=GDRBENCH)
    for folder in (photos, photos / "DDR"):
        found = read_labels(folder, LabelSource(tmp_path / "DDR_crossval.txt")).photos
        assert [(folder / photo.file).is_file() for photo in found] == [True]


def test_a_photo_of_gdrbench_that_is_missing_keeps_its_row(photos, lay, tmp_path):
    lay(photos, "DDR/pdr/007-0004-000.jpg")
    lay(tmp_path / "splits", texts=GDRBENCH)
    found = read_labels(photos, LabelSource(tmp_path / "splits")).photos
    assert sorted(photo.file for photo in found) == sorted(GDRBENCH_PHOTOS)


@pytest.mark.real
def test_real_gdrbench_lists(real_data, photos, lay):
    splits = real_data / "adapter_labels" / "gdrbench_splits"
    lines = [line for path in sorted(splits.iterdir()) for line in path.read_text().splitlines()]
    lay(photos, *(line.rpartition(" ")[0] for line in lines[::100]))
    found = read_labels(photos, LabelSource(splits))
    assert found.dataset == "gdrbench"
    assert [f"{photo.file} {photo.grade}" for photo in found.photos] == lines
    # The class folders of the benchmark say the grade a second time.
    names = ("nodr", "mild_npdr", "moderate_npdr", "severe_npdr", "pdr")
    assert all(photo.file.split("/")[1] == names[photo.grade] for photo in found.photos)
    assert Counter(photo.split for photo in found.photos) == {"train": 14481, "validation": 5219}
    assert {photo.source for photo in found.photos if photo.group} == {"DEEPDR", "RLDR"}
    per_patient = Counter(photo.group for photo in found.photos if photo.source == "DEEPDR")
    assert len(per_patient) == 500
    assert set(per_patient.values()) == {4}
