"""Every measure of a confusion matrix agrees with scikit-learn, and with what it means."""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as reference

from biranet import confusion
from biranet.confusion import (
    accuracy,
    average_classification_accuracy,
    confusion_matrix,
    gwet_ac2,
    linear_weighted_kappa,
    macro_f1,
    macro_f1_of_means,
    mean_absolute_grade_error,
    negative_predictive_value,
    positive_predictive_value,
    precision_per_grade,
    quadratic_weighted_kappa,
    recall_per_grade,
    sensitivity,
    specificity,
    two_by_two,
)
from biranet.errors import InputError

GRADES = [0, 1, 2, 3, 4]

MATRIX_MEASURES = {
    "aca": average_classification_accuracy,
    "accuracy": accuracy,
    "micro_f1": accuracy,
    "macro_f1": macro_f1,
    "macro_f1_of_means": macro_f1_of_means,
    "quadratic_weighted_kappa": quadratic_weighted_kappa,
    "linear_weighted_kappa": linear_weighted_kappa,
    "gwet_ac2": gwet_ac2,
    "mean_absolute_grade_error": mean_absolute_grade_error,
    "recall_per_grade": recall_per_grade,
    "precision_per_grade": precision_per_grade,
}
"""The measures of five grades, by their key in `metrics.json`."""

LOWEST = {"quadratic_weighted_kappa": -1, "linear_weighted_kappa": -1, "gwet_ac2": -1.4}
HIGHEST = {"mean_absolute_grade_error": 4}
"""Of the measures that do not lie between 0 and 1."""


def screening_shares(counts: Any, prevalence: float | None) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "sensitivity": sensitivity(counts),
        "specificity": specificity(counts),
        "ppv": positive_predictive_value(counts, prevalence),
        "npv": negative_predictive_value(counts, prevalence),
    }


grade_pairs = st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(GRADES)), min_size=1, max_size=60)


def written_out_ac2(truth: Any, predicted: Any) -> float:
    """Gwet's formula, photo by photo and pair of grades by pair of grades."""
    weights = [[1 - (one - other) ** 2 / 16 for other in GRADES] for one in GRADES]
    observed = np.mean([weights[one][other] for one, other in zip(truth, predicted, strict=True)])
    prevalences = [(np.mean(truth == grade) + np.mean(predicted == grade)) / 2 for grade in GRADES]
    by_chance = np.sum(weights) / (5 * 4) * sum(share * (1 - share) for share in prevalences)
    return float((observed - by_chance) / (1 - by_chance))


def by_scikit_learn(truth: Any, predicted: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, _, _ = reference.precision_recall_fscore_support(
            truth, predicted, average="macro", zero_division=0
        )
        each = {"labels": GRADES, "average": None, "zero_division": np.nan}
        return {
            "aca": reference.balanced_accuracy_score(truth, predicted),
            "accuracy": reference.accuracy_score(truth, predicted),
            "micro_f1": reference.f1_score(truth, predicted, average="micro", labels=GRADES),
            "macro_f1": reference.f1_score(truth, predicted, average="macro", zero_division=0),
            "macro_f1_of_means": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            "quadratic_weighted_kappa": reference.cohen_kappa_score(
                truth, predicted, labels=GRADES, weights="quadratic", replace_undefined_by=np.nan
            ),
            "linear_weighted_kappa": reference.cohen_kappa_score(
                truth, predicted, labels=GRADES, weights="linear", replace_undefined_by=np.nan
            ),
            "gwet_ac2": written_out_ac2(truth, predicted),
            "mean_absolute_grade_error": reference.mean_absolute_error(truth, predicted),
            "recall_per_grade": reference.recall_score(truth, predicted, **each),
            "precision_per_grade": reference.precision_score(truth, predicted, **each),
        }


@settings(deadline=None)
@given(grade_pairs)
def test_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    matrix = confusion_matrix(truth, predicted)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(truth, predicted, labels=GRADES))
    expected = by_scikit_learn(truth, predicted)
    assert list(expected) == list(MATRIX_MEASURES)
    for name, function in MATRIX_MEASURES.items():
        np.testing.assert_allclose(function(matrix), expected[name], atol=1e-12, err_msg=name)


