"""The geometry of the cut: a mark drawn at a pixel of a photo comes back at that pixel."""

import io

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, OphthalmicPhotography8BitImageStorage

from biranet.learning.transforms import resize
from biranet.photos.cut import Cut
from biranet.photos.field import Field
from biranet.photos.prepare import Preparation, decode_prepared, prepare_photo
from photo_files import ORIENTATIONS, encoded


def circle(width_px, height_px, center, radius_px, around=0):
    """A photo of a field with a little structure, and another level around it."""
    rows, columns = np.mgrid[:height_px, :width_px]
    wave = 120 + 20 * np.sin(rows / 9) * np.cos(columns / 11)
    lit = np.hypot(rows + 0.5 - center[1], columns + 0.5 - center[0]) < radius_px
    photo = wave[:, :, None] * np.array([1, 0.5, 0.25])
    return np.where(lit[:, :, None], photo, around).astype(np.uint8)


def marked(photo, x, y, radius_px):
    """The photo with a mark whose middle is that of pixel x, y."""
    mark = photo.copy()
    mark[y - radius_px : y + radius_px + 1, x - radius_px : x + radius_px + 1] = 255
    return mark


def found_at(before, after):
    """The middle of what is new, and how much is new where."""
    new = np.abs(after.astype(float) - before).max(axis=2)
    new[new < 40] = 0
    rows, columns = np.mgrid[: new.shape[0], : new.shape[1]] + 0.5
    return np.array([(new * columns).sum(), (new * rows).sum()]) / new.sum(), new


def assert_comes_back(photo, encode, places, preparation, seen_px=None, turn=lambda stored: stored):
    """Mark places of the stored photo, prepare it, and find them in the upright one."""
    before = prepare_photo(encode(photo), preparation)
    upright = turn(photo)
    cut = before.cut
    assert (cut.height_px, cut.width_px) == upright.shape[:2]
    seen_px = seen_px or preparation.size_px
    pixel_px = before.field.side_px / seen_px
    for x, y in places:
        radius_px = max(2, round(2.5 * pixel_px))
        with_mark = marked(photo, x, y, radius_px)
        after = prepare_photo(encode(with_mark), preparation)
        assert after.field == before.field
        (true_x, true_y), _ = found_at(upright, turn(with_mark))
        pictures = [resize(decode_prepared(each.jpeg), seen_px) for each in (before, after)]
        place, new = found_at(*pictures)
        # A small part of what the network sees as a pixel, and where that is one of the photo, that pixel.
        bound = max(0.15 * pixel_px, 0.5)
        np.testing.assert_allclose(cut.to_original(place, seen_px), [true_x, true_y], atol=bound)
        np.testing.assert_allclose(cut.from_original(np.array([true_x, true_y]), seen_px), place, atol=bound / pixel_px)
        # The same by a map of what is new, laid over the photo: its middle is the mark's.
        laid = np.nan_to_num(cut.warp(new)).clip(0)
        rows, columns = np.mgrid[: cut.height_px, : cut.width_px] + 0.5
        middle = np.array([(laid * columns).sum(), (laid * rows).sum()]) / laid.sum()
        np.testing.assert_allclose(middle, [true_x, true_y], atol=bound)


def png(photo):
    return encoded(photo, "PNG", compress_level=1)


@pytest.mark.parametrize(
    ("size", "center", "radius_px", "places"),
    [
        ((420, 300), (210, 150), 130, [(210, 150), (120, 120)]),  # the whole field, a wide photo
        ((301, 421), (140, 222), 131, [(150, 300)]),  # a tall one
        ((400, 240), (200, 120), 170, [(60, 30), (330, 200)]),  # cut at top and bottom: the square is larger
        ((240, 400), (120, 200), 170, [(20, 120)]),  # cut left and right
        ((90, 70), (44, 33), 30, [(50, 40)]),  # smaller than what is made of it
        ((1001, 767), (480, 370), 333, [(333, 444), (700, 350)]),
    ],
)
@pytest.mark.parametrize("seen_px", [None, 200])
def test_a_mark_comes_back_at_its_pixel(size, center, radius_px, places, seen_px):
    assert_comes_back(circle(*size, center, radius_px), png, places, Preparation(size_px=320), seen_px)


