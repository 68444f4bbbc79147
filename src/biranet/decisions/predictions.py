"""The predictions table: one row per photo with its true grade, the predicted one and, where known, the probabilities.

Everything in this room starts from this table, so that what a model learned and how it is judged stay apart: a table
that another program wrote is measured exactly as ours. What our own rules answered for a photo (decision, set of
grades, operating points) stands in columns too, so that tables of folds, each with its own rules, can be pooled.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import (
    DECISION_COLUMNS,
    POINT_PREFIX,
    PREDICTION_COLUMNS,
    PROBABILITIES,
    has_decisions,
    has_probabilities,
    point_columns,
    probabilities,
)
from biranet.errors import InputError
from biranet.grades import DECISIONS, GRADE_COUNT, GRADES
from biranet.manifest import STATUSES
from biranet.scale import Scale
from biranet.tables import parse_cells, read_table, write_table
from biranet.words import is_empty, parse_eye

SUM_TOLERANCE = 1e-3
"""How far the five probabilities of a photo may be from summing to 1, where they have more than three digits."""

ROUNDING = 1e-6
"""How far a probability may lie outside of [0, 1]: a float32 of a network may be 1.0000001."""


def read_predictions(*paths: Path, scale: Scale | None = None) -> pd.DataFrame:
    """Read predictions and pool them, for example the tables of five folds.

    Only `file`, `grade` and `predicted_grade` must be there. Where `group` is missing or empty, a photo is a group of
    its own; spaces around the names of files and groups are no part of them. The probabilities may be missing, all five
    together, and so may the answers of our rules; a `temperature` that is missing beside answers is 1. A table of
    `biranet grade` with the true grades added is such a table: its photos without a grade are left out.

    Grades are numbers from 0 to 4, the usual words, or what `scale` was given. Where the true grades are on another
    scale, the predicted ones may be on ours: the one that reads them all counts, and where both do, they must agree.

    Args:
        paths: CSV files; no photo may stand in two of them, and what is measured must stand in all of them.
        scale: How grades are written.

    Returns:
        One table, the fixed columns first, then the answers where there are any. `grade`, `predicted_grade`,
        `lowest_grade`, `highest_grade` and the operating points are of dtype int64, `p0` to `p4` (in [0, 1]) and
        `temperature` (above 0) of dtype float64, everything else strings.

    Raises:
        InputError: If a file cannot be read or `check_predictions` refuses it; the sentence names file, row and column.
    """
    return pool_predictions(*paths, scale=scale).table


class PooledPredictions(NamedTuple):
    """Predictions that were read.

    Attributes:
        table: The table.
        rows: The row of each of its photos in its file, (N,).
        left_out: Photos without a predicted grade, which are not in it, by their status.
    """

    table: pd.DataFrame
    rows: npt.NDArray[np.int64]
    left_out: Counter[str]


def pool_predictions(*paths: Path, scale: Scale | None = None) -> PooledPredictions:
    """Read predictions as `read_predictions` does, and keep count of the photos that have none.

    Args:
        paths: As for `read_predictions`.
        scale: As for `read_predictions`.

    Returns:
        The table, and how many photos without a grade are not in it.

    Raises:
        InputError: As `read_predictions`.
    """
    if not paths:
        raise InputError("no predictions were given; name at least one predictions.csv")
    left_out: Counter[str] = Counter()
    scale = scale or Scale(flags=())
    tables = [_read_one(path, left_out, scale) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        _check_same_columns(tables[0], paths[0], table, path)
        _check_same_columns(table, path, tables[0], paths[0])
    pooled = pd.concat(tables, ignore_index=True)
    origins = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
    repeated = np.flatnonzero(pooled["file"].duplicated())
    if len(repeated):
        name = pooled["file"].iloc[repeated[0]]
        first = np.flatnonzero(pooled["file"] == name)[0]
        raise InputError(
            f"column 'file': {name!r} stands in {paths[origins[first]]} and again in {paths[origins[repeated[0]]]}; "
            "a photo is scored once, so pool only tables of different photos"
        )
    # Only one of the pooled tables may have a pass-through column; its cells in the others are empty, as in any CSV.
    rows = np.concatenate([table.index.to_numpy(np.int64) for table in tables])
    return PooledPredictions(pooled.fillna(""), rows, left_out)


def check_predictions(table: pd.DataFrame, origin: str) -> None:
    """Refuse a predictions table that cannot be measured.

    Args:
        table: Columns `file`, `group`, `grade`, `predicted_grade`, all of `p0` to `p4` or none, and all answers
            (`DECISION_COLUMNS` and any operating points) or none; its index is the row that the error names.
        origin: Where the table comes from, for the error.

    Raises:
        InputError: If there are no rows, a column is missing, a photo stands there twice, a name is empty, a grade is
            not 0 to 4, probabilities are no numbers in [0, 1] or do not sum to 1, rounding apart, an answer is none, or
            the column of an operating point does not name it.
    """
    _check_columns(table, PREDICTION_COLUMNS[: -len(PROBABILITIES)], origin)
    _check_column_sets(table, origin)
    if not len(table):
        raise InputError(f"{origin} has no rows, so there is nothing to measure")
    for column in ("file", "group"):
        empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
        _raise_at_first(table, empty, origin, column, "is empty")
    _raise_at_first(table, table["file"].duplicated(), origin, "file", "stands there twice; a photo is scored once")
    for column in ("grade", "predicted_grade"):
        _raise_at_first(table, ~table[column].isin(GRADES), origin, column, _NO_GRADE)
    if has_probabilities(table):
        for column in PROBABILITIES:
            _check_numeric(table, origin, column)
            _raise_at_first(table, ~table[column].between(-ROUNDING, 1 + ROUNDING), origin, column, _NO_PROBABILITY)
        total = table[list(PROBABILITIES)].astype("float64").sum(axis="columns")
        wrong = (total - 1).abs() > _sum_tolerance(probabilities(table))
        if wrong.any():
            row = table.index[wrong][0]
            raise InputError(
                f"{origin}, row {row}, columns 'p0' to 'p4': they sum to {total[wrong].iloc[0]:.6g}, not to 1"
            )
    if has_decisions(table):
        _check_decisions(table, origin)


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


_NO_GRADE = f"is not a grade from {GRADES[0]} to {GRADES[-1]}"
_NO_PROBABILITY = "is not a probability from 0 to 1"
_NO_TEMPERATURE = "is not a temperature, a number above 0"
_NO_POINT = "is neither 1 (refer) nor 0, as in every column whose name begins with 'refer_'"


def _sum_tolerance(shares: npt.NDArray[np.float64]) -> float:
    """How far five probabilities may be from summing to 1: rounding to few digits moves each by half of the last."""
    for digits in (2, 3):
        if np.abs(shares - shares.round(digits)).max(initial=0) < ROUNDING:
            return GRADE_COUNT * 0.5 * 10.0**-digits + ROUNDING
    return SUM_TOLERANCE


def _check_decisions(table: pd.DataFrame, origin: str) -> None:
    _check_numeric(table, origin, "temperature")
    temperature = table["temperature"]
    wrong = ~((temperature > 0) & (temperature < np.inf))
    _raise_at_first(table, wrong, origin, "temperature", _NO_TEMPERATURE)
    wrong = ~table["decision"].isin(DECISIONS)
    _raise_at_first(table, wrong, origin, "decision", f"is not one of the decisions {', '.join(DECISIONS)}")
    for column in ("lowest_grade", "highest_grade"):
        _raise_at_first(table, ~table[column].isin(GRADES), origin, column, _NO_GRADE)
    below = table["highest_grade"] < table["lowest_grade"]
    _raise_at_first(table, below, origin, "highest_grade", "is below 'lowest_grade'")
    for column in point_columns(table):
        _raise_at_first(table, ~table[column].isin((0, 1)), origin, column, _NO_POINT)


def _read_one(path: Path, left_out: Counter[str], scale: Scale) -> pd.DataFrame:
    return parse_predictions(read_table(path, ("file", "grade", "predicted_grade")), str(path), left_out, scale)


def _refuse_merged_columns(table: pd.DataFrame, origin: str) -> None:
    """Refuse columns that were renamed when two tables were merged: what they say of patients would be lost unseen."""
    for column in ("group", "eye"):
        if column not in table and {f"{column}_x", f"{column}_y"} <= set(table.columns):
            raise InputError(
                f"{origin} has the columns '{column}_x' and '{column}_y', as merging leaves them where both tables "
                f"have {column!r}; drop it from one of them before"
            )


def parse_predictions(table: pd.DataFrame, origin: str, left_out: Counter[str], scale: Scale) -> pd.DataFrame:
    """Read a table of texts as `read_predictions` reads a file; errors name its `origin`, and rows by its index."""
    _refuse_merged_columns(table, origin)
    table = _drop_ungraded(table, left_out)
    table = _normalize_decisions(table)
    _check_column_sets(table, origin)
    table["file"] = table["file"].str.strip()
    groups = table["group"].str.strip() if "group" in table else table["file"]
    table["group"] = groups.mask(groups.map(is_empty), table["file"])
    if "eye" in table:
        parse_cells(table, "eye", origin, parse_eye)  # what is none would leave patients out of the measures by patient
    decided = has_decisions(table)
    as_predicted = _scale_of_predicted(table, origin, scale)
    table["grade"] = _as_grades(table, "grade", origin, scale)
    table["predicted_grade"] = _as_grades(table, "predicted_grade", origin, as_predicted)
    for column in ("lowest_grade", "highest_grade") if decided else ():
        table[column] = _as_grades(table, column, origin, Scale(flags=()))
    for column in PROBABILITIES if has_probabilities(table) else ():
        table[column] = _as_numbers(table, column, origin, _NO_PROBABILITY)
    if decided:
        table["temperature"] = _as_numbers(table, "temperature", origin, _NO_TEMPERATURE)
        for column in point_columns(table):
            numbers = _as_numbers(table, column, origin, _NO_POINT)
            _raise_at_first(table, ~numbers.isin((0, 1)), origin, column, _NO_POINT)
            table[column] = numbers.astype("int64")
    check_predictions(table, origin)
    return _fixed_columns_first(table)


def _drop_ungraded(table: pd.DataFrame, left_out: Counter[str]) -> pd.DataFrame:
    """Leave out the photos that `biranet grade` gave no grade, and count them by their status."""
    if "status" not in table:
        return table
    status = table["status"].str.strip()
    # Only these words are ours: somebody else's column of that name says nothing of the prediction.
    without = status.isin(set(STATUSES) - {"ok"}) & (table["predicted_grade"].str.strip() == "")
    left_out.update(status[without])
    return table[~without]


def _normalize_decisions(table: pd.DataFrame) -> pd.DataFrame:
    """Make the answers of a table of `biranet grade` those of a predictions table.

    A model that was not calibrated decides by its grade alone and gives no sets, so nothing was fitted; and where no
    temperature is written down, the probabilities are measured as they stand.
    """
    ends = ["lowest_grade", "highest_grade"]
    if not {"decision", *ends} <= set(table.columns):
        return table
    if (table[ends] == "").all(axis=None):
        return table.drop(columns=[*(name for name in DECISION_COLUMNS if name in table), *point_columns(table)])
    return table if "temperature" in table else table.assign(temperature="1")


def _as_grades(table: pd.DataFrame, column: str, origin: str, scale: Scale) -> "pd.Series[int]":
    read = parse_cells(table, column, origin, lambda text: scale.read(text).grade)
    grades = pd.Series(read, index=table.index, dtype="Int64")
    _raise_at_first(table, grades.isna(), origin, column, "is not a grade: every photo needs one to be scored")
    return grades.astype("int64")


def _scale_of_predicted(table: pd.DataFrame, origin: str, scale: Scale) -> Scale:
    """The scale that reads all predicted grades: that of the true ones, or ours."""
    if not scale.is_custom:
        return scale
    column, candidates = "predicted_grade", []
    for each in (Scale(flags=()), scale):
        with suppress(InputError):
            candidates.append((each, _as_grades(table, column, origin, each)))
    if len(candidates) == 2 and not candidates[0][1].equals(candidates[1][1]):
        raise InputError(
            f"{origin}, column {column!r}: all its values are grades from {GRADES[0]} to {GRADES[-1]} and, by --grades"
            ", other ones; write them in the usual words, such as mild"
        )
    return candidates[0][0] if candidates else scale


def _as_numbers(table: pd.DataFrame, column: str, origin: str, why: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(table[column], errors="coerce")
    unread = numbers.isna()
    if unread.any() and "," in table.loc[unread, column].iloc[0]:
        why = "has a comma; write decimals with a point, as in 0.25"
    _raise_at_first(table, unread, origin, column, why)
    return numbers.astype("float64")


def _check_columns(table: pd.DataFrame, needed: Sequence[str], origin: str, why: str = "") -> None:
    columns = [str(name) for name in table.columns]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(f"{origin} has no column {missing[0]!r}{why}; its columns are: {', '.join(columns)}")


def _check_column_sets(table: pd.DataFrame, origin: str) -> None:
    """Refuse some of the columns that go together, without the others."""
    if not set(PROBABILITIES).isdisjoint(table.columns):
        _check_columns(table, PROBABILITIES, origin, " (give all five probabilities or none)")
    answers = [*(name for name in DECISION_COLUMNS if name in table), *point_columns(table)]
    if answers:
        ways = f"give all of {', '.join(DECISION_COLUMNS)} or none, or give {answers[0]!r} another name"
        _check_columns(table, DECISION_COLUMNS, origin, f" beside {answers[0]!r} ({ways})")
    for column in point_columns(table):
        if not column.removeprefix(POINT_PREFIX).strip():
            raise InputError(f"{origin}, column {column!r}: an operating point must have a name, as in 'refer_youden'")


def _check_same_columns(first: pd.DataFrame, first_path: Path, second: pd.DataFrame, second_path: Path) -> None:
    """Refuse to pool where something that is measured stands in the first table alone."""
    for column in (*PROBABILITIES, *DECISION_COLUMNS, *point_columns(first)):
        if column in first and column not in second:
            raise InputError(
                f"{first_path} has a column {column!r} and {second_path} has none, so they cannot be pooled; "
                "let the same command write both"
            )


def _fixed_columns_first(table: pd.DataFrame) -> pd.DataFrame:
    fixed = [name for name in (*PREDICTION_COLUMNS, *DECISION_COLUMNS, *point_columns(table)) if name in table]
    return table[[*fixed, *(name for name in table.columns if name not in fixed)]]


def _check_numeric(table: pd.DataFrame, origin: str, column: str) -> None:
    """Refuse text where only numbers can be compared, even text that reads like one."""
    if not pd.api.types.is_numeric_dtype(table[column]):
        texts = table[column].map(lambda value: isinstance(value, str))
        _raise_at_first(table, texts, origin, column, "is text, not a number")


def _raise_at_first(table: pd.DataFrame, wrong: "pd.Series[bool]", origin: str, column: str, why: str) -> None:
    if wrong.any():
        row: Any = table.index[wrong][0]
        value = table.loc[wrong, column].iloc[0]
        shown = value if isinstance(value, str) else str(value)
        raise InputError(f"{origin}, row {row}, column {column!r}: {shown!r} {why}")
