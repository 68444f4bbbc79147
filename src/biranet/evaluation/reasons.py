"""Why a measure has no value: one clause each, so that nothing is left out in silence."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.evaluation.predictions import has_answers, has_probabilities, point_columns
from biranet.grades import GRADES, REFERABLE_GRADE

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

ILL = {
    "referable": (REFERABLE_GRADE, "no photo is referable", "every photo is referable", "given a referable grade"),
    "any_dr": (1, "no photo has any DR", "every photo has DR", "given a grade of any DR"),
}
"""The two screenings: lowest grade, what to say where nobody or everybody is ill, and what a positive result is."""


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
        clauses["decisions.area_under_risk_coverage"] = NO_PROBABILITIES
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
    """What is wrong with each measure, if it has no value."""
    clauses = {
        "quadratic_weighted_kappa": "every photo has one and the same grade and was given it",
        "mean_one_vs_rest_auc": "every photo has one and the same grade",
        "decisions.decided_error_fraction": "every photo was left to a human",
    }
    for name, (lowest, nobody, everybody, positive) in ILL.items():
        ill = truth >= lowest
        of_class = everybody if ill.all() else nobody
        no_ppv, no_npv = (of_class, of_class) if name in stated and (ill.all() or not ill.any()) else ("no", "every")
        shares = {"sensitivity": nobody, "specificity": everybody, "ppv": no_ppv, "npv": no_npv}
        for prefix, said in ((f"{name}_", positive), ("operating_points.", "referred"))[: 1 + (name == "referable")]:
            clauses |= {
                f"{prefix}{key}": f"{clause} photo was {said}" if clause in ("no", "every") else clause
                for key, clause in shares.items()
            }
        clauses[f"{name}_auc"] = of_class
    return clauses | {
        "decisions.missed_fraction": ILL["referable"][1],
        "decisions.needless_fraction": ILL["referable"][2],
    }
