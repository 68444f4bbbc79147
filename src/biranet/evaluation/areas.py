"""Areas under curves that an order of photos determines, for many sets of weights at once.

Photos are sorted once. What remains for each set of weights is a running sum along that order, exact where weights are
whole numbers; all areas of one order share it.
"""

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np
import numpy.typing as npt

from biranet.confusion import ratio

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Weights = npt.NDArray[np.int32] | npt.NDArray[np.float64]
"""(G, B): how often each of G groups counts in each of B data sets."""


@dataclass(frozen=True)
class ScoreOrder:
    """Positives and negatives in falling order of a score, and the photos that an area is averaged over.

    Args:
        positives: (P,) group of each positive, that with the highest score first.
        negatives: (Q,) group of each negative, likewise.
        averaged: (A,) group of each photo that the area is averaged over.
        positives_at: (A,) number of positives with at least the score of each of these photos.
        negatives_at: (A,) number of negatives with at least its score.
        negatives_above: (A,) number of negatives with a higher score.
    """

    positives: Indices
    negatives: Indices
    averaged: Indices
    positives_at: Indices
    negatives_at: Indices
    negatives_above: Indices

    @property
    def fewer_groups(self) -> int:
        """Number of groups with positives, or of those with negatives, whichever are fewer."""
        return min(len(np.unique(self.positives)), len(np.unique(self.negatives)))


@dataclass(frozen=True)
class FallingScores:
    """Photos in falling order of a score.

    Args:
        order: (N,) the place of each photo in the table, that with the highest score first.
        negated: (N,) their scores with the other sign, which never fall.
        positive: (N,) which of them are positives.
    """

    order: Indices
    negated: Values
    positive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, scores: Values, positive: npt.NDArray[np.bool_]) -> "FallingScores":
        """Sort photos, given in the order of the table; of equal scores the first stays first."""
        order = np.argsort(-scores, kind="stable")
        return cls(order, -scores[order], positive[order])

    @property
    def positives(self) -> Indices:
        """(P,) the places of the positives."""
        return self.order[self.positive]

    @property
    def negatives(self) -> Indices:
        """(Q,) the places of the negatives."""
        return self.order[~self.positive]

    def reaching(self, negated_thresholds: Values) -> tuple[Indices, Indices]:
        """Count the photos with at least a score: the corners of a ROC curve, where the scores are those of photos.

        Args:
            negated_thresholds: (T,) the scores with the other sign.

        Returns:
            (T,) how many positives reach each, and (T,) how many negatives.

        Example:
            >>> photos = FallingScores.of(np.array([0.1, 0.5, 0.5]), np.array([False, False, True]))
            >>> [counts.tolist() for counts in photos.reaching(np.array([-0.5, -0.1]))]
            [[1, 1], [1, 2]]
        """
        positives, negatives = (
            np.searchsorted(self.negated[which], negated_thresholds, "right")
            for which in (self.positive, ~self.positive)
        )
        return positives, negatives


def order_by_score(
    scores: Values, positive: npt.NDArray[np.bool_], groups: Indices, *, average_all: bool = False
) -> ScoreOrder:
    """Sort photos by falling score.

    Args:
        scores: (N,) scores, high for positives.
        positive: (N,) which photos are positives.
        groups: (N,) number of each photo's group.
        average_all: Whether areas are averaged over all photos, as that under the risk-coverage curve; else over the
            positives.

    Returns:
        The order.
    """
    photos = FallingScores.of(scores, positive)
    averaged = np.ones_like(photos.positive) if average_all else photos.positive
    thresholds = photos.negated[averaged]
    return ScoreOrder(
        groups[photos.positives],
        groups[photos.negatives],
        groups[photos.order[averaged]],
        *photos.reaching(thresholds),
        np.searchsorted(photos.negated[~photos.positive], thresholds, "left"),
    )


