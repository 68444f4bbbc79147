"""The rows of label files: tables with columns, and lists of `name grade`."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.layout import Place
from biranet.tables import read_table
from biranet.texts import read_text

Row = tuple[Place, list[str], Mapping[str, str]]
"""Where it stands, its values in the columns that were asked for, and all others by their column."""


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Read the rows of a table.

    Args:
        path: A table as `biranet.tables.read_table` takes it.
        columns: Columns whose values are asked for; they must be there.

    Yields:
        The rows from top to bottom; values without the spaces around them. Rows whose other values are equal share
        them, so that a large table stays small.

    Raises:
        InputError: If it is no such table.
    """
    table = read_table(path, columns)
    others = [name for name in table.columns if name not in columns]
    shared: dict[tuple[str, ...], Mapping[str, str]] = {}
    asked = zip(*(table[name].str.strip().tolist() for name in columns), strict=True)
    rest = table[others].to_numpy().tolist()
    for row, values, further in zip(table.index.tolist(), asked, rest, strict=True):
        key = tuple(further)
        if key not in shared:
            shared[key] = dict(zip(others, further, strict=True))
        yield Place(path, row), list(values), shared[key]


def all_match(path: Path, column: str, pattern: str) -> bool:
    """Tell whether all names in a column of a table are those of one data set; rows without a name say nothing.

    Args:
        path: A table.
        column: Column with the names of the photos.
        pattern: Regular expression that a whole name matches.
    """
    names = [name for _, (name,), _ in table_rows(path, (column,)) if name]
    return bool(names) and all(re.fullmatch(pattern, name, re.IGNORECASE) for name in names)


def list_rows(path: Path, separator: str | None = None) -> Iterator[tuple[Place, str, str]]:
    """Read the lines `name grade` of a list; empty lines are passed by.

    Args:
        path: A text file in UTF-8, its lines ended as on any system.
        separator: What stands between name and grade; spaces and tabs where it is None.

    Yields:
        Where it stands, the name, which may hold the separator, and the text of the grade.

    Raises:
        InputError: If it cannot be read, or a line is something else.
    """
    for row, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if not line.strip():
            continue
        place = Place(path, row)
        cells = line.strip().rsplit(separator, 1)
        if len(cells) < 2:
            between = "a space" if separator is None else repr(separator)
            raise InputError(f"{place}: {line.strip()!r} is not a name and a grade with {between} between")
        yield place, cells[0].strip(), cells[1].strip()
