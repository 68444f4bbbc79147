"""Measures of an order of photos, for many sets of weights at once: the areas under curves.

Sorting is done once; what remains for each set of weights is a running sum, exact where weights are whole numbers.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from biranet.confusion import ratio

Values = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Photos to find and others, by their scores: what the area under the ROC curve needs.

    Args:
        others: (Q,) group of each photo that is not to be found, in rising order of score.
        found: (P,) group of each photo to find.
        below: (P,) how many of the others have a lower score than each photo to find.
        not_above: (P,) how many have no higher one; more than `below` where scores are equal.
    """

    others: npt.NDArray[np.intp]
    found: npt.NDArray[np.intp]
    below: npt.NDArray[np.intp]
    not_above: npt.NDArray[np.intp]

    @property
    def fewer_groups(self) -> int:
        """Number of groups with photos to find, or of those with others, whichever are fewer."""
        return min(len(np.unique(self.found)), len(np.unique(self.others)))

    def area(self, weights: Weights) -> Values:
        """Measure the chance that a photo to find has the higher score than another one, a tie counting half.

        Args:
            weights: (G, B), each 0 or at least 1: the weight of each group's photos, for B sets of weights.

        Returns:
            (B,) in [0, 1]; NaN where one of the two kinds has no weight.
        """
        sums = np.zeros((len(self.others) + 1, weights.shape[1]), weights.dtype)
        np.cumsum(weights.take(self.others, axis=0), axis=0, out=sums[1:])
        positives = weights.take(self.found, axis=0)
        halves = sums.take(self.below, axis=0) + sums.take(self.not_above, axis=0)
        pairs = positives.sum(axis=0, dtype=np.float64) * sums[-1]
        return ratio(np.einsum("pb,pb->b", positives, halves, dtype=np.float64), 2 * pairs)


def rank(scores: Values, to_find: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> Ranking:
    """Sort photos by score for `Ranking.area`.

    Args:
        scores: (N,) scores, high for photos to find.
        to_find: (N,) which photos are to be found.
        groups: (N,) number of each photo's group.

    Returns:
        The ranking.

    Example:
        >>> ranking = rank(np.array([0.1, 0.5, 0.5]), np.array([False, False, True]), np.array([0, 1, 2]))
        >>> ranking.area(np.ones((3, 1), np.int32)).tolist()
        [0.75]
    """
    order = np.argsort(scores[~to_find], kind="stable")
    others = scores[~to_find][order]
    below, not_above = (np.searchsorted(others, scores[to_find], side) for side in ("left", "right"))
    return Ranking(groups[~to_find][order], groups[to_find], below, not_above)


@dataclass(frozen=True)
class FallingOrder:
    """Photos in falling order of a score, some of them marked.

    Args:
        groups: (N,) group of each photo, that with the highest score first.
        marked: (N,) places in `groups` of the marked photos, rising.
        ends: (L,) number of photos that reach each of L different scores.
        marked_ends: (L,) number of marked ones among them.

    Example:
        >>> scores, marked, groups = np.array([0.9, 0.6]), np.array([False, True]), np.array([0, 1])
        >>> RiskOrder.of(scores, marked, groups).area(np.ones((2, 1), np.int32)).tolist()  # 0 of 1 and 1 of 2
        [0.25]
        >>> PrecisionOrder.of(scores, marked, groups).area(np.ones((2, 1), np.int32)).tolist()  # the second of two
        [0.5]
    """

    groups: npt.NDArray[np.intp]
    marked: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    marked_ends: npt.NDArray[np.intp]

    @classmethod
    def of(cls, scores: Values, marked: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> Self:
        """Sort photos by falling score.

        Args:
            scores: (N,) how sure the decision about each photo is, or how likely it is to be found.
            marked: (N,) which photos are wrong, or to be found.
            groups: (N,) number of each photo's group.

        Returns:
            The order.
        """
        order = np.argsort(-scores, kind="stable")
        _, counts = np.unique(-scores, return_counts=True)
        ends = np.cumsum(counts)
        places = np.flatnonzero(marked[order])
        return cls(groups[order], places, ends, np.searchsorted(places, ends))

    @property
    def fewer_groups(self) -> int:
        """Number of groups with marked photos, or of those with others, whichever are fewer."""
        others = np.delete(self.groups, self.marked)
        return min(len(np.unique(self.groups[self.marked])), len(np.unique(others)))

    def _reached(self, weights: Weights) -> tuple[Weights, Weights]:
        """(L + 1, B) the weight of all photos, and of the marked ones, that reach each score; 0 before the first."""
        weighted = []
        for groups, ends in ((self.groups, self.ends), (self.groups[self.marked], self.marked_ends)):
            running = np.zeros((len(groups) + 1, weights.shape[1]), weights.dtype)
            np.cumsum(weights.take(groups, axis=0), axis=0, out=running[1:])
            weighted.append(running.take(np.concatenate([[0], ends]), axis=0))
        return weighted[0], weighted[1]


class RiskOrder(FallingOrder):
    """Photos by confidence, those marked that were decided wrongly: the area under the risk-coverage curve."""

    def area(self, weights: Weights) -> Values:
        """Average, over the photos, the share of wrong decisions among those at least as sure.

        Args:
            weights: (G, B), as in `Ranking.area`.

        Returns:
            (B,) in [0, 1]; NaN where there is no weight.
        """
        covered, wrong = self._reached(weights)
        risk = wrong[1:] / np.maximum(covered[1:], 1)
        return ratio(np.einsum("lb,lb->b", np.diff(covered, axis=0), risk), covered[-1])


class PrecisionOrder(FallingOrder):
    """Photos by score, those marked that are to be found: the area under the precision-recall curve."""

    @classmethod
    def of(cls, scores: Values, marked: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> Self:
        """Sort photos by falling score; of the scores only those of photos to find are kept, as no other counts."""
        every = super().of(scores, marked, groups)
        counts = np.diff(every.marked_ends, prepend=0) > 0
        return replace(every, ends=every.ends[counts], marked_ends=every.marked_ends[counts])

    def area(self, weights: Weights) -> Values:
        """Average, over the photos to find, the precision where the threshold is their own score.

        Args:
            weights: (G, B), as in `Ranking.area`.

        Returns:
            (B,) in [0, 1]; NaN where no photo to find has weight.

        Source:
            Average precision, as scikit-learn defines it: the sum of (R_n - R_(n-1)) P_n over the different scores,
            without interpolation.
        """
        called, true_positives = self._reached(weights)
        precision = true_positives[1:] / np.maximum(called[1:], 1)
        return ratio(np.einsum("lb,lb->b", np.diff(true_positives, axis=0), precision), true_positives[-1])
