from collections import Counter

import pytest

from biranet.photos.datasets import LabelledPhoto, read_labels


@pytest.fixture
def ddr(photos, lay):
    """The grading part of DDR as published, with the part for lesions beside it, which shares photos."""
    grading = "DDR-dataset/DR_grading"
    return lay(
        photos,
        f"{grading}/train/007-0004-000.jpg",
        f"{grading}/train/20170413102628830.jpg",
        f"{grading}/valid/007-1789-100.jpg",
        f"{grading}/test/007-1774-100.jpg",
        "DDR-dataset/lesion_segmentation/train/image/007-0004-000.jpg",
        "DDR-dataset/lesion_segmentation/test/image/007-1774-100.jpg",
        texts={
            f"{grading}/train.txt": "007-0004-000.jpg 0\n20170413102628830.jpg 5\n",
            f"{grading}/valid.txt": "007-1789-100.jpg 2\n",
            f"{grading}/test.txt": "007-1774-100.jpg 4\n",
        },
    )


def test_ddr_as_published(ddr):
    found = read_labels(ddr)
    assert found.dataset == "ddr"
    assert [(photo.file.rpartition("DR_grading/")[2], photo.grade, photo.split) for photo in found.photos] == [
        ("test/007-1774-100.jpg", 4, "test"),
        ("train/007-0004-000.jpg", 0, "train"),
        ("train/20170413102628830.jpg", None, "train"),
        ("valid/007-1789-100.jpg", 2, "validation"),
    ]
    assert [bool(photo.ungradable) for photo in found.photos] == [False, False, True, False]
    assert {(photo.group, photo.source) for photo in found.photos} == {("", "ddr")}


def test_one_list_of_ddr(ddr):
    grading = ddr / "DDR-dataset" / "DR_grading"
    found = read_labels(grading / "train", grading / "train.txt")
    assert (found.dataset, len(found.photos)) == ("ddr", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("007-0004-000.jpg 0\n20170413102628830.jpg 6\n", "train.txt, row 2: '6' is not a grade"),
        ("007-0004-000.jpg 0\n\n007-0004-000.jpg 1\n", "train.txt, row 3: the photo '007-0004-000.jpg' has grade 1"),
        ("007-0004-000.jpg 0\n20170413102628830.jpg\n", "train.txt, row 2: '20170413102628830.jpg' is not a name and"),
        ("007-0004-000.jpg 0\n 5\n", "train.txt, row 2: '5' is not a name and a grade with a space between"),
    ],
)
def test_wrong_lines_are_named(photos, lay, refusal, text, words):
    lay(photos, "007-0004-000.jpg", "20170413102628830.jpg", texts={"train.txt": text})
    assert words in refusal(photos)


def test_lists_of_something_else_are_not_ddr(photos, lay):
    lay(photos, "a.jpg", texts={"train.txt": "lr 0\n", "test.txt": "a.jpg some words\n", "valid.txt": b"\xff\xfe"})
    assert read_labels(photos).dataset == "folder"


def test_lists_of_another_set_are_neither_ddr_nor_gdrbench(photos, lay):
    lay(photos, "a.jpg", "b.jpg", texts={"train.txt": "a.jpg 0\nb.jpg 5\n", "NORTH_train.txt": "NORTH/a.jpg 0\n"})
    assert read_labels(photos).dataset == "folder"


def test_fgadr_as_published(photos, lay):
    lay(
        photos,
        *(f"Seg-set/{folder}/{name}" for folder in ("Original_Images", "HardExudate_Masks") for name in FGADR),
        texts={"Seg-set/DR_Seg_Grading_Label.csv": "".join(f"{name},{grade}\n" for name, grade in FGADR.items())},
    )
    found = read_labels(photos)
    assert found.dataset == "fgadr"
    assert found.photos == [
        LabelledPhoto(f"Seg-set/Original_Images/{name}", grade, "", "", "", "fgadr") for name, grade in FGADR.items()
    ]


FGADR = {"0000_1.png": 2, "0001_2.png": 3, "0003_3.png": 4}

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
        found = read_labels(folder, tmp_path / "DDR_crossval.txt").photos
        assert [(folder / photo.file).is_file() for photo in found] == [True]


def test_a_photo_of_gdrbench_that_is_missing_keeps_its_row(photos, lay, tmp_path):
    lay(photos, "DDR/pdr/007-0004-000.jpg")
    lay(tmp_path / "splits", texts=GDRBENCH)
    found = read_labels(photos, tmp_path / "splits").photos
    assert sorted(photo.file for photo in found) == sorted(GDRBENCH_PHOTOS)


@pytest.mark.real
def test_real_gdrbench_lists(real_data, photos, lay):
    splits = real_data / "adapter_labels" / "gdrbench_splits"
    lines = [line for path in sorted(splits.iterdir()) for line in path.read_text().splitlines()]
    lay(photos, *(line.rpartition(" ")[0] for line in lines[::100]))
    found = read_labels(photos, splits)
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
