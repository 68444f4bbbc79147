"""From the answers of all seeds to measures, paired differences, and what the study could have found.

Every figure is a mean over the seeds, each of which has its own division into folds. Two things make it unsure: which
visits there were, which the bootstrap over visits tells, and which seeds, which their spread tells.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr, stdtrit

from biranet.config import EvaluationConfig
from biranet.errors import InputError
from biranet.evaluation.estimates import Key
from biranet.evaluation.group_sums import sum_by_group
from biranet.evaluation.groups import arrange_groups
from biranet.evaluation.interval_methods import TAIL
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks
from studies.claims.arms import COMPARISONS, CONTROLS, PRICES
from studies.idrid.analysis import pool

KEYS = ("quadratic_weighted_kappa", "aca", "referable_auc")

_ANSWERED = ("grade", "score")
"""What an arm answers for a photo, by the ends of the names of columns."""

POWER = 0.8
"""How likely the smallest difference that a study can find is to be found."""

Values = npt.NDArray[np.float64]


class Drawn(NamedTuple):
    """A measure of an arm, or a difference of two.

    Attributes:
        seeds: (S,) its value in each seed.
        draws: (R,) its mean over the seeds in drawn sets of visits.
        visits: How many visits there are.
    """

    seeds: Values
    draws: Values
    visits: int

    def minus(self, other: "Drawn") -> "Drawn":
        """The difference, paired by seed and by draw."""
        return Drawn(self.seeds - other.seeds, self.draws - other.draws, self.visits)

    def spread(self) -> tuple[float, float]:
        """Say how unsure the mean over the seeds is.

        Returns:
            Its standard error, and the degrees of freedom that it is known with (Satterthwaite).
        """
        of_visits = float(self.draws.var()) * self.visits / (self.visits - 1)
        of_seeds = float(self.seeds.var(ddof=1)) / len(self.seeds) if len(self.seeds) > 1 else 0.0
        both = of_visits + of_seeds
        known = of_visits**2 / (self.visits - 1) + of_seeds**2 / max(1, len(self.seeds) - 1)
        return both**0.5, both**2 / known if known else float("inf")

    def told(self) -> dict[str, Any]:
        """Value, interval, p-value against 0, and the smallest difference that would be found."""
        value, (error, freedom) = float(self.seeds.mean()), self.spread()
        reach = -float(stdtrit(freedom, TAIL)) * error
        return {
            "value": value,
            "ci": [value - reach, value + reach],
            "p": 2 * float(stdtr(freedom, -abs(value) / error)) if error else 1.0,
            "detectable": reach + float(stdtrit(freedom, POWER)) * error,
            "by_seed": [round(each, 6) for each in self.seeds.tolist()],
        }


def sum_up(answers: pd.DataFrame, arms: Sequence[str], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Measure every arm, and compare.

    Args:
        answers: Rows `file, group, grade, seed, fold`, and for each arm `ARM_grade` and `ARM_score`, that of referral;
            each seed has all photos.
        arms: Names of the arms.
        resamples: How many sets of visits are drawn.

    Returns:
        `arms`: by arm and key what `Drawn.told` tells; `comparisons`, `controls`, `prices`: a list of such, the other
        minus the first, of those whose arms are there; the p-values of the comparisons also adjusted within each key.
    """
    drawn = _draw(answers, arms, resamples)

    def difference(first: str, other: str) -> dict[str, Any]:
        told = {key: drawn[other, key].minus(drawn[first, key]).told() for key in KEYS}
        return {"first": first, "other": other, **told}

    comparisons = [
        {"question": question} | difference(first, other)
        for question, first, other in COMPARISONS
        if {first, other} <= set(arms)
    ]
    _adjust(comparisons)
    return {
        "arms": {arm: {key: _measure(drawn[arm, key]) for key in KEYS} for arm in arms},
        "comparisons": comparisons,
        "controls": [difference(*pair) for pair in CONTROLS if {*pair} <= set(arms)],
        "prices": [difference(*pair) for pair in PRICES if {*pair} <= set(arms)],
    }


