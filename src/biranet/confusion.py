"""Measures that a confusion matrix determines, as pure functions of it.

Each is written once, over any leading axes, so that a training epoch, the final report and 2,000 bootstrap resamples
all use the same lines; scikit-learn takes one pair of label lists at a time, so the tests hold every measure to it.

In a confusion matrix the row is the true grade and the column the predicted one. Entries may be fractional weights. A
value that is not defined is NaN.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from biranet.errors import InputError
from biranet.grades import GRADE_COUNT, GRADES, REFERABLE_GRADE

Matrix = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]


SCREENINGS: Mapping[str, int] = MappingProxyType({"referable": REFERABLE_GRADE, "any_dr": 1})
"""The two questions of five grades that have a yes and a no, with the lowest grade that means yes."""


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
    return _weighted_kappa(matrix, _distance() ** 2)


def linear_weighted_kappa(matrix: Matrix) -> Values:
    """Measure agreement beyond chance, an error counting by its distance in grades.

    Args:
        matrix: (..., 5, 5) counts or weights of at least 0.

    Returns:
        As `quadratic_weighted_kappa`, with `|d|` in place of `d^2`.

    Source:
        Cohen, Weighted kappa, Psychological Bulletin 70 (1968).

    Example:
        >>> float(linear_weighted_kappa(confusion_matrix([0, 0, 4, 4], [0, 0, 4, 0])))
        0.5
    """
    return _weighted_kappa(matrix, _distance())


def gwet_ac2(matrix: Matrix) -> Values:
    """Measure agreement beyond chance by Gwet's AC2 with quadratic weights.

    Kappa takes for chance what the two distributions of grades would make: where nearly all photos have grade 0, that
    is nearly everything, and kappa falls although almost all photos are graded rightly. AC2 takes chance agreement to
    be possible only where a grade is uncertain. With `w = 1 - d^2 / 16`, p the shares of the matrix and q the mean of
    its row and column shares: `AC2 = (sum(w * p) - e) / (1 - e)` with `e = sum(w) / 20 * sum(q * (1 - q))`.

    Args:
        matrix: (..., 5, 5) counts or weights of at least 0.

    Returns:
        (...) float64 from -1.4 (all grades exchanged) to 1: 1 for perfect agreement, also on a single grade. NaN
        for an empty matrix.

    Source:
        Gwet, Handbook of Inter-Rater Reliability (2014), chapter 5; for unweighted grades Gwet, Computing inter-rater
        reliability and its variance in the presence of high agreement, British Journal of Mathematical and Statistical
        Psychology 61 (2008). Chosen over a balanced kappa, which has no definition that others publish.

    Example:
        >>> skewed = confusion_matrix([0] * 97 + [2, 2, 0], [0] * 97 + [2, 0, 2])
        >>> round(float(gwet_ac2(skewed)), 3), round(float(quadratic_weighted_kappa(skewed)), 3)
        (0.995, 0.49)
    """
    cost = _distance() ** 2 / (GRADE_COUNT - 1) ** 2
    photos = matrix.sum((-2, -1))
    observed = ratio((cost * matrix).sum((-2, -1)), photos)
    shares = ratio(matrix.sum(-1) + matrix.sum(-2), 2 * photos[..., None])
    scale = (1 - cost).sum() / (GRADE_COUNT * (GRADE_COUNT - 1))
    by_chance = scale * (shares * (1 - shares)).sum(-1)
    agreement: Values = 1.0 - observed / (1.0 - by_chance)
    return agreement


def accuracy(matrix: Matrix) -> Values:
    """Measure the share of photos with the right grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 1]; NaN for an empty matrix. Micro-F1 is the same number, as every photo has one grade.
    """
    return ratio(_right(matrix).sum(-1), matrix.sum((-2, -1)))


def recall_per_grade(matrix: Matrix) -> Values:
    """Measure, for each true grade, the share of its photos with the right grade.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (..., 5) in [0, 1]; NaN for a grade that no photo has.
    """
    return ratio(_right(matrix), matrix.sum(-1))


def precision_per_grade(matrix: Matrix) -> Values:
    """Measure, for each predicted grade, the share of its photos that truly have it.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (..., 5) in [0, 1]; NaN for a grade that no photo was given.
    """
    return ratio(_right(matrix), matrix.sum(-2))


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
    return _mean_where(ratio(2 * _right(matrix), sizes), sizes > 0)


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
    precision, recall = (_mean_where(np.nan_to_num(ratio(right, matrix.sum(axis))), occurs) for axis in (-2, -1))
    combined = ratio(2 * precision * recall, precision + recall)
    return np.where(np.isnan(precision), np.nan, np.nan_to_num(combined))


def mean_absolute_grade_error(matrix: Matrix) -> Values:
    """Average how many grades the predictions are off.

    Args:
        matrix: (..., 5, 5) counts or weights.

    Returns:
        (...) in [0, 4], in grades; NaN for an empty matrix.

    Example:
        >>> float(mean_absolute_grade_error(confusion_matrix([0, 1, 4], [0, 2, 2])))
        1.0
    """
    return ratio((_distance() * matrix).sum((-2, -1)), matrix.sum((-2, -1)))


def two_by_two(matrix: Matrix, lowest: int) -> Matrix:
    """Reduce five grades to two: below a grade, and from that grade on.

    Args:
        matrix: (..., 5, 5) counts or weights.
        lowest: The lowest grade that counts as ill, 1 to 4; `REFERABLE_GRADE` for referral.

    Returns:
        (..., 2, 2) of the same dtype: row = truth, column = prediction, 0 = below, 1 = from `lowest` on.

    Example:
        >>> two_by_two(confusion_matrix([0, 1, 2, 3], [0, 2, 2, 1]), 2).tolist()
        [[1, 1], [1, 1]]
    """
    below = np.add.reduceat(matrix, [0, lowest], axis=-2)
    return np.add.reduceat(below, [0, lowest], axis=-1)


def sensitivity(counts: Matrix) -> Values:
    """Measure the share of the ill who were called ill.

    Args:
        counts: (..., 2, 2) counts or weights: row = truth, column = what was said, 0 = healthy, 1 = ill.

    Returns:
        (...) in [0, 1]; NaN where nobody is ill.
    """
    return ratio(counts[..., 1, 1], counts[..., 1, :].sum(-1))


def specificity(counts: Matrix) -> Values:
    """Measure the share of the others who were not called ill.

    Args:
        counts: (..., 2, 2), as in `sensitivity`.

    Returns:
        (...) in [0, 1]; NaN where everybody is ill.
    """
    return ratio(counts[..., 0, 0], counts[..., 0, :].sum(-1))


def positive_predictive_value(counts: Matrix, prevalence: float | None = None) -> Values:
    """Measure the share of the ill among those called ill.

    Args:
        counts: (..., 2, 2), as in `sensitivity`.
        prevalence: Share of the ill, in (0, 1), among those that the value is wanted for; None: as among the photos
            counted.

    Returns:
        (...) in [0, 1]; NaN where nobody is called ill, and at a stated prevalence where one class is missing.

    Source:
        Bayes' rule at a stated prevalence; at that of the photos it is the plain share.

    Example:
        >>> round(float(positive_predictive_value(np.array([[80, 20], [1, 9]]), 0.5)), 3)  # 0.9 / (0.9 + 0.2)
        0.818
    """
    if prevalence is None:
        return ratio(counts[..., 1, 1], counts[..., 1].sum(-1))
    true_positives, false_positives = prevalence * sensitivity(counts), (1 - prevalence) * (1 - specificity(counts))
    return ratio(true_positives, true_positives + false_positives)


def negative_predictive_value(counts: Matrix, prevalence: float | None = None) -> Values:
    """Measure the share of the healthy among those not called ill.

    Args:
        counts: (..., 2, 2), as in `sensitivity`.
        prevalence: As in `positive_predictive_value`.

    Returns:
        (...) in [0, 1]; NaN where nobody is called healthy, and at a stated prevalence where one class is missing.
    """
    if prevalence is None:
        return ratio(counts[..., 0, 0], counts[..., 0].sum(-1))
    true_negatives, false_negatives = (1 - prevalence) * specificity(counts), prevalence * (1 - sensitivity(counts))
    return ratio(true_negatives, true_negatives + false_negatives)


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Values:
    """Divide, with NaN where the whole is nothing.

    Args:
        part: Of any shape, from 0 to `whole`.
        whole: Of a shape that goes with it.

    Returns:
        Their quotient, float64.

    Example:
        >>> ratio([1, 0], [4, 0]).tolist()
        [0.25, nan]
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    shares: Values = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _right(matrix: Matrix) -> Values:
    return np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)


def _mean_where(values: Values, counted: npt.NDArray[np.bool_]) -> Values:
    return ratio(np.where(counted, values, 0).sum(-1), counted.sum(-1))


def _distance() -> npt.NDArray[np.int64]:
    """(5, 5) how many grades row and column are apart."""
    grades = np.arange(GRADE_COUNT)
    distance: npt.NDArray[np.int64] = np.abs(grades[:, None] - grades)
    return distance


def _weighted_kappa(matrix: Matrix, cost: npt.NDArray[np.int64]) -> Values:
    rows, columns = matrix.sum(-1), matrix.sum(-2)
    observed = matrix.sum((-2, -1)) * (cost * matrix).sum((-2, -1))
    by_chance = (cost * rows[..., :, None] * columns[..., None, :]).sum((-2, -1))
    return 1.0 - ratio(observed, by_chance)
