"""What is measured of a predictions table: the content of `metrics.json`, but for intervals.

A value that is not defined is None, and `undefined` says why in one clause. The arithmetic is in
`biranet.evaluation.group_sums`, what there is to measure in `biranet.evaluation.measures`; here values get reasons.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from biranet.confusion import SCREENINGS, confusion_matrix
from biranet.errors import InputError
from biranet.evaluation.estimates import Estimate, Key, list_reason, to_json
from biranet.evaluation.group_sums import GroupSums
from biranet.evaluation.measures import NO_PROBABILITIES, SECTIONS, TOP_LEVEL, GradeCounts, Measure
from biranet.grades import DISCLAIMER, GRADE_COUNT, GRADES

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


def validated_confusion_matrix(table: "pd.DataFrame") -> "npt.NDArray[np.int64]":
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


def add_reasons(
    group_sums: GroupSums,
    values: Mapping[Key, "npt.NDArray[np.float64]"],
    intervals: Mapping[Key, Any],
    keys: Collection[str] | None = None,
) -> dict[Key, Estimate]:
    """Put values and intervals together, and give the reason for every value that is missing.

    Args:
        group_sums: The table.
        values: By key, of shape () or (5,), NaN where not defined; as `group_sums.measure` names them.
        intervals: By the same keys, as JSON holds them.
        keys: Which numbers at the top of `metrics.json` are wanted, in this order; where None, all, and all of every
            section.

    Returns:
        The estimates; None (five in a list) with a reason where a table without probabilities has nothing to measure.
    """
    stated = frozenset(name for name, prevalence in group_sums.prevalences.items() if prevalence is not None)
    grade_counts = GradeCounts(tuple(group_sums.matrix.sum(axis=1).tolist()), stated)
    top = {Key("", "", entry.key): entry for entry in TOP_LEVEL.measures}
    selected = top | dict(group_sums.measures) if keys is None else {key: top[key] for key in map(Key.parse, keys)}
    estimates = {}
    for key, entry in selected.items():
        if key in values:
            plain = to_json_value(values[key])
            estimates[key] = Estimate(plain, intervals.get(key), _why_undefined(entry, plain, grade_counts))
        else:
            gap = [None] * GRADE_COUNT if entry.shape else None
            estimates[key] = Estimate(gap, gap, NO_PROBABILITIES)
    return estimates


def assemble_metrics(group_sums: GroupSums, estimates: Mapping[Key, Estimate]) -> dict[str, Any]:
    """Give estimates their places in `metrics.json`, with all that was counted and stated.

    Args:
        group_sums: The table.
        estimates: Every one.

    Returns:
        The content of `metrics.json`: plain numbers, lists over grades 0 to 4, and sections, None where a value is not
        defined; `undefined` gives the reason by key. A screening is positive from grade 2 on (`referable`) or from
        grade 1 on (`any_dr`): sensitivity, specificity and the predictive values are those of `predicted_grade`, the
        areas under the ROC curve those of the summed probabilities of such grades.
    """
    matrix, stated = group_sums.matrix, group_sums.prevalences
    nested = to_json(estimates)
    shares = {name: float(matrix[lowest:].sum() / matrix.sum()) for name, lowest in SCREENINGS.items()}
    return {
        "n": int(matrix.sum()),
        "groups": group_sums.group_count,
        **{entry.key: nested[entry.key] for entry in TOP_LEVEL.measures},
        "confusion_matrix": matrix.tolist(),
        "prevalence": {
            **{name: shares[name] if stated[name] is None else stated[name] for name in SCREENINGS},
            "stated": {name: stated[name] is not None for name in SCREENINGS},
        },
        **{section.name: nested.get(section.name) for section in SECTIONS if section is not TOP_LEVEL},
        "undefined": reasons(estimates) | dict(group_sums.missing),
        "disclaimer": DISCLAIMER,
        "ci": nested["ci"],
    }


def reasons(estimates: Mapping[Key, Estimate]) -> dict[str, str]:
    """Collect the reasons, by key as text."""
    return {str(key): estimate.reason for key, estimate in estimates.items() if estimate.reason}


def to_json_value(value: "npt.NDArray[np.float64]") -> float | list[float | None] | None:
    """Turn an array of shape () or (5,) into what JSON can hold, None for NaN."""
    each = [None if np.isnan(number) else float(number) for number in np.atleast_1d(value)]
    return each if np.ndim(value) else each[0]


def _why_undefined(entry: Measure, value: float | list[float | None] | None, grade_counts: GradeCounts) -> str:
    if isinstance(value, list):
        gaps = [grade for grade in GRADES if value[grade] is None]
        return list_reason(entry, grade_counts, gaps) if gaps else ""
    return entry.why_undefined(grade_counts, None) if value is None else ""
