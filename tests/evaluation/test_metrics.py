"""Every measure agrees with scikit-learn, and with what it means."""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as reference

from biranet.errors import InputError
from biranet.evaluation import metrics
from biranet.evaluation.metrics import MATRIX_MEASURES, confusion_matrix, measure, quadratic_weighted_kappa

GRADES = [0, 1, 2, 3, 4]

grade_pairs = st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(GRADES)), min_size=1, max_size=60)


def table(pairs: list[tuple[int, int]], seed: int = 0, decimals: int = 2) -> pd.DataFrame:
    """A table with few distinct probabilities, so that the area under the curve meets ties."""
    truth, predicted = np.array(pairs).T
    drawn = np.random.default_rng(seed).dirichlet(np.ones(5), size=len(pairs)).round(decimals)
    named = {f"p{grade}": drawn[:, grade] for grade in GRADES}
    return pd.DataFrame(
        {"file": np.arange(len(pairs)).astype(str), "grade": truth, "predicted_grade": predicted, **named}
    )


def by_scikit_learn(predictions: pd.DataFrame) -> dict[str, Any]:
    truth, predicted = predictions["grade"], predictions["predicted_grade"]
    referable, called = truth >= 2, predicted >= 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, _, _ = reference.precision_recall_fscore_support(
            truth, predicted, average="macro", zero_division=0
        )
        return {
            "aca": reference.balanced_accuracy_score(truth, predicted),
            "accuracy": reference.accuracy_score(truth, predicted),
            "micro_f1": reference.f1_score(truth, predicted, average="micro", labels=GRADES),
            "macro_f1": reference.f1_score(truth, predicted, average="macro", zero_division=0),
            "macro_f1_of_means": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            "quadratic_weighted_kappa": reference.cohen_kappa_score(
                truth, predicted, labels=GRADES, weights="quadratic", replace_undefined_by=np.nan
            ),
            "confusion_matrix": reference.confusion_matrix(truth, predicted, labels=GRADES).tolist(),
            "recall_per_grade": reference.recall_score(
                truth, predicted, labels=GRADES, average=None, zero_division=np.nan
            ).tolist(),
            "referable_sensitivity": reference.recall_score(referable, called, zero_division=np.nan),
            "referable_specificity": reference.recall_score(~referable, ~called, zero_division=np.nan),
            "referable_auc": reference.roc_auc_score(referable, predictions[["p2", "p3", "p4"]].sum(axis=1)),
        }


@settings(deadline=None)
@given(grade_pairs, st.integers(0, 1000))
def test_agrees_with_scikit_learn(pairs: list[tuple[int, int]], seed: int) -> None:
    predictions = table(pairs, seed)
    ours = measure(predictions)
    for name, expected in by_scikit_learn(predictions).items():
        found = np.array(ours[name], dtype=float)
        np.testing.assert_allclose(found, np.array(expected, dtype=float), atol=1e-12, err_msg=name)


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
    assert float(metrics.accuracy(matrix)) == 9 / 12
    assert float(metrics.average_classification_accuracy(matrix)) == pytest.approx((6 / 8 + 1 + 0) / 3)
    # Grade 1 occurs only as a prediction and counts 0; grade 3 does not occur.
    assert float(metrics.macro_f1(matrix)) == pytest.approx((12 / 15 + 0 + 1 + 0) / 4)
    precision, recall = (6 / 7 + 0 + 1 + 0) / 4, (6 / 8 + 0 + 1 + 0) / 4
    assert float(metrics.macro_f1_of_means(matrix)) == pytest.approx(2 * precision * recall / (precision + recall))
    assert float(metrics.referable_sensitivity(matrix)) == 3 / 4
    assert float(metrics.referable_specificity(matrix)) == 1.0


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
        assert np.isnan(value) or (-1 if name == "quadratic_weighted_kappa" else 0) <= value <= 1, name
    # Turning the scale round (4 - g) and exchanging the two graders change nothing for kappa.
    np.testing.assert_allclose(quadratic_weighted_kappa(matrix[::-1, ::-1]), quadratic_weighted_kappa(matrix))
    np.testing.assert_allclose(quadratic_weighted_kappa(matrix.T), quadratic_weighted_kappa(matrix))


@settings(deadline=None)
@given(grade_pairs, st.randoms())
def test_the_order_of_photos_changes_nothing(pairs: list[tuple[int, int]], random: Any) -> None:
    predictions = table(pairs)
    order = list(range(len(pairs)))
    random.shuffle(order)
    assert measure(predictions.iloc[order]) == measure(predictions)


