"""The picture of a photo with maps over it."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.photos import PICTURE_MARK, sheet
from biranet.photos.cut import Cut
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.field import Field
from biranet.photos.overlay import NamedMap, draw_map
from biranet.photos.sheet import Caption, Picture, draw_sheet

CAPTION = Caption(
    "Grade 2 (moderate), refer", ("The score is 0.83.",), ("a/eye.jpg", "Model: m"), "The photo as it was taken"
)
MASK = np.array([[0.1, 0.4], [0.2, 0.9]])


def parts(picture, photo, count, zoom=1):
    """The photo in the picture, and the place of each of its panels, found by their pixels."""
    height, width = (side * zoom for side in photo.shape[:2])
    shown = cv2.resize(photo, (width, height), interpolation=cv2.INTER_NEAREST)
    cell = max(width, 480)
    gap = cell // 80
    top = next(row for row in range(picture.shape[0]) if np.array_equal(picture[row, gap : gap + width], shown[0]))
    step = (picture.shape[0] - gap) // count if count > 1 else 0
    return shown, [
        [
            picture[top + row * step : top + row * step + height, left : left + width]
            for left in range(gap, 3 * cell, cell + gap)
        ]
        for row in range(count)
    ]


@pytest.mark.parametrize(("width_px", "height_px", "zoom"), [(640, 400, 1), (500, 530, 1), (60, 40, 8), (100, 300, 2)])
def test_the_photo_stands_in_its_own_pixels_and_maps_beside_it_on_both_scales(width_px, height_px, zoom):
    photo = draw_photo(2, 5, width_px, height_px)
    cut = Cut(Field(-10, 5, max(width_px, height_px)), width_px, height_px)
    maps = [NamedMap("attention of stream A", MASK), NamedMap("attention of stream B", 1 - MASK)]
    picture = draw_sheet(photo, cut, maps, CAPTION).pixels
    shown, rows = parts(picture, photo, 2, zoom)
    np.testing.assert_array_equal(rows[0][0], shown)
    for each, (_, whole, stretched) in zip(maps, rows, strict=True):
        np.testing.assert_array_equal(whole, draw_map(shown, cut, each, scale=zoom))
        np.testing.assert_array_equal(stretched, draw_map(shown, cut, each.stretched(), scale=zoom))
        assert not np.array_equal(whole, stretched)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_maps_is_drawn(count):
    photo = draw_photo(1, 2, 500, 300)
    picture = draw_sheet(photo, Cut(Field(100, 0, 300), 500, 300), [NamedMap("x", MASK)] * count, CAPTION)
    assert picture.pixels.shape[1] == (3 if count else 1) * 506 + 6
    rows = parts(picture.pixels, photo, count)[1]
    assert all(np.array_equal(row[2], rows[0][2]) for row in rows)


def test_what_is_too_large_shows_the_means_of_its_pixels(monkeypatch):
    photo = draw_photo(1, 2, 1501, 1001)
    cut = Cut(Field(250, 0, 1001), 1501, 1001)
    monkeypatch.setattr(sheet, "_MAX_PIXELS", 3_000_000)
    picture = draw_sheet(photo, cut, [NamedMap("x", MASK)], CAPTION).pixels
    assert picture.shape[0] * picture.shape[1] <= 3_000_000
    half = cv2.resize(photo[:1000, :1500], (750, 500), interpolation=cv2.INTER_AREA)
    _, ((first, second, _),) = parts(picture, half, 1)
    np.testing.assert_array_equal(first, half)
    np.testing.assert_array_equal(second, draw_map(half, cut, NamedMap("x", MASK), scale=0.5))
    monkeypatch.setattr(sheet, "_MAX_SIDE_PX", 1600)
    assert max(draw_sheet(photo, cut, [NamedMap("x", MASK)], CAPTION).pixels.shape) <= 1600


def test_words_are_under_the_photo_and_scales_over_the_maps():
    photo = np.full((300, 500, 3), 90, np.uint8)
    cut = Cut(Field(100, 0, 300), 500, 300)

    def pixels(caption=CAPTION, low=0.0):
        return draw_sheet(photo, cut, [NamedMap("x", MASK, low)], caption).pixels.astype(int)

    changed = np.argwhere(pixels() != pixels(CAPTION._replace(title="Grade 0 (no DR), do not refer")))
    assert changed[:, 0].min() > 340 and changed[:, 1].max() < 506
    for names in [("x" * 300, "Model: m"), ("a/eye.jpg", "Model: n"), ("b/eye.jpg", "Model: m")]:
        changed = np.argwhere(pixels() != pixels(CAPTION._replace(names=names)))
        assert changed[:, 0].min() > 340 and changed[:, 1].max() < 506
    changed = np.argwhere(pixels()[:54] != pixels(low=-1.0)[:54])
    assert changed[:, 1].min() >= 512 and changed[:, 1].max() < 1012


def test_the_alternative_text_says_what_is_seen_and_stands_in_the_file():
    photo = draw_photo(2, 5, 500, 300)
    maps = [NamedMap("attention <of> stream A", MASK)]
    picture = draw_sheet(photo, Cut(Field(0, -100, 500), 500, 300), maps, CAPTION)
    assert picture.alt_text == (
        "Grade 2 (moderate), refer. The photo as it was taken and, beside it, maps drawn over it as coloured regions, "
        "on their scale and stretched. Attention <of> stream A: 0.10 to 0.90, highest at 75% from the left and 92% "
        "from the top. The score is 0.83."
    )
    encoded = Picture(picture.pixels, f"Mü\x1b {picture.alt_text}").jpeg()
    with Image.open(io.BytesIO(encoded)) as read:
        assert read.info["comment"] == PICTURE_MARK
        assert read.getexif()[0x10E] == f"M? {picture.alt_text}"
        assert f"Mü {picture.alt_text}".replace("<", "&lt;").replace(">", "&gt;").encode() in read.info["xmp"]
        difference = np.asarray(read).astype(float) - picture.pixels
    assert np.sqrt((difference**2).mean()) < 4


@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_opacities_that_are_none_are_refused(opacity):
    with pytest.raises(InputError, match="opacity must be a number from 0 to 1, not"):
        draw_sheet(np.zeros((9, 9, 3), np.uint8), Cut.whole(9), [], CAPTION, opacity=opacity)
