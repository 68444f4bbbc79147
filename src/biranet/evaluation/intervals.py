"""How sure a measure is: bootstrap intervals over groups, for one table and for the difference of two.

Photos of one patient resemble each other, so whole groups are drawn, with replacement, as many as there are.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from biranet.config import EvaluationConfig
from biranet.evaluation.groups import Groups, arrange_groups, draw_weights
from biranet.evaluation.metrics import (
    KEYS,
    LISTS,
    SECTIONS,
    arrange_measures,
    checked_confusion,
    into_sections,
    plain_value,
    with_gaps,
)
from biranet.evaluation.weighted import Tabulated, tabulate
from biranet.grades import GRADES

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]
Interval = list[float]

RESAMPLES = 2000
"""Resamples; an end of a 95 % interval then moves with the seed by about 2 % of the interval's width."""

LEVEL = 0.95
"""How often such an interval shall hold the true value."""

SAME = 1e-12
"""Resamples that differ by no more than this differ by rounding."""

THREADS = 2
"""Blocks of resamples that are worked on at once; the result does not depend on it."""

SHARES = (
    *("accuracy", "micro_f1", "recall_per_grade", "precision_per_grade"),
    *("sensitivity", "specificity", "ppv", "npv", "referred_fraction", "coverage", "coverage_per_grade"),
    *("size_fractions", "asked_fraction", "decided_error_fraction", "missed_fraction", "needless_fraction"),
)
"""Measures that are a share of photos, by the end of their key: at 0 or 1 they have an exact interval."""


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
        within each section and each operating point; and `ci_method`, one sentence.

    Raises:
        InputError: If the table is empty or a grade is not 0 to 4.
    """
    config = config or EvaluationConfig()
    matrix = checked_confusion(table)
    groups = arrange_groups([table], stratify=config.stratify)
    tabulated = tabulate(table, groups, config)
    measures = arrange_measures(table, config, matrix, len(groups.sizes), tabulated.value())
    (drawn,) = _resample([tabulated], groups, config.seed, resamples)
    counts = tabulated.groups_measured()
    found = {key: _each(key, drawn[key], counts[key], config) for key in drawn}
    nested = into_sections(with_gaps(found))
    measures["ci"] = {key: nested[key] for key in KEYS}
    for section in SECTIONS:
        if section == "operating_points":
            for name, point in (measures[section] or {}).items():
                point["ci"] = nested[section][name]
        elif measures[section] is not None:
            measures[section]["ci"] = nested[section]
    measures["ci_method"] = (
        f"{100 * LEVEL:.0f} % percentile bootstrap over {len(groups.sizes):,} groups, {resamples:,} resamples"
        f"{', drawn within the worst true grade of a group' if config.stratify else ''}; percentiles widened for the "
        "number of groups that a measure is about; for a share that is 0 or 1 in every resample the exact "
        "(Clopper-Pearson) interval of so many groups; none where all resamples give the same other value"
    )
    return measures


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
        `difference`, the table's value minus that of the first, or None, and `ci`, its interval, or None.
    """
    config = config or EvaluationConfig()
    tables = [table.set_index("file", drop=False).loc[tables[0]["file"].to_list()] for table in tables]
    groups = arrange_groups(tables, stratify=config.stratify)
    tabulated = [tabulate(table, groups, config) for table in tables]
    first_value, *values = (_flat(each.value()) for each in tabulated)
    first_drawn, *drawn = (_flat(each) for each in _resample(tabulated, groups, config.seed, resamples))
    first_counts, *counts = (_flat(each.groups_measured()) for each in tabulated)
    differences = []
    for value, draws, count in zip(values, drawn, counts, strict=True):
        keys = [key for key in first_value if key in value]
        found = {key: value[key] - first_value[key] for key in keys}
        differences.append(
            {
                key: {
                    "difference": plain_value(found[key]),
                    "ci": _percentiles(draws[key] - first_drawn[key], int(min(count[key], first_counts[key])))
                    if not np.isnan(found[key])
                    else None,
                }
                for key in keys
            }
        )
    return differences


def _resample(tabulated: Sequence[Tabulated], groups: Groups, seed: int, resamples: int) -> list[dict[str, Values]]:
    """(R,) or (R, 5) values of every measure of every table, all in the same drawn data sets."""
    with ThreadPoolExecutor(THREADS) as threads:
        blocks = list(
            threads.map(
                lambda weights: [each.measure(weights) for each in tabulated], draw_weights(groups, resamples, seed)
            )
        )
    return [
        {key: np.concatenate([block[place][key] for block in blocks]) for key in blocks[0][place]}
        for place in range(len(tabulated))
    ]


def _each(key: str, values: Values, groups: npt.NDArray[np.intp], config: EvaluationConfig) -> Any:
    """[low, high] or None of one measure; a list of such where there is a value for each grade."""
    if values.ndim > 1:
        return [_each(key, values[:, grade], groups[grade], config) for grade in GRADES]
    known = values[~np.isnan(values)]
    exact = known.size > 0 and known.min() == known.max() and known[0] in (0, 1) and _is_plain_share(key, config)
    return _exact(known[0], int(groups)) if exact else _percentiles(values, int(groups))


def _is_plain_share(key: str, config: EvaluationConfig) -> bool:
    stated = config.any_dr_prevalence if key.startswith("any_dr") else config.referable_prevalence
    if key.endswith(("ppv", "npv")) and stated is not None:
        return False
    return key.endswith(SHARES)


def _percentiles(values: Values, groups: int) -> Interval | None:
    """Take the percentiles of resamples, further out the fewer groups there are."""
    known = values[~np.isnan(values)]
    if known.size == 0 or groups < 2 or np.ptp(known) < SAME:
        return None
    further = np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, (1 - LEVEL) / 2)
    tail = float(ndtr(further))
    low, high = np.quantile(known, [tail, 1 - tail])
    return [float(low), float(high)]


def _exact(share: float, groups: int) -> Interval:
    """The Clopper-Pearson interval of none or all of so many groups."""
    reach = float(((1 - LEVEL) / 2) ** (1 / groups))
    return [reach, 1.0] if share == 1 else [0.0, 1 - reach]


def _flat(values: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Give each grade of a list a key of its own."""
    flat: dict[str, npt.NDArray[Any]] = {}
    for key, value in values.items():
        if value.shape[-1:] == (len(GRADES),) and key.rpartition(".")[2] in LISTS:
            flat |= {f"{key}.{grade}": value[..., grade] for grade in GRADES}
        else:
            flat[key] = value
    return flat


def bootstrap_intervals(table: "pd.DataFrame") -> Any:
    """Stand in until the report no longer asks for it."""
    return measure_with_intervals(table)["ci"]
