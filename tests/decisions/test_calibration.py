"""The temperature is the best there is; grade thresholds are good for photos that they were not fitted on."""

import itertools
import tracemalloc
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.special import log_softmax, softmax
from sklearn.metrics import cohen_kappa_score, log_loss

from biranet.decisions.calibration import (
    FIT_MAX_TEMPERATURE,
    FIT_MIN_TEMPERATURE,
    ROUNDING_THRESHOLDS,
    fit_grade_thresholds,
    fit_temperature,
    maximize_kappa,
)
from biranet.decisions.rules import apply_temperature, expected_grade

Floats = npt.NDArray[np.float64]
Grades = npt.NDArray[np.int64]


def kappa(truth: Grades, expected: Floats, thresholds: npt.ArrayLike) -> float:
    predicted = (expected[:, None] >= np.asarray(thresholds)).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cohen_kappa_score(truth, predicted, labels=[0, 1, 2, 3, 4], weights="quadratic"))


def loss(raw: Floats, grades: Grades, temperature: float) -> float:
    """scikit-learn's negative log-likelihood; it clips probabilities far below ours."""
    return float(log_loss(grades, apply_temperature(raw, temperature), labels=[0, 1, 2, 3, 4]))


def draw(photos: int, seed: int, *, sure: float = 1.0, shift: float = 0.0) -> tuple[Floats, Grades]:
    """Probabilities of a model that is too sure by a factor and sees grades too high by a shift."""
    random = np.random.default_rng(seed)
    grades = random.choice(5, size=photos, p=[0.33, 0.05, 0.33, 0.18, 0.11])
    seen = grades + random.normal(shift, 0.9, size=photos)
    logits = -((seen[:, None] - np.arange(5)) ** 2) / (2 * 0.9**2) + random.normal(0, 0.5, size=(photos, 5))
    return softmax(sure * logits, axis=1), grades


several = st.integers(1, 30).flatmap(
    lambda photos: st.tuples(
        npst.arrays(np.float64, (photos, 5), elements=st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0])).filter(
            lambda drawn: (drawn.sum(axis=1) > 0).all()
        ),
        npst.arrays(np.int64, photos, elements=st.integers(0, 4)),
    )
)

pytestmark = pytest.mark.kernels


@given(several)
def test_no_temperature_is_better(photos: tuple[Floats, Grades]) -> None:
    weights, grades = photos
    raw = weights / weights.sum(axis=1, keepdims=True)
    found = fit_temperature(raw, grades)
    assert FIT_MIN_TEMPERATURE <= found <= FIT_MAX_TEMPERATURE
    assert loss(raw, grades, found) <= loss(raw, grades, 1.0)
    with np.errstate(divide="ignore"):
        logits = np.log(raw) / np.geomspace(FIT_MIN_TEMPERATURE, FIT_MAX_TEMPERATURE, 60)[:, None, None]
    others = -np.maximum(log_softmax(logits, axis=2), np.log(1e-12))[:, np.arange(len(grades)), grades].mean(axis=1)
    own = -np.log(np.maximum(apply_temperature(raw, found), 1e-12))[np.arange(len(grades)), grades].mean()
    assert own <= others.min() + 1e-9


@pytest.mark.parametrize("true", [0.3, 0.8, 1.0, 2.5, 6.0])
def test_the_temperature_of_a_model_is_found(true: float) -> None:
    random = np.random.default_rng(3)
    honest = softmax(random.normal(0, 2, size=(20_000, 5)), axis=1)
    grades = (honest.cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1)
    assert fit_temperature(apply_temperature(honest, 1 / true), grades) == pytest.approx(true, rel=0.04)


def test_the_ends_of_the_temperature() -> None:
    raw = apply_temperature(np.eye(5) + 0.1, 1.0)
    assert fit_temperature(raw, np.arange(5)) == FIT_MIN_TEMPERATURE
    assert fit_temperature(raw, (np.arange(5) + 1) % 5) == FIT_MAX_TEMPERATURE
    assert fit_temperature(np.full((4, 5), 0.2), np.array([0, 1, 2, 3])) == 1.0


def test_a_photo_whose_grade_has_no_probability_has_no_say() -> None:
    raw, grades = draw(500, seed=1, sure=2.0)
    with_it = np.vstack([raw, [1, 0, 0, 0, 0]]), np.append(grades, 4)
    assert fit_temperature(*with_it) == fit_temperature(raw, grades) > 2
    assert fit_temperature(np.eye(5), np.array([1, 2, 3, 4, 0])) == 1.0


