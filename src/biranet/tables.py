"""Reading and writing the tables that people exchange: CSV in, CSV out, every value a string until it is asked for."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from biranet.errors import InputError
from biranet.files import whole_file
from biranet.grades import parse_grade


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file without guessing: `001` stays `001`, and `NA` is a word.

    Args:
        path: A CSV file in UTF-8, with or without a byte-order mark, with a header line.
        columns: Columns that must be there.

    Returns:
        The table, all strings; a missing value is an empty string. Nameless columns, which trailing commas make, are
        left out.

    Raises:
        InputError: If the file is missing, is no table, has no rows or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    named = [position for position, name in enumerate(header) if name]
    names = [header[position] for position in named]
    missing = [name for name in columns if name not in names]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; its columns are: {', '.join(names) or 'none'}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has two columns named {twice!r}; rename one of them")
    body = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)]
    for number, row in body:
        if any(cell.strip() for cell in row[len(header) :]):
            raise InputError(f"{path}, row {number}: {len(row)} values for {len(header)} columns")
    if not body:
        raise InputError(f"{path} has no rows below its header")
    return pd.DataFrame(
        [[row[position] if position < len(row) else "" for position in named] for _, row in body],
        index=pd.Index([number for number, _ in body], name="row"),
        columns=pd.Index(names, dtype=object),
        dtype=object,
    )


def parse_grades(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Read a column of grades.

    Args:
        table: From `read_table`: its index is the row in the file.
        column: Column with the grades.
        path: The file, for the error.

    Returns:
        Grades 0 to 4 of dtype `Int64`; missing where the cell is empty.

    Raises:
        InputError: If a value is no grade; the sentence names file, row and column.
    """
    grades: list[int | None] = []
    for row, text in table[column].items():
        try:
            grades.append(parse_grade(str(text)))
        except InputError as error:
            raise InputError(f"{path}, row {row}, column {column!r}: {error}") from error
    return pd.Series(grades, index=table.index, dtype="Int64")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV (UTF-8, LF), whole or not at all. Floats keep nine digits, enough for a float32."""
    # Left to itself, the csv module does not quote a lone carriage return, and every reader ends the row there.
    words = [column.astype(str) for _, column in table.items() if not pd.api.types.is_numeric_dtype(column)]
    torn = any(column.str.contains("\r", regex=False).any() for column in words)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL
    with whole_file(path) as beside:
        table.to_csv(beside, index=False, float_format="%.9g", lineterminator="\n", quoting=quoting)
