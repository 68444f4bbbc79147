"""Every measure as a function of the weights of groups.

A table is summed up once: what each group adds to each count and each mean, and the orders that the areas under curves
need. From there, the value of every measure for one set of weights or for two thousand is a matrix product, a running
sum and a division. Weights of one give the plain value, weights drawn at random give what the bootstrap wants. Both
come out of `Tabulated.measure`, so an interval can never be that of another definition.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.confusion import MATRIX_MEASURES, SCREENINGS, Values, ratio, screening_shares, two_by_two
from biranet.decisions.predictions import (
    POINT_PREFIX,
    SMALLEST_PROBABILITY,
    any_dr_score,
    has_answers,
    has_probabilities,
    point_columns,
    probabilities,
    referable_score,
)
from biranet.decisions.rules import raw_probabilities
from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.ranking import Ranking, RiskOrder, order_by_confidence, rank
from biranet.grades import DECISIONS, GRADE_COUNT, GRADES, REFERABLE_GRADE

if TYPE_CHECKING:
    import pandas as pd

BINS = 15
"""Bins of equal width in the expected calibration error."""

ROWS_AT_ONCE = 20_000
"""Photos whose measures are worked out at once."""

ONE_VS_REST = tuple(f"one_vs_rest_auc.{grade}" for grade in GRADES)
"""Keys of the rankings that the list of five areas comes from."""


@dataclass(frozen=True)
class Tabulated:
    """A predictions table, summed up.

    Args:
        sums: By name, (G, ...) what each group adds: counts of photos and sums over photos.
        photos: By key of a measure that sums determine, how many photos it is about, of shape () or (5,).
        rankings: By key of the measure, the photos in the order of their scores; empty without probabilities.
        risk: The photos in falling order of confidence, where there are probabilities.
        prevalences: By screening, the stated share of the ill, or None.
    """

    sums: Mapping[str, Values]
    photos: Mapping[str, Values]
    rankings: Mapping[str, Ranking]
    risk: RiskOrder | None
    prevalences: Mapping[str, float | None]

    def measure(self, weights: Weights) -> dict[str, Values]:
        """Evaluate every measure that the table allows.

        Args:
            weights: (G, B) weights of groups; see `biranet.evaluation.groups`.

        Returns:
            By key, with points in it for a place inside a section (`operating_points.youden.sensitivity`): (B,), or
            (B, 5) where there is one value a grade. NaN where a value is not defined.
        """
        values = _measure_sums(self._weigh(weights), self.prevalences)
        areas = {key: ranking.area(weights) for key, ranking in self.rankings.items()}
        of_grades = [areas.pop(key) for key in ONE_VS_REST if key in areas]
        values |= areas
        if of_grades:
            each = np.stack(of_grades, axis=-1)
            known = ~np.isnan(each)
            values["one_vs_rest_auc"] = each
            values["mean_one_vs_rest_auc"] = ratio(np.where(known, each, 0).sum(-1), known.sum(-1))
        if self.risk:
            values["area_under_risk_coverage"] = self.risk.area(weights)
        return values

    def only(self, keys: Collection[str]) -> "Tabulated":
        """Leave out the orders of photos, which take most of the time, of all areas but those in `keys`.

        Args:
            keys: Names of measures; of the areas of single grades there are none or all.

        Returns:
            The same table, without the measures that need them.
        """
        of_grades = "one_vs_rest_auc" in keys or "mean_one_vs_rest_auc" in keys
        wanted = {*keys, *(ONE_VS_REST if of_grades else ())}
        rankings = {key: ranking for key, ranking in self.rankings.items() if key in wanted}
        return replace(self, rankings=rankings, risk=self.risk if "area_under_risk_coverage" in keys else None)

    def value(self) -> dict[str, Values]:
        """Evaluate every measure of the table as it is, every group counting once: of shape () or (5,), by key."""
        once = np.ones((len(self.sums["confusion"]), 1), np.int32)
        return {key: values[0] for key, values in self.measure(once).items()}

    def groups_measured(self) -> dict[str, Values]:
        """Count, for every measure, the groups with photos that it is about.

        Returns:
            By key, of shape () or (5,): for a share, the groups that hold a photo it is a share of (photos of grade 3,
            for its recall); for an area under the ROC curve, the groups with photos to find or those with others,
            whichever are fewer; for an average over grades, as many as would know it as well, which rare grades make
            few and no whole number (see `_groups_of_average`); for all else, all groups.
        """
        counts = _count_defined(self.sums)
        total = np.array(len(self.sums["confusion"]), np.float64)
        counts["quadratic_weighted_kappa"] = total
        average = np.minimum(total, _groups_of_average(counts["recall_per_grade"]))
        counts |= dict.fromkeys(("aca", "macro_f1", "macro_f1_of_means"), average)
        counts |= {key: np.array(ranking.fewer_groups, np.float64) for key, ranking in self.rankings.items()}
        of_grades = [counts.pop(key) for key in ONE_VS_REST if key in counts]
        if of_grades:
            counts["one_vs_rest_auc"] = np.array(of_grades)
            counts["mean_one_vs_rest_auc"] = average
        if self.risk:
            counts["area_under_risk_coverage"] = total
        return counts

    @cached_property
    def _columns(self) -> Values:
        """(G, S) all sums side by side, so that one matrix product weighs them all."""
        return np.column_stack([each.reshape(len(each), -1) for each in self.sums.values()])

    def _weigh(self, weights: Weights) -> dict[str, Values]:
        """(B, ...) weighted sums by name."""
        weighted = (self._columns.T @ weights.astype(np.float64)).T
        ends = np.cumsum([each[0].size for each in self.sums.values()])
        parts = np.split(weighted, ends[:-1], axis=1)
        return {
            name: part.reshape(-1, *each.shape[1:]) for (name, each), part in zip(self.sums.items(), parts, strict=True)
        }


def tabulate(table: "pd.DataFrame", groups: Groups, config: EvaluationConfig) -> Tabulated:
    """Sum a predictions table up.

    Args:
        table: A predictions table; see `biranet.decisions.predictions`.
        groups: Its groups, as `arrange_groups` puts them in order.
        config: The prevalences that predictive values are given for.

    Returns:
        What the measures are computed from.
    """
    table = table.iloc[groups.order]
    truth, predicted = (table[name].to_numpy(np.int64) for name in ("grade", "predicted_grade"))
    referable = truth >= REFERABLE_GRADE
    columns = {"confusion": _one_hot(truth * GRADE_COUNT + predicted, GRADE_COUNT, GRADE_COUNT)}
    rankings, risk = {}, None
    if has_probabilities(table):
        shares = probabilities(table)
        columns |= _losses(shares, truth)
        if "temperature" in table and (table["temperature"] != 1).any():
            before = _losses(raw_probabilities(table), truth)
            columns |= {f"before_calibration.{name}": column for name, column in before.items()}
        scores = {"referable_auc": referable_score(shares), "any_dr_auc": any_dr_score(shares)}
        to_find = {f"{name}_auc": truth >= lowest for name, lowest in SCREENINGS.items()}
        for grade, key in enumerate(ONE_VS_REST):
            scores[key], to_find[key] = shares[:, grade], truth == grade
        rankings = {key: rank(scores[key], to_find[key], groups.group_of_photo) for key in scores}
        confidence = np.maximum(scores["referable_auc"], 1 - scores["referable_auc"])
        risk = order_by_confidence(confidence, (predicted >= REFERABLE_GRADE) != referable, groups.group_of_photo)
    for name in point_columns(table):
        key = f"operating_points.{name.removeprefix(POINT_PREFIX)}"
        columns[key] = _one_hot(2 * referable + table[name].to_numpy(np.int64), 2, 2)
    if has_answers(table):
        decision = table["decision"].map(DECISIONS.index).to_numpy(np.int64)
        columns["decisions"] = _one_hot(len(DECISIONS) * referable + decision, 2, len(DECISIONS))
        lowest, highest = (table[name].to_numpy(np.int64) for name in ("lowest_grade", "highest_grade"))
        columns["prediction_sets.held"] = (
            _one_hot(truth, GRADE_COUNT) * ((lowest <= truth) & (truth <= highest))[:, None]
        )
        columns["prediction_sets.size"] = _one_hot(highest - lowest, GRADE_COUNT)
    sums = {name: np.add.reduceat(column, groups.starts, axis=0) for name, column in columns.items()}
    return Tabulated(
        sums,
        _count_photos(columns),
        rankings,
        risk,
        {name: getattr(config, f"{name}_prevalence") for name in SCREENINGS},
    )


def bin_by_confidence(
    shares: Values, truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Values, npt.NDArray[np.bool_]]:
    """Sort photos into the bins of the expected calibration error.

    Args:
        shares: (N, 5) probabilities in [0, 1].
        truth: (N,) true grades.

    Returns:
        bins: (N,) the bin of each photo, from 0 on; a bin holds its lower end, the last one its upper end too.
        confidence: (N,) the probability of the most probable grade.
        right: (N,) whether that grade, of equals the lowest, is the true one.

    Example:
        >>> bins, confidence, right = bin_by_confidence(np.array([[0.0, 0.9, 0.1, 0.0, 0.0]]), np.array([1]))
        >>> bins.tolist(), confidence.tolist(), right.tolist()
        ([13], [0.9], [True])
    """
    confidence = shares.max(axis=1)
    # Probabilities that were rounded may exceed 1 by as much, and 1 itself belongs to the last bin.
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return bins, confidence, shares.argmax(axis=1) == truth


def _losses(shares: Values, truth: npt.NDArray[np.int64]) -> dict[str, Values]:
    """(N, ...) what each photo adds to the sums behind the three measures of probabilities."""
    bins, confidence, right = bin_by_confidence(shares, truth)
    of_truth = np.take_along_axis(shares, truth[:, None], axis=1)[:, 0]
    return {
        "brier": ((shares - _one_hot(truth, GRADE_COUNT)) ** 2).sum(axis=1),
        "negative_log_likelihood": -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)),
        "overconfidence": _one_hot(bins, BINS) * (confidence - right)[:, None],
    }


def _measure_sums(sums: Mapping[str, Values], prevalences: Mapping[str, float | None]) -> dict[str, Values]:
    """Everything that is a function of weighted sums, over one leading axis."""
    matrix = sums["confusion"]
    photos = matrix.sum((-2, -1))
    values = {name: function(matrix) for name, function in MATRIX_MEASURES.items()}
    for name, lowest in SCREENINGS.items():
        shares = screening_shares(two_by_two(matrix, lowest), prevalences[name])
        values |= {f"{name}_{key}": value for key, value in shares.items()}
    for section in ("", "before_calibration."):
        if f"{section}brier" in sums:
            gaps = np.abs(sums[f"{section}overconfidence"]).sum(-1)
            values[f"{section}expected_calibration_error"] = ratio(gaps, photos)
            for name in (f"{section}brier", f"{section}negative_log_likelihood"):
                values[name] = ratio(sums[name], photos)
    for section in [name for name in sums if name.startswith("operating_points.")]:
        shares = screening_shares(sums[section], prevalences["referable"])
        shares["referred_fraction"] = ratio(sums[section][..., 1].sum(-1), photos)
        values |= {f"{section}.{key}": value for key, value in shares.items()}
    if "decisions" in sums:
        values |= {f"decisions.{key}": value for key, value in _decided(sums["decisions"]).items()}
        held, sizes = sums["prediction_sets.held"], sums["prediction_sets.size"]
        values["prediction_sets.coverage"] = ratio(held.sum(-1), photos)
        values["prediction_sets.coverage_per_grade"] = ratio(held, matrix.sum(-1))
        values["prediction_sets.mean_size"] = ratio((sizes * np.arange(1, GRADE_COUNT + 1)).sum(-1), photos)
        values["prediction_sets.size_fractions"] = ratio(sizes, photos[..., None])
    return values


def _count_defined(sums: Mapping[str, Values]) -> dict[str, Values]:
    """By key, for how many rows of (R, ...) sums a measure is defined: a share is not where it has no photo."""
    alone = _measure_sums(sums, dict.fromkeys(SCREENINGS))
    return {key: (~np.isnan(values)).sum(0).astype(np.float64) for key, values in alone.items()}


def _count_photos(columns: Mapping[str, Values]) -> dict[str, Values]:
    """By key, how many photos a measure is about; `columns` holds what each photo adds."""
    rows = len(columns["confusion"])
    # In pieces, since every measure of every photo at once would need gigabytes for a million of them.
    pieces = [
        _count_defined({name: column[start : start + ROWS_AT_ONCE] for name, column in columns.items()})
        for start in range(0, rows, ROWS_AT_ONCE)
    ]
    return {key: np.sum([piece[key] for piece in pieces], axis=0) for key in pieces[0]}


def _decided(counts: Values) -> dict[str, Values]:
    """Shares of (..., 2, 3) counts: not referable or referable, and the three decisions."""
    needless, missed = counts[..., 0, 2], counts[..., 1, 0]
    asked, photos = counts[..., 1].sum(-1), counts.sum((-2, -1))
    return {
        "asked_fraction": ratio(asked, photos),
        "decided_error_fraction": ratio(needless + missed, photos - asked),
        "missed_fraction": ratio(missed, counts[..., 1, :].sum(-1)),
        "needless_fraction": ratio(needless, counts[..., 0, :].sum(-1)),
    }


def _groups_of_average(groups: Values) -> Values:
    """How many groups tell as much of the spread of a mean over grades as the groups of each grade do.

    A mean over grades varies most by the grades that fewest groups have, and of those the spread is known worst.

    Args:
        groups: (5,) groups that hold photos of each grade, some of at least one.

    Returns:
        () 1 more than the degrees of freedom: with `n` groups each, (sum of 1 / n)^2 / (sum of 1 / n^3).

    Source:
        Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2 (1946);
        our reading: a grade's share varies by 1 / n, and has n degrees of freedom, not n - 1, as other grades help.
    """
    present = groups[groups > 0]
    return np.asarray(1 + np.sum(1 / present) ** 2 / np.sum(1 / present**3))


def _one_hot(places: npt.NDArray[np.int64], *shape: int) -> Values:
    """(N, *shape) zeros with a one at each photo's place in the flattened shape."""
    cells = math.prod(shape)
    return np.eye(cells)[places].reshape(-1, *shape)
