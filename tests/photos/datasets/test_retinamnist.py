import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from biranet.errors import PhotoError
from biranet.photos.datasets import LabeledPhoto, LabelSource, read_labels
from biranet.photos.read import read_source


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
    assert (found.dataset, found.already_cropped) == ("retinamnist", True)
    parts = {"train": "train", "val": "validation", "test": "test"}
    assert found.photos == [
        LabeledPhoto(f"retinamnist.npz/{part}_images/{item:04d}", int(grade), "", "", split, "retinamnist")
        for part, split in parts.items()
        for item, grade in enumerate(held[f"{part}_labels"][:, 0])
    ]


def test_parts_that_are_missing_are_passed_by(photos):
    arrays(photos / "retinamnist_trainval.npz", train=2, val=1)
    assert [photo.split for photo in read_labels(photos).photos] == ["train", "train", "validation"]


def test_the_file_may_be_named_or_lie_deeper(photos):
    (photos / "down").mkdir()
    arrays(photos / "down" / "mine.npz", train=1)
    assert (
        read_labels(photos, LabelSource(photos / "down" / "mine.npz")).photos[0].file
        == "down/mine.npz/train_images/0000"
    )


def test_arrays_of_another_set_are_not_taken_for_it_even_where_they_are_named(photos, lay, refusal):
    arrays(photos / "octmnist.npz", train=1)
    lay(photos, "a.jpg")
    assert "no layout fits" in refusal(photos, photos / "octmnist.npz")


def test_two_sizes_of_the_same_photos_are_refused(photos, refusal):
    arrays(photos / "retinamnist.npz", train=2)
    arrays(photos / "retinamnist_64.npz", side_px=64, train=2)
    assert "hold the same photos" in refusal(photos)
    assert len(read_labels(photos, LabelSource(photos / "retinamnist_64.npz")).photos) == 2


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
        ({"train_labels": np.array([[{}], [1]], dtype=object)}, "holds no numbers"),
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


def packed(path, images, labels):
    """An archive of two members given as bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("train_images.npy", images)
        members.writestr("train_labels.npy", labels)
    return path


def member(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


IMAGES, LABELS = member(np.zeros((6, 16, 16, 3), np.uint8)), member((np.arange(6) % 5).reshape(6, 1))
CLAIM = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }\n"


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (header(b"(" * 9000), LABELS, "the array 'train_images' is damaged"),
        (IMAGES, header(CLAIM % 10**12) + bytes(100), "announces 1000000000000 bytes, not the 180 it takes"),
        (IMAGES, header(CLAIM % 10**7) + bytes(10**7), "holds 6 photos, train_labels an array (10000000,)"),
        (
            member(np.zeros((5_000_000, 1, 1), np.uint8)),
            member(np.zeros(5_000_000, np.uint8)),
            "the array 'train_labels' claims 5000128 bytes in 4",
        ),
        (IMAGES, b"", "the array 'train_labels' is damaged"),
        (header(CLAIM % -6) + bytes(6), LABELS, "the array 'train_images' is damaged"),
    ],
    ids=["unclosed header", "a thousand billion labels", "other labels", "bomb", "empty", "fewer than none"],
)
def test_what_arrays_claim_is_looked_at_before_they_are_unpacked(photos, refusal, images, labels, words):
    path = packed(photos / "retinamnist.npz", images, labels)
    tracemalloc.start()
    assert words in refusal(photos)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size < 100_000
    assert peak_bytes < 4_000_000


@pytest.mark.parametrize(
    ("central", "local", "value", "words"),
    [(8, 6, 1, "is encrypted"), (10, 8, 99, "is packed by a method that is not read")],
)
def test_arrays_packed_otherwise(photos, refusal, central, local, value, words):
    path = packed(photos / "retinamnist.npz", IMAGES, LABELS)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", central), (b"PK\x03\x04", local)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset] = value
            place = data.find(mark, place + 4)
    path.write_bytes(data)
    assert f"retinamnist.npz cannot be read: the array 'train_images' {words}" in refusal(photos)
    with pytest.raises(PhotoError, match=f"archive that cannot be read: the array 'train_images' {words}"):
        read_source(path / "train_images" / "0000")


def test_nobody_waits_for_an_archive_that_is_a_pipe(photos, lay, refusal):
    lay(photos, "a.jpg")
    os.mkfifo(photos / "mine.npz")
    assert "mine.npz" in refusal(photos, photos / "mine.npz")


@pytest.mark.real
def test_the_real_arrays(real_data):
    found = read_labels(real_data / "retinamnist")
    assert (found.dataset, len(found.photos)) == ("retinamnist", 1200)
    with np.load(real_data / "retinamnist" / "retinamnist_trainval.npz") as held:
        grades = np.concatenate([held["train_labels"], held["val_labels"]])[:, 0].tolist()
    assert [photo.grade for photo in found.photos] == grades
