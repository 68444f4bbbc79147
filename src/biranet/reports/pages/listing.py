"""Numbers of `metrics.json` by their keys: each with its interval, its meaning, or the reason why it is not there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from biranet.evaluation.meanings import MEANINGS, Meaning, meaning_of

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Grades": (),
    "Referral and any retinopathy": ("referable_", "any_dr_", "area_under_risk_coverage", "prevalence."),
    "Probabilities": (
        "one_vs_rest_",
        "mean_one_vs_rest_",
        "expected_calibration_error",
        "brier",
        "negative_log_likelihood",
        "before_calibration.",
    ),
    "Operating points": ("operating_points.",),
    "Decisions": ("decisions.",),
    "Prediction sets": ("prediction_sets.",),
    "Patients": ("patients.",),
}
"""The headings of the list and how the keys below them begin; below the first, all others."""


EITHER = "either no photo or every photo"
"""How a reason begins that holds for a list of grades; of a single grade it is known which of the two it is."""

ROUGH = "expected_calibration_error"
"""The measure, also before calibration, whose interval holds the true value less often than those of the others."""


@dataclass(frozen=True)
class Number:
    """One number.

    Attributes:
        value: The number, or None where it is not defined.
        ends: Its interval (low, high), or None where there is none.
        reason: Why it is not defined, in one clause; else empty.
        rough: Whether the interval must be called rough.
    """

    value: float | None
    ends: tuple[float, float] | None = None
    reason: str = ""
    rough: bool = False


@dataclass(frozen=True)
class Row:
    """One number with its meaning.

    Attributes:
        key: The way to it through `metrics.json`, with points between.
        meaning: What it means.
        number: The number.
        first: Whether it is the first with its sentence; the others tell of other grades or operating points.
    """

    key: str
    meaning: Meaning
    number: Number
    first: bool


def look_up(metrics: Mapping[str, Any], *path: str | int) -> Number:
    """Find a number, its interval, and why it is not defined.

    Args:
        metrics: The content of `metrics.json`, or of a part of it that has `undefined` of its own.
        path: The way to the number: keys, and places in lists.

    Returns:
        The number; also where a whole section on the way to it is not there. The reason of a list names the grades
        that it is about; that of a number in the list names its own grade alone.

    Example:
        >>> reasons = {"recall": "no photo has grade 1 or 2"}
        >>> metrics = {"recall": [0.5, None, None], "ci": {"recall": [[0.2, 0.8], None, None]}, "undefined": reasons}
        >>> look_up(metrics, "recall", 0)
        Number(value=0.5, ends=(0.2, 0.8), reason='', rough=False)
        >>> look_up(metrics, "recall", 1).reason
        'no photo has grade 1'
    """
    value: Any = metrics
    ends: Any = None
    for step in path:
        # Each section has the intervals of its own numbers; a list of numbers has a list of intervals.
        ends = value.get("ci", {}).get(step) if isinstance(value, Mapping) else ends and ends[step]
        value = value[step]
        if value is None:
            break
    if value is not None:
        return Number(value, (ends[0], ends[1]) if ends else None, rough=path[-1] == ROUGH)
    keys = [".".join(map(str, path[:length])) for length in range(len(path), 0, -1)]
    reason = next(metrics["undefined"][key] for key in keys if key in metrics["undefined"])
    if isinstance(path[-1], int):
        reason = re.sub(r"grade \d( or \d)*", f"grade {path[-1]}", reason)
        if reason.startswith(EITHER):
            which = "no photo" if metrics["recall_per_grade"][path[-1]] is None else "every photo"
            reason = which + reason.removeprefix(EITHER)
    return Number(None, reason=reason)


def list_numbers(metrics: Mapping[str, Any]) -> dict[str, list[Row]]:
    """List every number of a measured table that `MEANINGS` explains, but for counts in a matrix.

    Args:
        metrics: The content of `metrics.json`.

    Returns:
        The rows below each heading of `GROUPS`; no heading without rows.
    """
    listed: dict[str, list[Row]] = {heading: [] for heading in GROUPS}
    for plain, meaning in MEANINGS.items():
        if len(meaning.shape) > 1:
            continue
        heading = next((name for name, begins in GROUPS.items() if plain.startswith(begins)), "Grades")
        for number, path in enumerate(_paths(metrics, plain, meaning)):
            key = ".".join(map(str, path))
            listed[heading].append(Row(key, meaning_of(key), look_up(metrics, *path), first=number == 0))
    return {heading: rows for heading, rows in listed.items() if rows}


def _paths(metrics: Mapping[str, Any], plain: str, meaning: Meaning) -> Iterator[tuple[str | int, ...]]:
    """Ways to the numbers that one entry of `MEANINGS` explains; none where their section is not there."""
    section, _, name = plain.rpartition(".")
    if section and metrics[section] is None:
        return
    if section == "operating_points":
        yield from ((section, point, name) for point in metrics[section])
        return
    path = (section, name) if section else (plain,)
    places = range(meaning.shape[0]) if meaning.shape else None
    yield from [path] if places is None else [(*path, place) for place in places]
