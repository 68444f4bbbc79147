"""From probabilities to answers: temperature, grade, prediction set, referral, by rules that travel with the model.

Every front end answers through `decide`, so that a photo gets the same grade and decision wherever it is graded. The
rules are fitted in `biranet.decisions.fit`; a `Rules()` with nothing fitted gives the most probable grade.

The decision leaves a photo to a human where the model is not sure. With the points `sensitivity_90` and
`specificity_90`, a photo is not referred below the first point's threshold and referred from the second's on; between
them a human is asked, and also where the grade contradicts. A model that tells the photos apart well has the first
threshold above the second: any threshold between them keeps both promises, so both give way to their midpoint and no
score is left to a human.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from biranet.decisions.columns import (
    DECISION_COLUMNS,
    POINT_PREFIX,
    PROBABILITIES,
    has_probabilities,
    point_columns,
    probabilities,
    referable_score,
)
from biranet.errors import InputError
from biranet.grades import DECISIONS, GRADE_COUNT, GRADES, REFERABLE_GRADE
from biranet.validated import STRICT
from biranet.words import counted

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Grades = npt.NDArray[np.int64]

SENSITIVITY_POINT = "sensitivity_90"
"""Operating point below whose threshold a photo is not referred."""

SPECIFICITY_POINT = "specificity_90"
"""Operating point from whose threshold on a photo is referred."""

REFER_ALL = 0.0
"""Threshold that refers every photo, since no score lies below 0."""

REFER_NONE = 2.0
"""Threshold that refers no photo, since no score reaches 2 (nor JSON infinity)."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
"""Temperatures between which calibrated probabilities are numbers; those that are fitted lie well inside."""

FULL_SET = 2.0
"""Set threshold that takes all five grades in, since no probability gathered exceeds it."""


@dataclass(frozen=True)
class OperatingPoint:
    """A way to refer: photos whose probability of a referable grade reaches a threshold.

    Attributes:
        name: For example `youden`; a predictions table holds the referrals in the column `refer_youden`.
        threshold: Refer where p2 + p3 + p4 >= threshold; `REFER_ALL` and `REFER_NONE` are its ends.

    Example:
        >>> import biranet
        >>> biranet.OperatingPoint("youden", threshold=0.4)
        OperatingPoint(name='youden', threshold=0.4)
    """

    __pydantic_config__ = STRICT

    name: str
    threshold: float

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("an operating point must have a name")
        if not REFER_ALL <= self.threshold <= REFER_NONE:
            raise InputError(f"the threshold of {self.name!r} must lie between 0 and 2, not {self.threshold}")


@dataclass(frozen=True)
class Rules:
    """How probabilities become answers. Stored in the checkpoint, so that every front end answers alike.

    Attributes:
        temperature: Probabilities are raised to its inverse and normalized: above 1 the model is made less sure.
        decoder: `argmax`: the most probable grade; `expected_grade`: thresholds on the mean of the grades.
        grade_thresholds: Where grades 1, 2, 3 and 4 begin on the scale of the expected grade; for that decoder only.
        operating_points: None, or several with `sensitivity_90` and `specificity_90`, which decide, among them.
        set_threshold: A prediction set grows while it has gathered no more probability than this; None: no sets.
        fitted_on: The data the rules were fitted on, in words.
        doubts: What makes the rules weak, or left some of them out, a sentence each.

    Example:
        >>> import biranet
        >>> biranet.Rules(temperature=2.0).operating_points
        ()
    """

    # A key that is not known may change what the answers mean, so it must not be passed over.
    __pydantic_config__ = STRICT

    temperature: float = 1.0
    decoder: Literal["argmax", "expected_grade"] = "argmax"
    grade_thresholds: tuple[float, float, float, float] | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    set_threshold: float | None = None
    fitted_on: str = ""
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE:
            raise InputError(
                f"the temperature must be a number above 0, not {self.temperature}: "
                f"from {MIN_TEMPERATURE} to {MAX_TEMPERATURE:g}"
            )
        if self.decoder not in ("argmax", "expected_grade"):
            raise InputError(f"the rules ask for the decoder {self.decoder!r}, which this biranet does not have")
        if (self.decoder == "expected_grade") != (self.grade_thresholds is not None):
            raise InputError("grade thresholds belong to the decoder 'expected_grade', and to no other")
        thresholds = self.grade_thresholds or ()
        highest = GRADE_COUNT - 0.5
        if not (all(-0.5 <= end <= highest for end in thresholds) and list(thresholds) == sorted(thresholds)):
            raise InputError(
                f"the four grade thresholds must be numbers from -0.5 to {highest} that do not fall, not {thresholds}"
            )
        names = [point.name for point in self.operating_points]
        if len(set(names)) < len(names):
            raise InputError(f"two operating points have one name: {', '.join(names)}")
        if names and not {SENSITIVITY_POINT, SPECIFICITY_POINT} <= set(names):
            raise InputError(f"decisions need the operating points {SENSITIVITY_POINT!r} and {SPECIFICITY_POINT!r}")
        if self.set_threshold is not None and not 0 <= self.set_threshold <= FULL_SET:
            raise InputError(f"the set threshold must lie between 0 and 2, not {self.set_threshold}")


