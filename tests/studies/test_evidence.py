"""The study of evidence: what is measured of a map, and the page that is written from the table alone."""

import cv2
import numpy as np
import pytest

from biranet.photos.drawn.synthetic import draw_photo
from studies.evidence.maps import GRID, Seen
from studies.evidence.measures import FRACTIONS, area, by_chance, curves, highest, on_lesions
from studies.evidence.sums import sum_up

LIT = np.zeros((GRID, GRID), bool)
LIT[2:18, 2:18] = True


def test_a_share_of_the_field_is_taken_highest_first():
    order = np.random.default_rng(1).random((GRID, GRID))
    chosen = highest(order, LIT, 0.25)
    assert chosen.sum() == 64 and not chosen[~LIT].any()
    assert order[chosen].min() > order[LIT & ~chosen].max()
    assert not highest(order, LIT, 0).any() and np.array_equal(highest(order, LIT, 1), LIT)
    # Equal cells are taken from everywhere.
    rows = np.nonzero(highest(np.zeros((GRID, GRID)), LIT, 0.25))[0]
    assert 7 < rows.mean() < 12


def test_areas_are_averages_over_the_share():
    assert area([3.0] * (len(FRACTIONS) - 2), 3.0, 3.0) == pytest.approx(3)
    assert area(list(FRACTIONS[1:-1]), 0.0, 1.0) == pytest.approx(0.5)


def test_curves_take_away_and_give_back_what_is_highest():
    """Where the score is the brightness of the photo, and the fill is black, the brightest first empties it fastest."""
    pixels = np.zeros((10 * GRID, 10 * GRID, 3), np.uint8)
    brightness = np.random.default_rng(2).integers(20, 250, (GRID, GRID))
    pixels[:] = brightness.repeat(10, axis=0).repeat(10, axis=1)[:, :, None]
    seen = Seen(pixels, np.ones((GRID, GRID), bool), np.zeros_like(pixels))

    def score(photos):
        return photos.mean(axis=(1, 2, 3))

    best, worst = (curves(sign * brightness, seen, score) for sign in (1.0, -1.0))
    by_best = brightness.astype(float)
    for place, fraction in enumerate(FRACTIONS[1:-1]):
        gone = np.sort(by_best, axis=None)[::-1][: round(fraction * 400)].sum() / 400
        assert best["insertion"][place] == pytest.approx(gone)
        assert best["deletion"][place] == pytest.approx(by_best.mean() - gone)
    assert area(worst["deletion"], 1, 0) > area(best["deletion"], 1, 0)


def test_a_map_of_the_lesions_themselves_is_perfect_and_chance_is_their_area():
    share = np.zeros((GRID, GRID))
    share[5:9, 5:7] = 0.5
    perfect = on_lesions(share, share, LIT)
    assert perfect == {"mass": 0.5, "pointing": 1, "precision": 1}
    assert by_chance(share, LIT) == {"mass": 4 / 256, "pointing": 8 / 256, "precision": 8 / 256}
    flat = on_lesions(np.ones((GRID, GRID)), share, LIT)
    assert flat["mass"] == pytest.approx(4 / 256) and flat["precision"] == pytest.approx(8 / 256)
    # What lies below 0 has no mass; what lies beyond the field counts for nothing.
    other = np.where(LIT, -1.0, 9.0)
    other[6, 6] = 1
    assert on_lesions(other, share, LIT)["mass"] == 0.5


def test_a_photo_is_filled_within_its_field():
    pixels = draw_photo(4, 3, 320, 320)
    seen = Seen.of(pixels)
    dark = pixels.max(axis=2) < 10
    assert 0.5 < seen.lit.mean() < 1 and not seen.lit[0, 0]
    np.testing.assert_array_equal(seen.filled[dark], pixels[dark])
    lit = cv2.erode((~dark).astype(np.uint8), np.ones((9, 9))) > 0
    sharpness, left = (cv2.Laplacian(each[:, :, 1], cv2.CV_64F)[lit].std() for each in (pixels, seen.filled))
    assert left < 0.1 * sharpness and abs(seen.filled[lit].mean() - pixels[lit].mean()) < 3


def found(group, value, precision, *, lesions=True):
    """What is known of a photo."""
    curve = {"deletion": [value] * (len(FRACTIONS) - 2), "insertion": [2 * value] * (len(FRACTIONS) - 2)}
    none = {"deletion": [0.0] * (len(FRACTIONS) - 2), "insertion": [0.0] * (len(FRACTIONS) - 2)}
    on = {"any": {"mass": 0.1, "pointing": 1.0, "precision": precision}}
    maps = {f"chance_{number}": {"curves": none, "on": on} for number in range(2)}
    maps["evidence"] = {"curves": curve, "on": on}
    if lesions:
        maps["lesions"] = maps["evidence"]
    chance = {"any": {"mass": 0.05, "pointing": 0.2, "precision": 0.2}}
    return {"group": group, "scores": {"photo": 0.0, "filled": 0.0}, "chance": chance, "maps": maps}


def test_averages_over_photos_and_intervals_over_visits():
    photos = [found("a", 1.0, 0.5), found("a", 1.0, 0.5), found("b", 4.0, 0.8), found("c", 2.0, 0.2, lesions=False)]
    summed = sum_up(photos)
    assert (summed["photos"], summed["groups"]) == (4, 3)
    precision = summed["on"]["any"]["maps"]["evidence"]["precision"]
    assert precision["value"] == pytest.approx(0.5) and precision["over_chance"] == pytest.approx(0.3)
    assert precision["ci"][0] < 0.5 < precision["ci"][1]
    gap = summed["faithful"]["evidence"]["gap"]
    inner = 0.98 * 2.0  # curves begin and end at 0
    assert gap["value"] == pytest.approx(gap["over_chance"]) and inner - 0.3 < gap["value"] < inner
    assert "over_chance" not in summed["on"]["any"]["maps"]["chance"]["precision"]
    assert "lesions" not in summed["on"]["any"]["maps"] and "lesions" in sum_up(photos[:3])["on"]["any"]["maps"]
