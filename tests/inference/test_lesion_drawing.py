"""Outlines of lesions on the pixels of the photo."""

import cv2
import numpy as np
import pytest

from biranet.errors import InputError
from biranet.inference.lesion_drawing import COLORS, Graded, draw_lesions, outline
from biranet.inference.lesion_findings import describe_lesions
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.lesion_kinds import KINDS
from biranet.photos.cut import Cut
from biranet.photos.field import Field
from biranet.photos.sheet import Caption


@pytest.fixture(scope="module")
def maps():
    """A haemorrhage of eight cells a side; a cell is four pixels of the photo, whose sides the square passes."""
    shares = np.zeros((len(KINDS), 64, 64), np.float32)
    shares[KINDS.index("HE"), 20:28, 30:38] = 0.9
    shares[KINDS.index("EX"), 40:44, 30:34] = 0.4
    return LesionMaps(shares, Cut(Field(20, -8, 256), width_px=300, height_px=240), 256)


def test_an_outline_is_around_a_lesion_and_not_over_it(maps):
    photo = np.random.default_rng(1).integers(0, 80, (240, 300, 3)).astype(np.uint8)
    drawn = outline(photo, maps, {"HE": 0.5, "EX": 0.5})
    changed = (drawn != photo).any(axis=2)
    assert np.array_equal(np.unique(drawn[changed], axis=0), [COLORS["HE"][1]])
    top, left, side = 20 * 4 - 8, 30 * 4 + 20, 8 * 4
    assert not changed[top + 2 : top + side - 2, left + 2 : left + side - 2].any()
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1]) == pytest.approx((top - 1, top + side), abs=2)
    assert (columns[0], columns[-1]) == pytest.approx((left - 1, left + side), abs=2)
    # A kind that was not looked for is not drawn.
    assert np.array_equal(outline(photo, maps, {"MA": 0.5}), photo)


def test_colours_cover_a_lesion_as_strongly_as_is_asked_for(maps):
    photo = np.full((240, 300, 3), 100, np.uint8)
    inside = 24 * 4 - 8, 34 * 4 + 20
    color = np.array(COLORS["HE"][1])
    for opacity in (0.0, 0.5, 1.0):
        drawn = outline(photo, maps, {"HE": 0.5}, opacity=opacity)
        np.testing.assert_allclose(drawn[inside], (1 - opacity) * 100 + opacity * color, atol=1)
        assert (drawn[inside[0], 40] == 100).all()
    with pytest.raises(InputError, match="must be a number from 0 to 1, not 2"):
        outline(photo, maps, {"HE": 0.5}, opacity=2)


def test_a_picture_has_a_square_of_each_colour_by_its_words(maps):
    told = {"MA": "microaneurysms: not looked for", "HE": "haemorrhages: 1", "EX": "hard exudates: 0"}
    blank = LesionMaps(np.zeros_like(maps.shares), maps.cut, maps.size_px)
    picture = draw_lesions(np.zeros((240, 300, 3), np.uint8), blank, {"HE": 0.5, "EX": 0.5}, told, named(maps))
    colors = {tuple(color) for color in np.unique(picture.pixels.reshape(-1, 3), axis=0).tolist()}
    assert {kind for kind, (_, color) in COLORS.items() if color in colors} == {"HE", "EX"}
    assert "at least this share is it: 0.50 green, 0.50 yellow." in picture.alt_text


def named(maps):
    return Graded(Caption("Lesions, no grade", (), ("eye.jpg",)), maps.cut)


def test_words_of_a_picture(maps):
    told = {"HE": "haemorrhages: 1", "MA": "microaneurysms: not looked for"}
    picture = draw_lesions(np.zeros((240, 300, 3), np.uint8), maps, {"HE": 0.5}, told, named(maps))
    assert "Green: haemorrhages: 1. Microaneurysms: not looked for. Outlined are" in picture.alt_text
    assert "A program drew" in picture.alt_text
    assert "not a medical device" in picture.alt_text


def test_as_many_lesions_are_outlined_as_are_counted():
    """Interpolated shares pass a high threshold beside a group of high cells, and part cells that touch by a corner."""
    shares = np.zeros((5, 64, 64), np.float32)
    shares[1, 10:14, 10:14] = shares[1, 10:14, 16:20] = 0.93  # near the threshold, and nowhere above it
    shares[1, 40, 40] = shares[1, 41, 41] = shares[1, 42, 40] = 0.95  # one, by its corners
    maps = LesionMaps(shares, Cut.whole(640), 640)
    counted = describe_lesions(maps, dict.fromkeys(KINDS, 0.94), dict.fromkeys(KINDS, 0))["HE"].count
    for scale, side_px in ((1, 640), (0.3, 192)):
        photo = np.zeros((side_px, side_px, 3), np.uint8)
        covered = outline(photo, maps, {"HE": 0.94}, opacity=1, scale=scale).any(axis=2)
        assert cv2.connectedComponents(covered.astype(np.uint8))[0] - 1 == counted == 1
