import io
import random

import numpy as np
import pytest
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.formats.jpeg import check_jpeg, complete_jpeg
from biranet.photos.read import read_photo
from photo_files import encoded, read_scaled


@pytest.fixture(scope="module")
def photo():
    return draw_photo(3, 4, 480, 400)


def with_pillow(data, min_side_px):
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("RGB", (min_side_px, min_side_px))
        return np.array(picture.convert("RGB"))


@pytest.mark.parametrize("min_side_px", [30, 60, 150, 300])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_pixels_are_those_of_pillow(photo, min_side_px, subsampling):
    data = encoded(photo, "JPEG", subsampling=subsampling, quality=90)
    expected = with_pillow(data, min_side_px)
    # The two may be built with different versions of the same library.
    assert read_scaled(data, min_side_px).pixels.shape == expected.shape
    assert np.abs(read_scaled(data, min_side_px).pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("loss", ["zeros", "other"])
def test_a_lost_block_is_noticed_at_every_scale(photo, progressive, loss):
    data = encoded(photo, "JPEG", quality=92, progressive=progressive)
    rng, start = random.Random(1), data.index(b"\xff\xda") + 14
    noticed = 0
    for _ in range(40):
        at = rng.randrange(start, len(data) - 600)
        other = rng.randrange(start, len(data) - 600)
        lost = data[:at] + (bytes(512) if loss == "zeros" else data[other : other + 512]) + data[at + 512 :]
        for min_side_px in (None, 50):
            try:
                _ = read_photo(lost) if min_side_px is None else read_scaled(lost, min_side_px)
            except PhotoError:
                noticed += 1
    # Pillow alone notices none. A foreign block may happen to fit, and one in a late scan to change hardly anything.
    assert noticed >= (48 if progressive else 70)


@pytest.mark.parametrize("progressive", [False, True])
def test_what_stands_behind_the_end_or_in_the_head_is_no_damage(photo, progressive):
    data = encoded(photo, "JPEG", progressive=progressive, icc_profile=b"a profile " * 20)
    whole = read_photo(data)
    for odd in (
        data + b"\xff\xda of a film, as telephones add one",
        data + bytes(1000),
        data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\7\1"),
        data.replace(b"\xff\xdb", b"junk\xff\xdb", 1),
    ):
        assert odd != data
        assert (read_photo(odd) == whole).all()
        with pytest.raises(PhotoError, match="cut short"):
            read_photo(odd[: len(data) // 2])


def test_the_size_of_an_odd_jpeg_is_that_of_the_file_at_every_scale(photo):
    odd = encoded(photo, "JPEG").replace(b"\xff\xdb", b"junk\xff\xdb", 1)  # which is left to Pillow to decode
    scaled = read_scaled(odd, 100)
    assert scaled.pixels.shape == (100, 120, 3)
    assert (scaled.width_px, scaled.height_px) == (480, 400)


def test_too_many_scans_are_refused(photo):
    data = encoded(photo[:16, :16], "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    end = data.rindex(b"\xff\xd9")
    with pytest.raises(PhotoError, match="more than 200 scans"):
        read_photo(data[:scan] + 250 * data[scan:end] + data[end:])


def test_a_jpeg_in_another_file_is_checked(photo):
    data = encoded(photo, "JPEG")
    assert complete_jpeg(data, check_jpeg(data)) is data
    assert complete_jpeg(data[:-2], check_jpeg(data[:-2])) == data
    half = data[: len(data) // 2]
    with pytest.raises(PhotoError, match="cut short"):
        complete_jpeg(half, check_jpeg(half))


@pytest.mark.real
def test_no_real_photo_is_called_damaged(real_data):
    # Not for how they look, but because a false alarm would lose a photo.
    for path in [*sorted((real_data / "originals").rglob("*.[jJ]*"))[::4], *(real_data / "odd_formats").glob("*.jpg")]:
        assert min(read_scaled(path, 100).pixels.shape[:2]) >= 100
