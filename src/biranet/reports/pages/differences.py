"""Differences between two models, as a page shows them: in rows to read and as marks on a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from biranet.evaluation.estimates import Estimate, Key, from_json, meaning_of
from biranet.evaluation.measures import HEADLINE_KEYS, Meaning
from biranet.reports.pages.drawing import Axes, ticks

Verdict = Literal["better", "worse", "changed", "unclear", "same", "none"]
"""What an interval says of the second model: it leaves out 0 on the good or the bad side, or on a side of which nobody
can say whether it is good; it holds 0; no draw of the photos shows any difference; or there is no interval."""

ROW_PX = 46
"""Height of one row of the chart: a line of words and the interval below."""

MIN_REACH = 0.05
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
        One item for each key.
    """
    of_first, of_other = from_json(first), from_json(other)
    return [
        _difference(key, of_first[Key.parse(key)], of_other[Key.parse(key)], difference)
        for key, difference in differences.items()
    ]


def _difference(key: str, first: Estimate, other: Estimate, difference: Mapping[str, Any]) -> Difference:
    return Difference(
        key,
        meaning_of(key),
        first.value,
        other.value,
        difference["difference"],
        difference["ci"],
        "" if difference["difference"] is not None else first.reason or other.reason,
    )


def select_main(differences: Sequence[Difference]) -> list[Difference]:
    """Pick the measures in `HEADLINE_KEYS`, in that order; those that are not defined are left out."""
    by_key = {item.key: item for item in differences if item.difference is not None}
    return [by_key[key] for key in HEADLINE_KEYS if key in by_key]


def chart_differences(differences: Sequence[Difference]) -> DifferenceChart | None:
    """Lay out the chart of the measures in `HEADLINE_KEYS`.

    Args:
        differences: As `list_differences` answers.

    Returns:
        The chart; None where none of them is defined.
    """
    shown = select_main(differences)
    if not shown:
        return None
    ends = [abs(end) for item in shown for end in (item.difference or 0, *(item.ci or ()))]
    reach = max(MIN_REACH, 1.08 * max(ends))
    axes = Axes(8, 34, 396, ROW_PX * len(shown), x_range=(-reach, reach))
    rows = [(item, axes.top + ROW_PX * (number + 0.72)) for number, item in enumerate(shown)]
    # A label at the very edge would be cut off.
    return DifferenceChart(axes, ticks(-0.93 * reach, 0.93 * reach, 5), rows)


def shorten(name: str) -> str:
    """Cut a name so that two of them fit beside each other on the chart; the end tells names apart better.

    Example:
        >>> shorten("resnet50"), shorten("experiments/2026-11-24/resnet50")
        ('resnet50', '…26-11-24/resnet50')
    """
    return name if len(name) <= LABEL_CHARACTERS else f"…{name[1 - LABEL_CHARACTERS :]}"
