"""Why a measure has no value: one clause each, so that nothing is left out in silence."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.confusion import SCREENINGS
from biranet.decisions.predictions import has_answers, has_probabilities, point_columns
from biranet.grades import GRADES

if TYPE_CHECKING:
    import pandas as pd

NO_PROBABILITIES = "the predictions hold no probabilities"

OF_GRADES = {
    "recall_per_grade": "no photo has grade {}",
    "precision_per_grade": "no photo was given grade {}",
    "coverage_per_grade": "no photo has grade {}",
    "one_vs_rest_auc": "either no photo or every photo has grade {}",
}
"""Why a list over grades has a gap; the grades follow."""

NOBODY = {"referable": "no photo is referable", "any_dr": "no photo has any DR"}
EVERYBODY = {"referable": "every photo is referable", "any_dr": "every photo has DR"}
POSITIVE = {"referable": "given a referable grade", "any_dr": "given a grade of any DR"}
"""What to say where nobody or everybody is ill, and what a positive result of a screening is."""


def why_undefined(
    table: "pd.DataFrame", values: Mapping[str, Any], stated: Iterable[str], *, needing_probabilities: Iterable[str]
) -> dict[str, str]:
    """Give the reason for every value that is missing.

    Args:
        table: The predictions table.
        values: By key, with points in it for a place inside a section: a number or None, or a list of such.
        stated: The screenings whose prevalence is stated.
        needing_probabilities: The keys of measures of probabilities.

    Returns:
        By key, in the order of `values`, one clause.
    """
    truth = table["grade"].to_numpy()
    clauses = _clauses(truth, tuple(stated))
    if not has_probabilities(table):
        clauses |= dict.fromkeys(needing_probabilities, NO_PROBABILITIES)
    reasons = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        if value is None or (isinstance(value, list) and None in value):
            point = "operating_points." if section.startswith("operating_points.") else f"{section}." * bool(section)
            clause = clauses.get(f"{point}{name}") or OF_GRADES[name]
            gaps = [str(grade) for grade in GRADES if isinstance(value, list) and value[grade] is None]
            reasons[key] = clause.format(" or ".join(gaps))
    return reasons


def why_missing(table: "pd.DataFrame") -> dict[str, str]:
    """Give the reason for every section of `metrics.json` that a table gives no ground for.

    Args:
        table: The predictions table.

    Returns:
        By name of the section, one clause.
    """
    reasons = {}
    if not has_probabilities(table):
        reasons["before_calibration"] = NO_PROBABILITIES
    elif "temperature" not in table or (table["temperature"] == 1).all():
        reasons["before_calibration"] = "no temperature was applied to the probabilities"
    if not point_columns(table):
        reasons["operating_points"] = "the predictions hold no operating points"
    if not has_answers(table):
        reasons["prediction_sets"] = "the predictions hold no prediction sets"
        reasons["decisions"] = "the predictions hold no decisions"
    return reasons


def _clauses(truth: npt.NDArray[np.int64], stated: tuple[str, ...]) -> dict[str, str]:
    """What is wrong with each measure, if it has no value; those of operating points without the point's name."""
    clauses = {
        "quadratic_weighted_kappa": "every photo has one and the same grade and was given it",
        "mean_one_vs_rest_auc": "every photo has one and the same grade",
        "decisions.decided_error_fraction": "every photo was left to a human",
        "decisions.missed_fraction": NOBODY["referable"],
        "decisions.needless_fraction": EVERYBODY["referable"],
    }
    for name, lowest in SCREENINGS.items():
        ill = truth >= lowest
        one_class = NOBODY[name] if not ill.any() else EVERYBODY[name] if ill.all() else ""
        positives = {f"{name}_": POSITIVE[name]} | ({"operating_points.": "referred"} if name == "referable" else {})
        for prefix, positive in positives.items():
            clauses[f"{prefix}sensitivity"] = NOBODY[name]
            clauses[f"{prefix}specificity"] = EVERYBODY[name]
            # At a stated prevalence the predictive values come from the two shares above, and need both.
            by_class = one_class if name in stated else ""
            clauses[f"{prefix}ppv"] = by_class or f"no photo was {positive}"
            clauses[f"{prefix}npv"] = by_class or f"every photo was {positive}"
        clauses[f"{name}_auc"] = one_class
    return clauses