def test_the_order_of_photos_does_not_matter() -> None:
    raw, grades = draw(300, seed=2, sure=3.0)
    groups, order = np.arange(300) // 3, np.random.default_rng(0).permutation(300)
    assert fit_temperature(raw[order], grades[order]) == pytest.approx(fit_temperature(raw, grades), rel=1e-9)
    expected = expected_grade(raw)
    found = fit_grade_thresholds(expected, grades, groups)
    assert fit_grade_thresholds(expected[order], grades[order], [f"z{group}" for group in -groups[order]]) == found


def test_the_length_of_a_name_does_not_matter() -> None:
    raw, grades = draw(300, seed=2, sure=3.0)
    groups = [str(photo // 3) for photo in range(300)]
    tracemalloc.start()
    found = fit_grade_thresholds(expected_grade(raw), grades, ["z" * 100_000, *groups[1:]])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000
    assert found == fit_grade_thresholds(expected_grade(raw), grades, ["z", *groups[1:]])


def best_by_trial(expected: Floats, grades: Grades) -> float:
    """The best kappa of all thresholds that differ for these photos."""
    different = np.unique(expected)
    middles = [-1.0, *((different[1:] + different[:-1]) / 2), 5.0]
    return max(kappa(grades, expected, some) for some in itertools.combinations_with_replacement(middles, 4))


@pytest.mark.parametrize("seed", range(25))
def test_no_thresholds_have_a_better_kappa(seed: int) -> None:
    random = np.random.default_rng(seed)
    photos = random.integers(4, 9)
    expected = np.sort(random.choice([0.2, 0.7, 1.1, 1.6, 2.4, 3.3, 3.9], size=photos))  # with equals
    grades, times = random.integers(0, 5, size=photos), random.integers(0, 3, size=photos)
    times[[0, -1]], grades[[0, -1]] = 1, [0, 3]
    found = maximize_kappa(expected, grades, times.astype(np.float64))
    assert (np.diff(found) >= 0).all()
    repeated = np.repeat(expected, times), np.repeat(grades, times)
    assert kappa(repeated[1], repeated[0], found) == pytest.approx(best_by_trial(*repeated), abs=1e-12)


def test_thresholds_of_many_photos_cannot_be_moved_to_advantage() -> None:
    raw, grades = draw(3000, seed=5, shift=0.4)
    order = np.argsort(expected_grade(raw))
    expected, grades = expected_grade(raw)[order], grades[order]
    found = maximize_kappa(expected, grades, np.ones(3000))
    best = kappa(grades, expected, found)
    assert best > kappa(grades, expected, ROUNDING_THRESHOLDS) + 0.02
    for place, step in itertools.product(range(4), (-0.2, -0.03, -0.001, 0.001, 0.03, 0.2)):
        moved = found.copy()
        moved[place] += step
        assert kappa(grades, expected, np.sort(moved)) <= best + 1e-12


@pytest.mark.parametrize("grades", [[2, 2, 2, 2], [4, 3, 1, 0]], ids=["one grade", "no better than chance"])
def test_without_anything_to_gain_the_thresholds_are_even(grades: list[int]) -> None:
    found = maximize_kappa(np.array([0.1, 0.2, 2.0, 3.0]), np.array(grades), np.ones(4))
    assert tuple(found) == ROUNDING_THRESHOLDS


def test_one_photo_gives_almost_even_thresholds() -> None:
    assert fit_grade_thresholds(np.array([3.0]), np.array([1]), ["a"]) == ROUNDING_THRESHOLDS


def test_thresholds_follow_a_model_that_sees_grades_too_high() -> None:
    raw, grades = draw(600, seed=0, shift=0.5)
    found = fit_grade_thresholds(expected_grade(raw), grades, np.arange(600) // 2)
    assert (np.diff(found) > 0).all()
    new, truth = draw(20_000, seed=9, shift=0.5)
    assert kappa(truth, expected_grade(new), found) > kappa(truth, expected_grade(new), ROUNDING_THRESHOLDS) + 0.03


def test_thresholds_of_few_photos_hold_for_others() -> None:
    """Those that are best for 40 photos are worse for new ones, on average, than ours."""
    new, truth = draw(4000, seed=999)
    scale = expected_grade(new)
    ours, best = [], []
    for seed in range(40):
        raw, grades = draw(40, seed)
        order = np.argsort(expected_grade(raw))
        expected, grades = expected_grade(raw)[order], grades[order]
        ours.append(kappa(truth, scale, fit_grade_thresholds(expected, grades, np.arange(40))))
        best.append(kappa(truth, scale, maximize_kappa(expected, grades, np.ones(40))))
    assert np.mean(ours) > np.mean(best) + 0.01
    assert np.mean(ours) > kappa(truth, scale, ROUNDING_THRESHOLDS) - 0.005
