"""Lesions found: pixels against scikit-learn, marks against counting by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from biranet.evaluation.free_response import Marks, at_threshold, find_drawn, find_peaks, hit_lesions, sensitivities
from biranet.evaluation.groups import Groups, draw_weights
from biranet.evaluation.interval_methods import percentile_interval
from biranet.evaluation.lesion_pixels import SCORES, count_pixels, pixel_precision, score


def groups_of(*sizes):
    return Groups(np.arange(sum(sizes)), np.array(sizes), (len(sizes),))


@pytest.fixture(scope="module")
def photos():
    """Scores and masks of four photos of different sizes, two of them of one visit."""
    random = np.random.default_rng(3)
    drawn = []
    for height, share in ((40, 0.02), (30, 0.2), (50, 0), (20, 0.1)):
        mask = random.random((height, 60)) < share
        drawn.append((score(1 / (1 + np.exp(-random.normal(3.0 * mask - 4)))), mask))
    return drawn


def test_precision_over_pixels_is_that_of_scikit_learn(photos):
    groups = groups_of(1, 2, 1)
    counts = [count_pixels(*photo) for photo in photos]
    measured = pixel_precision(counts, groups, seed=5, resamples=40)

    def expected(places):
        scores, masks = (np.concatenate([photos[place][part].ravel() for place in places]) for part in (0, 1))
        return average_precision_score(masks, scores)

    assert measured["aupr"] == pytest.approx(expected(range(4)), abs=1e-12)
    assert measured["prevalence"] == pytest.approx(np.concatenate([mask.ravel() for _, mask in photos]).mean())
    assert measured["photos"] == 3
    # The same draws, photo by photo.
    weights = draw_weights(groups, 40, [5, 0])[groups.group_of_photo]
    drawn = np.array([expected(np.repeat(np.arange(4), each)) for each in weights.T])
    assert measured["ci"] == pytest.approx(percentile_interval(drawn, groups=3))


def test_nothing_drawn_is_undefined(photos):
    scores = photos[2][0]
    measured = pixel_precision([count_pixels(scores, np.zeros_like(scores, bool))], groups_of(1), seed=1, resamples=9)
    assert measured["aupr"] is measured["ci"] is measured["best_dice"] is measured["threshold"] is None
    assert measured["photos"] == 0


def test_scores_keep_the_order_of_small_probabilities():
    scores = score(np.array([1e-6, 1e-5, 1e-4, 1e-4 * 1.02, 0.999, 1]))
    assert (np.diff(scores) > 0).all()
    assert scores.max() == SCORES - 1


def test_peaks_of_a_plateau_count_once():
    values = np.full((7, 7), 0.2, np.float32)
    values[2:4, 2:4] = 0.8
    assert find_peaks(values, 2, 0.5).tolist() == [[2, 2]]


def test_marks_hit_the_lesion_they_lie_in_or_near():
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10:20] = True  # large, hit twice
    mask[20, 20] = True  # touches it at a corner: the same lesion
    mask[40, 40] = True  # hit from 3 pixels away
    mask[50, 70] = True  # hit by nobody
    points = np.array([[12.5, 12.5], [18.5, 18.5], [43.5, 40.5], [60.5, 5.5], [70.5, 45.5]])
    marks = hit_lesions(points, np.array([0.5, 0.7, 0.6, 0.9, 0.3]), find_drawn(mask), radius_px=3)
    assert sorted(marks.found.tolist()) == [-1, 0.6, 0.7]
    assert marks.false.tolist() == [0.9, 0.3]


def test_a_photo_without_lesions_has_false_marks_only():
    marks = hit_lesions(np.array([[3.5, 3.5]]), np.array([0.4]), find_drawn(np.zeros((9, 9), bool)), radius_px=3)
    assert not marks.found.size
    assert marks.false.tolist() == [0.4]


def test_sensitivity_at_false_marks_a_photo():
    marks = [
        Marks(np.array([0.9, 0.5, -1]), np.array([0.8, 0.4, 0.3])),
        Marks(np.array([0.2]), np.array([0.6] + [0.1] * 30)),
        Marks(np.array([]), np.array([])),
    ]
    measured = sensitivities(marks, groups_of(1, 1, 1), seed=2, resamples=50)
    assert measured["lesions"] == 4
    told = measured["sensitivity"]
    # At 0.5 two of four are found, at 2 false marks in 3 photos; at 0.2 all but the one nobody marked, at 4 in 3.
    assert [told[limit]["value"] for limit in ("1", "4", "10")] == [0.5, 0.75, 0.75]
    assert told["1"]["threshold"] == pytest.approx(0.4)  # the third false mark
    curve = measured["curve"]
    assert curve["threshold"] == [0.9, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert curve["false_marks"] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1, 4 / 3, 4 / 3, 34 / 3])
    assert curve["sensitivity"] == [0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 0.75]
    low, high = told["4"]["ci"]
    assert 0 <= low < 0.75 <= high <= 1


def test_no_marks_at_all():
    measured = sensitivities([Marks(np.array([-1.0]), np.array([]))], groups_of(1), seed=2, resamples=9)
    assert [each["value"] for each in measured["sensitivity"].values()] == [0, 0, 0]
    assert measured["curve"]["threshold"] == []


def test_neither_lesions_nor_marks():
    measured = sensitivities([Marks(np.zeros(0), np.zeros(0))] * 2, groups_of(1, 1), seed=2, resamples=9)
    assert measured["lesions"] == 0
    assert all(each["value"] is each["ci"] is None for each in measured["sensitivity"].values())


def test_at_a_threshold_lesions_and_false_marks_are_counted_group_by_group():
    random = np.random.default_rng(4)
    marks = [Marks(random.uniform(-0.5, 1, random.integers(0, 6)), random.uniform(0, 1, 3)) for _ in range(60)]
    marks[0] = Marks(np.array([0.5]), np.array([0.5]))  # a mark at the threshold counts
    measured = at_threshold(marks, 0.5, groups_of(*[2] * 30), seed=2)
    found = np.concatenate([each.found for each in marks])
    assert measured["found"]["value"] == pytest.approx((found >= 0.5).mean())
    false = np.concatenate([each.false for each in marks])
    assert measured["false_marks"]["value"] == pytest.approx((false >= 0.5).sum() / 60)
    # By hand: groups drawn with replacement.
    hits, lesions = (
        np.array([[(each.found >= 0.5).sum(), len(each.found)] for each in marks]).reshape(30, 2, 2).sum(1).T
    )
    drawn = random.integers(30, size=(4000, 30))
    expected = np.percentile(hits[drawn].sum(1) / lesions[drawn].sum(1), [2.5, 97.5])
    np.testing.assert_allclose(measured["found"]["ci"], expected, atol=0.015)
    assert at_threshold(marks, 2, groups_of(*[2] * 30), seed=2, resamples=9)["found"]["value"] == 0
    nothing = at_threshold([Marks(np.zeros(0), np.zeros(0))] * 2, 0.5, groups_of(1, 1), seed=2, resamples=9)
    assert nothing["found"]["value"] is None and nothing["false_marks"]["value"] == 0
