"""The registry of measures: one entry a number of `metrics.json`, which says all that there is to say of it.

An entry (`Measure`) holds what the number means, what it needs, how it is computed from weights of groups, how its
interval is made, and why it can be undefined. To add a measure is to add an entry to one of the files of this folder;
its paragraph in `docs/metrics.md` and its test are missed until they are there.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from biranet.evaluation.measures.counts import CONFUSION_MATRIX, COUNTS, PATIENTS, PREVALENCES
from biranet.evaluation.measures.decisions import DECISION_MEASURES, POINT_MEASURES, SET_MEASURES, point_name
from biranet.evaluation.measures.grades import GRADE_MEASURES
from biranet.evaluation.measures.measure import GradeCounts, GradedPhotos, Meaning, Measure, Section, WeightedSums
from biranet.evaluation.measures.probabilities import (
    BEFORE_CALIBRATION_MEASURES,
    LOSS_MEASURES,
    ONE_VS_REST_MEASURES,
)
from biranet.evaluation.measures.screening import RISK_COVERAGE, SCREENING_MEASURES

__all__ = [
    "HEADLINE_KEYS",
    "MEANINGS",
    "NO_PROBABILITIES",
    "SECTIONS",
    "SUMMARY_KEYS",
    "TOP_LEVEL",
    "GradeCounts",
    "GradedPhotos",
    "Meaning",
    "Measure",
    "Section",
    "WeightedSums",
    "point_name",
]

NO_PROBABILITIES = "the predictions hold no probabilities"

TOP_LEVEL = Section(
    name="",
    measures=(*GRADE_MEASURES, *SCREENING_MEASURES, *ONE_VS_REST_MEASURES, RISK_COVERAGE, *LOSS_MEASURES),
    parts=lambda photos: {"": photos},
    why_missing=lambda photos: "",
)
"""The measures of photos that stand at the top of `metrics.json`, in this order."""


def _before_calibration(photos: GradedPhotos) -> Mapping[str, GradedPhotos]:
    raw = photos.raw_probabilities
    return {} if raw is None else {"": replace(photos, probabilities=raw)}


def _why_no_raw_probabilities(photos: GradedPhotos) -> str:
    return NO_PROBABILITIES if photos.probabilities is None else "no temperature was applied to the probabilities"


def _with_decisions(photos: GradedPhotos) -> Mapping[str, GradedPhotos]:
    return {} if photos.decision is None else {"": photos}


SECTIONS = (
    TOP_LEVEL,
    Section(
        "before_calibration",
        BEFORE_CALIBRATION_MEASURES,
        _before_calibration,
        _why_no_raw_probabilities,
        "As it was before the temperature was applied.",
    ),
    Section(
        "operating_points",
        POINT_MEASURES,
        lambda photos: {name: replace(photos, referred=referred) for name, referred in photos.points.items()},
        lambda photos: "the predictions hold no operating points",
        "Referral at each operating point, by its name.",
    ),
    Section(
        "prediction_sets",
        SET_MEASURES,
        _with_decisions,
        lambda photos: "the predictions hold no prediction sets",
        "Sets of neighbouring grades.",
    ),
    Section(
        "decisions",
        DECISION_MEASURES,
        _with_decisions,
        lambda photos: "the predictions hold no decisions",
        "Refer, do not refer, or ask a human.",
    ),
)
"""The parts of `metrics.json` that have measures, in this order; all but the first may be missing."""

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        f"{meaning.section}.{meaning.key}" if meaning.section else meaning.key: meaning
        for meaning in (
            *COUNTS,
            *TOP_LEVEL.measures,
            CONFUSION_MATRIX,
            *PREVALENCES,
            *(measure for section in SECTIONS[1:] for measure in section.measures),
            *PATIENTS,
        )
    }
)
"""Every number of `metrics.json` by its key, in the order of the file; what stands there once for each operating point,
or once for each way of combining a patient's eyes, is here once."""

SUMMARY_KEYS = (
    *("quadratic_weighted_kappa", "aca", "accuracy", "mean_absolute_grade_error"),
    *("referable_auc", "referable_sensitivity", "referable_specificity"),
    *("expected_calibration_error", "negative_log_likelihood"),
)
"""One measure or two of each kind, for tables that must be short: of subgroups, patients and models side by side."""

HEADLINE_KEYS = (
    *("quadratic_weighted_kappa", "aca", "accuracy", "macro_f1"),
    *("referable_auc", "referable_sensitivity", "referable_specificity"),
    *("any_dr_auc", "any_dr_sensitivity", "any_dr_specificity"),
)
"""Those that people ask for first: printed by a command, and drawn where models are compared. They share an axis, since
of all of them the higher value is the better one, and 1 the highest."""
