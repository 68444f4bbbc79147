"""Curves with their intervals: ROC, precision against recall, reliability of the score for referral, net benefit.

Each curve is a function of the weights of groups, like every measure: weights of one give the curve, drawn weights one
curve each, and the interval at a place on the curve is made from the values there, by the methods of all other numbers.
So a band holds the true value at any one place about as often as they say, not along the whole curve at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.confusion import SCREENINGS, ratio
from biranet.decisions.columns import any_dr_score, has_probabilities, probabilities, referable_score
from biranet.evaluation.areas import FallingScores, running_sum
from biranet.evaluation.groups import Groups, Weights, arrange_groups
from biranet.evaluation.interval_methods import Interval, clopper_pearson, percentile_interval, share_interval
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks
from biranet.evaluation.measures.measure import one_hot
from biranet.grades import REFERABLE_GRADE

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FALSE_POSITIVE_RATES: Values = np.linspace(0, 1, 51)
"""Places of the ROC curve: 1 - specificity."""

RECALLS: Values = np.linspace(0.01, 1, 100)
"""Places of the precision-recall curve."""

THRESHOLDS: Values = np.linspace(0.01, 0.6, 60)
"""Threshold probabilities of the decision curve: from 99 needless referrals for one that is missed to less than one."""

MAX_SCORES = 2000
"""Of more different scores, so many are taken, which moves a curve by less than a line's width."""

SCORE_BINS = 10
"""Bins of equal width of the score, in its reliability diagram."""


@dataclass(frozen=True)
class CurveBand:
    """A curve at chosen places, with its interval at each.

    Attributes:
        x: (L,) the places.
        value: (L,) the curve there; NaN where it is not defined.
        low: (L,) lower ends; NaN where there is no interval.
        high: (L,) upper ends, likewise.
    """

    x: Values
    value: Values
    low: Values
    high: Values


@dataclass(frozen=True)
class ScoreReliability:
    """How often photos are referable, by the score for referral; one entry for each bin that holds photos.

    Attributes:
        band: At the mean score of each bin, the share of its photos that is referable.
        photos: (L,) photos in each bin.
    """

    band: CurveBand
    photos: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curves:
    """The curves of a predictions table; each None where it is not defined.

    Attributes:
        referable_roc: Sensitivity for referable photos at each of `FALSE_POSITIVE_RATES`.
        any_dr_roc: The same for photos with any retinopathy.
        precision_recall: Precision of referral at each of `RECALLS`.
        reliability: That of the score for referral.
        net_benefit: Net benefit, a photo, of referring from each of `THRESHOLDS` on.
        refer_all: (T,) that of referring every photo.
        prevalence: Share of referable photos.
    """

    referable_roc: CurveBand | None
    any_dr_roc: CurveBand | None
    precision_recall: CurveBand | None
    reliability: ScoreReliability
    net_benefit: CurveBand
    refer_all: Values
    prevalence: float


