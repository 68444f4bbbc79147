"""Measures of the five probabilities, before and after the temperature."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from biranet.confusion import ratio
from biranet.evaluation.areas import ScoreOrder, order_by_score, roc_auc
from biranet.evaluation.measures.grades import no_photo_of_grade
from biranet.evaluation.measures.measure import (
    BY_GRADE,
    GradeCounts,
    GradedPhotos,
    Measure,
    Values,
    WeightedSums,
    constant_reason,
    one_hot,
    required,
)
from biranet.evaluation.measures.screening import area_of_order
from biranet.grades import GRADE_COUNT, GRADES

BINS = 15
"""Bins of equal width in the expected calibration error."""


def bin_by_confidence(
    shares: Values, truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Values, npt.NDArray[np.bool_]]:
    """Sort photos into the bins of the expected calibration error.

    Args:
        shares: (N, 5) probabilities in [0, 1].
        truth: (N,) true grades.

    Returns:
        bins: (N,) the bin of each photo, from 0 on; a bin holds its lower end, the last one its upper end too.
        confidence: (N,) the probability of the most probable grade.
        right: (N,) whether that grade, of equals the lowest, is the true one.

    Example:
        >>> bins, confidence, right = bin_by_confidence(np.array([[0.0, 0.9, 0.1, 0.0, 0.0]]), np.array([1]))
        >>> bins.tolist(), confidence.tolist(), right.tolist()
        ([13], [0.9], [True])
    """
    confidence = shares.max(axis=1)
    # Probabilities that were rounded may exceed 1 by as much, and 1 itself belongs to the last bin.
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return bins, confidence, shares.argmax(axis=1) == truth


def overconfidence(photos: GradedPhotos) -> Values:
    """(N, 15) in its bin, how much more confident than right a photo is."""
    bins, confidence, right = bin_by_confidence(required(photos.probabilities), photos.truth)
    return one_hot(bins, BINS) * (confidence - right)[:, None]


def squared_distance(photos: GradedPhotos) -> Values:
    """(N,) how far the probabilities are from the truth, squared."""
    shares: Values = required(photos.probabilities)
    distances: Values = ((shares - one_hot(photos.truth, GRADE_COUNT)) ** 2).sum(axis=1)
    return distances


def log_loss(photos: GradedPhotos) -> Values:
    """(N,) minus the logarithm of the probability of the true grade."""
    from biranet.decisions.columns import SMALLEST_PROBABILITY

    of_truth = np.take_along_axis(required(photos.probabilities), photos.truth[:, None], axis=1)[:, 0]
    losses: Values = -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY))
    return losses


def _calibration_error(sums: WeightedSums) -> Values:
    return ratio(np.abs(sums.total).sum(-1), sums.photos)


def _mean_over_photos(sums: WeightedSums) -> Values:
    return ratio(sums.total, sums.photos)


LOSS_MEASURES = (
    Measure(
        key="expected_calibration_error",
        name="Expected calibration error",
        sentence="How far the probability of the likeliest grade is, on average, from how often that grade is right.",
        better="lower",
        heading="Probabilities",
        photo_values=overconfidence,
        value=_calibration_error,
        needs="probabilities",
        interval="reflected",
    ),
    Measure(
        key="brier",
        name="Brier score",
        sentence="Squared distance of the five probabilities from the truth (1 for the true grade, 0 for the others), "
        "summed over the grades and averaged over the photos.",
        high=2,
        better="lower",
        heading="Probabilities",
        photo_values=squared_distance,
        value=_mean_over_photos,
        needs="probabilities",
        interval="percentile",
    ),
    Measure(
        key="negative_log_likelihood",
        name="Negative log-likelihood",
        sentence="Mean of minus the natural logarithm of the probability given to the true grade: one confident "
        "mistake costs much.",
        high=None,
        better="lower",
        heading="Probabilities",
        photo_values=log_loss,
        value=_mean_over_photos,
        needs="probabilities",
        interval="percentile",
    ),
)
"""In the order of `metrics.json`."""

BEFORE_CALIBRATION_MEASURES = tuple(
    replace(
        measure,
        section="before_calibration",
        name=f"{measure.name}, before calibration",
        sentence=f"Before the temperature was applied: {measure.sentence[0].lower()}{measure.sentence[1:]}",
    )
    for measure in LOSS_MEASURES
)
"""The same of the probabilities before the temperature."""


def _order_each_grade(photos: GradedPhotos) -> tuple[ScoreOrder, ...]:
    shares: Values = required(photos.probabilities)
    return tuple(order_by_score(shares[:, grade], photos.truth == grade, photos.group) for grade in GRADES)


def _mean_of_defined(sums: WeightedSums) -> Values:
    defined = ~np.isnan(sums.total)
    return ratio(np.where(defined, sums.total, 0).sum(-1), defined.sum(-1))


def _reason_one_class(grade_counts: GradeCounts, grade: int | None) -> str:
    if grade is None:
        return "either no photo or every photo has grade {}"
    return (
        f"every photo has grade {grade}"
        if grade_counts.photos_of_grade[grade]
        else no_photo_of_grade(grade_counts, grade)
    )


ONE_VS_REST_MEASURES = (
    Measure(
        key="one_vs_rest_auc",
        name="One-versus-rest AUC",
        short="AUC",
        sentence="Chance that a photo of a grade is given a higher probability of this grade than a photo of another "
        "grade.",
        shape=BY_GRADE,
        heading="Probabilities",
        orders=_order_each_grade,
        area=roc_auc,
        value=area_of_order,
        needs="probabilities",
        interval="average",
        groups_counted="classes",
        why_undefined=_reason_one_class,
    ),
    Measure(
        key="mean_one_vs_rest_auc",
        name="One-versus-rest AUC, mean",
        sentence="Mean of the one-versus-rest AUC over the grades in which it is defined.",
        heading="Probabilities",
        orders=_order_each_grade,
        area=roc_auc,
        value=_mean_of_defined,
        needs="probabilities",
        interval="average",
        groups_counted="grades",
        why_undefined=constant_reason("every photo has one and the same grade"),
    ),
)
"""In the order of `metrics.json`."""
