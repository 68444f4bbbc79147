"""What an entry of the registry says of a number, and what a measure is computed from.

The registry names what a model card may hold, so it is read without pandas, which takes half a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from biranet.evaluation.areas import ScoreOrder, WeightedOrder
from biranet.grades import GRADE_COUNT

Values = npt.NDArray[np.float64]
Grades = npt.NDArray[np.int64]

Array = TypeVar("Array", Values, Grades)

BY_GRADE = (GRADE_COUNT,)
"""Shape of a list with one number a grade."""

Heading = Literal[
    "Grades",
    "Referral and any retinopathy",
    "Probabilities",
    "Operating points",
    "Decisions",
    "Prediction sets",
    "Patients",
]
"""Where a page lists a number."""

IntervalMethod = Literal["share", "average", "percentile", "reflected"]
"""How the ends of an interval come from drawn data sets; see `biranet.evaluation.interval_methods`."""

GroupsCounted = Literal["defined", "all", "grades", "classes"]
"""The groups that a measure is about: those that define it alone (holding a photo that it is a share of), all, as many
as tell as much of a mean over grades, or those of the class (photos to find, others) that has fewer."""


@dataclass(frozen=True)
class GradedPhotos:
    """A predictions table as arrays, the photos of each group side by side.

    Attributes:
        truth: (N,) true grades.
        predicted: (N,) predicted grades.
        group: (N,) number of each photo's group.
        probabilities: (N, 5) in [0, 1], or None.
        raw_probabilities: (N, 5) those before the temperature, or None where none was applied.
        points: By operating point, (N,) 1 where the photo is referred, else 0.
        decision: (N,) place in `DECISIONS`, or None.
        lowest: (N,) lowest grade of the prediction set, or None.
        highest: (N,) highest grade of it, or None.
        referred: (N,) at the one operating point that is looked at, or None.
    """

    truth: Grades
    predicted: Grades
    group: npt.NDArray[np.intp]
    probabilities: Values | None = None
    raw_probabilities: Values | None = None
    points: Mapping[str, Grades] = field(default_factory=dict)
    decision: Grades | None = None
    lowest: Grades | None = None
    highest: Grades | None = None
    referred: Grades | None = None


class WeightedSums(NamedTuple):
    """What the value of a measure is computed from, for B sets of weights of the groups.

    Attributes:
        total: (B, ...) the weighted sum of what each photo adds to this measure; of an order (B,) its area, or (B, 5).
        matrix: (B, 5, 5) the weighted confusion matrix.
        photos: (B,) the weight of all photos.
        prevalences: By screening, the stated share of the ill, or None.
    """

    total: Values
    matrix: Values
    photos: Values
    prevalences: Mapping[str, float | None]


class GradeCounts(NamedTuple):
    """What decides why a value is not defined.

    Attributes:
        photos_of_grade: Photos of each true grade, 0 to 4.
        stated: The screenings whose prevalence is stated.
    """

    photos_of_grade: tuple[int, ...]
    stated: frozenset[str] = frozenset()

    def no_positives(self, lowest: int) -> bool:
        """Whether no photo has the grade `lowest` or a graver one."""
        return not sum(self.photos_of_grade[lowest:])

    def no_negatives(self, lowest: int) -> bool:
        """Whether all photos do."""
        return not sum(self.photos_of_grade[:lowest])


PhotoValues = Callable[[GradedPhotos], Values]
"""What a value is summed from: one entry a photo, (N, ...)."""

Orders = Callable[[GradedPhotos], tuple[ScoreOrder, ...]]
"""The photos in the order of one score, or of one a grade."""

Area = Callable[[WeightedOrder], Values]
"""The area under a curve that an order determines, (B,); NaN where it is not defined."""

WhyUndefined = Callable[[GradeCounts, int | None], str]
"""Why a value is not defined, in one clause. For a list with gaps: that of a grade, or without one that of the list, in
which {} stands for the grades."""


def count_grades(photos: GradedPhotos) -> Values:
    """(N, 5, 5) a one in the row of the true and the column of the predicted grade."""
    return one_hot(photos.truth * GRADE_COUNT + photos.predicted, GRADE_COUNT, GRADE_COUNT)


def one_hot(indices: Grades, *shape: int) -> Values:
    """(N, *shape) zeros with a one at each photo's place in the flattened shape."""
    return np.eye(int(np.prod(shape)))[indices].reshape(-1, *shape)