def compare_runs(
    first: pd.DataFrame, other: pd.DataFrame, arms: Sequence[str], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Compare the same arms in two runs on the same photos.

    Args:
        first: Answers as `sum_up` takes them.
        other: Of the same photos in the same seeds and folds; the folders they were prepared from may differ, but not
            the names of their files.
        arms: Names of arms that both have.
        resamples: How many sets of visits are drawn.

    Returns:
        By arm and key what `Drawn.told` tells of the other minus the first; the p-values also adjusted within each key.

    Raises:
        InputError: If they are not the same photos in the same seeds and folds.
    """
    same, runs = ["seed", "file", "group", "grade", "fold"], ("first", "other")
    first, other = (
        answers.assign(file=[PurePosixPath(file).name for file in answers["file"]]) for answers in (first, other)
    )
    both = first.merge(other, on=same, suffixes=("_first", "_other"))
    if not len(both) == len(first) == len(other):
        raise InputError("the answers are not of the same photos in the same seeds and folds; give both runs the same")
    columns = {f"{arm}_{what}_{run}": f"{arm}_{run}_{what}" for arm in arms for what in _ANSWERED for run in runs}
    drawn = _draw(both.rename(columns=columns), [f"{arm}_{run}" for arm in arms for run in runs], resamples)
    told = {
        arm: {key: drawn[f"{arm}_other", key].minus(drawn[f"{arm}_first", key]).told() for key in KEYS} for arm in arms
    }
    _adjust(list(told.values()))
    return told


def _adjust(told: Sequence[dict[str, Any]]) -> None:
    """Put the adjusted p-values beside the others, within each key."""
    for key in KEYS:
        adjusted = holm([each[key]["p"] for each in told])
        for each, p in zip(told, adjusted, strict=True):
            each[key]["p_adjusted"] = p


def _measure(drawn: Drawn) -> dict[str, Any]:
    told = drawn.told()
    return {name: told[name] for name in ("value", "ci", "by_seed")}


def _draw(answers: pd.DataFrame, arms: Sequence[str], resamples: int) -> dict[tuple[str, str], Drawn]:
    """Measure all arms in all seeds, in the same drawn sets of visits."""
    config = EvaluationConfig()
    by_seed = [table.sort_values("file").reset_index(drop=True) for _, table in answers.groupby("seed")]
    tables = {arm: [_predictions(table, arm) for table in by_seed] for arm in arms}
    groups = arrange_groups([table for arm in arms for table in tables[arm]])
    keys = [Key.parse(key) for key in KEYS]
    found = {}
    for arm in arms:
        sums = [sum_by_group(table, groups, config).select(KEYS) for table in tables[arm]]
        values = [each.value() for each in sums]

        def mean_over_seeds(weights: Any, sums: Any = sums) -> list[Values]:
            measured = [each.measure(weights) for each in sums]
            return [np.mean([each[key] for each in measured], axis=0) for key in keys]

        draws = draw_in_blocks(mean_over_seeds, groups, config.seed, resamples)
        for key, drawn in zip(keys, draws, strict=True):
            seeds = np.array([float(each[key]) for each in values])
            found[arm, str(key)] = Drawn(seeds, drawn[~np.isnan(drawn)], len(groups.sizes))
    return found


def _predictions(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The answers of an arm in a seed as a predictions table; its scores are ranked within each fold."""
    score = table[f"{arm}_score"]
    columns = table[["file", "group", "grade", "fold"]].assign(predicted_grade=table[f"{arm}_grade"])
    return pool([columns.assign(p0=1 - score, p1=0.0, p2=score, p3=0.0, p4=0.0)])


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values so that of all hypotheses that are true, none is rejected but with the stated chance.

    Args:
        p: The p-values of the hypotheses.

    Returns:
        The adjusted ones, in the same order.

    Source:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> [round(each, 3) for each in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.sort(p) * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return [float(each) for each in adjusted]