@settings(deadline=None)
@given(grade_pairs, st.sampled_from([1, 2, 3, 4]))
def test_screening_agrees_with_scikit_learn(pairs: list[tuple[int, int]], lowest: int) -> None:
    grades = np.array(pairs).T
    truth, called = np.greater_equal(grades, lowest)
    shares = screening_shares(two_by_two(confusion_matrix(*grades), lowest), None)
    score = {"zero_division": np.nan}
    expected = {
        "sensitivity": reference.recall_score(truth, called, **score),
        "specificity": reference.recall_score(~truth, ~called, **score),
        "ppv": reference.precision_score(truth, called, **score),
        "npv": reference.precision_score(~truth, ~called, **score),
    }
    for name, value in shares.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-12, err_msg=name)


counts = npst.arrays(np.int64, (5, 5), elements=st.integers(0, 40))


@given(npst.arrays(np.int64, (2, 2), elements=st.integers(1, 40)))
def test_predictive_values_at_the_prevalence_of_the_photos_are_plain_shares(table: npt.NDArray[np.int64]) -> None:
    plain, stated = (screening_shares(table, share) for share in (None, float(table[1].sum() / table.sum())))
    for name, value in plain.items():
        assert stated[name] == pytest.approx(float(value)), name


def test_predictive_values_are_those_of_a_crowd_with_the_stated_prevalence() -> None:
    # 80 % of the ill are found and 90 % of the others spared; of 10,000 people with a prevalence of 5 %, 500 are ill.
    shares = screening_shares(np.array([[90, 10], [40, 160]]), 0.05)
    assert float(shares["ppv"]) == pytest.approx(400 / (400 + 950))
    assert float(shares["npv"]) == pytest.approx(8550 / (8550 + 100))
    nobody_ill = screening_shares(np.array([[90, 10], [0, 0]]), 0.05)
    assert np.isnan(nobody_ill["ppv"])
    assert np.isnan(nobody_ill["npv"])


