"""The rows of label files: tables with columns, and lists of `name grade`."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.labels import SourceRow
from biranet.tables import read_table
from biranet.text_files import read_text

TableRow = tuple[SourceRow, list[str], Mapping[str, str]]
"""Where it stands, its values in the columns that were asked for, and all others by their column."""


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
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
    extra_names = [name for name in table.columns if name not in columns]
    shared: dict[tuple[str, ...], Mapping[str, str]] = {}
    rows = zip(*(table[name].str.strip().tolist() for name in columns), strict=True)
    extra_rows = table[extra_names].to_numpy().tolist()
    for number, values, extra_values in zip(table.index.tolist(), rows, extra_rows, strict=True):
        key = tuple(extra_values)
        if key not in shared:
            shared[key] = dict(zip(extra_names, extra_values, strict=True))
        yield SourceRow(path, number), list(values), shared[key]


def list_rows(path: Path, separator: str | None = None) -> Iterator[tuple[SourceRow, str, str]]:
    """Read the lines `name grade` of a list; empty lines are skipped.

    Args:
        path: A text file in UTF-8, its lines ended as on any system.
        separator: What stands between name and grade; spaces and tabs where it is None.

    Yields:
        Where it stands, the name, which may hold the separator, and the text of the grade.

    Raises:
        InputError: If it cannot be read, or a line is something else.
    """
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if not line.strip():
            continue
        row = SourceRow(path, number)
        cells = line.strip().rsplit(separator, 1)
        if len(cells) < 2:
            between = "a space" if separator is None else repr(separator)
            raise InputError(f"{row}: {line.strip()!r} is not a name and a grade with {between} between")
        yield row, cells[0].strip(), cells[1].strip()
