import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError, PhotoError
from biranet.photos.field import cut_field, find_field
from biranet.photos.prepare import JPEG_QUALITY, Preparation, decode_prepared, prepare_photo
from biranet.photos.read import read_photo


def test_a_prepared_photo_is_the_field_in_a_jpeg_without_metadata(photo_bytes):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    data = photo_bytes(3, "JPEG", exif=exif.tobytes(), comment=b"ID 12345", quality=98)
    prepared = prepare_photo(data, Preparation(size_px=100))
    square = cut_field(read_photo(data), find_field(read_photo(data)), 100)
    decoded = decode_prepared(prepared.jpeg)
    assert np.abs(decoded.astype(float) - square).mean() < 1.5
    assert b"Doe" not in prepared.jpeg
    assert b"12345" not in prepared.jpeg
    with Image.open(io.BytesIO(prepared.jpeg)) as picture:
        assert picture.size == (100, 100)
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        # 4:4:4: no component is subsampled. Quality 95 has these quantisation tables.
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3
        reference = io.BytesIO()
        Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=JPEG_QUALITY)
        assert picture.quantization == Image.open(reference).quantization
    assert (prepared.width_px, prepared.height_px) == (120, 90)


def test_a_file_and_its_bytes_prepare_to_the_same(photos):
    path = photos / "a b.png"
    assert prepare_photo(path, Preparation()) == prepare_photo(path.read_bytes(), Preparation())


def test_a_damaged_prepared_image_is_refused(photo_bytes):
    jpeg = prepare_photo(photo_bytes(1), Preparation(size_px=64)).jpeg
    with pytest.raises(PhotoError):
        decode_prepared(jpeg[: len(jpeg) // 2])


def test_preparation_survives_json():
    preparation = Preparation(size_px=99)
    assert Preparation.from_dict(json.loads(json.dumps(preparation.as_dict())), "here") == preparation
    for values in ({"size": 9}, [], {}, {"version": 99}):
        with pytest.raises(InputError):
            Preparation.from_dict(values, "here")
    changes = [{"size_px": wrong} for wrong in ("wide", "64", 64.7, True, None, [64], float("inf"), 8)]
    for change in (*changes, {"already_cropped": 1}, {"already_cropped": "false"}, {"more": 1}):
        with pytest.raises(InputError, match="here does not hold the settings of a preparation"):
            Preparation.from_dict(preparation.as_dict() | change, "here")


def test_another_version_is_named_whatever_else_it_says():
    with pytest.raises(InputError, match="here was made by version 1 of the preparation, this is version"):
        Preparation.from_dict({"version": 1, "size_px": 610, "jpeg_quality": 95}, "here")


def large_photo(radius_px, side_px=1600, **options):
    """A JPEG whose field has this radius, with detail in it."""
    rows, columns = np.mgrid[:side_px, :side_px] - side_px / 2
    lit = np.hypot(rows, columns) < radius_px
    wave = 120 + 60 * np.sin(rows / 9) * np.cos(columns / 11)
    photo = np.where(lit[:, :, None], wave[:, :, None] * np.array([1, 0.6, 0.3]), 0).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(photo).save(encoded, "JPEG", quality=95, subsampling=0, **options)
    return encoded.getvalue()


@pytest.mark.parametrize("radius_px", [780, 500, 260, 200])
def test_a_jpeg_decoded_small_gives_what_the_full_decode_gives(radius_px):
    data = large_photo(radius_px)
    prepared = prepare_photo(data, Preparation(size_px=400))
    full = cut_field(read_photo(data), prepared.field, 400)
    inside = full.max(axis=2) > 30
    difference = (decode_prepared(prepared.jpeg).astype(float) - full)[inside]
    assert 10 * np.log10(255**2 / (difference**2).mean()) > 38
    assert abs(prepared.field.side_px - 2 * radius_px) < 40
    assert (prepared.width_px, prepared.height_px) == (1600, 1600)


def test_a_small_field_in_a_large_photo_is_decoded_large_enough(monkeypatch):
    from biranet.photos import prepare

    sides, original = [], prepare.cut_square

    def noting(pixels, field):
        sides.append(field.side_px)
        return original(pixels, field)

    monkeypatch.setattr(prepare, "cut_square", noting)
    prepare_photo(large_photo(260), Preparation(size_px=500))
    assert min(sides) >= 500
    sides.clear()
    prepare_photo(large_photo(780), Preparation(size_px=64))
    assert max(sides) < 900


def test_the_field_is_in_pixels_of_the_upright_photo():
    exif = Image.Exif()
    exif[0x0112] = 6
    rows, columns = np.mgrid[:1200, :2000]
    photo = np.where((np.hypot(rows - 600, columns - 1300) < 500)[:, :, None], np.array([190, 90, 40]), 0)
    encoded = io.BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(encoded, "JPEG", exif=exif.tobytes())
    prepared = prepare_photo(encoded.getvalue(), Preparation(size_px=200))
    assert (prepared.width_px, prepared.height_px) == (1200, 2000)
    field = prepared.field
    assert abs(field.left_px + field.side_px / 2 - 600) < 20
    assert abs(field.top_px + field.side_px / 2 - 1300) < 20


def test_a_square_cut_out_is_taken_whole_and_not_measured():
    pixels = np.random.default_rng(1).integers(0, 255, (28, 28, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    prepared = prepare_photo(encoded.getvalue(), Preparation(size_px=56, already_cropped=True))
    assert (prepared.field.left_px, prepared.field.top_px, prepared.field.side_px) == (0, 0, 28)
    expected = cv2.resize(pixels, (56, 56), interpolation=cv2.INTER_CUBIC)
    assert np.abs(decode_prepared(prepared.jpeg).astype(float) - expected).mean() < 4
    assert prepared.quality is None


def test_a_black_cut_out_is_still_a_photo_and_a_wide_one_is_padded():
    encoded = io.BytesIO()
    Image.new("RGB", (40, 20), (9, 99, 200)).save(encoded, "PNG")
    prepared = prepare_photo(encoded.getvalue(), Preparation(size_px=40, already_cropped=True))
    decoded = decode_prepared(prepared.jpeg)
    assert (prepared.field.left_px, prepared.field.top_px, prepared.field.side_px) == (0, -10, 40)
    assert decoded[:8].max() < 12 and decoded[-8:].max() < 12
    assert np.abs(decoded[20].astype(int) - [9, 99, 200]).max() < 8


@pytest.mark.real
def test_the_worst_original_loses_little_to_the_small_decode(real_data):
    for path in sorted((real_data / "originals").glob("*/*.jpg"))[::7]:
        prepared = prepare_photo(path, Preparation())
        full = cut_field(read_photo(path), prepared.field, 610)
        rows, columns = np.mgrid[:610, :610] - 304.5
        inside = (np.hypot(rows, columns) < 300) & (full.max(axis=2) > 20)
        difference = (decode_prepared(prepared.jpeg).astype(float) - full)[inside]
        assert 10 * np.log10(255**2 / (difference**2).mean()) >= 40


def test_a_size_is_named_as_python_names_it():
    with pytest.raises(InputError, match=r"^size_px must be at least 32 pixels, not 2$"):
        Preparation(size_px=2)
