"""How sure a measure is: bootstrap intervals over groups, for one table and for the difference of two.

Photos of one patient resemble each other, so whole groups are drawn, with replacement, as many as there are.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.evaluation.estimates import Key, to_json
from biranet.evaluation.group_sums import GroupSums, sum_by_group
from biranet.evaluation.groups import Groups, Weights, arrange_groups, block_sizes, draw_weights
from biranet.evaluation.interval_methods import (
    LEVEL,
    average_interval,
    clopper_pearson,
    percentile_interval,
    reflected_interval,
    share_interval,
    student_interval,
)
from biranet.evaluation.measures import Measure
from biranet.evaluation.metrics import add_reasons, assemble_metrics, reasons, validated_confusion_matrix
from biranet.grades import GRADES

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]

Measured = TypeVar("Measured")

RESAMPLES = 2000
"""Resamples; an end of a 95 % interval then moves with the seed by about 2 % of the interval's width."""

THREADS = 2
"""Blocks of resamples that are worked on at once; the result does not depend on it."""


def measure_with_intervals(
    table: "pd.DataFrame", config: EvaluationConfig | None = None, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Measure how well grades were predicted, and how sure each value is.

    Args:
        table: A predictions table.
        config: Prevalences, seed of the draws, and whether they are stratified; the defaults where None.
        resamples: How many data sets to draw.

    Returns:
        What `measure` returns, and `ci`: by key, [low, high] or None, or a list of such over grades; likewise a `ci`
        within each section and each operating point; `bootstrap`, the `seed`, the number of `resamples` and whether
        they were drawn within strata (`stratify`); and `ci_method`, how the intervals were made.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    config = config or EvaluationConfig()
    groups, group_sums = _sum_checked(table, config)
    measures = assemble_metrics(group_sums, add_reasons(group_sums, *_estimate(group_sums, groups, config, resamples)))
    measures["bootstrap"] = {"seed": config.seed, "resamples": resamples, "stratify": config.stratify}
    measures["ci_method"] = (
        f"{100 * LEVEL:.0f} % bootstrap over groups ({len(groups.sizes):,}), {resamples:,} resamples"
        f"{', drawn within the worst true grade of a group (Rao and Wu)' if config.stratify else ''}. Shares of "
        "photos: the exact (Clopper-Pearson) interval of a share with the variance of the resamples (Korn and "
        "Graubard), that of the photos themselves where no two are of one group; a share of 0 or 1: that of as many "
        "groups as it is about. Areas and averages of shares: the same by their spread alone, with Student's "
        "quantile, for averages over grades with the degrees of freedom that rare grades leave (Satterthwaite). "
        "Everything else: percentiles, "
        "widened for few groups; for the expected calibration error, which leans upwards, reflected. None where all "
        "resamples give the same other value."
    )
    return measures


def measure_some(
    table: "pd.DataFrame", keys: Collection[str], config: EvaluationConfig | None = None, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Measure a few numbers as `measure_with_intervals` does, without its time for all others.

    Args:
        table: A predictions table.
        keys: Which of the single numbers at the top of `metrics.json`.
        config: As in `measure_with_intervals`.
        resamples: How many data sets to draw.

    Returns:
        `n`, `groups`, the numbers by key, their `ci`, and why some are `undefined`.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    config = config or EvaluationConfig()
    groups, all_sums = _sum_checked(table, config)
    group_sums = all_sums.select(keys)
    estimates = add_reasons(group_sums, *_estimate(group_sums, groups, config, resamples), keys)
    return {
        "n": len(table),
        "groups": len(groups.sizes),
        **to_json(estimates),
        "undefined": reasons(estimates),
    }


def _sum_checked(table: "pd.DataFrame", config: EvaluationConfig) -> tuple[Groups, GroupSums]:
    """Check a table, arrange its groups, and take the sums of each."""
    validated_confusion_matrix(table)
    groups = arrange_groups([table], stratify=config.stratify)
    return groups, sum_by_group(table, groups, config)


def paired_differences(
    tables: "Sequence[pd.DataFrame]", config: EvaluationConfig | None = None, *, resamples: int = RESAMPLES
) -> list[dict[str, dict[str, Any]]]:
    """Compare tables of the same photos with the first of them.

    Args:
        tables: Predictions tables of the same photos with the same groups and true grades, the rows in any order.
        config: As in `measure_with_intervals`.
        resamples: How many data sets to draw; each is the same set of groups for every table.

    Returns:
        For each table but the first, by key (`aca`, `recall_per_grade.3`, `operating_points.youden.ppv`):
        `difference`, the table's value minus that of the first, or None, and `ci`, its interval, or None where it does
        not vary. Keys that one of the two tables does not have are left out.
    """
    config = config or EvaluationConfig()
    tables = [table.set_index("file", drop=False).loc[tables[0]["file"].to_list()] for table in tables]
    groups = arrange_groups(tables, stratify=config.stratify)
    group_sums = [sum_by_group(table, groups, config) for table in tables]
    values = [each.value() for each in group_sums]
    counts = [each.count_groups() for each in group_sums]
    drawn = _resample(group_sums, groups, config.seed, resamples)
    differences: list[dict[str, dict[str, Any]]] = [{} for _ in tables[1:]]
    for index, of_table in enumerate(differences, 1):
        for key, measure in group_sums[0].measures.items():
            if key in values[index]:
                of_table |= _differences(
                    key,
                    measure,
                    values[index][key] - values[0][key],
                    drawn[index][key] - drawn[0][key],
                    np.minimum(counts[index][key], counts[0][key]),
                )
    return differences


def _estimate(
    group_sums: GroupSums, groups: Groups, config: EvaluationConfig, resamples: int
) -> tuple[dict[Key, Values], dict[Key, Any]]:
    """The values by key, of shape () or (5,), and their intervals."""
    values, counts = group_sums.value(), group_sums.count_groups()
    (drawn,) = _resample([group_sums], groups, config.seed, resamples)
    return values, {
        # Only a share of photos has a number of photos; the intervals of the others ask for none.
        key: _interval(measure, values[key], drawn[key], counts[key], group_sums.photos.get(key, counts[key]), config)
        for key, measure in group_sums.measures.items()
    }


def _resample(group_sums: Sequence[GroupSums], groups: Groups, seed: int, resamples: int) -> list[dict[Key, Values]]:
    """(R,) or (R, 5) values of every measure of every table, all in the same drawn data sets."""
    blocks = _draw(lambda weights: [each.measure(weights) for each in group_sums], groups, seed, resamples)
    return [
        {key: np.concatenate([block[index][key] for block in blocks]) for key in blocks[0][index]}
        for index in range(len(group_sums))
    ]


def draw_in_blocks(
    measure: Callable[[Weights], list[Values]], groups: Groups, seed: int, resamples: int
) -> list[Values]:
    """Evaluate something in the data sets that all intervals are made from.

    Args:
        measure: From (G, B) weights to values, each (B, ...).
        groups: The groups.
        seed: Seed of the draws.
        resamples: R, how many data sets to draw.

    Returns:
        Each value (R, ...).
    """
    return [np.concatenate(parts) for parts in zip(*_draw(measure, groups, seed, resamples), strict=True)]


def _draw(measure: Callable[[Weights], Measured], groups: Groups, seed: int, resamples: int) -> list[Measured]:
    """What is measured in drawn data sets, block after block."""
    sizes = block_sizes(groups, resamples)
    with ThreadPoolExecutor(THREADS) as threads:
        return list(
            threads.map(lambda number: measure(draw_weights(groups, sizes[number], [seed, number])), range(len(sizes)))
        )


def _interval(
    measure: Measure, value: Values, drawn: Values, groups: Values, photos: Values, config: EvaluationConfig
) -> Any:
    """[low, high] or None of one measure; a list of such where there is a value for each grade."""
    if value.ndim:
        columns = zip(value, drawn.T, groups, photos, strict=True)
        return [_interval(measure, *column, config) for column in columns]
    number, count = float(value), float(groups)
    if np.isnan(number):
        return None
    if measure.interval == "reflected":
        ends = reflected_interval(number, drawn, count)
        return ends and [max(float(measure.low), ends[0]), ends[1]]
    if measure.interval == "percentile":
        return percentile_interval(drawn, count)
    # A predictive value at a stated prevalence is no plain share of photos.
    if measure.interval == "average" or (measure.prevalence and getattr(config, f"{measure.prevalence}_prevalence")):
        return average_interval(number, drawn, count)
    if photos == groups and not config.stratify:
        return clopper_pearson(number, count)
    return share_interval(number, drawn, count, float(photos))


def _differences(key: Key, measure: Measure, value: Values, drawn: Values, groups: Values) -> dict[str, dict[str, Any]]:
    """Differences and their intervals by key; each grade has a key of its own where there is a value for each."""
    names = [key._replace(grade=grade) for grade in GRADES] if measure.shape else [key]
    bound = 1.0 if measure.interval in ("share", "average") else np.inf
    columns = drawn.reshape(len(drawn), -1).T
    differences: dict[str, dict[str, Any]] = {}
    for name, number, column, count in zip(names, np.ravel(value), columns, np.ravel(groups), strict=True):
        if np.isnan(number):
            differences[str(name)] = {"difference": None, "ci": None}
            continue
        ends = student_interval(float(number), column, float(count))
        clipped = ends and [max(-bound, ends[0]), min(bound, ends[1])]
        differences[str(name)] = {"difference": float(number), "ci": clipped}
    return differences
