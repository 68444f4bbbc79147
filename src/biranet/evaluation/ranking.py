"""Measures of an order of photos, for many sets of weights at once: the areas under two curves.

Sorting is done once; what remains for each set of weights is a running sum, exact where weights are whole numbers.
"""

from dataclasses import dataclass

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
        found = weights.take(self.found, axis=0)
        halves = sums.take(self.below, axis=0) + sums.take(self.not_above, axis=0)
        pairs = found.sum(axis=0, dtype=np.float64) * sums[-1]
        return ratio(np.einsum("pb,pb->b", found, halves, dtype=np.float64), 2 * pairs)


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
class RiskOrder:
    """Photos in falling order of confidence: what the area under the risk-coverage curve needs.

    Args:
        groups: (N,) group of each photo, the surest first.
        wrong: (N,) places in `groups` of the photos that were decided wrongly, rising.
        ends: (L,) number of photos that are at least as sure as each of the L levels of confidence.
        wrong_ends: (L,) number of wrong ones among them.
    """

    groups: npt.NDArray[np.intp]
    wrong: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    wrong_ends: npt.NDArray[np.intp]

    def area(self, weights: Weights) -> Values:
        """Average, over the photos, the share of wrong decisions among those at least as sure.

        Args:
            weights: (G, B), as in `Ranking.area`.

        Returns:
            (B,) in [0, 1]; NaN where there is no weight.
        """
        covered, wrong = (
            np.zeros((len(places) + 1, weights.shape[1]), weights.dtype) for places in (self.groups, self.wrong)
        )
        np.cumsum(weights.take(self.groups, axis=0), axis=0, out=covered[1:])
        np.cumsum(weights.take(self.groups[self.wrong], axis=0), axis=0, out=wrong[1:])
        reached = covered.take(self.ends, axis=0)
        risk = wrong.take(self.wrong_ends, axis=0) / np.maximum(reached, 1)
        gained = np.diff(reached, axis=0, prepend=0)
        return ratio(np.einsum("lb,lb->b", gained, risk), covered[-1])


def order_by_confidence(confidence: Values, wrong: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> RiskOrder:
    """Sort photos for `RiskOrder.area`.

    Args:
        confidence: (N,) how sure the decision about each photo is.
        wrong: (N,) whether it is wrong.
        groups: (N,) number of each photo's group.

    Returns:
        The order.

    Example:
        >>> order = order_by_confidence(np.array([0.9, 0.6]), np.array([False, True]), np.array([0, 1]))
        >>> order.area(np.ones((2, 1), np.int32)).tolist()  # the mean of 0 of 1 and 1 of 2
        [0.25]
    """
    order = np.argsort(-confidence, kind="stable")
    _, counts = np.unique(-confidence, return_counts=True)
    ends = np.cumsum(counts)
    places = np.flatnonzero(wrong[order])
    return RiskOrder(groups[order], places, ends, np.searchsorted(places, ends))