def required(values: Array | None) -> Array:
    """Take what a section or a measure needs, and so has."""
    if values is None:
        raise ValueError("a measure asks for what it does not say that it needs")
    return values


def constant_reason(clause: str) -> WhyUndefined:
    """Make a reason that is always the same; of a list, with {} where the grades stand."""
    return lambda grade_counts, grade: clause if grade is None else clause.format(grade)


def _always_defined(grade_counts: GradeCounts, grade: int | None) -> str:
    raise ValueError("a measure that is always defined, where there are photos, has no value")


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a number of `metrics.json` is.

    Args:
        key: Its name there, within its section.
        name: A few words, as they stand in a table.
        short: A word or two for where there is less room, beside what says of which photos or grades; empty where the
            name is as short.
        sentence: What it tells, in plain words.
        section: The section that it stands in; empty at the top.
        low: The lowest value it can have.
        high: The highest value, or None where there is no bound.
        better: Whether the higher or the lower of two values is the better one, or neither.
        shape: Of the list that holds it: () for one number, (5,) for one of each grade, (5, 5) for rows of true and
            columns of predicted grades.
        count: Whether it is a whole number, which is always defined.
        heading: Where a page lists it.
    """

    key: str
    name: str
    sentence: str
    short: str = ""
    section: str = ""
    low: float = 0
    high: float | None = 1
    better: Literal["higher", "lower", "neither"] = "higher"
    shape: tuple[int, ...] = ()
    count: bool = False
    heading: Heading = "Grades"

    @property
    def head(self) -> str:
        """The short name, or where there is none the name."""
        return self.short or self.name

    @property
    def interval_undercovers(self) -> bool:
        """Whether its interval holds the true value less often than those of the others."""
        return False


@dataclass(frozen=True, kw_only=True)
class Measure(Meaning):
    """A number that is computed from weights of groups, so that its interval is of the same definition.

    Args:
        value: From the sums to (B,) values, or (B, 5) for a list; NaN where not defined.
        photo_values: What each photo adds to the measure's own sum.
        orders: In place of that, the orders whose areas it is computed from; measures that name the same function
            share them.
        area: The area of each of these orders.
        needs: The table must have this.
        interval: How its interval is made.
        groups_counted: The groups it is about.
        prevalence: The screening whose prevalence, where it is stated, the value is for.
        why_undefined: Why it is not defined, where the table has what it needs.
    """

    value: Callable[[WeightedSums], Values]
    photo_values: PhotoValues = count_grades
    orders: Orders | None = None
    area: Area | None = None
    needs: Literal["grades", "probabilities"] = "grades"
    interval: IntervalMethod
    groups_counted: GroupsCounted = "defined"
    prevalence: str = ""
    why_undefined: WhyUndefined = _always_defined

    @property
    def interval_undercovers(self) -> bool:
        """Whether its interval holds the true value less often than those of the others."""
        return self.interval == "reflected"


@dataclass(frozen=True)
class Section:
    """A part of `metrics.json`; all but the top can be missing.

    Args:
        name: Its key; empty for the top.
        measures: Its measures, in order.
        parts: By operating point, or under an empty name, the photos as this section sees them; nothing where the
            table gives no ground for it.
        why_missing: The clause that says why.
        description: What it is, in a sentence, for the schema.
    """

    name: str
    measures: tuple[Measure, ...]
    parts: Callable[[GradedPhotos], Mapping[str, GradedPhotos]]
    why_missing: Callable[[GradedPhotos], str]
    description: str = ""
