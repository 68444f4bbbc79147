"""Fitting all rules on one table: temperature, grades, operating points and prediction sets.

The table holds photos that the model neither learned from nor was chosen on: a calibration part, or out-of-fold
predictions. What is promised is promised for the photos of a new group. A group drawn at random and then one of its
photos: that photo's grade lies in its set, and a referable one is referred, at least nine times in ten, whatever the
model, as long as new groups come as those of the table did. Groups count alike, large or small. The temperature is
fitted on the same photos, and so are the thresholds of the expected grade, where that decoder says at which grade a set
starts: a fault too small to be seen in simulations. Where the model was trained anew on all photos after its
out-of-fold predictions, the promise is an experience, no theorem.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.confusion import confusion_matrix, quadratic_weighted_kappa
from biranet.decisions.calibration import (
    FIT_MAX_TEMPERATURE,
    FIT_MIN_TEMPERATURE,
    fit_grade_thresholds,
    fit_temperature,
)
from biranet.decisions.columns import referable_score
from biranet.decisions.predictions import check_predictions
from biranet.decisions.rules import (
    REFER_ALL,
    REFER_NONE,
    SENSITIVITY_POINT,
    SPECIFICITY_POINT,
    Floats,
    OperatingPoint,
    Rules,
    apply_temperature,
    conformal_scores,
    decode,
    expected_grade,
    raw_probabilities,
)
from biranet.errors import InputError, RefusedError
from biranet.grades import REFERABLE_GRADE

COVERAGE = 0.90
"""How often a prediction set holds the grade, a referable photo is referred at the one point, and another photo is not
at the other."""

SLIGHT_KAPPA = 0.2
"""A kappa up to here is slight: Landis and Koch, The Measurement of Observer Agreement for Categorical Data, 1977."""

MIN_GROUPS = 9
"""The fewest groups that can promise it: the new, tenth group may be the worst of the ten."""

GIVE_MORE = "give photos of more patients"
"""What helps where photos are too few to fit rules on, unless they are a part that could be larger."""

_DECIMALS = 9
"""Scores closer than a table's digits are one score, and thresholds stand clear of it."""


def refuse_too_few(photos: pd.DataFrame, origin: str, advice: str) -> None:
    """Refuse photos that no rules can be fitted on, which needs no predictions.

    Args:
        photos: Their `grade` and `group`.
        origin: Where they come from, for the errors.
        advice: What to do where they are too few.

    Raises:
        InputError: If they are of fewer than `MIN_GROUPS` groups, or only referable ones or none.
    """
    if why := why_too_few(photos):
        raise InputError(f"{origin}: {why}; {advice}")


def why_too_few(photos: pd.DataFrame) -> str:
    """Say why no rules can be fitted on photos, in a clause; empty where they can.

    Args:
        photos: Their `grade` and `group`.
    """
    groups = photos["group"].nunique()
    if groups < MIN_GROUPS:
        return (
            f"the rules need photos of at least {MIN_GROUPS} groups (patients), and the {len(photos)} photos to fit "
            f"them on are of {groups}"
        )
    referable = photos["grade"] >= REFERABLE_GRADE
    if referable.all() or not referable.any():
        which = "all of them are" if referable.all() else "none of them is"
        return (
            f"the rules need referable photos (grade {REFERABLE_GRADE} and above) and others, and of the {len(photos)} "
            f"photos to fit them on {which} referable"
        )
    return ""


