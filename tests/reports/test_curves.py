"""Curves are those of scikit-learn and of written-out loops, and stay so when corners are dropped."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_auc_score, roc_curve

from biranet.reports.curves import LINE_TOLERANCE, reliability, risk_coverage, roc_points, simplify_line
from measured import measure

Values = npt.NDArray[np.float64]


def scores(photos: int, seed: int = 0, digits: int = 15) -> tuple[npt.NDArray[np.bool_], Values]:
    random = np.random.default_rng(seed)
    positive = random.random(photos) < 0.3
    return positive, np.round(np.clip(0.3 * positive + random.normal(0.35, 0.2, photos), 0, 1), digits)


def distance(points: Values, line: Values) -> float:
    """The largest distance of points from a line, by the written-out formula."""
    start, step = line[:-1], np.diff(line, axis=0)
    length = np.maximum((step**2).sum(axis=1), 1e-30)
    along = np.clip(((points[:, None] - start) * step).sum(axis=2) / length, 0, 1)
    return float(np.hypot(*(points[:, None] - start - along[..., None] * step).T).min(axis=0).max())


@pytest.mark.parametrize("digits", [15, 1])
def test_roc_goes_through_every_threshold(digits: int) -> None:
    positive, score = scores(300, digits=digits)
    points = roc_points(positive, score)
    x, y, _ = roc_curve(positive, score, drop_intermediate=False)
    assert distance(np.stack([x, y], axis=1), points) < 1e-12
    assert len(points) < len(x) or digits == 1
    assert (points[0].tolist(), points[-1].tolist()) == ([0, 0], [1, 1])
    assert auc(*points.T) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_fifty_thousand_photos_are_a_few_hundred_corners() -> None:
    positive, score = scores(50_000)
    whole = roc_points(positive, score)
    drawn = simplify_line(whole)
    assert len(drawn) < 500 < len(whole)
    assert distance(whole[::50], drawn) <= LINE_TOLERANCE
    assert auc(*drawn.T) == pytest.approx(roc_auc_score(positive, score), abs=LINE_TOLERANCE)


corners = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(0, 1))


@given(corners, st.sampled_from([0.0, 0.01, 0.3]))
def test_no_dropped_corner_is_far_from_the_line_that_is_left(points: Values, tolerance: float) -> None:
    left = simplify_line(points, tolerance)
    assert left[0].tolist() == points[0].tolist()
    assert left[-1].tolist() == points[-1].tolist()
    assert {tuple(point) for point in left} <= {tuple(point) for point in points}
    if len(left) > 1:
        assert distance(points, left) <= tolerance + 1e-9


def test_thinning_goes_down_where_the_line_is_straight() -> None:
    straight = np.stack([np.linspace(0, 1, 1001), np.linspace(1, 0, 1001)], axis=1)
    assert simplify_line(straight).tolist() == [[0, 1], [1, 0]]
    bent = np.concatenate([straight, straight[::-1] * [1, -1]])
    assert simplify_line(bent).tolist() == [[0, 1], [1, 0], [0, -1]]


def shares(photos: int, seed: int = 1) -> tuple[Values, npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(5, 0.4), photos)
    return probabilities, np.array([random.choice(5, p=0.7 * row + 0.06) for row in probabilities])


def test_reliability_is_scikit_learns() -> None:
    probabilities, grade = shares(400)
    bins = reliability(probabilities, grade)
    right = probabilities.argmax(axis=1) == grade
    share, mean = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    np.testing.assert_allclose(bins.right_fraction, share)
    np.testing.assert_allclose(bins.confidence, mean)
    assert bins.photos.sum() == 400
    assert ((bins.low <= bins.confidence) & (bins.confidence <= bins.high)).all()
    np.testing.assert_allclose(bins.high - bins.low, 1 / 15)


def test_the_gaps_of_the_diagram_are_the_calibration_error() -> None:
    probabilities, grade = shares(300)
    probabilities[0], grade[0] = np.eye(5)[3], 3  # a probability of exactly 1 has its place in the last bin
    bins = reliability(probabilities, grade)
    table = pd.DataFrame(probabilities, columns=[f"p{k}" for k in range(5)])
    table = table.assign(group=np.arange(300), grade=grade, predicted_grade=probabilities.argmax(axis=1))
    gaps = np.abs(bins.confidence - bins.right_fraction)
    assert gaps @ bins.photos / 300 == pytest.approx(measure(table)["expected_calibration_error"], abs=1e-12)


@pytest.mark.parametrize("digits", [15, 2])
def test_risk_is_counted_among_all_that_are_at_least_as_sure(digits: int) -> None:
    referable, score = scores(200, seed=4, digits=digits)
    referred = score > 0.6
    coverage, risk = risk_coverage(score, referred, referable)
    confidence = np.maximum(score, 1 - score)
    levels = sorted(set(confidence), reverse=True)
    assert (len(levels) > 190) == (digits == 15)
    assert coverage.tolist() == [np.mean(confidence >= level) for level in levels]
    assert risk.tolist() == [np.mean((referred != referable)[confidence >= level]) for level in levels]


def test_the_curve_of_risk_has_the_measured_area() -> None:
    probabilities, grade = shares(250)
    columns = {f"p{k}": probabilities[:, k] for k in range(5)}
    predicted = probabilities.argmax(axis=1)
    table = pd.DataFrame(columns).assign(group=np.arange(250), grade=grade, predicted_grade=predicted)
    score = probabilities[:, 2:].sum(axis=1)
    coverage, risk = risk_coverage(score, predicted >= 2, grade >= 2)
    area = (np.diff(coverage, prepend=0) * risk).sum()
    assert area == pytest.approx(measure(table)["area_under_risk_coverage"], abs=1e-12)
