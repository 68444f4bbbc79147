"""Counts, areas and places of lesions in maps that are drawn."""

import numpy as np
import pytest

from biranet.inference.lesion_findings import describe_lesions, find_disc
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.lesion_kinds import KINDS
from biranet.photos.cut import Cut
from biranet.photos.field import Field

THRESHOLDS = dict.fromkeys(KINDS, 0.5)
NEEDED_PX = dict.fromkeys(KINDS, 400)


def maps_of(disc_x=190, side_px=1000, **lesions):
    """Maps of 256 cells with a disc of radius 16 and lesions of 4 x 4 cells at places x, y."""
    shares = np.zeros((len(KINDS), 256, 256), np.float32)
    rows, columns = np.mgrid[:256, :256] + 0.5
    if disc_x:
        shares[KINDS.index("OD")] = np.hypot(rows - 120, columns - disc_x) < 16
    for kind, places in lesions.items():
        for x, y in places:
            shares[KINDS.index(kind), y : y + 4, x : x + 4] = 0.9
    return LesionMaps(shares, Cut(Field(0, 0, side_px), side_px, side_px), 1024)


def test_the_disc_is_measured():
    disc = find_disc(maps_of().shares[KINDS.index("OD")], 0.5)
    assert (disc.x, disc.y) == pytest.approx((190, 120))
    assert disc.diameter == pytest.approx(32, abs=0.2)


@pytest.mark.parametrize(("disc_x", "temporal"), [(190, -1), (66, 1)])
def test_where_lesions_lie_about_the_macula(disc_x, temporal):
    # The macula is 80 cells towards the temples from the disc, and 9.6 below it.
    macula_x, macula_y = disc_x + temporal * 80, 129
    beside = [(macula_x + temporal * 30, macula_y - 20), (macula_x + temporal * 40, macula_y - 30)]
    found = describe_lesions(maps_of(disc_x, MA=beside, EX=[(macula_x - temporal * 18, macula_y + 30)]), THRESHOLDS)
    assert found["MA"].count == 2
    assert found["MA"].by_quadrant == {"upper temporal": 2, "upper nasal": 0, "lower temporal": 0, "lower nasal": 0}
    assert found["EX"].by_quadrant["lower nasal"] == 1
    assert found["EX"].disc_areas == pytest.approx(16 / (np.pi * 16**2), rel=0.02)
    assert found["EX"].nearest == pytest.approx(np.hypot(17, 31) / 32, abs=0.1)
    assert (found["SE"].count, found["SE"].disc_areas, found["SE"].nearest, found["SE"].not_told) == (0, 0, None, "")


def test_touching_at_a_corner_is_one_lesion():
    assert describe_lesions(maps_of(HE=[(50, 50), (54, 54), (70, 50)]), THRESHOLDS)["HE"].count == 2


@pytest.mark.parametrize(
    ("disc_x", "told", "areas"),
    [
        (0, "no optic disc was found", None),
        (128, "lies in the middle of the photo", 16 / 804),
    ],
)
def test_where_it_cannot_be_told(disc_x, told, areas):
    found = describe_lesions(maps_of(disc_x, EX=[(20, 40)]), THRESHOLDS)["EX"]
    assert found.count == 1
    assert told in found.not_told
    assert found.disc_areas == (areas and pytest.approx(areas, rel=0.02))
    assert not found.by_quadrant


def test_what_is_too_large_for_a_disc_is_none():
    shares = np.zeros((256, 256), np.float32)
    shares[60:200, 60:200] = 1
    assert find_disc(shares, 0.5) is None
    assert find_disc(shares > 2, 0.5) is None


def test_a_photo_too_small_to_see_them():
    needed = NEEDED_PX | {"MA": 700}
    found = describe_lesions(maps_of(side_px=600, MA=[(50, 50)], EX=[(50, 50)]), THRESHOLDS, needed)
    assert found["MA"].count is None
    assert found["MA"].not_told == ("too small to see microaneurysms: 600 pixels across the field, and 700 are needed")
    assert found["EX"].count == 1
