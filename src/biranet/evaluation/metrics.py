"""What is measured: pure functions of a confusion matrix, or of a predictions table.

A measure that the confusion matrix determines is written once, over any leading axes, so that a training epoch, the
final report and 2,000 bootstrap resamples all use the same lines; scikit-learn takes one pair of label lists at a time,
so the tests hold every measure to it. What the matrix does not determine (the area under the curve) is scikit-learn's.

In a confusion matrix the row is the true grade and the column the predicted one. Entries may be fractional weights. A
value that is not defined is NaN here, and null with a reason in `measure`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.errors import InputError
from biranet.grades import DISCLAIMER, GRADE_COUNT, GRADES, REFERABLE_GRADE

if TYPE_CHECKING:
    import pandas as pd

Matrix = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]


def confusion_matrix(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count the photos of each true grade that were given each grade.

    Args:
        truth: (N,) whole numbers 0 to 4, the true grades.
        predicted: (N,) whole numbers 0 to 4, the predicted grades.

    Returns:
        (5, 5) counts of dtype int64: row = truth, column = prediction.

    Raises:
        InputError: If the lengths differ or a value is no grade.

    Example:
        >>> confusion_matrix([0, 0, 4], [0, 1, 4]).diagonal().tolist()
        [1, 0, 0, 0, 1]
    """
    pair = [np.asarray(grades) for grades in (truth, predicted)]
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape:
        raise InputError(
            f"truth and prediction must be two lists of one length, not {pair[0].shape} and {pair[1].shape}"
        )
    for grades in pair:
        if not np.isin(grades, GRADES).all():
            raise InputError(f"every grade must be a whole number from {GRADES[0]} to {GRADES[-1]}")
    rows, columns = (grades.astype(np.int64) for grades in pair)
    counts = np.bincount(rows * GRADE_COUNT + columns, minlength=GRADE_COUNT**2)
    return counts.reshape(GRADE_COUNT, GRADE_COUNT).astype(np.int64)


def quadratic_weighted_kappa(matrix: Matrix) -> Values:
    """Measure agreement beyond chance, an error counting by the square of its distance in grades.

    With O the matrix, n its sum, r and c its row and column sums and d = i - j:
    `kappa = 1 - n * sum(d^2 * O) / sum(d^2 * outer(r, c))`.

    Args:
        matrix: (..., 5, 5) counts or weights of at least 0.

    Returns:
        (...) float64, at most 1: 1 for perfect agreement, exactly 0 where whole counts hold one predicted or one true
        grade only. NaN where it is not defined: for an empty matrix, and where truth and prediction are both one and
        the same grade, which leaves no disagreement that chance could have made. (One grade against another is 0.)

    Source:
        Cohen, Weighted kappa, Psychological Bulletin 70 (1968); the measure of the EyePACS 2015 competition.

    Example:
        >>> float(quadratic_weighted_kappa(np.diag([5, 1, 3, 0, 2])))
        1.0
    """
    grades = np.arange(GRADE_COUNT)
    squared_distance = (grades[:, None] - grades) ** 2
    rows, columns = matrix.sum(-1), matrix.sum(-2)
    observed = matrix.sum((-2, -1)) * (squared_distance * matrix).sum((-2, -1))
    by_chance = (squared_distance * rows[..., :, None] * columns[..., None, :]).sum((-2, -1))
    return 1.0 - _share(observed, by_chance)


def accuracy(matrix: Matrix) -> Values:
    """Measure the share of photos with the right grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN for an empty matrix. Micro-F1 is the same number, as every photo has one grade.
    """
    return _share(_right(matrix).sum(-1), matrix.sum((-2, -1)))


def recall_per_grade(matrix: Matrix) -> Values:
    """Measure, for each true grade, the share of its photos with the right grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (..., 5) in [0, 1]; NaN for a grade that no photo has.
    """
    return _share(_right(matrix), matrix.sum(-1))


def average_classification_accuracy(matrix: Matrix) -> Values:
    """Average the recall over the grades present in the truth (ACA, also called balanced accuracy).

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN for an empty matrix.
    """
    return _mean_where(recall_per_grade(matrix), matrix.sum(-1) > 0)


def macro_f1(matrix: Matrix) -> Values:
    """Average the F1 of each grade over the grades that occur, in the truth or among the predictions.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN for an empty matrix. A grade that is only predicted, or never, counts 0: these are
        scikit-learn's own defaults for `f1_score(average="macro")`.
    """
    sizes = matrix.sum(-1) + matrix.sum(-2)
    return _mean_where(_share(2 * _right(matrix), sizes), sizes > 0)