class Decisions(NamedTuple):
    """What is said of N photos.

    Attributes:
        probabilities: Calibrated, (N, 5), float64, summing to 1.
        grades: (N,), int64.
        decisions: (N,), strings out of `DECISIONS`.
        lowest: Lowest grade of the prediction set, (N,), int64; without sets the grade.
        highest: Highest grade of the prediction set, (N,), int64; without sets the grade.
        referred: By operating point, whether a photo is referred there, (N,), bool.
    """

    probabilities: Floats
    grades: Grades
    decisions: npt.NDArray[np.str_]
    lowest: Grades
    highest: Grades
    referred: Mapping[str, npt.NDArray[np.bool_]]


def apply_temperature(shares: npt.ArrayLike, temperature: npt.ArrayLike) -> Floats:
    """Make probabilities less sure (temperature above 1) or surer (below 1).

    Args:
        shares: Probabilities of the five grades, (…, 5).
        temperature: T > 0, a number or an array that broadcasts against `shares`; 1 / T undoes T.

    Returns:
        `p^(1/T) / sum(p^(1/T))`, (…, 5), float64: what dividing the logits by T gives, since a softmax forgets only
        what is common to all logits. A probability of 0 stays 0, and the order of the five stays as it is.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Example:
        >>> apply_temperature([0.1, 0.0, 0.0, 0.0, 0.9], 0.5).round(3).tolist()
        [0.012, 0.0, 0.0, 0.0, 0.988]
    """
    with np.errstate(divide="ignore"):
        logits = np.log(np.asarray(shares, np.float64)) / np.asarray(temperature, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    calibrated: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return calibrated


def expected_grade(shares: Floats) -> Floats:
    """Average the grades, each with its probability.

    Args:
        shares: Probabilities of the five grades, (…, 5), summing to 1.

    Returns:
        (…) in [0, 4].
    """
    mean: Floats = shares @ np.arange(GRADE_COUNT, dtype=np.float64)
    return mean


def decode(raw: npt.NDArray[np.floating], rules: Rules) -> Grades:
    """Turn probabilities into grades, by the decoder that the rules name.

    Args:
        raw: Probabilities as the model gave them, (…, 5).
        rules: `argmax` takes the most probable grade, the lower one of equals, of the raw probabilities, so that no
            temperature can change it, not even by rounding. `expected_grade` counts the thresholds that the expected
            grade of the calibrated probabilities reaches.

    Returns:
        Grades 0 to 4, (…), int64.

    Example:
        >>> decode(np.array([[0.1, 0.2, 0.4, 0.2, 0.1]]), Rules(temperature=3.0))
        array([2])
    """
    if rules.grade_thresholds is None:
        return np.asarray(raw.argmax(axis=-1), np.int64)
    reached = expected_grade(apply_temperature(raw, rules.temperature))[..., None] >= np.array(rules.grade_thresholds)
    return np.asarray(reached.sum(axis=-1), np.int64)


def describe_decoder(rules: Rules, others: int, photos: int) -> str:
    """Say by which rule grades are given, and of how many photos the grade is not the most probable one.

    Args:
        rules: The rules.
        others: Photos whose grade is not the most probable one.
        photos: Photos that have a grade.

    Returns:
        One sentence.

    Example:
        >>> print(describe_decoder(Rules(), 0, 44))
        The grade is the most probable one.
        >>> describe_decoder(Rules(decoder="expected_grade", grade_thresholds=(0.5, 1.2, 2.5, 3.5)), 14, 44)[-54:]
        'for 14 of 44 photos it is not the most probable grade.'
    """
    if rules.grade_thresholds is None:
        return "The grade is the most probable one."
    *first, last = (f"{threshold:.2f}" for threshold in rules.grade_thresholds)
    return (
        f"The grade is the expected grade, the mean over the probabilities, cut at {', '.join(first)} and {last}: for "
        f"{others} of {counted(photos, 'photo')} it is not the most probable grade."
    )


def conformal_scores(shares: Floats, grades: Grades) -> Floats:
    """Grow a set of neighbouring grades from each photo's grade, always towards the likelier neighbour.

    Args:
        shares: Calibrated probabilities, (N, 5).
        grades: Where the sets start, (N,).

    Returns:
        (N, 5) float64: the probability the set holds before each grade enters it; 0 for the grade it starts at. The
        grades where this is at most a threshold are neighbours, and the start is among them. Of two neighbours equally
        likely the higher grade enters first.

    Source:
        Lu, Angelopoulos and Pomerantz, Improving Trustworthiness of AI Disease Severity Rating in Medical Imaging with
        Ordinal Conformal Prediction Sets, MICCAI 2022. Ours starts at the grade that is printed.

    Example:
        >>> conformal_scores(np.array([[0.1, 0.5, 0.25, 0.15, 0.0]]), np.array([1])).tolist()
        [[0.9, 0.0, 0.5, 0.75, 1.0]]
    """
    rows = np.arange(len(shares))
    # A share of -1 beyond either end keeps the set inside the scale, for as long as there is a grade to take.
    padded = np.pad(shares, ((0, 0), (1, 1)), constant_values=-1.0)
    low, high = grades + 1, grades + 1
    mass = shares[rows, grades].astype(np.float64)
    before = np.zeros(shares.shape)
    for _ in range(GRADE_COUNT - 1):
        upward = padded[rows, high + 1] >= padded[rows, low - 1]
        low, high = np.where(upward, low, low - 1), np.where(upward, high + 1, high)
        entering = np.where(upward, high, low)
        before[rows, entering - 1] = mass
        mass = mass + padded[rows, entering]
    return before


def decide(raw: npt.NDArray[np.floating], rules: Rules, grades: Grades | None = None) -> Decisions:
    """Say everything the rules say of some photos.

    Args:
        raw: Probabilities as the model gave them, (N, 5).
        rules: The rules.
        grades: Grades that another program gave, (N,), which are kept; by the rules' own decoder when not given.

    Returns:
        The answers.

    Raises:
        InputError: If a probability is no number, as given or by the rules.
    """
    shares = apply_temperature(raw, rules.temperature)
    if not np.isfinite(shares).all():
        raise InputError(
            "the model answers with what is no number, or its rules make none of it, so there is no grade; "
            "its training has diverged, or its file was changed"
        )
    grades = decode(raw, rules) if grades is None else grades
    lowest, highest = grades, grades
    if rules.set_threshold is not None:
        inside = conformal_scores(shares, grades) <= rules.set_threshold
        lowest = np.asarray(inside.argmax(axis=1), np.int64)
        highest = lowest + inside.sum(axis=1) - 1
    score = referable_score(shares)
    referred = {point.name: score >= point.threshold for point in rules.operating_points}
    return Decisions(shares, grades, _decide(score, grades, rules), lowest, highest, referred)


def decision_columns(answers: Decisions, rules: Rules) -> dict[str, npt.NDArray[np.generic]]:
    """Write answers as the answer columns of a predictions table.

    Args:
        answers: What `decide` said.
        rules: The rules it was said by.

    Returns:
        (N,) by column: `DECISION_COLUMNS`, then a column of 0 and 1 for each operating point. Nothing where nothing was
        fitted: then grade and probabilities are all there is to say.
    """
    if rules == Rules():
        return {}
    temperature = np.full(len(answers.grades), rules.temperature)
    columns = (temperature, answers.decisions.astype(object), answers.lowest, answers.highest)
    points = {POINT_PREFIX + name: referred.astype(np.int64) for name, referred in answers.referred.items()}
    return dict(zip(DECISION_COLUMNS, columns, strict=True)) | points


def raw_probabilities(table: "pd.DataFrame", *, origin: str = "the predictions table") -> Floats:
    """Read the probabilities as the model gave them, before any temperature.

    Args:
        table: A predictions table with probabilities.
        origin: Where the table comes from, for the error.

    Returns:
        (N, 5) float64, summing to 1: the temperature in the table's column of that name is undone.

    Raises:
        InputError: If the table holds no probabilities.
    """
    if not has_probabilities(table):
        raise InputError(
            f"{origin}: the predictions hold no probabilities (columns 'p0' to 'p4'), so rules can be neither fitted "
            "nor applied"
        )
    applied = table["temperature"].to_numpy(np.float64)[:, None] if "temperature" in table else 1.0
    return apply_temperature(probabilities(table), 1 / applied)


def apply_rules(table: "pd.DataFrame", rules: Rules, *, origin: str = "the predictions table") -> "pd.DataFrame":
    """Answer the photos of a predictions table anew.

    Args:
        table: A predictions table with probabilities; a temperature that was applied to them is undone first.
        rules: The rules.
        origin: Where the table comes from, for the error.

    Returns:
        The table with calibrated probabilities and the answer columns of these rules instead of those it had; its
        predicted grades stay, since they are scored as given.

    Raises:
        InputError: If the table holds no probabilities.
    """
    answers = decide(raw_probabilities(table, origin=origin), rules, table["predicted_grade"].to_numpy(np.int64))
    shares = {name: answers.probabilities[:, grade] for name, grade in zip(PROBABILITIES, GRADES, strict=True)}
    stale = [name for name in (*DECISION_COLUMNS, *point_columns(table)) if name in table]
    return table.drop(columns=stale).assign(**shares, **decision_columns(answers, rules))


def decision_bounds(rules: Rules) -> tuple[float, float]:
    """Find the scores between which a human is asked.

    Args:
        rules: With operating points.

    Returns:
        The score p2 + p3 + p4 below which a photo is not referred, and the one from which on it is, each where the
        grade agrees. Equal where the model tells the photos apart well.
    """
    thresholds = {point.name: point.threshold for point in rules.operating_points}
    below, above = thresholds[SENSITIVITY_POINT], thresholds[SPECIFICITY_POINT]
    middle = (below + above) / 2
    # A lower threshold only adds to the sensitivity, a higher one to the specificity: both promises stay.
    return min(below, middle), max(above, middle)


def _decide(score: Floats, grades: Grades, rules: Rules) -> npt.NDArray[np.str_]:
    """Decide by score and grade where there are operating points, else by the grade alone."""
    no, human, refer = DECISIONS
    referable = grades >= REFERABLE_GRADE
    if not rules.operating_points:
        return np.where(referable, refer, no)
    below, above = decision_bounds(rules)
    return np.select([(score >= above) & referable, (score < below) & ~referable], [refer, no], human)
