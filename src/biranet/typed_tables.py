"""Tables of ours in the format that the ending of their name says: CSV, JSON lines or Parquet, with the same values.

In CSV every value is a text; in the others numbers are numbers, and what is missing is null.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from biranet.errors import InputError
from biranet.extras import require_extras
from biranet.files import atomic_write, parse_json
from biranet.outputs import head_of
from biranet.tables import cells_writer

Value = str | int | float | None
Row = Mapping[str, Value]
Columns = Mapping[str, type]
"""Columns in order: what stands in them, `str`, `int` or `float`."""

TABLE_FORMATS = (".csv", ".jsonl", ".parquet")
"""Endings of tables that are written."""

_GROUP_ROWS = 10_000
"""Rows of a Parquet file that are held at a time; always the same, so that equal rows make equal bytes."""

_MARK = {b"biranet": b"a table of biranet's"}


def check_table_format(path: Path) -> None:
    """Refuse a table whose name does not say a format that can be written here.

    Raises:
        InputError: If its ending is unknown, or the package is missing that writes it.

    Example:
        >>> check_table_format(Path("grades.xlsx"))
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: grades.xlsx: a table ends in .csv, .jsonl (JSON lines) or .parquet; name such a file
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_FORMATS:
        raise InputError(f"{path}: a table ends in .csv, .jsonl (JSON lines) or .parquet; name such a file")
    if suffix == ".parquet":
        with require_extras(f"writing {path}"):
            import pyarrow  # type: ignore[import-untyped]  # noqa: F401


def write_typed(path: Path, columns: Columns, rows: Iterable[Row], written: Callable[[str], object] = str) -> None:
    r"""Write a table, whole or not at all, in memory for few rows.

    Args:
        path: Where to; its ending says the format, see `check_table_format`.
        columns: The columns.
        rows: The values of each row by column. Floats keep nine digits, enough for a float32.
        written: Is told the SHA-256 of the file before it gets its name.

    Raises:
        InputError: If it cannot be written.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "table.jsonl"
        >>> write_typed(place, {"file": str, "grade": int}, [{"file": "a.jpg", "grade": None}])
        >>> place.read_text()
        '{"file": "a.jpg", "grade": null}\n'
    """
    write = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}[path.suffix.lower()]
    with atomic_write(path) as file:
        hashed = _Hashed(file)
        write(hashed, columns, rows)
        written(hashed.digest.hexdigest())


class _Hashed(io.RawIOBase):
    """A file to write to that sums up what is written; closing it leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _write_csv(file: _Hashed, columns: Columns, rows: Iterable[Row]) -> None:
    write = cells_writer(file)
    write(list(columns))
    for row in rows:
        write([as_text(row[name]) for name in columns])


def _write_json_lines(file: _Hashed, columns: Columns, rows: Iterable[Row]) -> None:
    for row in rows:
        values = {name: plain(row[name]) for name in columns}
        file.write(f"{json.dumps(values, ensure_ascii=False, allow_nan=False)}\n".encode())


def _write_parquet(file: _Hashed, columns: Columns, rows: Iterable[Row]) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()], metadata=_MARK)
    remaining = iter(rows)
    with ParquetWriter(file, schema) as writer:
        while group := list(islice(remaining, _GROUP_ROWS)):
            values = [[plain(row[name]) for row in group] for name in columns]
            writer.write_table(pyarrow.table(values, schema=schema))


def as_text(value: Value) -> str:
    """Write a value as text, a float with nine digits, as the tables of this program do; None is nothing.

    Example:
        >>> as_text(1 / 3), as_text(None)
        ('0.333333333', '')
    """
    return "" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)


def plain(value: Value) -> Value:
    """A value as it stands in formats that know numbers, the same that its text in CSV says."""
    return (float(as_text(value)) if isinstance(value, float) else value) if value != "" else None


def has_columns(path: Path, columns: Iterable[str]) -> bool:
    """Whether a file is a table that `write_typed` wrote with these columns, no other and in this order.

    Args:
        path: The file.
        columns: Their names; in CSV none needs quotation marks.

    Example:
        >>> has_columns(Path("nowhere.csv"), ["file"])
        False
    """
    names = list(columns)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_columns(path) == names
    head = head_of(path)
    if suffix == ".jsonl":
        return _first_names(head) == names
    return head.startswith(f"{','.join(names)}\n".encode())


def _first_names(head: bytes) -> list[str] | None:
    """The names in the first of some lines of JSON."""
    try:
        first = parse_json(head.partition(b"\n")[0])
    except ValueError:
        return None
    return list(first) if isinstance(first, dict) else None


def _parquet_columns(path: Path) -> list[str] | None:
    """The columns of a Parquet file that `write_typed` wrote."""
    with require_extras(f"writing {path}"):
        from pyarrow.parquet import read_schema
    try:
        schema = read_schema(path)
    except (OSError, ValueError):  # pyarrow's own errors are of these kinds
        return None
    return list(schema.names) if _MARK.items() <= (schema.metadata or {}).items() else None
