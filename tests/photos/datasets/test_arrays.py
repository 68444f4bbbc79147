import numpy as np
import pytest

from biranet.photos.datasets import LabelledPhoto, read_labels


def arrays(path, side_px=28, **counts):
    rng = np.random.default_rng(3)
    held = {}
    for part, count in counts.items():
        held[f"{part}_images"] = rng.integers(0, 256, (count, side_px, side_px, 3), np.uint8)
        held[f"{part}_labels"] = rng.integers(0, 5, (count, 1)).astype(np.uint8)
    np.savez(path, **held)
    return held


def test_all_parts_of_retinamnist(photos):
    held = arrays(photos / "retinamnist.npz", train=4, val=2, test=3)
    found = read_labels(photos)
    assert (found.dataset, found.whole) == ("retinamnist", True)
    parts = {"train": "train", "val": "validation", "test": "test"}
    assert found.photos == [
        LabelledPhoto(f"retinamnist.npz/{part}_images/{item:04d}", int(grade), "", "", split, "retinamnist")
        for part, split in parts.items()
        for item, grade in enumerate(held[f"{part}_labels"][:, 0])
    ]


def test_parts_that_are_missing_are_passed_by(photos):
    arrays(photos / "retinamnist_trainval.npz", train=2, val=1)
    assert [photo.split for photo in read_labels(photos).photos] == ["train", "train", "validation"]


def test_the_file_may_be_named_or_lie_deeper(photos):
    (photos / "down").mkdir()
    arrays(photos / "down" / "mine.npz", train=1)
    assert read_labels(photos, photos / "down" / "mine.npz").photos[0].file == "down/mine.npz/train_images/0000"


def test_arrays_of_another_set_are_not_taken_for_it_even_where_they_are_named(photos, lay, refusal):
    arrays(photos / "octmnist.npz", train=1)
    lay(photos, "a.jpg")
    assert "no layout fits" in refusal(photos, photos / "octmnist.npz")


def test_two_sizes_of_the_same_photos_are_refused(photos, refusal):
    arrays(photos / "retinamnist.npz", train=2)
    arrays(photos / "retinamnist_64.npz", side_px=64, train=2)
    assert "hold the same photos" in refusal(photos)
    assert len(read_labels(photos, photos / "retinamnist_64.npz").photos) == 2


def test_photos_elsewhere_than_the_file(photos, refusal, tmp_path):
    arrays(tmp_path / "retinamnist.npz", train=1)
    assert "give the folder that it is in as PHOTOS" in refusal(photos, tmp_path / "retinamnist.npz")


def test_arrays_of_another_set_are_not_taken_for_it(photos, lay):
    arrays(photos / "dermamnist.npz", train=1)
    np.savez(photos / "retinamnist_other.npz", x=np.zeros(3))
    lay(photos, "a.jpg", texts={"retinamnist_torn.npz": b"PK"})
    assert read_labels(photos).dataset == "folder"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_labels": np.array([[1], [7]])}, "retinamnist.npz/train_labels, row 1: '7' is not a grade"),
        ({"train_labels": np.array([[1]])}, "train_images holds 2 photos, train_labels an array (1, 1)"),
        ({"train_labels": np.array([[1, 2], [1, 2]])}, "train_labels an array (2, 2)"),
        ({"train_images": np.zeros((2, 28, 28, 3), np.float32)}, "of float32, not of pictures of 8 bits"),
        ({"train_images": np.zeros(2, np.uint8)}, "is an array (2,) of uint8"),
        ({"train_labels": np.array([[{}], [1]], dtype=object)}, "is damaged"),
    ],
    ids=["grade", "count", "shape", "floats", "no pictures", "pickle"],
)
def test_wrong_arrays(photos, refusal, change, words):
    held = arrays(photos / "retinamnist.npz", train=2)
    np.savez(photos / "retinamnist.npz", allow_pickle=True, **(held | change))
    assert words in refusal(photos)


def test_a_damaged_file(photos, refusal):
    arrays(photos / "retinamnist.npz", train=2)
    data = bytearray((photos / "retinamnist.npz").read_bytes())
    start = data.index(b"NUMPY", data.index(b"train_labels"))
    data[start : start + 30] = bytes(30)
    (photos / "retinamnist.npz").write_bytes(data)
    assert "is damaged" in refusal(photos)


@pytest.mark.real
def test_the_real_arrays(real_data):
    found = read_labels(real_data / "retinamnist")
    assert (found.dataset, len(found.photos)) == ("retinamnist", 1200)
    with np.load(real_data / "retinamnist" / "retinamnist_trainval.npz") as held:
        grades = np.concatenate([held["train_labels"], held["val_labels"]])[:, 0].tolist()
    assert [photo.grade for photo in found.photos] == grades
