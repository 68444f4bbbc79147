"""The ends of intervals: exact for shares, percentiles for the rest, and wider where there is less to go by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm, t

from biranet.evaluation.interval_methods import (
    LEVEL,
    average_interval,
    clopper_pearson,
    percentile_interval,
    reflected_interval,
    share_interval,
)

DRAWS = np.random.default_rng(0).normal(0, 1, 20_000)


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("right", "of", "published"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I
        (81, 263, (0.2527, 0.3676)),
        (15, 148, (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1684)),
        (1, 29, (0.0009, 0.1776)),
        (8, 9, (0.518, 0.997)),
    ],
)
def test_single_shares_are_the_published_ones(right: int, of: int, published: tuple[float, float]) -> None:
    digits = len(str(published[0]).partition(".")[2]) if published[0] else 4
    assert clopper_pearson(right / of, of) == pytest.approx(published, abs=0.6 * 10**-digits)
    exact = binomtest(right, of).proportion_ci(LEVEL, method="exact")
    assert clopper_pearson(right / of, of) == pytest.approx([exact.low, exact.high], abs=1e-12)


@given(st.integers(1, 400), st.booleans())
def test_none_or_all_of_the_groups_is_exact(groups: int, everything: bool) -> None:
    value = float(everything)
    exact = binomtest(groups * everything, groups).proportion_ci(LEVEL, method="exact")
    found = share_interval(value, np.full(5, value), groups, 2 * groups)
    assert found == pytest.approx([exact.low, exact.high], abs=1e-12)


@pytest.mark.parametrize(("right", "groups"), [(8, 9), (5, 6), (1, 2000), (600, 2000), (1999, 2000), (300, 400)])
def test_a_share_of_groups_with_one_photo_each_is_exact(right: int, groups: int) -> None:
    drawn = np.random.default_rng(1).binomial(groups, right / groups, 200_000) / groups
    exact = binomtest(right, groups).proportion_ci(LEVEL, method="exact")
    found = share_interval(right / groups, drawn, groups, groups)
    assert found is not None
    np.testing.assert_allclose(found, [exact.low, exact.high], atol=0.01 * (exact.high - exact.low))


@pytest.mark.kernels
def test_a_share_of_clustered_photos_is_korn_and_graubards() -> None:
    """Written out for 12 groups of 5 photos, with the linearised variance of survey statistics and scipy's beta."""
    right = np.array([5, 5, 5, 4, 5, 0, 5, 5, 1, 5, 5, 4])
    groups, photos, share = 12, 60, right.sum() / 60
    residuals = (right - 5 * share) / photos
    variance = groups / (groups - 1) * (residuals**2).sum()
    design_effect = variance / (share * (1 - share) / (photos - 1))
    assert design_effect > 2
    size = photos / design_effect * (t.ppf(0.975, photos - 1) / t.ppf(0.975, groups - 1)) ** 2
    low = beta.ppf(0.025, share * size, (1 - share) * size + 1)
    high = beta.ppf(0.975, share * size + 1, (1 - share) * size)
    weights = np.random.default_rng(2).multinomial(groups, np.full(groups, 1 / groups), 400_000)
    found = share_interval(share, weights @ right / photos, groups, photos)
    np.testing.assert_allclose(found, [low, high], atol=0.01 * (high - low))


def test_groups_that_vary_less_than_photos_get_the_interval_of_the_photos() -> None:
    exact = binomtest(30, 60).proportion_ci(LEVEL, method="exact")
    found = share_interval(0.5, 0.5 + 1e-3 * DRAWS, 12, 60)
    assert found == pytest.approx([exact.low, exact.high])


