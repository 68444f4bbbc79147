"""Reading and writing the tables that people exchange: every value is a string until it is asked for."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from biranet.errors import InputError
from biranet.extras import install_command
from biranet.files import atomic_write, open_regular, parse_json, printable, unreadable
from biranet.spreadsheet_cells import as_cell, from_cell
from biranet.table_parts import OWN_PREFIX, is_table_folder, join_parts, parts_in
from biranet.text_files import read_head, read_text
from biranet.words import counted

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

Value = TypeVar("Value")


def read_table(path: Path, columns: Sequence[str] = ()) -> "pd.DataFrame":
    """Read a table without guessing: `001` stays `001`, and `NA` is a word.

    Args:
        path: A text table in UTF-8, or in UTF-16 with a byte-order mark, with a header line: its values are separated
            by commas, semicolons or tabs, whichever the header holds; where it holds several kinds or none, by tabs in
            a file that ends in .tsv, .tab or .txt, else by commas; or as a line `sep=;` before the header says. Or a
            Parquet file, which ends in .parquet; its columns of lists, structures or bytes are left out. Or JSON lines,
            which end in .jsonl: an object a row, whose values are texts, numbers or null. Or the folder of Parquet
            parts that grading on a cluster writes; columns of its own use are left out.
        columns: Columns that must be there.

    Returns:
        The table, all strings; a missing value is an empty string. Nameless columns, which trailing commas make, are
        left out. The index is the row that a spreadsheet shows, the header being row 1; in a Parquet file and in JSON
        lines, which have no header line, the first row is row 1.

    Raises:
        InputError: If the file is missing, is no regular file, is too long or no table, has no rows or lacks a column.
    """
    import pandas as pd  # late, since who reads no table need not wait for it

    kind = "parts" if is_table_folder(path) else path.suffix.lower()
    without_header = {".parquet": _read_parquet, ".jsonl": _read_json_lines, "parts": _read_parts}.get(kind)
    if without_header is not None:
        table = without_header(path, columns)
        if table.empty:
            raise InputError(f"{path} has no rows")
        return table
    rows = _read_rows(path)
    header = [name.strip() for name in rows[0]] if rows else []
    kept = [position for position, name in enumerate(header) if name]
    names = [header[position] for position in kept]
    _check_columns(path, names, columns)
    body = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(map(str.strip, row))]
    for number, row in body:
        if len(row) > len(header) and any(map(str.strip, row[len(header) :])):
            raise InputError(f"{path}, row {number}: {counted(len(row), 'value')} for {counted(len(header), 'column')}")
    if not body:
        raise InputError(f"{path} has no rows below its header")
    cells = [[row[position] if position < len(row) else "" for position in kept] for _, row in body]
    return pd.DataFrame(
        # In one piece: given lists, pandas takes a million columns one by one.
        np.array(cells, dtype=object).reshape(len(body), len(kept)),
        index=pd.Index([number for number, _ in body], name="row"),
        columns=pd.Index(names, dtype=object),
        dtype=object,
    )


def read_header(path: Path) -> tuple[str, ...]:
    """Read the column names of a table; nothing where a file is no table that can be read."""
    if is_table_folder(path):
        first_part = next(parts_in(path), None)
        names = () if first_part is None else read_header(first_part)
        return tuple(name for name in names if not name.startswith(OWN_PREFIX))
    if path.suffix.lower() == ".parquet":
        try:
            with _opened(path) as file:
                return tuple(_open_parquet(path, file)[1])
        except InputError:
            return ()
    if path.suffix.lower() == ".jsonl":
        try:
            row = parse_json(read_head(path).lstrip().partition("\n")[0])
        except ValueError:
            return ()
        return tuple(row) if isinstance(row, dict) else ()
    head, separator = _without_separator_line(path, read_head(path))
    try:
        first = next(csv.reader(io.StringIO(head, newline=""), delimiter=separator), [])
    except csv.Error:
        return ()
    return tuple(from_cell(name.strip()) for name in first if name.strip())


def _read_rows(path: Path) -> list[list[str]]:
    text, separator = _without_separator_line(path, read_text(path))
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator):
            rows.append(list(map(from_cell, row)))
    except csv.Error as error:
        raise InputError(f"{path}, row {len(rows) + 1}: {_describe_csv_error(error)}") from error
    if separator != ",":
        for number, row in enumerate(rows, start=1):
            if len(row) == 1 < len(rows[0]) and "," in row[0]:
                raise InputError(
                    f"{path}, row {number}: {row[0]!r} is separated by commas, but the header by "
                    f"{_SEPARATORS.get(separator, repr(separator))}; separate all rows alike"
                )
    return rows


def _describe_csv_error(error: csv.Error) -> str:
    """Say in a sentence what the csv module says in its own words."""
    if "field limit" in str(error):
        return (
            f"a cell has more than {csv.field_size_limit():,} letters; shorten it, or close a quotation mark before it"
        )
    if "end of data" in str(error):
        return "a quotation mark is opened and not closed"
    return f"a quotation mark inside of a cell is not doubled ({error})"


_HEADER_LINE = re.compile(r'(?:[^"\r\n]+|"[^"]*")*')
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\1*[ ]*(?:\r\n|\r|\n)', re.IGNORECASE)


def _without_separator_line(path: Path, text: str) -> tuple[str, str]:
    """The text of a table, and its separator; without the line that tells it to Excel, which does not show it."""
    separator_line = _SEPARATOR_LINE.match(text)
    if separator_line:
        return text[separator_line.end() :], separator_line[1]
    header = _HEADER_LINE.match(text)
    unquoted = re.sub(r'"[^"]*"', "", header[0] if header else "")
    separators = [separator for separator in _SEPARATORS if separator in unquoted]
    if len(separators) == 1:
        return text, separators[0]
    return text, "\t" if path.suffix.lower() in (".tsv", ".tab", ".txt") else ","


def _open_parquet(path: Path, file: BinaryIO) -> tuple[Any, list[str]]:
    """A Parquet file, and those of its columns that hold plain values: no lists, no structures, no pictures."""
    try:
        from pyarrow import types  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(
            f"reading {path} needs pyarrow; install it with: {install_command('parquet')}, or save the table as CSV"
        ) from None
    try:
        parquet = ParquetFile(file)
        schema = parquet.schema_arrow
    except Exception as error:  # A damaged file makes pyarrow raise errors of many kinds.
        raise InputError(f"{path} is not a Parquet table") from error
    kinds = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return parquet, [column.name for column in schema if not any(kind(column.type) for kind in kinds)]


def _read_parquet(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    with _opened(path) as file:
        parquet, names = _open_parquet(path, file)
        _check_columns(path, names, columns)
        cells = parquet.metadata.num_rows * len(names)
        if cells > _MAX_CELLS:
            raise InputError(f"{path} has {cells:,} cells, more than a table of photos has; leave columns out")
        try:
            # Its metadata would turn columns into the index of a data frame.
            table = parquet.read(columns=names).to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
            # Only here it shows that a text is no UTF-8, or a time is none.
            values = [table[name].tolist() for name in names]
        except Exception as error:
            raise InputError(f"{path} is not a Parquet table that can be read") from error
    texts = [_texts([None if value is pd.NA else value for value in column]) for column in values]
    return pd.DataFrame(
        dict(zip(names, texts, strict=True)), index=pd.RangeIndex(1, len(table) + 1, name="row"), dtype=object
    )


def _texts(column: Sequence[Any]) -> list[str]:
    """Write values as text, None as nothing.

    Whole numbers in a column where some are missing are made floats by pandas: patient 1 is not to become 1.0.
    """
    values = [value for value in column if value is not None]
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return ["" if value is None else str(int(value)) for value in column]
    return ["" if value is None else str(value) for value in column]


def _read_parts(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    table = join_parts(path, [_read_parquet(part, ()) for part in parts_in(path)])
    _check_columns(path, table.columns.tolist(), columns if len(table) else ())
    return table


def _read_json_lines(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    cells: dict[str, dict[int, str | float | None]] = {}
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            if not isinstance(row, dict) or not all(isinstance(value, _PLAIN) for value in row.values()):
                raise ValueError("it must be an object of texts, numbers and null")
        except ValueError as error:
            raise InputError(f"{path}, row {number} is no row of JSON lines: {error}") from error
        for name, value in row.items():
            cells.setdefault(name, {})[number] = value
    _check_columns(path, list(cells), columns)
    rows = pd.RangeIndex(1, len(lines) + 1, name="row")
    columns_of = {name: _texts([column.get(row) for row in rows]) for name, column in cells.items()}
    return pd.DataFrame(columns_of, index=rows, dtype=object)


_PLAIN = (str, int, float, type(None))

_MAX_CELLS = 200_000_000
"""A Parquet file of a few thousand bytes can claim any number of equal rows; ten million photos have twenty columns."""


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = open_regular(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        yield file


def _check_columns(path: Path, names: list[str], columns: Sequence[str]) -> None:
    unique = set(names)
    missing = [name for name in columns if name not in unique]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; its columns are: {list_columns(names)}")
    if len(unique) < len(names):
        [(twice, _)] = Counter(names).most_common(1)
        raise InputError(f"{path} has two columns named {twice!r}; rename one of them")


def list_columns(names: Sequence[str]) -> str:
    r"""Name the columns of a table in a sentence: the first thirty, without orders to the terminal.

    Example:
        >>> list_columns(["file", "\x1b[31mgrade"])
        "file, '\\x1b[31mgrade'"
    """
    listed = ", ".join(printable(name[:_MAX_NAME_LENGTH]) for name in names[:_LISTED])
    return (listed + (f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else "")) or "none"


_LISTED, _MAX_NAME_LENGTH = 30, 60


def free_columns(names: Iterable[str], taken: Collection[str], reserved: Callable[[str], bool]) -> dict[str, str]:
    """Name the columns of a table of ours for the further columns of what people gave.

    Args:
        names: Their columns; each counts once.
        taken: Our columns.
        reserved: Whether a name has a meaning in our table.

    Returns:
        By their name: the same name, or with `label_` before it, as often as it takes.

    Example:
        >>> free_columns(["camera", "status"], ["file", "status"], lambda name: False)
        {'camera': 'camera', 'status': 'label_status'}
    """
    columns: dict[str, str] = {}
    occupied = set(taken)
    for name in dict.fromkeys(names):
        column = name
        while column in occupied or reserved(column):
            column = f"label_{column}"
        occupied.add(column)
        columns[name] = column
    return columns


def parse_cells(table: "pd.DataFrame", column: str, path: Path | str, parse: Callable[[str], Value]) -> list[Value]:
    """Read the cells of a column, each text that stands there once.

    Args:
        table: From `read_table`: its index is the row in the file.
        column: The column.
        path: The file, for the error.
        parse: Reads one cell.

    Returns:
        The values, in order.

    Raises:
        InputError: If `parse` raises it; the sentence names file, row and column.
    """
    values: dict[str, Value] = {}
    for row, text in table[column].items():
        if text not in values:
            try:
                values[text] = parse(str(text))
            except InputError as error:
                raise InputError(f"{path}, row {row}, column {column!r}: {error}") from error
    return [values[text] for text in table[column]]


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV (UTF-8, LF), whole or not at all. Floats keep nine digits, enough for a float32."""
    names = [str(name) for name in table.columns]
    columns = [_as_cells(column) for _, column in table.items()]
    write_rows(path, names, (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)))


