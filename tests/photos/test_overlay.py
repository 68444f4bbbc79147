"""A map over a photo: regions and contours, where they belong."""

import cv2
import numpy as np
import pytest

from biranet.errors import InputError
from biranet.photos.cut import Cut
from biranet.photos.field import Field
from biranet.photos.overlay import COLORS, SIGNED_COLORS, NamedMap, attention_maps, draw_attention, draw_map
from biranet.photos.round_edge import FieldCircle

PHOTO = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
BLACK = np.zeros((70, 70, 3), np.uint8)


def lightness(colors):
    return cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)[:, :, 0].astype(float)


def drawn(values, photo=BLACK, cut=None, **options):
    return draw_map(photo, cut or Cut.whole(len(photo)), NamedMap("attention", values), **options)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 7), (60, 60), (120, 100)])
def test_any_map_covers_the_whole_square(shape):
    result = drawn(np.random.default_rng(1).random(shape), PHOTO)
    assert result.shape == PHOTO.shape and result.dtype == np.uint8
    assert (result != PHOTO).any(axis=2).mean() > 0.95


def test_the_scale_is_the_same_on_every_photo():
    values = (0.0, 0.25, 0.5, 0.75, 1.0)
    means = [lightness(drawn(np.full((4, 4), value))).mean() for value in values]
    assert means == sorted(means) and min(np.diff(means)) > 4
    assert np.ptp(lightness(drawn(np.array([[0.42, 0.43]])))) == 0
    assert all(np.ptp(drawn(np.full((9, 9), tenth / 10)), axis=(0, 1)).max() == 0 for tenth in range(11))


def test_stretched_its_ends_are_those_of_the_map():
    values = np.linspace(0.4, 0.6, 16).reshape(4, 4)
    stretched = NamedMap("attention", values).stretched()
    assert (stretched.low, stretched.high) == (values.min(), values.max())
    colors = draw_map(BLACK, Cut.whole(70), stretched, opacity=1).reshape(-1, 3)
    assert {tuple(color) for color in COLORS.tolist()} == {tuple(color) for color in colors.tolist()}
    # Of a flat map, noise does not become regions.
    flat = NamedMap("attention", 0.4 + 1e-4 * values).stretched()
    assert flat.high - flat.low == pytest.approx(0.05)
    assert np.ptp(lightness(draw_map(BLACK, Cut.whole(70), flat))) == 0


def test_below_and_above_0_have_colours_of_their_own():
    values = np.tile(np.linspace(-0.99, 0.49, 100), (4, 1))
    signed = NamedMap("evidence", values, -1, 1, signed=True)
    colors = draw_map(np.zeros((1000, 1000, 3), np.uint8), Cut.whole(1000), signed, opacity=1)[500].astype(int)
    blue, red = colors[:, 2] > colors[:, 0], colors[:, 0] > colors[:, 2]
    assert blue[:650].all() and red[680:].all() and lightness(SIGNED_COLORS[None]).argmax() in (4, 5)
    # Stretched, 0 stays in the middle.
    stretched = signed.stretched()
    assert (stretched.low, stretched.high) == (values.min(), -values.min())
    flat = NamedMap("evidence", 1e-4 * values, -1, 1, signed=True).stretched()
    assert (flat.low, flat.high) == (-0.05, 0.05)


def test_regions_have_the_colour_of_their_tenth_and_contours_between_them():
    ramp = np.tile(np.linspace(0.005, 0.995, 100), (4, 1))
    colors = drawn(ramp, np.zeros((1000, 1000, 3), np.uint8), opacity=1)[500]
    for tenth in range(10):
        np.testing.assert_array_equal(colors[100 * tenth + 10 : 100 * tenth + 90], COLORS[tenth][None].repeat(80, 0))
    lines = np.flatnonzero(drawn(ramp, np.zeros((1000, 1000, 3), np.uint8), opacity=0)[500].any(axis=1))
    # Contours alone, each at a tenth.
    assert len(lines) and np.abs(lines - np.round(lines, -2)).max() <= 2
    assert set(np.round(lines, -2)) == set(range(100, 1000, 100))


def test_the_photo_stays_visible():
    result = drawn(np.full((5, 5), 0.7), PHOTO)
    assert np.corrcoef(result[:, :, 0].ravel(), PHOTO[:, :, 0].ravel())[0, 1] > 0.99


def test_a_region_lies_where_its_cell_lies():
    attention = np.zeros((7, 7))
    attention[1, 5] = 1
    light = lightness(drawn(attention))
    rows, columns = np.nonzero(light == light.max())
    assert abs(rows.mean() - 14.5) <= 0.5 and abs(columns.mean() - 54.5) <= 0.5


def test_what_the_network_did_not_see_stays_and_a_line_is_around_the_rest():
    photo = np.full((80, 120, 3), 60, np.uint8)
    result = drawn(np.ones((4, 4)), photo, Cut(Field(30, -10, 60), 120, 80))
    changed = (result != photo).any(axis=2)
    assert changed[:50, 30:90].all()
    lines = changed & (result == 150).all(axis=2)
    changed[:52, 28:92] = False
    assert not changed.any()
    assert (
        lines[50:52, 30:90].all() and lines[:50, 28:30].all() and lines[:50, 90:92].all() and not lines[:50, 40].any()
    )
    # What was black to it, because it lies around the field, has one too.
    circle = FieldCircle(60, 20, 20, bottom=30)
    with_circle = drawn(np.ones((4, 4)), photo, Cut(Field(30, -10, 60, circle), 120, 80))
    for place in ((20, slice(80, 83)), (slice(30, 33), 60)):
        assert (with_circle[place] == 150).all(axis=1).any() and not (result[place] == 150).all(axis=1).any()


def test_streams_are_named_and_drawn_alike():
    masks = np.random.default_rng(1).random((2, 3, 3))
    pictures = draw_attention(PHOTO, masks)
    for picture, each in zip(pictures, attention_maps(masks), strict=True):
        np.testing.assert_array_equal(picture, draw_map(PHOTO, Cut.whole(60), each))
    assert not np.array_equal(*pictures)
    assert draw_attention(PHOTO, masks[:0]) == []


@pytest.mark.parametrize(
    ("values", "ends", "words"),
    [
        (np.zeros(3), (0, 1), r"the map 'lesions' must be numbers \(h, w\), all finite; its shape is \(3,\)"),
        (np.zeros((0, 4)), (0, 1), "all finite"),
        (np.array([[0, np.nan]]), (0, 1), "all finite"),
        (np.zeros((2, 2)), (1, 1), "the scale of the map 'lesions' must go up, not from 1 to 1"),
        (np.zeros((2, 2)), (0, np.nan), "must go up"),
        (np.zeros((2, 2)), (0, 1, True), "which is signed, must be as long below 0 as above, not from 0 to 1"),
    ],
)
def test_what_is_no_map_is_refused(values, ends, words):
    with pytest.raises(InputError, match=words):
        NamedMap("lesions", values, *ends)


def test_the_photo_given_is_not_changed():
    before = PHOTO.copy()
    drawn(np.ones((3, 3)), PHOTO)
    assert (before == PHOTO).all()