@dataclass(frozen=True)
class _CurveOrder:
    """Photos in falling order of a score: how many of each kind reach each of L different scores.

    Args:
        positives: (P,) group of each photo to find, that with the highest score first.
        negatives: (Q,) group of each other one, likewise.
        positives_at: (L + 1,) photos to find that reach none, one, … all of the scores, `THRESHOLDS` among them.
        negatives_at: (L + 1,) others, likewise.
        levels: (T,) how many of the scores reach each of `THRESHOLDS`.
    """

    positives: npt.NDArray[np.intp]
    negatives: npt.NDArray[np.intp]
    positives_at: npt.NDArray[np.intp]
    negatives_at: npt.NDArray[np.intp]
    levels: npt.NDArray[np.intp]

    @classmethod
    def of(cls, score: Values, positive: Bools, group: npt.NDArray[np.intp]) -> "_CurveOrder":
        photos = FallingScores.of(score, positive)
        scores = np.unique(photos.negated)
        if len(scores) > MAX_SCORES:
            scores = scores[np.linspace(0, len(scores) - 1, MAX_SCORES).astype(np.intp)]
        scores = np.union1d(scores, -THRESHOLDS)
        positives_at, negatives_at = (np.append(0, counts) for counts in photos.reaching(scores))
        levels = np.searchsorted(scores, -THRESHOLDS, "right")
        return cls(group[photos.positives], group[photos.negatives], positives_at, negatives_at, levels)

    def reached(self, weights: Weights) -> tuple[Values, Values]:
        """(L + 1, B) weight of the photos to find, and of the others, that reach each score."""
        true_positives = running_sum(weights, self.positives).take(self.positives_at, axis=0)
        false_positives = running_sum(weights, self.negatives).take(self.negatives_at, axis=0)
        return true_positives.astype(np.float64), false_positives.astype(np.float64)

    def sensitivity(self, true_positives: Values, false_positives: Values) -> Values:
        """(B, X) sensitivity at each of `FALSE_POSITIVE_RATES`, straight lines between the corners of the ROC curve."""
        corners = zip(
            ratio(false_positives, false_positives[-1]).T, ratio(true_positives, true_positives[-1]).T, strict=True
        )
        return np.array([np.interp(FALSE_POSITIVE_RATES, *each) for each in corners])

    def precision(self, true_positives: Values, false_positives: Values) -> Values:
        """(B, X) precision at the highest threshold that reaches each of `RECALLS`."""
        shares = true_positives / np.maximum(true_positives + false_positives, 1)
        # The share itself may fall below the recall that it is by a rounding.
        levels = RECALLS[:, None] * true_positives[-1] * (1 - 1e-12)
        indices = [np.searchsorted(column, aim) for column, aim in zip(true_positives.T, levels.T, strict=True)]
        precision = np.take_along_axis(shares, np.array(indices).T, axis=0).T
        return np.where(true_positives[-1][:, None] > 0, precision, np.nan)

    def net_benefit(self, true_positives: Values, false_positives: Values) -> Values:
        """(B, T) found less needlessly referred ones, these by the odds of the threshold, a photo."""
        odds = THRESHOLDS / (1 - THRESHOLDS)
        benefit = true_positives[self.levels].T - false_positives[self.levels].T * odds
        return ratio(benefit, (true_positives[-1] + false_positives[-1])[:, None])

    def count_called(self) -> Iterator[tuple[int, int]]:
        """The groups and the photos that are called at the threshold of each of `RECALLS`."""
        for level in np.searchsorted(self.positives_at, RECALLS * len(self.positives) * (1 - 1e-12)).tolist():
            called = np.concatenate(
                [self.positives[: self.positives_at[level]], self.negatives[: self.negatives_at[level]]]
            )
            yield len(np.unique(called)), len(called)


