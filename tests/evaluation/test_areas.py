"""The areas under curves agree with scikit-learn's weighted ones, ties included, and with what they mean."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from biranet.evaluation.areas import WeightedOrder, average_precision, order_by_score, roc_auc

photos = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)),  # a score in sixths, a class, a group
    min_size=1,
    max_size=40,
)
weights = st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=4)


def columns(drawn: list[tuple[int, bool, int]]) -> tuple[npt.NDArray[np.float64], ...]:
    scores, yes, groups = np.array(drawn).T
    return scores / 6, yes == 1, groups.astype(np.intp)


@settings(deadline=None)
@given(photos, weights)
def test_the_area_is_scikit_learns(drawn: list[tuple[int, bool, int]], times: list[list[int]]) -> None:
    scores, to_find, groups = columns(drawn)
    areas = roc_auc(WeightedOrder(order_by_score(scores, to_find, groups), np.array(times, np.int32).T))
    assert areas.shape == (len(times),)
    for area, of_groups in zip(areas, times, strict=True):
        weight = np.array(of_groups)[groups]
        if weight[to_find].any() and weight[~to_find].any():
            assert area == pytest.approx(roc_auc_score(to_find, scores, sample_weight=weight), abs=1e-12)
        else:
            assert np.isnan(area)


def written_out_risk(
    confidence: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], weight: npt.NDArray[np.int64]
) -> float:
    """Photo by photo: how many of those at least as sure are wrong."""
    risks = [
        np.average(wrong[confidence >= level], weights=weight[confidence >= level]) for level in confidence[weight > 0]
    ]
    return float(np.average(risks, weights=weight[weight > 0]))


@given(photos, weights)
def test_the_area_under_risk_coverage_is_the_mean_risk(
    drawn: list[tuple[int, bool, int]], times: list[list[int]]
) -> None:
    confidence, wrong, groups = columns(drawn)
    order = order_by_score(confidence, wrong, groups, average_all=True)
    areas = average_precision(WeightedOrder(order, np.array(times, np.int32).T))
    for area, of_groups in zip(areas, times, strict=True):
        weight = np.array(of_groups)[groups]
        if weight.any():
            assert area == pytest.approx(written_out_risk(confidence, wrong, weight), abs=1e-12)
        else:
            assert np.isnan(area)


def test_a_known_risk() -> None:
    # Risks when the surest 1, 2, 3 and 4 photos are decided: 0, 0, 1/3, 2/4.
    confidence, wrong = np.array([0.6, 0.9, 0.7, 0.8]), np.array([True, False, True, False])
    order = order_by_score(confidence, wrong, np.arange(4), average_all=True)
    assert average_precision(WeightedOrder(order, np.ones((4, 1), np.int32)))[0] == pytest.approx(
        (0 + 0 + 1 / 3 + 2 / 4) / 4
    )


@given(photos, weights)
def test_the_area_under_precision_and_recall_is_that_of_scikit_learn(
    drawn: list[tuple[int, bool, int]], times: list[list[int]]
) -> None:
    scores, found, groups = columns(drawn)
    areas = average_precision(WeightedOrder(order_by_score(scores, found, groups), np.array(times, np.int32).T))
    for area, of_groups in zip(areas, times, strict=True):
        weight = np.array(of_groups)[groups]
        if weight[found].any():
            expected = average_precision_score(found, scores, sample_weight=weight)
            assert area == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(area)


def test_the_fewer_groups_are_counted() -> None:
    order = order_by_score(np.linspace(0, 1, 6), np.array([0, 0, 0, 0, 1, 1]) == 1, np.array([0, 1, 2, 3, 3, 4]))
    assert order.fewer_groups == 2
    order = order_by_score(np.linspace(0, 1, 6), np.array([0, 0, 0, 0, 1, 1]) == 1, np.array([0, 1, 2, 3, 3, 3]))
    assert order.fewer_groups == 1


def test_sums_stay_exact_for_a_million_photos() -> None:
    half = 500_000
    scores = np.repeat([0.0, 1.0], half)
    order = order_by_score(scores, scores == 1, np.zeros(2 * half, np.intp))
    assert roc_auc(WeightedOrder(order, np.full((1, 1), 2, np.int32))).tolist() == [1.0]
