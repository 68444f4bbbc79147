"""The same measures for parts of the photos: each camera, each source, each eye, the blurred and the sharp.

A good figure over all photos can hide a camera on which the model fails. The parts are small, so each comes with its
size and its intervals, and says where it is too small to conclude anything.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from biranet.config import EvaluationConfig, ReportConfig
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_some
from biranet.evaluation.measures import SUMMARY_KEYS
from biranet.setting_names import setting

FEW_PHOTOS = 20
"""A subgroup of fewer photos is marked: one more error would move its shares by more than five hundredths."""

MAX_VALUES = 12
"""With more values than this, a column of numbers is divided into thirds; of another, the rarest values are joined."""

DEFAULT_COLUMNS = ("source", "eye", "fold")
"""The columns that make subgroups where none are named and they have 2 to `MAX_VALUES` values."""

EMPTY_CELL = "(empty)"
"""The value of a cell with nothing in it."""


def check_columns(table: pd.DataFrame, by: Sequence[str]) -> None:
    """Refuse columns that a table of photos does not have.

    Raises:
        InputError: If one of them is not there.
    """
    missing = [column for column in by if column not in table]
    if missing:
        columns = ", ".join(map(str, table.columns))
        raise InputError(f"{setting('by')} {missing[0]}: there is no such column; the columns are: {columns}")


def measure_subgroups(table: pd.DataFrame, config: ReportConfig | None = None) -> list[dict[str, Any]]:
    """Measure each part that the values of a column make.

    Args:
        table: A predictions table with its pass-through columns.
        config: How to measure; `by` names the columns, else `DEFAULT_COLUMNS`.

    Returns:
        One item a subgroup, column after column: `column`, `value`, `n` photos, `groups`, `few` (fewer than
        `FEW_PHOTOS` photos), the measures in `SUMMARY_KEYS`, `ci` and `undefined` for them.

    Raises:
        InputError: If a named column is not there.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"group": ["a", "b", "c"], "grade": [0, 2, 2], "predicted_grade": [0, 2, 1]})
        >>> parts = measure_subgroups(table.assign(source=["clinic", "clinic", "van"]))
        >>> [(part["value"], part["n"], part["accuracy"]) for part in parts]
        [('clinic', 2, 1.0), ('van', 1, 0.0)]
    """
    config = config or ReportConfig()
    check_columns(table, config.by)
    parts = []
    for column in dict.fromkeys(config.by or default_columns(table)):
        value_of_row, values = assign_subgroups(table[column])
        for value in values:
            parts.append({"column": column, "value": value, **_measure_part(table[value_of_row == value], config)})
    return parts


def default_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that make subgroups where none are named."""
    return [name for name in DEFAULT_COLUMNS if name in table and _makes_subgroups(table[name])]


def assign_subgroups(column: pd.Series) -> tuple[pd.Series, list[str]]:
    """Name the subgroup of each row.

    Args:
        column: One value a row, as a table holds it.

    Returns:
        The subgroup of each row, and all subgroups in order: by number, or by name. A column of numbers with more than
        `MAX_VALUES` values makes thirds of equal size, but equal numbers stay together. In another column with more
        values, the rarest make one subgroup together, the last before empty cells.

    Example:
        >>> import pandas as pd
        >>> assign_subgroups(pd.Series(["9", "10", ""]))[1]
        ['9', '10', '(empty)']
        >>> assign_subgroups(pd.Series([str(value / 100) for value in range(30)]))[1]
        ['lowest third (0 to 0.09)', 'middle third (0.1 to 0.19)', 'highest third (0.2 to 0.29)']
    """
    texts = column.astype(str).str.strip()
    filled = texts[texts != ""]
    counts = filled.value_counts()
    numbers = {text: _parse_number(text) for text in counts.index}
    if None not in numbers.values():
        ordered = sorted(counts.index, key=lambda text: (numbers[text], text))
        if len(counts) > MAX_VALUES:
            names, ordered = _thirds(filled.map(numbers).astype("float64"))
        else:
            names = filled
    else:
        frequent = sorted(counts.index, key=lambda text: (-counts[text], text))
        kept = frequent if len(frequent) <= MAX_VALUES else frequent[: MAX_VALUES - 1]
        others = f"({len(frequent) - len(kept)} others)"
        names = filled.where(filled.isin(kept), others)
        ordered = [*sorted(kept), *([others] if len(kept) < len(frequent) else [])]
    return names.reindex(column.index, fill_value=EMPTY_CELL), [
        *ordered,
        *([EMPTY_CELL] if len(filled) < len(texts) else []),
    ]


def _thirds(numbers: "pd.Series[float]") -> tuple[pd.Series, list[str]]:
    edges = np.quantile(numbers, [1 / 3, 2 / 3])
    third_of_row = np.searchsorted(edges, numbers, side="left")
    words = ("lowest", "middle", "highest")
    # Where many numbers are equal, a third can be empty.
    parts = {third: numbers[third_of_row == third] for third in range(3) if (third_of_row == third).any()}
    names = {third: f"{words[third]} third ({part.min():.4g} to {part.max():.4g})" for third, part in parts.items()}
    return pd.Series([names[third] for third in third_of_row], index=numbers.index), list(names.values())


def _makes_subgroups(column: pd.Series) -> bool:
    texts = column.astype(str).str.strip()
    return 2 <= texts[texts != ""].nunique() <= MAX_VALUES


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _measure_part(part: pd.DataFrame, config: EvaluationConfig) -> dict[str, Any]:
    measured = measure_some(part.reset_index(drop=True), SUMMARY_KEYS, config)
    return {"few": measured["n"] < FEW_PHOTOS, **measured}