@dataclass(frozen=True)
class _Photos:
    """A predictions table as arrays, and all its curves as functions of the weights of groups.

    Args:
        group: (N,) number of each photo's group.
        referable: (N,) which photos are referable.
        any_dr: (N,) which show any retinopathy.
        score: (N,) the score for referral.
        bins: (N,) its bin.
        in_bins: (G, bins, 2) what each group adds to each bin: photos, and referable ones.
        order: The photos in the order of the score.
        any_order: The photos in the order of the score for any retinopathy.
    """

    group: npt.NDArray[np.intp]
    referable: Bools
    any_dr: Bools
    score: Values
    bins: npt.NDArray[np.int64]
    in_bins: Values
    order: _CurveOrder
    any_order: _CurveOrder

    @classmethod
    def of(cls, table: "pd.DataFrame", groups: Groups) -> "_Photos":
        truth, shares, group = table["grade"].to_numpy(np.int64), probabilities(table), groups.group_of_photo
        referable, any_dr, score = truth >= REFERABLE_GRADE, truth >= SCREENINGS["any_dr"], referable_score(shares)
        # Probabilities that were rounded may exceed 1 by as much, and 1 itself belongs to the last bin.
        bins = np.minimum((score * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        here = one_hot(bins, SCORE_BINS)
        in_bins = np.add.reduceat(np.stack([here, here * referable[:, None]], axis=-1), groups.starts, axis=0)
        order, any_order = _CurveOrder.of(score, referable, group), _CurveOrder.of(any_dr_score(shares), any_dr, group)
        return cls(group, referable, any_dr, score, bins, in_bins, order, any_order)

    def measure(self, weights: Weights) -> list[Values]:
        """Each (B, L): sensitivity for referable photos, for any retinopathy, precision, net benefit, reliability."""
        reached = self.order.reached(weights)
        binned = np.tensordot(weights.astype(np.float64), self.in_bins, (0, 0))  # (B, bins, 2)
        return [
            self.order.sensitivity(*reached),
            self.any_order.sensitivity(*self.any_order.reached(weights)),
            self.order.precision(*reached),
            self.order.net_benefit(*reached),
            ratio(binned[..., 1], binned[..., 0]),
        ]


def measure_curves(
    table: "pd.DataFrame", config: EvaluationConfig | None = None, *, resamples: int = RESAMPLES
) -> Curves | None:
    """Compute the curves of a predictions table with their bands.

    Args:
        table: A predictions table.
        config: Seed of the draws, and whether they are stratified; the defaults where None. Prevalences are those of
            the photos.
        resamples: How many data sets to draw.

    Returns:
        The curves; None without probabilities.

    Source:
        Vickers and Elkin, Decision curve analysis, Medical Decision Making 26 (2006), for the net benefit; Macskassy
        and Provost, Confidence bands for ROC curves (2004), for vertical bands by the bootstrap, here with the
        intervals of shares in place of percentiles.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [0, 2], "predicted_grade": [0, 2]})
        >>> curves = measure_curves(table.assign(p0=[0.9, 0.2], p1=0.0, p2=[0.1, 0.8], p3=0.0, p4=0.0))
        >>> float(curves.referable_roc.value[0]), curves.net_benefit.value[[20, -1]].tolist()
        (1.0, [0.5, 0.5])
    """
    if not has_probabilities(table):
        return None
    config = config or EvaluationConfig()
    groups = arrange_groups([table], stratify=config.stratify)
    photos = _Photos.of(table.iloc[groups.order], groups)
    values = [each[0] for each in photos.measure(np.ones((len(groups.sizes), 1), np.int32))]
    drawn = draw_in_blocks(photos.measure, groups, config.seed, resamples)

    def share_band(index: int, x: Values, counts: Iterator[tuple[int, int]]) -> CurveBand:
        ends = [
            None if np.isnan(value) else share_interval(float(value), column, *count)
            for value, column, count in zip(values[index], drawn[index].T, counts, strict=True)
        ]
        return _band(x, values[index], ends)

    def roc(index: int, positive: Bools) -> CurveBand | None:
        if positive.all() or not positive.any():
            return None
        count = (len(np.unique(photos.group[positive])), int(positive.sum()))
        return _rising(share_band(index, FALSE_POSITIVE_RATES, iter([count] * len(FALSE_POSITIVE_RATES))))

    benefit_ends = [percentile_interval(column, len(groups.sizes)) for column in drawn[3].T]
    prevalence = float(photos.referable.mean())
    recalled = share_band(2, RECALLS, photos.order.count_called()) if prevalence else None
    return Curves(
        roc(0, photos.referable),
        roc(1, photos.any_dr),
        recalled,
        _reliability(photos, values[4], drawn[4], exact=not config.stratify),
        _band(THRESHOLDS, values[3], benefit_ends),
        prevalence - (1 - prevalence) * THRESHOLDS / (1 - THRESHOLDS),
        prevalence,
    )


def _band(x: Values, value: Values, ends: list[Interval | None]) -> CurveBand:
    low, high = np.array([each or [np.nan, np.nan] for each in ends], np.float64).reshape(-1, 2).T
    return CurveBand(x, value, low, high)


def _rising(band: CurveBand) -> CurveBand:
    """Let no edge of a band fall where its curve cannot, and end it at (1, 1), which every ROC curve reaches.

    Each place has an interval of its own, by a formula that depends on the value there, so that an edge may fall by a
    little. The band is widened until none does, so it holds the curve as often as before.
    """
    low = np.fmin.accumulate(band.low[::-1])[::-1]
    high = np.fmax.accumulate(band.high)
    defined = ~np.isnan(band.low)
    low, high = np.where(defined, low, np.nan), np.where(defined, high, np.nan)
    low[-1] = high[-1] = 1.0
    return CurveBand(band.x, band.value, low, high)


def _reliability(photos: _Photos, value: Values, drawn: Values, *, exact: bool) -> ScoreReliability:
    used = np.unique(photos.bins)
    means: list[float] = []
    counts: list[int] = []
    ends: list[Interval | None] = []
    for each in used.tolist():
        inside = photos.bins == each
        count, of_groups = int(inside.sum()), len(np.unique(photos.group[inside]))
        means.append(float(photos.score[inside].mean()))
        counts.append(count)
        if exact and count == of_groups:
            ends.append(clopper_pearson(float(value[each]), count))
        else:
            ends.append(share_interval(float(value[each]), drawn[:, each], of_groups, count))
    return ScoreReliability(_band(np.array(means), value[used], ends), np.array(counts))
