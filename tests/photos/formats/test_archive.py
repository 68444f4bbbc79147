import io
import time
import zipfile

import numpy as np
import pytest

from biranet.photos.read import read_photo, read_source
from photo_files import reason


@pytest.fixture
def arrays():
    rng = np.random.default_rng(3)
    return {
        "train_images": rng.integers(0, 256, (30, 5, 7, 3), np.uint8),
        "val_images": rng.integers(0, 256, (4, 5, 7), np.uint8),
        "train_labels": rng.integers(0, 5, (30, 1)),
        "floats": np.zeros((3, 5, 7, 3)),
        "words": np.array(["Jane", "Doe"]),
        "objects": np.array([{}, 1], dtype=object),
        "four": np.zeros((3, 5, 7, 4), np.uint8),
        "nothing": np.zeros((3, 0, 7, 3), np.uint8),
    }


@pytest.fixture
def archive(arrays, tmp_path):
    path = tmp_path / "retina mnist.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_items_are_read_by_array_and_number(archive, arrays):
    for number in (0, 7, 29):
        assert (read_photo(archive / "train_images" / f"{number:04d}") == arrays["train_images"][number]).all()
    assert (read_photo(archive / "train_images" / "7") == arrays["train_images"][7]).all()
    assert (read_photo(archive / "val_images" / "3") == arrays["val_images"][3][:, :, None]).all()


def test_an_item_is_a_file_of_its_own(archive, arrays):
    data = read_source(archive / "train_images" / "0012")
    assert data == b"P6 7 5 255\n" + arrays["train_images"][12].tobytes()
    assert read_source(archive / "val_images" / "0").startswith(b"P5 7 5 255\n")


@pytest.mark.parametrize(
    ("array", "number", "words"),
    [
        ("train_images", "30", "30 photos"),
        ("train_images", "-1", "30 photos"),
        ("train_images", "1.0", "30 photos"),
        ("train_images", "²", "30 photos"),
        ("test_images", "0", "no such array"),
        ("train_labels", "0", "int64"),
        ("floats", "0", "float64"),
        ("words", "0", "<U4"),
        ("objects", "0", "object with shape (2,)"),
        ("four", "0", "(3, 5, 7, 4)"),
        ("nothing", "0", "(3, 0, 7, 3)"),
    ],
)
def test_what_is_not_there_says_so(archive, array, number, words):
    assert words in reason(archive / array / number)


def test_a_damaged_archive(archive):
    whole = archive.read_bytes()
    no_archive = "it is damaged, or no archive of arrays; fetch it anew"
    for damaged, words in (
        *((data, no_archive) for data in (whole[: len(whole) // 2], b"", b"no archive")),
        (whole[:200] + bytes(100) + whole[300:], "the array 'train_images' is damaged; fetch the archive anew"),
    ):
        archive.write_bytes(damaged)
        assert reason(archive / "train_images" / "0001") == f"is in an archive that cannot be read: {words}"


def test_a_path_below_a_file_that_is_no_archive(archive, tmp_path):
    assert reason(tmp_path / "gone.npz" / "train_images" / "0") == "no such file"
    assert reason(archive / "train_images") == "no such file"
    folder = tmp_path / "folder.npz" / "train"
    folder.mkdir(parents=True)
    (folder / "0.ppm").write_bytes(b"P6 1 1 255\nabc")
    assert read_photo(folder / "0.ppm").tolist() == [[[97, 98, 99]]]


def test_a_changed_archive_is_read_anew(archive):
    read_photo(archive / "train_images" / "0")
    np.savez(archive, train_images=np.full((2, 3, 3, 3), 9, np.uint8))
    assert (read_photo(archive / "train_images" / "0") == 9).all()


@pytest.mark.parametrize("shape", [(1, 13_000, 13_000), (10**7, 28, 28, 3), (10**12, 28, 28, 3)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, shape):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as members, members.open("images.npy", "w") as member:
        member.write(head.getvalue())
        for _ in range(20):
            member.write(bytes(1_000_000))
    assert reason(path / "images" / "0")


def test_a_thousand_items_are_read_in_a_moment(tmp_path):
    path = tmp_path / "many.npz"
    np.savez_compressed(path, images=np.random.default_rng(0).integers(0, 256, (1000, 28, 28, 3), np.uint8))
    started = time.perf_counter()
    for number in range(1000):
        read_source(path / "images" / f"{number:04d}")
    # Loading the array for each of them takes ten seconds.
    assert time.perf_counter() - started < 2


@pytest.mark.real
def test_the_real_archive(real_data):
    path = real_data / "retinamnist" / "retinamnist_trainval.npz"
    with np.load(path) as arrays:
        expected = arrays["train_images"][1079]
    assert (read_photo(path / "train_images" / "1079") == expected).all()