@dataclass(frozen=True)
class WeightedOrder:
    """An order with the weights of the groups; what several areas need is worked out once.

    Args:
        order: The order.
        weights: (G, B) weights, each 0 or at least 1.
    """

    order: ScoreOrder
    weights: Weights

    @cached_property
    def averaged(self) -> Weights:
        """(A, B) weight of each photo that is averaged over."""
        return self.weights.take(self.order.averaged, axis=0)

    @cached_property
    def negatives(self) -> Weights:
        """(Q + 1, B) weight of the first 0, 1, 2, … Q negatives."""
        return running_sum(self.weights, self.order.negatives)

    @cached_property
    def negatives_at(self) -> Weights:
        """(A, B) weight of the negatives with at least the score of each photo that is averaged over."""
        return self.negatives.take(self.order.negatives_at, axis=0)


def roc_auc(weighted: WeightedOrder) -> Values:
    """Measure the chance that a positive has a higher score than a negative, a tie counting half.

    Args:
        weighted: An order whose areas are averaged over the positives, with B sets of weights.

    Returns:
        (B,) in [0, 1]; NaN where one of the two kinds has no weight.

    Example:
        >>> order = order_by_score(np.array([0.1, 0.5, 0.5]), np.array([False, False, True]), np.array([0, 1, 2]))
        >>> roc_auc(WeightedOrder(order, np.ones((3, 1), np.int32))).tolist()
        [0.75]
    """
    above = weighted.negatives.take(weighted.order.negatives_above, axis=0)
    negatives = weighted.negatives[-1]
    # Twice the weight of the negatives with a lower score, and once that of those with the same.
    below = 2 * negatives - above - weighted.negatives_at
    pairs = weighted.averaged.sum(axis=0, dtype=np.float64) * negatives
    return ratio(np.einsum("ab,ab->b", weighted.averaged, below, dtype=np.float64), 2 * pairs)


def average_precision(weighted: WeightedOrder) -> Values:
    """Average, over photos, the share of positives among those with at least the score of each.

    Averaged over the positives, it is the area under the precision-recall curve. Averaged over all photos by falling
    confidence, with the wrongly decided ones as positives, it is the area under the risk-coverage curve.

    Args:
        weighted: An order with B sets of weights.

    Returns:
        (B,) in [0, 1]; NaN where no photo that is averaged over has weight.

    Source:
        As scikit-learn's `average_precision_score`: the sum of (R_n - R_(n-1)) P_n over the different scores, without
        interpolation.

    Example:
        >>> scores, positive, groups = np.array([0.9, 0.6]), np.array([False, True]), np.array([0, 1])
        >>> order = order_by_score(scores, positive, groups)
        >>> average_precision(WeightedOrder(order, np.ones((2, 1), np.int32))).tolist()  # the second of two
        [0.5]
        >>> order = order_by_score(scores, positive, groups, average_all=True)
        >>> average_precision(WeightedOrder(order, np.ones((2, 1), np.int32))).tolist()  # 0 of 1 and 1 of 2
        [0.25]
    """
    order = weighted.order
    positives = running_sum(weighted.weights, order.positives).take(order.positives_at, axis=0)
    precision = positives / np.maximum(positives + weighted.negatives_at, 1)
    averaged = weighted.averaged
    return ratio(np.einsum("ab,ab->b", averaged, precision), averaged.sum(axis=0, dtype=np.float64))


def running_sum(weights: Weights, groups: Indices) -> Weights:
    """(N + 1, B) the weight of the first 0, 1, 2, … N photos, given the group of each."""
    rows = len(groups) + 1
    length = isqrt(rows)
    sums = np.zeros((-(-rows // length) * length, weights.shape[1]), weights.dtype)
    sums[1:rows] = weights.take(groups, axis=0)
    # Stretches of rows, all at once, then each with the sum of those before: numpy's cumsum takes four times as long,
    # as it goes down one column after the other.
    stretches = sums.reshape(-1, length, weights.shape[1])
    for row in range(1, length):
        stretches[:, row] += stretches[:, row - 1]
    stretches[1:] += stretches[:-1, -1].cumsum(axis=0, dtype=weights.dtype)[:, None]
    return sums[:rows]