@pytest.mark.parametrize(
    ("orientation", "size", "scale"), [*((each, (1203, 1003), 2) for each in range(1, 9)), (3, (2049, 1653), 4)]
)
def test_a_jpeg_that_is_turned_and_decoded_small_gives_back_the_pixel(orientation, size, scale):
    """No side is a multiple of the scale, so the pixels decoded last stand for fewer than the others."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    center, radius_px = (size[0] // 2, size[1] // 2), size[1] // 2 - 15

    def jpeg(photo):
        return encoded(photo, "JPEG", quality=95, subsampling=0, exif=exif)

    photo = circle(*size, center, radius_px)
    assert all(side % scale for side in size)
    places = [(center[0] - radius_px // 2, center[1] + radius_px // 3)]
    assert_comes_back(photo, jpeg, places, Preparation(size_px=300), turn=ORIENTATIONS[orientation])


def test_a_mark_comes_back_where_bands_are_left_out_and_where_the_field_is_a_disc_on_white():
    band = circle(500, 400, (250, 170), 160)
    band[352:] = (240, 240, 240)
    assert prepare_photo(png(band), Preparation(size_px=200)).field.circle is not None
    assert_comes_back(band, png, [(180, 140)], Preparation(size_px=200))
    white = circle(500, 400, (260, 190), 170, around=255)
    assert prepare_photo(png(white), Preparation(size_px=200)).field.circle is not None
    assert_comes_back(white, png, [(200, 260)], Preparation(size_px=200))


def test_a_mark_comes_back_in_a_square_that_was_published_as_such_and_in_a_dicom():
    wide = circle(300, 200, (150, 100), 90)
    assert_comes_back(wide, png, [(100, 60)], Preparation(size_px=128, already_cropped=True))

    def dicom(photo):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = OphthalmicPhotography8BitImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = pydicom.Dataset()
        dataset.file_meta = meta
        dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "OP", "RGB", 3
        dataset.Rows, dataset.Columns = photo.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = 7, 0, 0
        dataset.PixelData = photo.tobytes()
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    assert_comes_back(circle(460, 330, (230, 160), 150), dicom, [(300, 200)], Preparation(size_px=256))


CUT = Cut(Field(-10, 20, 100), 80, 140)


def test_a_map_lies_in_its_square_and_nowhere_else():
    assert CUT.window() == (slice(20, 120), slice(0, 80))
    laid = CUT.warp(np.arange(25.0).reshape(5, 5))
    assert laid.shape == (140, 80) and laid.dtype == np.float32
    seen = np.zeros((140, 80), bool)
    seen[20:120] = True
    np.testing.assert_array_equal(np.isfinite(laid), seen)
    # Each cell of 20 pixels has its value in its middle, which lies between two pixels, and a ramp stays a ramp.
    np.testing.assert_allclose(laid[69:71, 39:41].mean(), 12, atol=1e-5)
    np.testing.assert_allclose(np.diff(laid[50, 20:60]), 1 / 20, atol=1e-5)
    np.testing.assert_allclose(np.diff(laid[50:90, 30]), 5 / 20, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (7, 3), (50, 90), (200, 200)])
def test_maps_of_any_resolution_stay_within_their_bounds(shape):
    values = np.random.default_rng(1).random(shape)
    laid = CUT.warp(values)
    assert np.nanmin(laid) >= np.float32(values.min()) and np.nanmax(laid) <= np.float32(values.max())


@pytest.mark.parametrize("scale", [2, 3, 1 / 2, 1 / 3])
def test_at_another_scale_the_same_is_read(scale):
    values = np.random.default_rng(3).random((6, 6))
    full = np.nan_to_num(CUT.warp(values))
    rows, columns = CUT.window(scale)
    scaled = np.zeros((int(140 * scale + 1e-6), int(80 * scale + 1e-6)))
    scaled[rows, columns] = CUT.sample(values, scale).clip(values.min(), values.max())
    if scale > 1:
        mean = cv2.resize(scaled, (80, 140), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(mean[25:115], full[25:115], atol=0.02)
    else:
        step = round(1 / scale)
        mean = cv2.resize(
            full[: 140 // step * step, : 80 // step * step], scaled.shape[::-1], interpolation=cv2.INTER_AREA
        )
        inner = slice(-(-25 // step), 115 // step)
        np.testing.assert_allclose(scaled[inner], mean[inner], atol=0.02)
