"""Measures of a question with a yes and a no: is a photo referable, does it show any retinopathy?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from biranet import confusion
from biranet.confusion import SCREENINGS, two_by_two
from biranet.evaluation.areas import ScoreOrder, average_precision, order_by_score, roc_auc
from biranet.evaluation.measures.measure import (
    GradeCounts,
    GradedPhotos,
    Measure,
    Values,
    WeightedSums,
    WhyUndefined,
    constant_reason,
    required,
)
from biranet.grades import REFERABLE_GRADE

_SHORT = {"sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV"}


def area_of_order(sums: WeightedSums) -> Values:
    """The area of the measure's own order."""
    return sums.total


@dataclass(frozen=True)
class Screening:
    """A question with a yes and a no, and how it is spoken of.

    Attributes:
        key: Its name in `SCREENINGS`.
        reason_no_positives: The clause that nobody is ill.
        reason_no_negatives: The clause that everybody is.
    """

    key: str
    reason_no_positives: str
    reason_no_negatives: str

    @property
    def lowest(self) -> int:
        """The lowest grade that means yes."""
        return SCREENINGS[self.key]

    def reason_one_class(self, grade_counts: GradeCounts, grade: int | None) -> str:
        """Say which of the two classes is missing."""
        return self.reason_no_positives if grade_counts.no_positives(self.lowest) else self.reason_no_negatives

    def counts(self, sums: WeightedSums) -> Values:
        """(B, 2, 2) what the predicted grade says."""
        return two_by_two(sums.matrix, self.lowest).astype(np.float64, copy=False)

    def auc(
        self, name: str, sentence: str, orders: Callable[[GradedPhotos], tuple[ScoreOrder, ...]], **common: Any
    ) -> Measure:
        """Make the measure of a score: the area under its ROC curve.

        Args:
            name: Its name.
            sentence: What it says.
            orders: From photos to their order by the score.
            common: What else its entry says.
        """
        return Measure(
            key=f"{self.key}_auc",
            name=name,
            short="AUC",
            sentence=sentence,
            orders=orders,
            area=roc_auc,
            value=area_of_order,
            needs="probabilities",
            interval="average",
            groups_counted="classes",
            why_undefined=self.reason_one_class,
            **common,
        )

    def shares(
        self,
        texts: Mapping[str, tuple[str, str]],
        *,
        positive: str,
        counts: Callable[[WeightedSums], Values],
        prefix: str = "",
        **common: Any,
    ) -> tuple[Measure, ...]:
        """Make the four measures of what was said.

        Args:
            texts: Name and sentence of `sensitivity`, `specificity`, `ppv` and `npv`.
            positive: What a photo with a positive result was: "referred".
            counts: From sums to (B, 2, 2) counts: row = truth, column = what was said.
            prefix: Begins their keys.
            common: What else their entries say, all alike.
        """

        def entry(
            key: str, value: Callable[[Values, float | None], Values], why_undefined: WhyUndefined, prevalence: str = ""
        ) -> Measure:
            name, sentence = texts[key]
            return Measure(
                key=prefix + key,
                name=name,
                short=_SHORT[key],
                sentence=sentence,
                value=lambda sums: value(counts(sums), sums.prevalences[self.key]),
                interval="share",
                prevalence=prevalence,
                why_undefined=why_undefined,
                **common,
            )

        return (
            entry(
                "sensitivity", lambda table, _: confusion.sensitivity(table), constant_reason(self.reason_no_positives)
            ),
            entry(
                "specificity", lambda table, _: confusion.specificity(table), constant_reason(self.reason_no_negatives)
            ),
            entry("ppv", confusion.positive_predictive_value, self._predictive(f"no photo was {positive}"), self.key),
            entry(
                "npv", confusion.negative_predictive_value, self._predictive(f"every photo was {positive}"), self.key
            ),
        )

    def _predictive(self, clause: str) -> WhyUndefined:
        """Why a predictive value is missing: at a stated prevalence it comes from two shares and needs both classes."""

        def why_undefined(grade_counts: GradeCounts, grade: int | None) -> str:
            needs_both = self.key in grade_counts.stated
            single = grade_counts.no_positives(self.lowest) or grade_counts.no_negatives(self.lowest)
            return self.reason_one_class(grade_counts, grade) if needs_both and single else clause

        return why_undefined


REFERABLE = Screening("referable", "no photo is referable", "every photo is referable")
ANY_DR = Screening("any_dr", "no photo has any DR", "every photo has DR")


