"""Measures of what rules answered: referral at operating points, decisions, and sets of grades."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from biranet.confusion import ratio
from biranet.evaluation.measures.grades import no_photo_of_grade
from biranet.evaluation.measures.measure import (
    BY_GRADE,
    GradedPhotos,
    Measure,
    Values,
    WeightedSums,
    constant_reason,
    one_hot,
    required,
)
from biranet.evaluation.measures.screening import REFERABLE
from biranet.grades import DECISIONS, GRADE_COUNT

POINT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "sensitivity_90": "sensitivity of at least 0.90",
        "specificity_90": "specificity of at least 0.90",
        "youden": "Youden's index",
    }
)
"""Operating points by what they were chosen for on the calibration photos."""


def point_name(point: str) -> str:
    """Write in words what an operating point was chosen for.

    Args:
        point: Its name in `metrics.json`; one of another program stays as it is.

    Example:
        >>> point_name("cost_5"), point_name("sensitivity_90")
        ('cost of 5 for a missed one', 'sensitivity of at least 0.90')
    """
    if point.startswith("cost_"):
        return f"cost of {point.removeprefix('cost_')} for a missed one"
    return POINT_NAMES.get(point, point)


def count_referred(photos: GradedPhotos) -> Values:
    """(N, 2, 2) a one in the row of whether a photo is referable and the column of whether it is referred."""
    return one_hot(2 * (photos.truth >= REFERABLE.lowest) + required(photos.referred), 2, 2)


POINT_MEASURES = (
    *REFERABLE.shares(
        {
            "sensitivity": ("Sensitivity", "Of the photos to refer (grade 2 and above), the share that is referred."),
            "specificity": ("Specificity", "Of the photos not to refer (grades 0 and 1), the share that is not."),
            "ppv": (
                "Positive predictive value",
                "Of the photos referred, the share that should be, if as many photos are referable as `prevalence` "
                "says.",
            ),
            "npv": (
                "Negative predictive value",
                "Of the photos not referred, the share that need not be, if as many photos are referable as "
                "`prevalence` says.",
            ),
        },
        positive="referred",
        counts=lambda sums: sums.total,
        section="operating_points",
        heading="Operating points",
        photo_values=count_referred,
    ),
    Measure(
        key="referred_fraction",
        name="Referred",
        sentence="Share of all photos that are referred.",
        section="operating_points",
        better="neither",
        heading="Operating points",
        photo_values=count_referred,
        value=lambda sums: ratio(sums.total[..., 1].sum(-1), sums.photos),
        interval="share",
    ),
)
"""Those of one operating point."""


def count_decisions(photos: GradedPhotos) -> Values:
    """(N, 2, 3) a one in the row of whether a photo is referable and the column of its decision."""
    return one_hot(len(DECISIONS) * (photos.truth >= REFERABLE.lowest) + required(photos.decision), 2, len(DECISIONS))


def _wrong_of_decided(sums: WeightedSums) -> Values:
    needless, missed = sums.total[..., 0, 2], sums.total[..., 1, 0]
    return ratio(needless + missed, sums.total.sum((-2, -1)) - sums.total[..., 1].sum(-1))


def _decision_measure(
    key: str, name: str, sentence: str, value: Callable[[WeightedSums], Values], why_undefined: str = ""
) -> Measure:
    return Measure(
        key=key,
        name=name,
        sentence=sentence,
        section="decisions",
        better="lower",
        heading="Decisions",
        photo_values=count_decisions,
        value=value,
        interval="share",
        why_undefined=constant_reason(why_undefined),
    )


DECISION_MEASURES = (
    _decision_measure(
        "asked_fraction",
        "Asked",
        "Share of photos that are left to a human: 'ask a human'.",
        lambda sums: ratio(sums.total[..., 1].sum(-1), sums.total.sum((-2, -1))),
    ),
    _decision_measure(
        "decided_error_fraction",
        "Wrong of those decided",
        "Of the photos that were decided, 'refer' or 'do not refer', the share decided wrongly.",
        _wrong_of_decided,
        "every photo was left to a human",
    ),
    _decision_measure(
        "missed_fraction",
        "Missed",
        "Of the photos to refer (grade 2 and above), the share told 'do not refer'.",
        lambda sums: ratio(sums.total[..., 1, 0], sums.total[..., 1, :].sum(-1)),
        REFERABLE.reason_no_positives,
    ),
    _decision_measure(
        "needless_fraction",
        "Needless",
        "Of the photos not to refer (grades 0 and 1), the share told 'refer'.",
        lambda sums: ratio(sums.total[..., 0, 2], sums.total[..., 0, :].sum(-1)),
        REFERABLE.reason_no_negatives,
    ),
)
"""Refer, do not refer, or ask a human."""


def count_covered(photos: GradedPhotos) -> Values:
    """(N, 5) a one at the true grade, where the set holds it."""
    covered = (required(photos.lowest) <= photos.truth) & (photos.truth <= required(photos.highest))
    counts: Values = one_hot(photos.truth, GRADE_COUNT) * covered[:, None]
    return counts


def count_sizes(photos: GradedPhotos) -> Values:
    """(N, 5) a one at the size of the set, less one."""
    return one_hot(required(photos.highest) - required(photos.lowest), GRADE_COUNT)


SET_MEASURES = (
    Measure(
        key="coverage",
        name="Coverage",
        sentence="Share of photos whose true grade lies in their set of grades.",
        section="prediction_sets",
        better="neither",
        heading="Prediction sets",
        photo_values=count_covered,
        value=lambda sums: ratio(sums.total.sum(-1), sums.photos),
        interval="share",
    ),
    Measure(
        key="coverage_per_grade",
        name="Coverage of a grade",
        sentence="Of the photos of a grade, the share whose set holds this grade.",
        section="prediction_sets",
        better="neither",
        shape=BY_GRADE,
        heading="Prediction sets",
        photo_values=count_covered,
        value=lambda sums: ratio(sums.total, sums.matrix.sum(-1)),
        interval="share",
        why_undefined=no_photo_of_grade,
    ),
    Measure(
        key="mean_size",
        name="Mean size of a set",
        sentence="How many grades a set holds, on average.",
        section="prediction_sets",
        low=1,
        high=GRADE_COUNT,
        better="lower",
        heading="Prediction sets",
        photo_values=count_sizes,
        value=lambda sums: ratio((sums.total * np.arange(1, GRADE_COUNT + 1)).sum(-1), sums.photos),
        interval="percentile",
    ),
    Measure(
        key="size_fractions",
        name="Sizes of the sets",
        sentence="Shares of photos whose set holds one, two, three, four and five grades.",
        section="prediction_sets",
        better="neither",
        shape=BY_GRADE,
        heading="Prediction sets",
        photo_values=count_sizes,
        value=lambda sums: ratio(sums.total, sums.photos[..., None]),
        interval="share",
    ),
)
"""Sets of neighbouring grades."""