@given(st.lists(st.sampled_from(GRADES), min_size=1, max_size=40))
def test_perfect_predictions_score_one(truth: list[int]) -> None:
    values = measure(table([(grade, grade) for grade in truth]))
    for name in MATRIX_MEASURES:
        assert values[name] in (1.0, None), name
    assert (values["quadratic_weighted_kappa"] is None) == (len(set(truth)) == 1)


@given(st.lists(st.sampled_from(GRADES), min_size=2, max_size=40), st.sampled_from(GRADES))
def test_one_predicted_grade_has_kappa_zero(truth: list[int], always: int) -> None:
    assume(set(truth) != {always})
    matrix = confusion_matrix(truth, [always] * len(truth))
    assert float(quadratic_weighted_kappa(matrix)) == 0.0
    assert float(quadratic_weighted_kappa(matrix.T)) == 0.0
    assert float(metrics.average_classification_accuracy(matrix)) == ((always in truth) / len(set(truth)))


def test_kappa_stays_exact_for_ten_million_photos() -> None:
    matrix = np.zeros((5, 5), dtype=np.int64)
    matrix[:, 2] = [7_345_679, 1_234_567, 900_001, 300_007, 219_746]
    assert float(quadratic_weighted_kappa(matrix)) == 0.0


def test_a_larger_error_costs_more_kappa() -> None:
    near, far = (confusion_matrix([0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, wrong]) for wrong in (1, 4))
    assert quadratic_weighted_kappa(near) > quadratic_weighted_kappa(far)


def test_keys_are_the_published_ones() -> None:
    values = measure(table([(0, 0), (2, 1), (4, 4)]))
    assert list(values) == [
        *["n", "aca", "accuracy", "micro_f1", "macro_f1", "macro_f1_of_means", "quadratic_weighted_kappa"],
        *["recall_per_grade", "confusion_matrix", "referable_auc", "referable_sensitivity", "referable_specificity"],
        *["undefined", "disclaimer"],
    ]
    assert values["n"] == 3
    assert values["recall_per_grade"] == [1.0, None, 0.0, None, 1.0]
    assert values["undefined"] == {"recall_per_grade": "no photo has grade 1 or 3"}


def test_the_referable_score_is_p2_p3_p4() -> None:
    rows = [[0.6, 0.0, 0.4, 0.0, 0.0], [0.4, 0.2, 0.0, 0.4, 0.0], [0.1, 0.4, 0.0, 0.0, 0.5], [0.1, 0.9, 0.0, 0.0, 0.0]]
    predictions = pd.DataFrame(
        {
            "grade": [0, 2, 3, 1],
            "predicted_grade": 1,
            **dict(zip(["p0", "p1", "p2", "p3", "p4"], np.transpose(rows), strict=True)),
        }
    )
    # Referable scores: .4 and .5 against .4 and 0: three of four pairs in order, one tie.
    assert measure(predictions)["referable_auc"] == 0.875


def test_undefined_is_null_with_a_reason() -> None:
    healthy = measure(table([(0, 0), (0, 0)]))
    assert healthy["quadratic_weighted_kappa"] is healthy["referable_auc"] is healthy["referable_sensitivity"] is None
    assert healthy["referable_specificity"] == 1.0
    assert healthy["undefined"]["quadratic_weighted_kappa"] == "every photo has one and the same grade and was given it"
    assert (
        healthy["undefined"]["referable_auc"]
        == healthy["undefined"]["referable_sensitivity"]
        == "no photo is referable"
    )
    ill = measure(table([(3, 3), (4, 0)]))
    assert ill["undefined"]["referable_auc"] == ill["undefined"]["referable_specificity"] == "every photo is referable"
    bare = measure(table([(0, 0), (3, 3)])[["grade", "predicted_grade"]])
    assert bare["referable_auc"] is None
    assert bare["undefined"]["referable_auc"] == "the predictions hold no probabilities"
    for values in (healthy, ill, bare):
        empty = {
            name
            for name, value in values.items()
            if value is None or value == [] or (isinstance(value, list) and None in value)
        }
        assert empty == set(values["undefined"])


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


def test_an_empty_table_is_refused_and_an_empty_matrix_undefined() -> None:
    with pytest.raises(InputError, match="no predictions"):
        measure(table([(0, 0)]).iloc[:0])
    for name, function in MATRIX_MEASURES.items():
        assert np.isnan(function(np.zeros((5, 5)))), name


def test_importing_and_kappa_are_light() -> None:
    code = (
        "import sys\nfrom biranet.evaluation import metrics as m\n"
        "m.quadratic_weighted_kappa(m.confusion_matrix([0], [2]))\n"
        "print(sorted({'torch', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
