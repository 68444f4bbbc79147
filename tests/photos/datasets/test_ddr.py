import pytest

from biranet.photos.datasets import LabelSource, read_labels


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
    found = read_labels(grading / "train", LabelSource(grading / "train.txt"))
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
