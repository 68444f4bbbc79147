"""Differences between two models, as a page shows them: in rows to read and as marks on a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from biranet.evaluation.meanings import Meaning, meaning_of
from biranet.reports.pages.drawing import Axes, ticks

Verdict = Literal["better", "worse", "changed", "unclear", "same", "none"]
"""What an interval says of the second model: it leaves out 0 on the good or the bad side, or on a side of which nobody
can say whether it is good; it holds 0; no draw of the photos shows any difference; or there is no interval."""

CHARTED = (
    "quadratic_weighted_kappa",
    "aca",
    "accuracy",
    "macro_f1",
    "referable_auc",
    "referable_sensitivity",
    "referable_specificity",
    "any_dr_auc",
    "any_dr_sensitivity",
    "any_dr_specificity",
)
"""The differences on the chart: of all these the higher value is the better one, and 1 the highest."""

ROW_PX = 46
"""Height of one row of the chart: a line of words and the interval below."""

LEAST_REACH = 0.05
"""The chart reaches at least this far to both sides of 0, so that nothing looks large that is not."""


LABEL_CHARACTERS = 18
"""How many characters of a model's name stand on the chart."""


@dataclass(frozen=True)
class Difference:
    """One measure of two models on the same photos.

    Attributes:
        key: Of the measure.
        meaning: What it is.
        first: Value of the first model, None where not defined.
        other: Value of the other.
        difference: The other minus the first.
        ci: Interval of the difference, or None.
        why_not: Why there is no value, where one is missing.
    """

    key: str
    meaning: Meaning
    first: float | None
    other: float | None
    difference: float | None
    ci: Sequence[float] | None
    why_not: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the other model."""
        if self.difference == 0 and not any(self.ci or ()):
            return "same"
        if self.ci is None:
            return "none"
        low, high = self.ci
        if low <= 0 <= high:
            return "unclear"
        if self.meaning.better == "neither":
            return "changed"
        return "better" if (low > 0) == (self.meaning.better == "higher") else "worse"


@dataclass(frozen=True)
class DifferenceChart:
    """Intervals of differences, one below the other.

    Attributes:
        axes: The plot; its horizontal axis is the difference.
        x_ticks: Values marked on it.
        rows: The differences with the height at which each is drawn, in px.
    """

    axes: Axes
    x_ticks: Sequence[float]
    rows: Sequence[tuple[Difference, float]]


def list_differences(
    differences: Mapping[str, Mapping[str, Any]], first: Mapping[str, Any], other: Mapping[str, Any]
) -> list[Difference]:
    """Put values beside their difference.

    Args:
        differences: By key of the measure, as `paired_differences` answers for one table.
        first: The measures of the first model, as `measure` answers.
        other: Those of the other.

    Returns:
        One item for each key, in the order of `metrics.json`.
    """
    places = {key: place for place, key in enumerate(first)}
    in_order = sorted(differences.items(), key=lambda item: places[item[0].partition(".")[0]])
    return [
        Difference(
            key,
            meaning_of(key),
            value_at(first, key),
            value_at(other, key),
            found["difference"],
            found["ci"],
            "" if found["difference"] is not None else _why_undefined(key, first, other),
        )
        for key, found in in_order
    ]


def value_at(metrics: Mapping[str, Any], key: str) -> Any:
    """Look up a number by its key.

    Args:
        metrics: What `measure` answers.
        key: The way to it, with points between; the name of an operating point may have points in it.

    Returns:
        The number, or None where it is not defined.

    Raises:
        KeyError: If there is no such number, as in a section that a table does not have.

    Example:
        >>> value_at({"operating_points": {"cost_2.5": {"ppv": 0.5}}}, "operating_points.cost_2.5.ppv")
        0.5
        >>> value_at({"recall_per_grade": [0.9, 0.2, 0.5, None, 0.4]}, "recall_per_grade.1")
        0.2
    """
    section, _, rest = key.partition(".")
    point, _, leaf = rest.rpartition(".")
    value: Any = metrics
    for step in filter(None, (section, point, leaf)):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def charted(differences: Sequence[Difference]) -> list[Difference]:
    """Pick the measures in `CHARTED`, in that order; those that are not defined are left out."""
    by_key = {item.key: item for item in differences if item.difference is not None}
    return [by_key[key] for key in CHARTED if key in by_key]


def chart_differences(differences: Sequence[Difference]) -> DifferenceChart | None:
    """Lay out the chart of the measures in `CHARTED`.

    Args:
        differences: As `list_differences` answers.

    Returns:
        The chart; None where none of them is defined.
    """
    shown = charted(differences)
    if not shown:
        return None
    ends = [abs(end) for item in shown for end in (item.difference or 0, *(item.ci or ()))]
    reach = max(LEAST_REACH, 1.08 * max(ends))
    axes = Axes(8, 34, 396, ROW_PX * len(shown), x_range=(-reach, reach))
    rows = [(item, axes.top + ROW_PX * (number + 0.72)) for number, item in enumerate(shown)]
    # A label at the very edge would be cut off.
    return DifferenceChart(axes, ticks(-0.93 * reach, 0.93 * reach, 5), rows)


def shortened(name: str) -> str:
    """Cut a name so that two of them fit beside each other on the chart; the end tells names apart better.

    Example:
        >>> shortened("resnet50"), shortened("experiments/2026-11-24/resnet50")
        ('resnet50', '…26-11-24/resnet50')
    """
    return name if len(name) <= LABEL_CHARACTERS else f"…{name[1 - LABEL_CHARACTERS :]}"


def _why_undefined(key: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The reason that stands there for the number itself, or for the list that it is in."""
    reasons = [metrics["undefined"].get(name) for name in (key, key.rpartition(".")[0]) for metrics in (first, other)]
    return next(filter(None, reasons), "")