def fit_rules(
    table: pd.DataFrame,
    *,
    decoder: Literal["argmax", "expected_grade"] = "argmax",
    cost_of_missed: float = 5.0,
    keep_grades: bool = False,
    origin: str = "the calibration table",
    advice: str = GIVE_MORE,
) -> Rules:
    """Fit everything that turns the model's probabilities into answers.

    Args:
        table: A predictions table with probabilities; a temperature that was applied to them is undone first.
        decoder: How probabilities become a grade.
        cost_of_missed: What a referable photo that is not referred costs, in needless referrals.
        keep_grades: Fit the sets to start at the table's predicted grades, as `apply_rules` does with those of another
            program; else they start at the grades of the decoder, and the table's are not used.
        origin: Where the table comes from, for the errors.
        advice: What to do where it holds too few photos.

    Returns:
        The rules, with four operating points: `sensitivity_90`, `specificity_90`, `youden` (highest sensitivity +
        specificity) and `cost_<cost_of_missed>` (lowest cost of these photos); none where fewer than `MIN_GROUPS`
        groups have referable photos, or others. Their doubts say so, and what else makes them weak.

    Raises:
        InputError: If the table is refused by `check_predictions`, holds no probabilities, fewer than `MIN_GROUPS`
            groups, or only referable photos or none; or the cost is not above 0.
    """
    if not 0 < cost_of_missed < math.inf:
        raise InputError(f"the cost of a missed photo must be a number above 0, not {cost_of_missed}")
    check_predictions(table, origin)
    raw = raw_probabilities(table, origin=origin)
    grades = table["grade"].to_numpy(np.int64)
    refuse_too_few(table, origin, advice)
    groups, names = pd.factorize(table["group"])
    referable = grades >= REFERABLE_GRADE
    temperature = fit_temperature(raw, grades)
    shares = apply_temperature(raw, temperature)
    thresholds = None
    if decoder == "expected_grade":
        thresholds = fit_grade_thresholds(expected_grade(shares), grades, groups)
    graded = Rules(temperature, decoder, thresholds)
    of_class = [len(np.unique(groups[chosen])) for chosen in (referable, ~referable)]
    points: tuple[OperatingPoint, ...] = ()
    if min(of_class) >= MIN_GROUPS:
        points = _fit_points(referable_score(shares).round(_DECIMALS), referable, groups, cost_of_missed)
    starts = table["predicted_grade"].to_numpy(np.int64) if keep_grades else decode(raw, graded)
    before = conformal_scores(shares, starts)[np.arange(len(grades)), grades]
    kappa = float(quadratic_weighted_kappa(confusion_matrix(grades, starts)))
    return Rules(
        temperature,
        decoder,
        thresholds,
        points,
        conformal_quantile(before, groups) + 10.0**-_DECIMALS,
        f"{len(table)} photos in {len(names)} groups",
        tuple(_doubts(temperature, kappa, of_class, advice)),
    )


def _fit_points(
    score: Floats, referable: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp], cost_of_missed: float
) -> tuple[OperatingPoint, ...]:
    """Fit the operating points, on photos of groups enough of either kind."""
    return (
        OperatingPoint(SENSITIVITY_POINT, _sensitive_threshold(score, referable, groups)),
        OperatingPoint(SPECIFICITY_POINT, _specific_threshold(score, referable, groups)),
        OperatingPoint("youden", min_cost_threshold(score, referable, 1 / referable.sum(), 1 / (~referable).sum())),
        OperatingPoint(f"cost_{cost_of_missed:g}", min_cost_threshold(score, referable, cost_of_missed, 1.0)),
    )


def _doubts(temperature: float, kappa: float, of_class: Sequence[int], advice: str) -> Iterator[str]:
    """What makes rules weak, or left some of them out."""
    if min(of_class) < MIN_GROUPS:
        yield (
            f"There are no operating points, so it refers by its grade alone: to fit them takes photos of "
            f"{MIN_GROUPS} groups (patients) with referable photos and of as many with others, and there were "
            f"{of_class[0]} and {of_class[1]}; {advice}."
        )
    if temperature == FIT_MIN_TEMPERATURE:
        yield (
            f"The temperature stands at its bound of {temperature:g}, as no photo it was fitted on shows how sure is "
            "too sure: the probabilities are surer than anybody knows."
        )
    if temperature == FIT_MAX_TEMPERATURE:
        yield f"The temperature stands at its bound of {temperature:g}: the probabilities told nothing of the photos."
    if kappa < SLIGHT_KAPPA:
        yield (
            f"On the photos that the rules were fitted on kappa is {kappa:.2f}: the grades hardly agree with the truth "
            "better than by chance."
        )


