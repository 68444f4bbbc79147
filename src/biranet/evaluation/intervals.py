"""How sure a measure is: bootstrap intervals over groups, for one table and for the difference of two.

Photos of one patient resemble each other, so whole groups are drawn, with replacement, as many as there are.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.confusion import SCREENINGS
from biranet.evaluation.interval_methods import (
    LEVEL,
    average_interval,
    clopper_pearson,
    percentile_interval,
    reflected_interval,
    share_interval,
    student_interval,
)
from biranet.evaluation.groups import Groups, arrange_groups, block_sizes, draw_weights
from biranet.evaluation.metrics import (
    KEYS,
    PROBABILITY_KEYS,
    SECTIONS,
    arrange_measures,
    checked_confusion,
    into_sections,
    plain_value,
    stated_screenings,
    with_gaps,
)
from biranet.evaluation.reasons import why_undefined
from biranet.evaluation.group_sums import Tabulated, tabulate
from biranet.grades import GRADES

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]

RESAMPLES = 2000
"""Resamples; an end of a 95 % interval then moves with the seed by about 2 % of the interval's width."""

THREADS = 2
"""Blocks of resamples that are worked on at once; the result does not depend on it."""

SHARES = (
    *("accuracy", "micro_f1", "recall_per_grade", "precision_per_grade"),
    *("sensitivity", "specificity", "ppv", "npv", "referred_fraction", "coverage", "coverage_per_grade"),
    *("size_fractions", "asked_fraction", "decided_error_fraction", "missed_fraction", "needless_fraction"),
)
"""Measures that are a share of photos, by the end of their key; they have an interval at 0 and 1 too."""

LIKE_SHARES = (
    *("aca", "macro_f1", "macro_f1_of_means", "auc", "one_vs_rest_auc", "mean_one_vs_rest_auc"),
    "area_under_risk_coverage",
)
"""Measures that are shares of pairs or averages of shares. At 0 and 1 they have none: of how many, nobody knows."""


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
    matrix = checked_confusion(table)
    groups = arrange_groups([table], stratify=config.stratify)
    values, found = _estimate(tabulate(table, groups, config), groups, config, resamples)
    measures = arrange_measures(table, config, matrix, len(groups.sizes), values)
    nested = into_sections(with_gaps(found))
    measures["ci"] = {key: nested[key] for key in KEYS}
    for section in SECTIONS:
        if section == "operating_points":
            for name, point in (measures[section] or {}).items():
                point["ci"] = nested[section][name]
        elif measures[section] is not None:
            measures[section]["ci"] = nested[section]
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
    checked_confusion(table)
    groups = arrange_groups([table], stratify=config.stratify)
    values, found = _estimate(tabulate(table, groups, config).only(keys), groups, config, resamples)
    some = {key: plain_value(values[key]) if key in values else None for key in keys}
    return {
        "n": len(table),
        "groups": len(groups.sizes),
        **some,
        "ci": {key: found.get(key) for key in keys},
        "undefined": why_undefined(
            table,
            some,
            stated_screenings(config),
            needing_probabilities=[key for key in PROBABILITY_KEYS if key in some],
        ),
    }


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
    tabulated = [tabulate(table, groups, config) for table in tables]
    values = [each.value() for each in tabulated]
    counts = [each.groups_measured() for each in tabulated]
    drawn = _resample(tabulated, groups, config.seed, resamples)
    differences: list[dict[str, dict[str, Any]]] = [{} for _ in tables[1:]]
    for place, found in enumerate(differences, 1):
        for key in [key for key in values[0] if key in values[place]]:
            found |= _differences(
                key,
                values[place][key] - values[0][key],
                drawn[place][key] - drawn[0][key],
                np.minimum(counts[place][key], counts[0][key]),
            )
    return differences


def _estimate(
    tabulated: Tabulated, groups: Groups, config: EvaluationConfig, resamples: int
) -> tuple[dict[str, Values], dict[str, Any]]:
    """The values by key, of shape () or (5,), and their intervals."""
    values, counts = tabulated.value(), tabulated.groups_measured()
    (drawn,) = _resample([tabulated], groups, config.seed, resamples)
    return values, {
        # An area is about pairs, so it has no number of photos, and its interval asks for none.
        key: _interval(key, values[key], drawn[key], counts[key], tabulated.photos.get(key, counts[key]), config)
        for key in values
    }


def _resample(tabulated: Sequence[Tabulated], groups: Groups, seed: int, resamples: int) -> list[dict[str, Values]]:
    """(R,) or (R, 5) values of every measure of every table, all in the same drawn data sets."""
    sizes = block_sizes(groups, resamples)

    def measure_block(number: int) -> list[dict[str, Values]]:
        weights = draw_weights(groups, sizes[number], [seed, number])
        return [each.measure(weights) for each in tabulated]

    with ThreadPoolExecutor(THREADS) as threads:
        blocks = list(threads.map(measure_block, range(len(sizes))))
    return [
        {key: np.concatenate([block[place][key] for block in blocks]) for key in blocks[0][place]}
        for place in range(len(tabulated))
    ]


def _interval(key: str, value: Values, drawn: Values, groups: Values, photos: Values, config: EvaluationConfig) -> Any:
    """[low, high] or None of one measure; a list of such where there is a value for each grade."""
    if value.ndim:
        columns = zip(value, drawn.T, groups, photos, strict=True)
        return [_interval(key, *column, config) for column in columns]
    number, count = float(value), float(groups)
    name = _ending(key)
    if np.isnan(number):
        return None
    if name == "expected_calibration_error":
        ends = reflected_interval(number, drawn, count)
        return ends and [max(0.0, ends[0]), ends[1]]
    if name in LIKE_SHARES or _at_stated_prevalence(key, config):
        return average_interval(number, drawn, count)
    if name not in SHARES:
        return percentile_interval(drawn, count)
    if photos == groups and not config.stratify:
        return clopper_pearson(number, count)
    return share_interval(number, drawn, count, float(photos))


def _ending(key: str) -> str:
    """What a measure is, without its section and its screening: `sensitivity`, `auc`, `aca`."""
    name = key.rpartition(".")[2]
    return next((name.removeprefix(f"{each}_") for each in SCREENINGS if name.startswith(each)), name)


def _at_stated_prevalence(key: str, config: EvaluationConfig) -> bool:
    """Whether it is a predictive value that is no plain share of photos."""
    stated = config.any_dr_prevalence if key.startswith("any_dr") else config.referable_prevalence
    return stated is not None and key.endswith(("ppv", "npv"))


def _differences(key: str, value: Values, drawn: Values, groups: Values) -> dict[str, dict[str, Any]]:
    """Differences and their intervals by key; each grade has a key of its own where there is a value for each."""
    names = [f"{key}.{grade}" for grade in GRADES] if value.ndim else [key]
    bound = 1.0 if _ending(key) in SHARES + LIKE_SHARES else np.inf
    columns = drawn.reshape(len(drawn), -1).T
    found: dict[str, dict[str, Any]] = {}
    for name, number, column, count in zip(names, np.ravel(value), columns, np.ravel(groups), strict=True):
        if np.isnan(number):
            found[name] = {"difference": None, "ci": None}
            continue
        ends = student_interval(float(number), column, float(count))
        found[name] = {"difference": float(number), "ci": ends and [max(-bound, ends[0]), min(bound, ends[1])]}
    return found