def _referable_score(photos: GradedPhotos) -> Values:
    from biranet.decisions.columns import referable_score

    return referable_score(required(photos.probabilities))


def _order_by_referable_score(photos: GradedPhotos) -> tuple[ScoreOrder, ...]:
    return (order_by_score(_referable_score(photos), photos.truth >= REFERABLE.lowest, photos.group),)


def _order_by_any_dr_score(photos: GradedPhotos) -> tuple[ScoreOrder, ...]:
    from biranet.decisions.columns import any_dr_score

    score = any_dr_score(required(photos.probabilities))
    return (order_by_score(score, photos.truth >= ANY_DR.lowest, photos.group),)


def _order_by_confidence(photos: GradedPhotos) -> tuple[ScoreOrder, ...]:
    score = _referable_score(photos)
    wrong = (photos.predicted >= REFERABLE_GRADE) != (photos.truth >= REFERABLE_GRADE)
    return (order_by_score(np.maximum(score, 1 - score), wrong, photos.group, average_all=True),)


SCREENING_MEASURES = (
    REFERABLE.auc(
        "Referable AUC",
        "Chance that a referable photo has a higher score (p2 + p3 + p4) than one that is not; 0.5 is guessing.",
        _order_by_referable_score,
        heading="Referral and any retinopathy",
    ),
    Measure(
        key="referable_auprc",
        name="Referable AUPRC",
        sentence="Area under the precision-recall curve: the predictive value at the score (p2 + p3 + p4) of each "
        "referable photo, averaged over these photos; the share of referable photos is guessing.",
        heading="Referral and any retinopathy",
        orders=_order_by_referable_score,
        area=average_precision,
        value=area_of_order,
        needs="probabilities",
        interval="average",
        groups_counted="classes",
        why_undefined=constant_reason(REFERABLE.reason_no_positives),
    ),
    *REFERABLE.shares(
        {
            "sensitivity": (
                "Referable sensitivity",
                "Of the photos to refer (grade 2 and above), the share predicted as grade 2 or above.",
            ),
            "specificity": (
                "Referable specificity",
                "Of the photos not to refer (grades 0 and 1), the share predicted as grade 0 or 1.",
            ),
            "ppv": (
                "Referable predictive value, positive",
                "Of the photos predicted as referable, the share that is, if as many photos are referable as "
                "`prevalence` says.",
            ),
            "npv": (
                "Referable predictive value, negative",
                "Of the photos predicted as not referable, the share that is not, if as many photos are referable as "
                "`prevalence` says.",
            ),
        },
        positive="given a referable grade",
        counts=REFERABLE.counts,
        prefix="referable_",
        heading="Referral and any retinopathy",
    ),
    ANY_DR.auc(
        "Any-DR AUC",
        "Chance that a photo with any retinopathy has a higher score (p1 + p2 + p3 + p4) than one without; "
        "0.5 is guessing.",
        _order_by_any_dr_score,
        heading="Referral and any retinopathy",
    ),
    *ANY_DR.shares(
        {
            "sensitivity": (
                "Any-DR sensitivity",
                "Of the photos with any retinopathy (grade 1 and above), the share predicted as grade 1 or above.",
            ),
            "specificity": (
                "Any-DR specificity",
                "Of the photos without retinopathy (grade 0), the share predicted as grade 0.",
            ),
            "ppv": (
                "Any-DR predictive value, positive",
                "Of the photos predicted to show any retinopathy, the share that does, if as many photos show it as "
                "`prevalence` says.",
            ),
            "npv": (
                "Any-DR predictive value, negative",
                "Of the photos predicted to show none, the share that shows none, if as many photos show any as "
                "`prevalence` says.",
            ),
        },
        positive="given a grade of any DR",
        counts=ANY_DR.counts,
        prefix="any_dr_",
        heading="Referral and any retinopathy",
    ),
)
"""In the order of `metrics.json`."""

RISK_COVERAGE = Measure(
    key="area_under_risk_coverage",
    name="Area under the risk-coverage curve",
    sentence="Share of wrong referrals among the surest photos, averaged over every share of photos that could be "
    "decided.",
    better="lower",
    heading="Referral and any retinopathy",
    orders=_order_by_confidence,
    area=average_precision,
    value=area_of_order,
    needs="probabilities",
    interval="average",
    groups_counted="all",
)
"""How well the model knows which referrals are wrong."""
