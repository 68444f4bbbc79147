"""What is measured of a predictions table: every key of `metrics.json`, but for intervals.

A value that is not defined is None, and `undefined` says why in one clause. The arithmetic is in
`biranet.evaluation.group_sums`; here the values get their places, and what is missing its reason.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from biranet.config import EvaluationConfig
from biranet.confusion import SCREENINGS, confusion_matrix
from biranet.errors import InputError
from biranet.evaluation.groups import arrange_groups
from biranet.evaluation.reasons import why_missing, why_undefined
from biranet.evaluation.group_sums import tabulate
from biranet.grades import DISCLAIMER, GRADES

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

KEYS = (
    *("aca", "accuracy", "micro_f1", "macro_f1", "macro_f1_of_means", "quadratic_weighted_kappa"),
    *("mean_absolute_grade_error", "recall_per_grade", "precision_per_grade"),
    *(f"{name}_{share}" for name in SCREENINGS for share in ("auc", "sensitivity", "specificity", "ppv", "npv")),
    *("one_vs_rest_auc", "mean_one_vs_rest_auc", "area_under_risk_coverage"),
    *("expected_calibration_error", "brier", "negative_log_likelihood"),
)
"""The measures of photos that stand at the top of `metrics.json`, in this order."""

PROBABILITY_KEYS = (*(key for key in KEYS if "auc" in key), *KEYS[KEYS.index("area_under_risk_coverage") :])
"""Those among them that need probabilities."""

LISTS = ("recall_per_grade", "precision_per_grade", "one_vs_rest_auc")
"""Those among them that are lists of five values, one a grade."""

LEADING = (
    *("quadratic_weighted_kappa", "aca", "accuracy", "mean_absolute_grade_error"),
    *("referable_auc", "referable_sensitivity", "referable_specificity"),
)
"""Those that every short table begins with: of patients, of subgroups, of models side by side."""

SECTIONS = ("before_calibration", "operating_points", "prediction_sets", "decisions")
"""The parts of `metrics.json` that a table may have or not."""


def measure(table: "pd.DataFrame", config: EvaluationConfig | None = None) -> dict[str, Any]:
    """Measure how well grades were predicted.

    Args:
        table: A predictions table (see `biranet.decisions.predictions`), with or without probabilities and answers.
        config: The prevalences that predictive values are given for; the defaults where None.

    Returns:
        The content of `metrics.json` without intervals: plain numbers, lists over grades 0 to 4, and sections, None
        where a value is not defined. `undefined` gives the reason by key, with points in it for a place inside a
        section. A screening is positive from grade 2 on (`referable`) or from grade 1 on (`any_dr`): sensitivity,
        specificity and the predictive values are those of `predicted_grade`, the areas under the ROC curve those of
        the summed probabilities of such grades.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    config = config or EvaluationConfig()
    matrix = checked_confusion(table)
    groups = arrange_groups([table])
    return arrange_measures(table, config, matrix, len(groups.sizes), tabulate(table, groups, config).value())


def checked_confusion(table: "pd.DataFrame") -> "npt.NDArray[np.int64]":
    """Count the photos of each pair of grades, once it is clear that there is something to measure.

    Args:
        table: A predictions table.

    Returns:
        (5, 5) counts: row = truth, column = prediction.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    if not len(table):
        raise InputError("there are no predictions to measure")
    return confusion_matrix(table["grade"].to_numpy(), table["predicted_grade"].to_numpy())


def arrange_measures(
    table: "pd.DataFrame",
    config: EvaluationConfig,
    matrix: "npt.NDArray[np.int64]",
    group_count: int,
    values: Mapping[str, "npt.NDArray[np.float64]"],
) -> dict[str, Any]:
    """Give values their places in `metrics.json`, and what is missing its reason.

    Args:
        table: The predictions table.
        config: The prevalences that predictive values are given for.
        matrix: Its confusion matrix.
        group_count: Number of its groups.
        values: By key, of shape () or (5,), NaN where not defined; as `Tabulated.measure` names them.

    Returns:
        What `measure` returns.
    """
    plain = with_gaps({key: plain_value(value) for key, value in values.items()})
    found = into_sections(plain)
    shares = {name: float(matrix[lowest:].sum() / matrix.sum()) for name, lowest in SCREENINGS.items()}
    stated = {name: getattr(config, f"{name}_prevalence") for name in SCREENINGS}
    return {
        "n": len(table),
        "groups": group_count,
        **{key: found[key] for key in KEYS},
        "confusion_matrix": matrix.tolist(),
        "prevalence": {
            **{name: shares[name] if stated[name] is None else stated[name] for name in SCREENINGS},
            "stated": {name: stated[name] is not None for name in SCREENINGS},
        },
        **{section: found.get(section) for section in SECTIONS},
        "undefined": why_undefined(table, plain, stated_screenings(config), needing_probabilities=PROBABILITY_KEYS)
        | why_missing(table),
        "disclaimer": DISCLAIMER,
    }


def stated_screenings(config: EvaluationConfig) -> list[str]:
    """Name the screenings whose prevalence is stated."""
    return [name for name in SCREENINGS if getattr(config, f"{name}_prevalence") is not None]


def with_gaps(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put None (five in a list) where a table without probabilities has nothing to stand under one of `KEYS`."""
    gaps = {key: [None] * len(GRADES) if key in LISTS else None for key in KEYS}
    return gaps | dict(values)


def plain_value(value: "npt.NDArray[np.float64]") -> float | list[float | None] | None:
    """Turn an array of shape () or (5,) into what JSON can hold, None for NaN."""
    each = [None if np.isnan(number) else float(number) for number in np.atleast_1d(value)]
    return each if np.ndim(value) else each[0]


def into_sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nest what stands under keys with points.

    Args:
        values: Anything by key: `aca`, `decisions.asked_fraction`, `operating_points.cost_2.5.ppv`.

    Returns:
        The same in dictionaries; the name of an operating point may have points in it.

    Example:
        >>> into_sections({"aca": 1, "decisions.asked_fraction": 2, "operating_points.cost_2.5.ppv": 3})
        {'aca': 1, 'decisions': {'asked_fraction': 2}, 'operating_points': {'cost_2.5': {'ppv': 3}}}
    """
    nested: dict[str, Any] = {}
    for key, value in values.items():
        section, _, rest = key.partition(".")
        point, _, leaf = rest.rpartition(".")
        place = nested
        for step in filter(None, (section if rest else "", point)):
            place = place.setdefault(step, {})
        place[leaf or section] = value
    return nested
