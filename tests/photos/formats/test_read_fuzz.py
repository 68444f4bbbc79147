"""Whatever the bytes: a photo or a reason. And what an encoder without loss wrote comes back as it was."""

import io
import json
import random
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import fuzz_read as fuzz
from biranet.photos.formats import FORMATS, PhotoFile
from biranet.photos.read import read_photo
from photo_files import ORIENTATIONS, read_scaled

FILES = fuzz.samples()
LOSSLESS = ("PNG", "TIFF", "BMP", "PPM", "WEBP", "JPEG2000")
sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))


@pytest.mark.parametrize("name", FILES)
def test_the_samples_are_the_same_picture(name):
    if "animated" in name:
        assert fuzz.read_case(FILES[name], None).startswith("holds 2 frames")
        return
    read = read_photo(FILES[name]).astype(int)
    expected = fuzz.smooth_picture().astype(int)
    if name in ("jpeg with EXIF", "webp"):
        expected = np.rot90(expected, -1)
    if "grey" in name and "alpha" not in name:
        expected = expected[:, :, :1]
    if "alpha" in name or name == "webp lossless":
        alpha = expected[:, :, :1] / 255
        gray = np.array(Image.fromarray(expected.astype(np.uint8)).convert("L"))[:, :, None]
        expected = (gray if "grey" in name else expected) * alpha
    assert read.shape[:2] == expected.shape[:2]
    # One colour of the palette is transparent, so black here.
    shown = read.any(axis=2) if name == "png palette" else ...
    assert np.abs(read - expected)[shown].mean() < (12 if "palette" in name or "gif" in name else 8)


@pytest.mark.parametrize("name", FILES)
def test_one_format_alone_takes_a_file_for_its_own(name):
    assert [each for each in FORMATS if each.matches(FILES[name])] == [PhotoFile(FILES[name]).format]


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", *(data[:12] for data in FILES.values())]))
def test_any_bytes_are_a_photo_or_a_reason(data, start):
    fuzz.read_case(start + data, None)


@given(name=st.sampled_from(sorted(FILES)), other=st.sampled_from(sorted(FILES)), seed=st.integers(0, 2**32))
def test_a_damaged_file_is_a_photo_or_a_reason(name, other, seed):
    fuzz.read_case(fuzz.mutate(FILES[name], FILES[other], random.Random(seed)), seed % 3 * 10 or None)


def test_a_damaged_archive_is_a_photo_or_a_reason(tmp_path):
    np.savez_compressed(
        tmp_path / "whole.npz", images=np.random.default_rng(0).integers(0, 255, (9, 8, 7, 3), np.uint8)
    )
    whole = (tmp_path / "whole.npz").read_bytes()
    outcomes = set()
    for seed in range(300):
        path = tmp_path / f"{seed}.npz"
        path.write_bytes(fuzz.mutate(whole, FILES["png"], random.Random(seed)))
        outcomes.add(fuzz.read_case(path / "images" / "3", None))
    assert "read" in outcomes
    assert len(outcomes) > 1


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(("gif", "jpeg 2000"))])
@given(share=st.floats(0, 0.8))
def test_a_file_that_is_cut_short_is_refused(name, share):
    if "preview" in name:
        share /= 2
    assert fuzz.read_case(FILES[name][: int(share * len(FILES[name]))], None) != "read"


def encode(pixels, kind, orientation=1):
    file, options = io.BytesIO(), {}
    if orientation > 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    if kind in ("WEBP", "JPEG"):
        options |= {"lossless": True, "exact": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0}
    Image.fromarray(pixels).save(file, kind, **options, **({"irreversible": False} if kind == "JPEG2000" else {}))
    return file.getvalue()


@given(data=st.data(), kind=st.sampled_from(LOSSLESS), size=sizes, channels=st.sampled_from([1, 3, 4]))
def test_lossless_formats_give_the_very_pixels_back(data, kind, size, channels):
    if kind in ("BMP", "PPM", "JPEG2000"):
        channels = min(channels, 3)
    shape = size if channels == 1 else (*size, channels)
    pixels = data.draw(arrays.arrays(np.uint8, shape))
    expected = pixels.reshape(*size, channels)[:, :, :3].astype(int)
    if channels == 4:
        expected = expected * pixels[:, :, 3:] / 255
    turn = data.draw(st.sampled_from(sorted(ORIENTATIONS))) if kind in ("PNG", "TIFF", "WEBP") else 1
    read = read_photo(encode(pixels, kind, turn))
    assert read.shape == (*ORIENTATIONS[turn](expected).shape[:2], 3)
    assert np.abs(read - ORIENTATIONS[turn](expected)).max() <= (1 if channels == 4 else 0)


@given(
    size=sizes, bits=st.sampled_from([10, 12, 14, 16]), suffix=st.sampled_from([".png", ".tiff"]), seed=st.integers(0)
)
def test_deep_colours_keep_eight_of_their_bits(size, bits, suffix, seed):
    values = np.random.default_rng(seed % 2**32).integers(0, 2**bits, (*size, 3)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    read = read_photo(cv2.imencode(suffix, values[:, :, ::-1])[1].tobytes())
    assert np.abs(read - values * (255 / (2**bits - 1))).max() <= 0.51


@given(
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    min_side_px=st.integers(1, 120),
    orientation=st.sampled_from(sorted(ORIENTATIONS)),
    gray=st.booleans(),
)
def test_a_scaled_photo_is_the_photo(size, min_side_px, orientation, gray):
    rows, columns = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([2 * rows + 10, 2 * columns + 10, 200 - rows - columns], axis=2).clip(0, 255).astype(np.uint8)
    data = encode(pixels[:, :, 0].copy() if gray else pixels, "JPEG", orientation)
    whole, scaled = read_photo(data), read_scaled(data, min_side_px)
    assert (scaled.height_px, scaled.width_px) == whole.shape[:2]
    if 2 * min_side_px > min(size):
        assert (scaled.pixels == whole).all()
        return
    scale = whole.shape[0] / scaled.pixels.shape[0]
    assert min(scaled.pixels.shape[:2]) >= min_side_px
    assert 1.5 < scale <= 8
    grown = cv2.resize(scaled.pixels, whole.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(grown.astype(int) - whole).mean() < 6


def test_a_find_can_be_made_again():
    assert fuzz.make_case(3, 77, FILES) == fuzz.make_case(3, 77, FILES)
    assert fuzz.make_case(3, 77, FILES) != fuzz.make_case(4, 77, FILES)


@pytest.mark.slow
def test_many_damaged_files_neither_crash_nor_hang_nor_fill_the_memory(tmp_path):
    out = tmp_path / "found.json"
    subprocess.run([sys.executable, fuzz.__file__, "--cases", "20000", "--seed", "7", "--out", out], check=True)
    found = json.loads(out.read_text())
    assert found["finds"] == []
    assert sum(sum(counts.values()) for counts in found["formats"].values()) == 20_000
    assert found["formats"].keys() == FILES.keys()
    assert 0 < found["reasons"]["read"] < 10_000
