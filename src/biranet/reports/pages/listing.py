"""Numbers of `metrics.json` as a page shows them: each with its meaning, its interval, or why it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from biranet.evaluation.estimates import Estimate, Key, from_json, meaning_of
from biranet.evaluation.measures import Meaning, Measure
from biranet.evaluation.measures.measure import Heading


@dataclass(frozen=True)
class Number:
    """One number.

    Attributes:
        key: Its key.
        meaning: What it means.
        estimate: What is known of it.
        first: Whether it is the first with its sentence; the others tell of other grades or operating points.
        signed: Whether it is a difference, which is written with its sign.
    """

    key: Key
    meaning: Meaning
    estimate: Estimate
    first: bool = True
    signed: bool = False

    @classmethod
    def of_difference(cls, key: str, differences: Mapping[str, Mapping[str, Any]]) -> "Number":
        """Take a difference of two models, as `paired_differences` answers, by the key of its measure."""
        difference = differences[key]
        return cls(Key.parse(key), meaning_of(key), Estimate(difference["difference"], difference["ci"]), signed=True)

    @property
    def value(self) -> Any:
        """The number, or None where it is not defined."""
        return self.estimate.value

    @property
    def interval(self) -> Any:
        """Its interval (low, high), or None where there is none."""
        return self.estimate.interval

    @property
    def reason(self) -> str:
        """Why it is not defined, in one clause; else empty."""
        return self.estimate.reason

    @property
    def interval_undercovers(self) -> bool:
        """Whether the interval holds the true value less often than those of the others."""
        return self.meaning.interval_undercovers

    @property
    def measured(self) -> bool:
        """Whether it was measured, so that it should have an interval."""
        return isinstance(self.meaning, Measure)


class Numbers:
    """The numbers of a `metrics.json`, or of a part of it that has `undefined` of its own.

    Example:
        >>> numbers = Numbers({"aca": None, "undefined": {"aca": "there is nothing"}})
        >>> numbers("aca").reason
        'there is nothing'
    """

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self.estimates = from_json(metrics)

    def __call__(self, name: str, grade: int | None = None, *, section: str = "", point: str = "") -> Number:
        """Look up a number by the parts of its key."""
        key = Key(section, point, name, grade)
        return Number(key, meaning_of(key), self.estimates[key])

    def get(self, text: str) -> Number | None:
        """Look up a number by its key as it is written; None in a section that is not there."""
        key = Key.parse(text)
        return Number(key, meaning_of(key), self.estimates[key]) if key in self.estimates else None

    def by_heading(self) -> dict[str, list[Number]]:
        """List every number below its heading; no heading without numbers."""
        by_heading: dict[str, list[Number]] = {heading: [] for heading in get_args(Heading)}
        explained = set()
        for key, estimate in self.estimates.items():
            meaning = meaning_of(key)
            first = (key.section, key.name) not in explained
            explained.add((key.section, key.name))
            by_heading[meaning.heading].append(Number(key, meaning, estimate, first))
        return {heading: numbers for heading, numbers in by_heading.items() if numbers}
