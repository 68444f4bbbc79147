"""The predictions table: one row per photo with its true grade, the predicted one and, where known, the probabilities.

Everything in this room starts from this table, so that what a model learned and how it is judged stay apart: a table
that another program wrote is measured exactly as ours.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biranet.errors import InputError
from biranet.grades import GRADES
from biranet.tables import parse_grades, read_table, write_table

PROBABILITIES = tuple(f"p{grade}" for grade in GRADES)
"""The columns with the probability of each grade."""

COLUMNS = ("file", "group", "grade", "predicted_grade", *PROBABILITIES)
"""The fixed columns, in this order; `grade` is the truth. Further columns follow and are passed through."""

SUM_TOLERANCE = 1e-3
"""How far the five probabilities of a photo may be from summing to 1, as rounding in a table makes them."""


def read_predictions(*paths: Path) -> pd.DataFrame:
    """Read predictions and pool them, for example the tables of five folds.

    Only `file`, `grade` and `predicted_grade` must be there. Where `group` is missing or empty, a photo is a group of
    its own; the probabilities may be missing, all five together.

    Args:
        paths: CSV files; no photo may stand in two of them.

    Returns:
        One table, the fixed columns first: `grade` and `predicted_grade` of dtype int64, `p0` to `p4` of dtype float64
        in [0, 1], everything else strings.

    Raises:
        InputError: If a file cannot be read or `check_predictions` refuses it; the sentence names file, row and column.
    """
    if not paths:
        raise InputError("no predictions were given; name at least one predictions.csv")
    tables = [_read_one(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if ("p0" in table) != ("p0" in tables[0]):
            with_them, without = (path, paths[0]) if "p0" in table else (paths[0], path)
            raise InputError(f"{with_them} has probabilities and {without} has none; they cannot be pooled")
    pooled = pd.concat(tables, ignore_index=True)
    origins = np.repeat([str(path) for path in paths], [len(table) for table in tables])
    twice = np.flatnonzero(pooled["file"].duplicated())
    if len(twice):
        name = pooled["file"].iloc[twice[0]]
        first = np.flatnonzero(pooled["file"] == name)[0]
        raise InputError(
            f"column 'file': {name!r} stands in {origins[first]} and again in {origins[twice[0]]}; "
            "a photo is scored once, so pool only tables of different photos"
        )
    # Only one of the pooled tables may have a pass-through column; its cells in the others are empty, as in any CSV.
    return pooled.fillna("")


def check_predictions(table: pd.DataFrame, origin: str) -> None:
    """Refuse a predictions table that cannot be measured.

    Args:
        table: Columns `file`, `group`, `grade`, `predicted_grade`, and all of `p0` to `p4` or none; its index is the
            row that the error names.
        origin: Where the table comes from, for the error.

    Raises:
        InputError: If there are no rows, a column is missing, a photo stands there twice, a name is empty, a grade is
            not 0 to 4, or probabilities are not in [0, 1] or do not sum to 1 within `SUM_TOLERANCE`.
    """
    probabilities = [name for name in PROBABILITIES if name in table]
    expected = COLUMNS if probabilities else COLUMNS[: -len(PROBABILITIES)]
    missing = [name for name in expected if name not in table]
    if missing:
        hint = " (give all five probabilities or none)" if missing[0] in PROBABILITIES else ""
        raise InputError(f"{origin} has no column {missing[0]!r}{hint}")
    if not len(table):
        raise InputError(f"{origin} has no rows, so there is nothing to measure")
    for column in ("file", "group"):
        empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
        _refuse_first(table, empty, origin, column, "is empty")
    _refuse_first(table, table["file"].duplicated(), origin, "file", "stands there twice; a photo is scored once")
    for column in ("grade", "predicted_grade"):
        wrong = ~table[column].isin(GRADES)
        _refuse_first(table, wrong, origin, column, f"is not a grade from {GRADES[0]} to {GRADES[-1]}")
    for column in probabilities:
        _refuse_first(table, ~table[column].between(0, 1), origin, column, "is not a probability from 0 to 1")
    if probabilities:
        total = table[probabilities].astype("float64").sum(axis="columns")
        wrong = (total - 1).abs() > SUM_TOLERANCE
        if wrong.any():
            row = table.index[wrong][0]
            raise InputError(
                f"{origin}, row {row}, columns 'p0' to 'p4': they sum to {total[wrong].iloc[0]:.6g}, not to 1"
            )


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write a predictions table as CSV, the fixed columns first, whole or not at all.

    Args:
        path: Where it shall stand.
        table: A table that `check_predictions` accepts.

    Raises:
        InputError: If the table is refused or the file cannot be written.
    """
    check_predictions(table, str(path))
    write_table(path, _fixed_columns_first(table))


def _read_one(path: Path) -> pd.DataFrame:
    table = read_table(path, ("file", "grade", "predicted_grade"))
    for column in ("grade", "predicted_grade"):
        grades = parse_grades(table, column, path)
        _refuse_first(table, grades.isna(), str(path), column, "is not a grade: every photo needs both to be scored")
        table[column] = grades.astype("int64")
    for column in PROBABILITIES:
        if column in table:
            numbers = pd.to_numeric(table[column], errors="coerce")
            _refuse_first(table, numbers.isna(), str(path), column, "is not a probability from 0 to 1")
            table[column] = numbers.astype("float64")
    groups = table["group"] if "group" in table else table["file"]
    table["group"] = groups.where(groups.str.strip() != "", table["file"])
    check_predictions(table, str(path))
    return _fixed_columns_first(table)


def _fixed_columns_first(table: pd.DataFrame) -> pd.DataFrame:
    fixed = [name for name in COLUMNS if name in table]
    return table[[*fixed, *(name for name in table.columns if name not in COLUMNS)]]


def _refuse_first(table: pd.DataFrame, wrong: "pd.Series[bool]", origin: str, column: str, why: str) -> None:
    if wrong.any():
        row: Any = table.index[wrong][0]
        value = table.loc[wrong, column].iloc[0]
        shown = value if isinstance(value, str) else str(value)
        raise InputError(f"{origin}, row {row}, column {column!r}: {shown!r} {why}")