def test_twice_the_variance_is_half_the_photos() -> None:
    scaled = (DRAWS - DRAWS.mean()) / DRAWS.std()
    for size in (400, 200):
        drawn = 0.8 + scaled * np.sqrt(0.8 * 0.2 / size)
        exact = binomtest(round(0.8 * size), size).proportion_ci(LEVEL, method="exact")
        for found in (share_interval(0.8, drawn, 10**6, 10**6), average_interval(0.8, drawn, 10**6)):
            np.testing.assert_allclose(found, [exact.low, exact.high], atol=1e-5)


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.2), st.integers(2, 500))
def test_a_share_stays_in_its_range_and_inside_its_interval(value: float, spread: float, groups: int) -> None:
    drawn = np.clip(value + spread * DRAWS[:200], 0, 1)
    for found, more in (
        (share_interval(value, drawn, groups, 1000), share_interval(value, drawn, groups + 1, 1000)),
        (average_interval(value, drawn, groups), average_interval(value, drawn, groups + 1)),
    ):
        assert found is not None
        assert more is not None
        assert 0 <= found[0] <= value <= found[1] <= 1
        assert found[0] <= more[0] <= more[1] <= found[1]


@pytest.mark.parametrize("value", [0, 1])
def test_of_how_many_an_average_is_nobody_knows(value: int) -> None:
    assert average_interval(value, np.clip(value + DRAWS, 0, 1), 30) is None


@pytest.mark.parametrize("groups", [2, 5, 12, 40, 1000])
def test_percentiles_are_those_of_students_interval(groups: int) -> None:
    """For draws that vary normally with the variance that a bootstrap has, (groups - 1) / groups of the true one."""
    drawn = norm.ppf((np.arange(10**6) + 0.5) / 10**6) * np.sqrt((groups - 1) / groups)
    found = percentile_interval(drawn, groups)
    assert found is not None
    reach = t.ppf((1 + LEVEL) / 2, groups - 1)
    if groups == 2:  # Student's 12.7 is beyond a million draws: their ends are all there is
        assert found == pytest.approx([drawn.min(), drawn.max()], rel=1e-6)
    else:
        np.testing.assert_allclose(found, [-reach, reach], rtol=2e-3)


def test_undefined_draws_are_left_out() -> None:
    with_gaps = np.insert(DRAWS, [5, 100], np.nan)
    assert percentile_interval(with_gaps, 30) == percentile_interval(DRAWS, 30)
    assert share_interval(0.5, 0.5 + 0.1 * with_gaps, 30, 60) == share_interval(0.5, 0.5 + 0.1 * DRAWS, 30, 60)
    assert average_interval(0.5, 0.5 + 0.1 * with_gaps, 30) == average_interval(0.5, 0.5 + 0.1 * DRAWS, 30)


def test_reflection_takes_a_lean_back() -> None:
    # A value of 3, and draws that lie 2 too high: what made them so has made 3 of 1.
    found = reflected_interval(3, 5 + 0.1 * DRAWS, 10**6)
    plain = percentile_interval(0.1 * DRAWS, 10**6)
    assert found is not None
    assert plain is not None
    assert found[0] == pytest.approx(1 - plain[1])
    assert found[1] == 3
    symmetric = reflected_interval(3, 3 + 0.1 * DRAWS, 10**6)
    np.testing.assert_allclose(symmetric, [3 + plain[0], 3 + plain[1]], atol=0.01)


@pytest.mark.parametrize("drawn", [np.full(9, 0.5), np.full(9, 0.5) + 1e-15 * np.arange(9)], ids=["equal", "rounding"])
def test_draws_that_do_not_vary_show_nothing(drawn: np.ndarray) -> None:
    assert share_interval(0.5, drawn, 30, 60) is None
    assert average_interval(0.5, drawn, 30) is None
    assert percentile_interval(drawn, 30) is None
    assert reflected_interval(0.5, drawn, 30) is None


def test_one_group_shows_nothing() -> None:
    assert share_interval(0.5, 0.5 + 0.1 * DRAWS, 1, 4) is None
    assert share_interval(0.5, np.full(5, np.nan), 30, 60) is None
    assert average_interval(0.5, 0.5 + 0.1 * DRAWS, 1) is None
    assert percentile_interval(DRAWS, 1) is None
    assert percentile_interval(np.full(5, np.nan), 30) is None
