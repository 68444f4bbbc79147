"""Whole groups, in an order that neither the order of the rows nor any name decides, and draws of them.

Photos of one patient resemble each other, so it is groups that are drawn again and again, with replacement. A drawn
data set is nothing but a weight for each group: how often it was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import PREDICTION_COLUMNS, point_columns
from biranet.grades import DECISIONS

Weights = npt.NDArray[np.int32] | npt.NDArray[np.float64]
"""(G, B): how often each of G groups counts in each of B data sets, 0 or at least 1. A column is a data set. Whole
numbers, but for draws within strata."""

BLOCK = 2**20
"""Weights of photos that are handled together: enough for whole-array arithmetic, few enough for a core's cache."""


@dataclass(frozen=True)
class Groups:
    """Which photos belong together.

    Args:
        order: (N,) places of the table's rows such that groups stand together.
        sizes: (G,) photos in each group, in that order.
        strata: Numbers of neighbouring groups that are drawn among themselves; their sum is G.
    """

    order: npt.NDArray[np.intp]
    sizes: npt.NDArray[np.intp]
    strata: tuple[int, ...]

    @property
    def starts(self) -> npt.NDArray[np.intp]:
        """(G,) place of each group's first photo within `order`."""
        return np.cumsum(self.sizes) - self.sizes

    @property
    def group_of_photo(self) -> npt.NDArray[np.intp]:
        """(N,) number of the group of each photo, in the order of `order`."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def arrange_groups(tables: Sequence[pd.DataFrame], *, stratify: bool = False) -> Groups:
    """Put the groups of one table, or of several tables of the same photos, in order: by worst grade, then by content.

    Args:
        tables: Predictions tables whose rows are the same photos in the same order.
        stratify: Whether groups are drawn only among those with the same worst true grade.

    Returns:
        The groups. Groups with equal content, which may be exchanged without any effect, stand in any order.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"group": ["b", "a", "b"], "grade": [0, 3, 1], "predicted_grade": [0, 3, 1]})
        >>> arrange_groups([table]).order.tolist()
        [0, 2, 1]
    """
    content = np.column_stack([column for table in tables for column in _measured_columns(table)])
    rank = np.empty(len(content), np.intp)
    order = np.lexsort(content.T[::-1])
    differs = (np.diff(content[order], axis=0) != 0).any(axis=1)
    rank[order] = np.concatenate([[0], np.cumsum(differs)])

    # Not as an array of text, whose every cell would take the room of the longest name.
    group, _ = pd.factorize(tables[0]["group"])
    by_group = np.lexsort((rank, group))
    sizes = np.bincount(group)
    ends = np.cumsum(sizes)
    truth = tables[0]["grade"].to_numpy()
    worst = np.maximum.reduceat(truth[by_group], ends - sizes)
    ranks, worst_of = rank[by_group].tolist(), worst.tolist()
    contents = [
        (worst, ranks[end - size : end])
        for worst, size, end in zip(worst_of, sizes.tolist(), ends.tolist(), strict=True)
    ]
    group_order = sorted(range(len(contents)), key=contents.__getitem__)
    pieces = np.split(by_group, ends[:-1])
    strata = tuple(np.unique(worst, return_counts=True)[1].tolist()) if stratify else (len(sizes),)
    return Groups(np.concatenate([pieces[index] for index in group_order]), sizes[group_order], strata)


def block_sizes(groups: Groups, resamples: int) -> list[int]:
    """Divide resamples into blocks that are drawn and measured together.

    Args:
        groups: The groups.
        resamples: How many data sets there shall be.

    Returns:
        The data sets of each block; they do not depend on the machine, so neither do the draws.
    """
    width = max(8, BLOCK // len(groups.order))
    return [min(width, resamples - start) for start in range(0, resamples, width)]


def draw_weights(groups: Groups, width: int, seed: Sequence[int]) -> Weights:
    """Draw data sets of as many groups as there are, with replacement.

    Drawn as many times as it has groups, a small stratum would vary too little: by half, where it has two. So from a
    stratum of n groups n - 1 are drawn, each counting n / (n - 1) times. A stratum of one group shows no spread.

    Args:
        groups: The groups; where there are strata, each keeps its sum of weights.
        width: B, how many data sets.
        seed: Seed of the draws.

    Returns:
        (G, B) weights.

    Source:
        Rao and Wu, Resampling inference with complex survey data, Journal of the American Statistical Association 83
        (1988), for the draws within strata.

    Example:
        >>> groups = Groups(np.arange(6), np.array([2, 1, 3]), strata=(1, 2))
        >>> draw_weights(groups, 100, [1])[:, :4].tolist()
        [[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 2.0, 2.0]]
    """
    random = np.random.default_rng(seed)
    within = len(groups.strata) > 1
    kind: npt.DTypeLike = np.float64 if within else np.int32
    weights = np.empty((width, len(groups.sizes)), kind)
    first = 0
    for count in groups.strata:
        draws = count - 1 if within and count > 1 else count
        for row in weights:
            drawn = np.bincount(random.integers(count, size=draws), minlength=count)
            row[first : first + count] = drawn * (count / draws) if within else drawn
        first += count
    by_group: Weights = np.ascontiguousarray(weights.T)
    return by_group


def _measured_columns(table: pd.DataFrame) -> list[npt.NDArray[np.float64]]:
    """All that is measured, as numbers; the columns of operating points in the order of their names."""
    fixed = [
        name for name in (*PREDICTION_COLUMNS[2:], "temperature", "lowest_grade", "highest_grade") if name in table
    ]
    columns = [table[name].to_numpy(np.float64) for name in (*fixed, *sorted(point_columns(table)))]
    if "decision" in table:
        columns.append(table["decision"].map(DECISIONS.index).to_numpy(np.float64))
    return columns
