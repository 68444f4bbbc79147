"""Every measure as a function of the weights of groups.

A table is summed up once: what each group adds to each count and each mean, and the orders that the areas under curves
need. From there, the value of every measure for one set of weights or for two thousand is a matrix product, a running
sum and a division. Weights of one give the plain value, weights drawn at random give what the bootstrap wants. Both
come out of `GroupSums.measure`, so an interval can never be that of another definition.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.confusion import SCREENINGS
from biranet.decisions.columns import POINT_PREFIX, has_decisions, has_probabilities, point_columns, probabilities
from biranet.decisions.rules import raw_probabilities
from biranet.evaluation.areas import ScoreOrder, WeightedOrder
from biranet.evaluation.estimates import Key
from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.measures import SECTIONS, GradedPhotos, Measure, WeightedSums
from biranet.evaluation.measures.decisions import count_covered, count_decisions, count_referred, count_sizes
from biranet.evaluation.measures.measure import Area, Orders, PhotoValues, count_grades
from biranet.evaluation.measures.probabilities import log_loss, overconfidence, squared_distance
from biranet.grades import DECISIONS

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]

CHUNK_ROWS = 20_000
"""Photos whose measures are worked out at once."""


class Source(NamedTuple):
    """What measures are computed from; measures of one section that say the same share it.

    Attributes:
        section: The section whose view of the photos it takes.
        point: The operating point, where there is one.
        function: What each photo adds, or the orders of the photos.
        area: The area of each order.
    """

    section: str
    point: str
    function: PhotoValues | Orders
    area: Area | None = None

    @property
    def order(self) -> "Source":
        """The orders whose areas it is: those of all areas of one function."""
        return self._replace(area=None)


CONFUSION = Source("", "", count_grades)

_LOSSES = (squared_distance, log_loss, overconfidence)

COLUMN_ORDER = (
    ("", count_grades),
    *(("", loss) for loss in _LOSSES),
    *(("before_calibration", loss) for loss in _LOSSES),
    ("operating_points", count_referred),
    ("decisions", count_decisions),
    ("prediction_sets", count_covered),
    ("prediction_sets", count_sizes),
)
"""The first sums in the order of the columns of one matrix product; sums that are not named here follow. The last digit
of a weighted sum depends on the column it stands in: so a new measure changes no digit of the others."""


@dataclass(frozen=True)
class GroupSums:
    """A predictions table, summed up by group.

    Args:
        measures: The measures that the table allows, by key.
        sources: By the same keys, what each is computed from.
        sums: (G, ...) what each group adds: counts of photos and sums over photos.
        orders: The photos in the order of scores, by the source without its area; empty without probabilities.
        photos: By key of a share of photos, how many photos it is a share of, of shape () or (5,).
        prevalences: By screening, the stated share of the ill, or None.
        missing: By name of a section that the table gives no ground for, the clause that says why.
    """

    measures: Mapping[Key, Measure]
    sources: Mapping[Key, Source]
    sums: Mapping[Source, Values]
    orders: Mapping[Source, tuple[ScoreOrder, ...]]
    photos: Mapping[Key, Values]
    prevalences: Mapping[str, float | None]
    missing: Mapping[str, str]

    @property
    def matrix(self) -> npt.NDArray[np.int64]:
        """(5, 5) the photos of each pair of grades: row = truth, column = prediction."""
        counts: npt.NDArray[np.int64] = self.sums[CONFUSION].sum(axis=0).astype(np.int64)
        return counts

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(self.sums[CONFUSION])

    def measure(self, weights: Weights) -> dict[Key, Values]:
        """Evaluate every measure that the table allows.

        Args:
            weights: (G, B) weights of groups; see `biranet.evaluation.groups`.

        Returns:
            By key: (B,), or (B, 5) where there is one value a grade. NaN where a value is not defined.
        """
        weighted = self._weighted_sums(weights) | self._areas(weights)
        return _evaluate(self.measures, self.sources, weighted, self.prevalences)

    def select(self, keys: Collection[str]) -> "GroupSums":
        """Leave out the orders, which take most of the time, that no measure in `keys` is computed from.

        Args:
            keys: Names of measures at the top of `metrics.json`.

        Returns:
            The same table, without the measures that need them.
        """
        sources = {self.sources[key] for key in self.measures if str(key) in keys}
        left = {
            key: measure
            for key, measure in self.measures.items()
            if measure.orders is None or self.sources[key] in sources
        }
        orders = {source.order: self.orders[source.order] for source in sources if source.order in self.orders}
        return replace(self, measures=left, sources={key: self.sources[key] for key in left}, orders=orders)

    def value(self) -> dict[Key, Values]:
        """Evaluate every measure of the table as it is, every group counting once: of shape () or (5,), by key."""
        once = np.ones((self.group_count, 1), np.int32)
        return {key: values[0] for key, values in self.measure(once).items()}

    def count_groups(self) -> dict[Key, Values]:
        """Count, for every measure, the groups with photos that it is about.

        Returns:
            By key, of shape () or (5,): for a share, the groups that hold a photo it is a share of (photos of grade 3,
            for its recall); for an area under the ROC curve, the groups with photos to find or those with others,
            whichever are fewer; for an average over grades, as many as would know it as well, which rare grades make
            few and no whole number (see `_satterthwaite_groups`); for all else, all groups.
        """
        total = np.array(self.group_count, np.float64)
        holding = (self.sums[CONFUSION].sum(-1) > 0).sum(0)
        average = np.minimum(total, _satterthwaite_groups(holding.astype(np.float64)))
        defined = _count_defined(
            {key: each for key, each in self.measures.items() if each.groups_counted == "defined"},
            self.sources,
            self.sums,
        )
        counts: dict[Key, Values] = {}
        for key, measure in self.measures.items():
            if measure.groups_counted == "defined":
                counts[key] = defined[key]
            elif measure.groups_counted == "classes":
                fewer = [order.fewer_groups for order in self.orders[self.sources[key].order]]
                counts[key] = np.array(fewer if measure.shape else fewer[0], np.float64)
            else:
                counts[key] = average if measure.groups_counted == "grades" else total
        return counts

    @cached_property
    def _columns(self) -> Values:
        """(G, S) all sums side by side, so that one matrix product weighs them all."""
        return np.column_stack([each.reshape(len(each), -1) for each in self.sums.values()])

    def _weighted_sums(self, weights: Weights) -> dict[Source, Values]:
        """(B, ...) weighted sums by source."""
        weighted = (self._columns.T @ weights.astype(np.float64)).T
        ends = np.cumsum([each[0].size for each in self.sums.values()])
        parts = np.split(weighted, ends[:-1], axis=1)
        return {
            source: part.reshape(-1, *each.shape[1:])
            for (source, each), part in zip(self.sums.items(), parts, strict=True)
        }

    def _areas(self, weights: Weights) -> dict[Source, Values]:
        """By source, (B,) the area of an order, or (B, 5) those of one order a grade; one order is summed up once."""
        areas: dict[Source, list[Values]] = {
            source: [] for source in self.sources.values() if source.order in self.orders
        }
        for source, orders in self.orders.items():
            for weighted in (WeightedOrder(order, weights) for order in orders):
                for each in areas:
                    if each.area is not None and each.order == source:
                        areas[each].append(each.area(weighted))
        return {source: np.stack(each, axis=-1) if len(each) > 1 else each[0] for source, each in areas.items()}


def sum_by_group(table: "pd.DataFrame", groups: Groups, config: EvaluationConfig) -> GroupSums:
    """Sum a predictions table up.

    Args:
        table: A predictions table; see `biranet.decisions.predictions`.
        groups: Its groups, as `arrange_groups` puts them in order.
        config: The prevalences that predictive values are given for.

    Returns:
        What the measures are computed from.
    """
    measures: dict[Key, Measure] = {}
    sources: dict[Key, Source] = {}
    columns: dict[Source, Values] = {}
    orders: dict[Source, tuple[ScoreOrder, ...]] = {}
    missing: dict[str, str] = {}
    photos = _as_arrays(table, groups)
    for section in SECTIONS:
        parts = section.parts(photos)
        if not parts:
            missing[section.name] = section.why_missing(photos)
        for point, part in parts.items():
            for measure in section.measures:
                if measure.needs == "probabilities" and part.probabilities is None:
                    continue
                key = Key(section.name, point, measure.key)
                measures[key] = measure
                # All count photos by the same matrix, whatever the section.
                counted = measure.orders is None and measure.photo_values is count_grades
                function = measure.orders or measure.photo_values
                source = CONFUSION if counted else Source(section.name, point, function, measure.area)
                sources[key] = source
                if measure.orders is not None and source.order not in orders:
                    orders[source.order] = measure.orders(part)
                elif measure.orders is None and source not in columns:
                    columns[source] = measure.photo_values(part)
    return GroupSums(
        measures,
        sources,
        {
            source: np.add.reduceat(columns[source], groups.starts, axis=0)
            for source in sorted(columns, key=_column_position)
        },
        orders,
        _count_photos(measures, sources, columns),
        {name: getattr(config, f"{name}_prevalence") for name in SCREENINGS},
        missing,
    )


def _column_position(source: Source) -> int:
    column = (source.section, source.function)
    return COLUMN_ORDER.index(column) if column in COLUMN_ORDER else len(COLUMN_ORDER)


def _as_arrays(table: "pd.DataFrame", groups: Groups) -> GradedPhotos:
    """Take the arrays out of a predictions table, in the order of its groups."""
    table = table.iloc[groups.order]

    def column(name: str) -> npt.NDArray[np.int64]:
        return table[name].to_numpy(np.int64)

    with_probabilities, decided = has_probabilities(table), has_decisions(table)
    calibrated = with_probabilities and "temperature" in table and bool((table["temperature"] != 1).any())
    return GradedPhotos(
        truth=column("grade"),
        predicted=column("predicted_grade"),
        group=groups.group_of_photo,
        probabilities=probabilities(table) if with_probabilities else None,
        raw_probabilities=raw_probabilities(table) if calibrated else None,
        points={name.removeprefix(POINT_PREFIX): column(name) for name in point_columns(table)},
        decision=table["decision"].map(DECISIONS.index).to_numpy(np.int64) if decided else None,
        lowest=column("lowest_grade") if decided else None,
        highest=column("highest_grade") if decided else None,
    )


def _evaluate(
    measures: Mapping[Key, Measure],
    sources: Mapping[Key, Source],
    weighted: Mapping[Source, Values],
    prevalences: Mapping[str, float | None],
) -> dict[Key, Values]:
    matrix = weighted[CONFUSION]
    photos = matrix.sum((-2, -1))
    return {
        key: measure.value(WeightedSums(weighted[sources[key]], matrix, photos, prevalences))
        for key, measure in measures.items()
    }


def _count_defined(
    measures: Mapping[Key, Measure], sources: Mapping[Key, Source], sums: Mapping[Source, Values]
) -> dict[Key, Values]:
    """By key, for how many rows of (R, ...) sums a measure is defined: a share is not where it has no photo."""
    by_row = _evaluate(measures, sources, sums, dict.fromkeys(SCREENINGS))
    return {key: (~np.isnan(values)).sum(0).astype(np.float64) for key, values in by_row.items()}


def _count_photos(
    measures: Mapping[Key, Measure], sources: Mapping[Key, Source], columns: Mapping[Source, Values]
) -> dict[Key, Values]:
    """By key, how many photos a share is a share of; `columns` holds what each photo adds."""
    shares = {key: measure for key, measure in measures.items() if measure.interval == "share"}
    rows = len(columns[CONFUSION])
    # In pieces, since every measure of every photo at once would need gigabytes for a million of them.
    pieces = [
        _count_defined(
            shares, sources, {source: column[start : start + CHUNK_ROWS] for source, column in columns.items()}
        )
        for start in range(0, rows, CHUNK_ROWS)
    ]
    return {key: np.sum([piece[key] for piece in pieces], axis=0) for key in shares}


def _satterthwaite_groups(groups: Values) -> Values:
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