def written_out_kappa(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    """The textbook form, photo by photo: mean squared distance against that of all pairs."""
    observed = np.mean((truth.astype(float) - predicted) ** 2)
    by_chance = np.mean((truth[:, None].astype(float) - predicted[None, :]) ** 2)
    return float(1 - observed / by_chance)


@given(grade_pairs)
def test_kappa_is_the_written_out_formula(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    assume(len(set(truth) | set(predicted)) > 1)
    found = float(quadratic_weighted_kappa(confusion_matrix(truth, predicted)))
    assert found == pytest.approx(written_out_kappa(truth, predicted), abs=1e-12)


def test_a_known_table() -> None:
    matrix = np.zeros((5, 5), dtype=np.int64)
    matrix[0, 0], matrix[0, 1], matrix[2, 2], matrix[4, 0] = 6, 2, 3, 1
    # By hand: n = 12, sum d^2 O = 2 + 16 = 18; rows 8 0 3 0 1, columns 7 2 3 0 0; sum d^2 r c =
    # 8 (2 + 12) + 3 (28 + 2) + 1 (112 + 18 + 12) = 112 + 90 + 142 = 344.
    assert float(quadratic_weighted_kappa(matrix)) == pytest.approx(1 - 12 * 18 / 344)
    assert float(confusion.accuracy(matrix)) == 9 / 12
    assert float(confusion.average_classification_accuracy(matrix)) == pytest.approx((6 / 8 + 1 + 0) / 3)
    # Grade 1 occurs only as a prediction and counts 0; grade 3 does not occur.
    assert float(confusion.macro_f1(matrix)) == pytest.approx((12 / 15 + 0 + 1 + 0) / 4)
    precision, recall = (6 / 7 + 0 + 1 + 0) / 4, (6 / 8 + 0 + 1 + 0) / 4
    assert float(confusion.macro_f1_of_means(matrix)) == pytest.approx(2 * precision * recall / (precision + recall))
    assert float(confusion.mean_absolute_grade_error(matrix)) == pytest.approx((2 * 1 + 1 * 4) / 12)
    assert two_by_two(matrix, 2).tolist() == [[8, 0], [1, 3]]
    referable = screening_shares(two_by_two(matrix, 2), None)
    assert {name: float(value) for name, value in referable.items()} == {
        "sensitivity": 3 / 4,
        "specificity": 1.0,
        "ppv": 1.0,
        "npv": 8 / 9,
    }


def test_rows_are_the_truth() -> None:
    assert confusion_matrix([3, 3], [1, 1])[3, 1] == 2
    assert confusion_matrix([3, 3], [1, 1]).dtype == np.int64


counts = npst.arrays(np.int64, (5, 5), elements=st.integers(0, 40))


@given(npst.arrays(np.int64, (3, 2, 5, 5), elements=st.integers(0, 5)))
def test_measures_run_over_leading_axes(stack: npt.NDArray[np.int64]) -> None:
    for name, function in MATRIX_MEASURES.items():
        one_by_one = [[function(matrix) for matrix in row] for row in stack]
        np.testing.assert_array_equal(function(stack), one_by_one, err_msg=name)


@given(counts, st.floats(0.01, 100))
def test_weights_only_count_relative_to_each_other(matrix: npt.NDArray[np.int64], factor: float) -> None:
    for name, function in MATRIX_MEASURES.items():
        np.testing.assert_allclose(function(matrix * factor), function(matrix), atol=1e-9, err_msg=name)


@given(counts)
def test_measures_stay_in_range_and_kappa_is_symmetric(matrix: npt.NDArray[np.int64]) -> None:
    for name, function in MATRIX_MEASURES.items():
        value = function(matrix)
        within = (value >= LOWEST.get(name, 0)) & (value <= HIGHEST.get(name, 1))
        assert (np.isnan(value) | within).all(), name
    # Turning the scale round (4 - g) and exchanging the two graders change nothing for kappa.
    np.testing.assert_allclose(quadratic_weighted_kappa(matrix[::-1, ::-1]), quadratic_weighted_kappa(matrix))
    np.testing.assert_allclose(quadratic_weighted_kappa(matrix.T), quadratic_weighted_kappa(matrix))


@given(st.lists(st.sampled_from(GRADES), min_size=1, max_size=40))
def test_perfect_predictions_score_best(truth: list[int]) -> None:
    matrix = confusion_matrix(truth, truth)
    for name, function in MATRIX_MEASURES.items():
        value = function(matrix)
        best = 0 if name == "mean_absolute_grade_error" else 1
        assert ((value == best) | np.isnan(value)).all(), name
    assert np.isnan(quadratic_weighted_kappa(matrix)) == (len(set(truth)) == 1)


@given(st.lists(st.sampled_from(GRADES), min_size=2, max_size=40), st.sampled_from(GRADES))
def test_one_predicted_grade_has_kappa_zero(truth: list[int], always: int) -> None:
    assume(set(truth) != {always})
    matrix = confusion_matrix(truth, [always] * len(truth))
    assert float(quadratic_weighted_kappa(matrix)) == 0.0
    assert float(quadratic_weighted_kappa(matrix.T)) == 0.0
    assert float(confusion.average_classification_accuracy(matrix)) == ((always in truth) / len(set(truth)))


def test_kappa_stays_exact_for_ten_million_photos() -> None:
    matrix = np.zeros((5, 5), dtype=np.int64)
    matrix[:, 2] = [7_345_679, 1_234_567, 900_001, 300_007, 219_746]
    assert float(quadratic_weighted_kappa(matrix)) == 0.0


def test_a_larger_error_costs_more_kappa() -> None:
    near, far = (confusion_matrix([0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, wrong]) for wrong in (1, 4))
    for agreement in (quadratic_weighted_kappa, linear_weighted_kappa, gwet_ac2):
        assert agreement(near) > agreement(far)


def test_a_prevailing_grade_takes_kappa_down_and_leaves_ac2() -> None:
    skewed = confusion_matrix([0] * 97 + [2, 2, 0], [0] * 97 + [2, 0, 2])
    assert float(confusion.accuracy(skewed)) == 0.98
    assert float(quadratic_weighted_kappa(skewed)) < 0.5
    assert float(gwet_ac2(skewed)) > 0.99


def test_ac2_keeps_its_bound_where_all_grades_are_exchanged() -> None:
    worst = np.fliplr(np.diag([310, 145, 90, 145, 310]))
    assert -1.4 < float(gwet_ac2(worst)) < -1.39


@pytest.mark.parametrize(
    ("truth", "predicted", "sentence"),
    [
        ([0, 5], [0, 0], "whole number from 0 to 4"),
        ([0, 1], [0, -1], "whole number from 0 to 4"),
        ([0, 1.5], [0, 1], "whole number from 0 to 4"),
        ([0, np.nan], [0, 1], "whole number from 0 to 4"),
        ([0, 1], [0], "one length"),
        ([[0, 1]], [[0, 1]], "two lists"),
    ],
)
def test_bad_grades_are_refused(truth: list[Any], predicted: list[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        confusion_matrix(truth, predicted)


def test_an_empty_matrix_is_undefined() -> None:
    for name, function in MATRIX_MEASURES.items():
        assert np.isnan(function(np.zeros((5, 5)))).all(), name


def test_importing_and_kappa_are_light() -> None:
    code = (
        "import sys\nfrom biranet import confusion as m\n"
        "m.quadratic_weighted_kappa(m.confusion_matrix([0], [2]))\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