def macro_f1_of_means(matrix: Matrix) -> Values:
    """Combine macro precision P and macro recall R to 2PR / (P + R), the other number that papers call macro-F1.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN for an empty matrix. P and R are means over the same grades as in `macro_f1`, 0 standing in
        for what a grade leaves undefined, as scikit-learn has it; P = R = 0 gives 0.

    Source:
        Our reading of "Macro-F1" in the paper's table, whose value lies above both of its other columns.
    """
    right, occurs = _right(matrix), matrix.sum(-1) + matrix.sum(-2) > 0
    precision, recall = (_mean_where(np.nan_to_num(_share(right, matrix.sum(axis))), occurs) for axis in (-2, -1))
    combined = _share(2 * precision * recall, precision + recall)
    return np.where(np.isnan(precision), np.nan, np.nan_to_num(combined))


def referable_sensitivity(matrix: Matrix) -> Values:
    """Measure the share of referable photos (grade 2 and above) that were given a referable grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN where no photo is referable.
    """
    referable = matrix[..., REFERABLE_GRADE:, :]
    return _share(referable[..., REFERABLE_GRADE:].sum((-2, -1)), referable.sum((-2, -1)))


def referable_specificity(matrix: Matrix) -> Values:
    """Measure the share of photos that are not referable (grades 0 and 1) and were given such a grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN where every photo is referable.
    """
    healthy = matrix[..., :REFERABLE_GRADE, :]
    return _share(healthy[..., :REFERABLE_GRADE].sum((-2, -1)), healthy.sum((-2, -1)))


MATRIX_MEASURES: Mapping[str, Callable[[Matrix], Values]] = MappingProxyType(
    {
        "aca": average_classification_accuracy,
        "accuracy": accuracy,
        "micro_f1": accuracy,
        "macro_f1": macro_f1,
        "macro_f1_of_means": macro_f1_of_means,
        "quadratic_weighted_kappa": quadratic_weighted_kappa,
        "referable_sensitivity": referable_sensitivity,
        "referable_specificity": referable_specificity,
    }
)
"""The measures that are one number of a confusion matrix, by their key in `metrics.json`."""


def measure(predictions: "pd.DataFrame") -> dict[str, Any]:
    """Measure how well grades were predicted.

    Args:
        predictions: A predictions table (see `biranet.evaluation.predictions`), with or without probabilities.

    Returns:
        The content of `metrics.json`: plain numbers, None where a value is not defined; `undefined` gives the reason by
        key. `recall_per_grade` and `confusion_matrix` are lists over grades 0 to 4. The score behind `referable_auc` is
        the predicted probability of a referable grade, p2 + p3 + p4.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    if not len(predictions):
        raise InputError("there are no predictions to measure")
    matrix = confusion_matrix(predictions["grade"].to_numpy(), predictions["predicted_grade"].to_numpy())
    single = {name: _number(function(matrix)) for name, function in MATRIX_MEASURES.items()}
    undefined = {
        name: reason
        for name, reason in {
            "quadratic_weighted_kappa": "every photo has one and the same grade and was given it",
            "referable_sensitivity": "no photo is referable",
            "referable_specificity": "every photo is referable",
        }.items()
        if single[name] is None
    }
    absent = [str(grade) for grade in GRADES if not matrix[grade].any()]
    if absent:
        undefined["recall_per_grade"] = f"no photo has grade {' or '.join(absent)}"
    auc, why_not = _referable_auc(predictions)
    if why_not:
        undefined["referable_auc"] = why_not
    return {
        "n": int(matrix.sum()),
        **{name: single[name] for name in MATRIX_MEASURES if not name.startswith("referable")},
        "recall_per_grade": [_number(recall) for recall in recall_per_grade(matrix)],
        "confusion_matrix": matrix.tolist(),
        "referable_auc": auc,
        "referable_sensitivity": single["referable_sensitivity"],
        "referable_specificity": single["referable_specificity"],
        "undefined": undefined,
        "disclaimer": DISCLAIMER,
    }


def _referable_auc(predictions: "pd.DataFrame") -> tuple[float | None, str]:
    scores = [f"p{grade}" for grade in GRADES if grade >= REFERABLE_GRADE]
    if not set(scores) <= set(predictions.columns):
        return None, "the predictions hold no probabilities"
    referable = predictions["grade"].to_numpy() >= REFERABLE_GRADE
    if referable.all() or not referable.any():
        return None, "every photo is referable" if referable.all() else "no photo is referable"
    # scikit-learn takes a third of a second to import, which training, that only needs the kappa, does not pay.
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(referable, predictions[scores].to_numpy(np.float64).sum(axis=1))), ""


def _right(matrix: Matrix) -> Values:
    return np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Values:
    """Divide, with NaN where the whole is nothing."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    shares: Values = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean_where(values: Values, counted: npt.NDArray[np.bool_]) -> Values:
    return _share(np.where(counted, values, 0).sum(-1), counted.sum(-1))


def _number(value: Values) -> float | None:
    return None if np.isnan(value) else float(value)