def conformal_quantile(scores: Floats, groups: npt.ArrayLike) -> float:
    """Find the score that a photo of a new group exceeds at most once in ten times.

    Each of the G groups weighs 1 / (G + 1), divided among its photos, and the new group weighs as much, at infinity.

    Args:
        scores: (N,), at least one.
        groups: Group of each photo, (N,).

    Returns:
        The lowest score up to which the scores weigh `COVERAGE`; infinity where there is none, as with fewer than nine
        groups.

    Source:
        Lee, Barber and Willett, Distribution-Free Inference with Hierarchical Data, arXiv:2306.06342 (2023), the method
        they call HCP.

    Example:
        >>> conformal_quantile(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), list("abcdefghi"))
        9.0
    """
    group_of_photo, _ = pd.factorize(np.asarray(groups, object))
    sizes = np.bincount(group_of_photo)
    order = np.argsort(scores)
    weights = np.cumsum(1 / sizes[group_of_photo[order]])
    # A millionth of a photo is rounding: thirds of a group must add up to the group.
    enough = np.flatnonzero(weights >= COVERAGE * (len(sizes) + 1) - 1e-6)
    return float(scores[order[enough[0]]]) if len(enough) else math.inf


def min_cost_threshold(
    score: Floats, referable: npt.NDArray[np.bool_], cost_of_missed: float, needless_cost: float
) -> float:
    """Find the threshold at which missed and needless referrals cost least.

    Args:
        score: Probability of a referable grade, (N,).
        referable: Whether the photo is referable, (N,).
        cost_of_missed: What a referable photo below the threshold costs.
        needless_cost: What another photo at or above it costs.

    Returns:
        `REFER_ALL`, `REFER_NONE`, or the middle between two neighbouring scores; of equals the one that refers most.

    Example:
        >>> min_cost_threshold(np.array([0.1, 0.3, 0.4, 0.9]), np.array([False, True, False, True]), 5, 1)
        0.2
    """
    scores, rank = np.unique(score, return_inverse=True)
    # With the k lowest of the different scores below the threshold.
    missed = np.append(0, np.bincount(rank, referable, len(scores)).cumsum())
    spared = np.append(0, np.bincount(rank, ~referable, len(scores)).cumsum())
    costs = cost_of_missed * missed - needless_cost * spared
    # Costs that differ by rounding alone are equal.
    best = int(np.flatnonzero(costs <= costs.min() + 1e-9 * (cost_of_missed + needless_cost))[0])
    thresholds = np.concatenate([[REFER_ALL], (scores[:-1] + scores[1:]) / 2, [REFER_NONE]])
    return float(thresholds[best])


def check_disjoint(
    calibration: pd.DataFrame,
    measured: pd.DataFrame,
    *,
    calibration_origin: str = "the calibration table",
    measured_origin: str = "the table to measure",
) -> None:
    """Refuse to measure rules on photos or groups that they were fitted on.

    Args:
        calibration: The predictions table that rules were fitted on.
        measured: The predictions table they are to be measured on.
        calibration_origin: Where the first comes from, for the error.
        measured_origin: Where the second comes from, for the error.

    Raises:
        RefusedError: If a photo, by name or by the hash of its file, or a group stands in both. The sentence names the
            photo, not its row: pooled tables no longer know their rows.
    """
    for column in ("file", "sha256", "group"):
        if column not in calibration or column not in measured:
            continue
        calibration_values = calibration[column]
        shared = measured[measured[column].isin(calibration_values[calibration_values != ""])]
        if len(shared):
            photo, value = shared["file"].iloc[0], shared[column].iloc[0]
            raise RefusedError(
                f"{measured_origin}, photo {photo!r}, column {column!r}: {value!r} stands in {calibration_origin} too, "
                "so the figures would be too good; fit the rules on photos of other patients"
            )


def _sensitive_threshold(score: Floats, referable: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> float:
    """Find the highest threshold that new referable photos reach nine times in ten.

    It stands halfway to the next lower score of any photo, where it refers no more of these photos.
    """
    lowest = -conformal_quantile(-score[referable], groups[referable])
    return REFER_ALL if lowest <= 0 else float((lowest + score[score < lowest].max(initial=0.0)) / 2)


def _specific_threshold(score: Floats, referable: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> float:
    """Find the lowest threshold that new photos that are not referable stay below nine times in ten.

    It stands halfway to the next higher score of any photo, where it refers no fewer of these photos.
    """
    highest = conformal_quantile(score[~referable], groups[~referable])
    return REFER_NONE if highest >= 1 else float((highest + score[score > highest].min(initial=1.0)) / 2)