def _as_cells(column: "pd.Series") -> list[str]:
    """Write the values of a column; missing ones as nothing."""
    import pandas as pd

    text = "{:.9g}".format if pd.api.types.is_float_dtype(column) else str
    return ["" if missing else text(value) for value, missing in zip(column, column.isna(), strict=True)]


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Read a CSV file that this program wrote, row by row, in memory for one row.

    Args:
        path: A CSV file in UTF-8 with a header line.
        columns: Columns that must be there.

    Yields:
        The cells of each row by column.

    Raises:
        InputError: If the file cannot be read or lacks a column.
    """
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            reader.fieldnames = list(map(from_cell, reader.fieldnames or ()))
            missing = set(columns) - set(reader.fieldnames)
            if missing:
                raise InputError(f"{path} has no column {min(missing)!r}; it was changed, or another version wrote it")
            for row in reader:
                if None in row:
                    raise InputError(f"{path}, line {reader.line_num}: there are more values than columns")
                yield {name: from_cell(cell) for name, cell in row.items()}
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {error}") from error


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a table as CSV (UTF-8, LF), whole or not at all, in memory for one row.

    Cells that a spreadsheet would compute are marked as text, see `biranet.spreadsheet_cells`; all readers here take
    the mark away.

    Args:
        path: Where to.
        columns: The columns, in order.
        rows: The cells of each row by column.
    """
    with atomic_write(path) as file:
        write = cells_writer(file)
        write(columns)
        for row in rows:
            write([row[name] for name in columns])


def cells_writer(file: io.IOBase | BinaryIO) -> Callable[[Sequence[str]], None]:
    """Make a function that writes one row of CSV (UTF-8, LF) to a file; see `write_rows`."""
    text = codecs.getwriter("utf-8")(file)
    # Left to itself, the csv module does not quote a lone carriage return, and every reader ends the row there.
    plain, quoted = (csv.writer(text, lineterminator="\n", quoting=way) for way in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))

    def write(row: Sequence[str]) -> None:
        cells = list(map(as_cell, row))
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)

    return write
