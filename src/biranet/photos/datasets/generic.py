"""Layouts that belong to no data set: folders of photos without labels, and tables with any columns."""

from collections.abc import Iterator
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.classes import looks_like_classes
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import Layout, refuse_labels
from biranet.photos.datasets.parts import parse_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.scale import GradeLabel
from biranet.tables import list_columns, read_table
from biranet.words import is_empty, parse_eye

_REQUIRED = ("file", "grade")

COLUMNS = (*_REQUIRED, "group", "eye", "split", "source")
"""The columns of a table that mean something; `file` and `grade` must be there, all others are passed through."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".jsonl")


def _recognizes_folder(folder: PhotoFolder) -> str:
    if folder.labels is not None:
        return ""
    why = "no label file was given, and no known one lies among the photos"
    tables = folder.tables_with(*_REQUIRED)
    if tables:
        return f"{why}; {tables[0]} looks like a table of grades: name it with --labels"
    return "; ".join(filter(None, (why, looks_like_classes(folder))))


def _read_folder(folder: PhotoFolder) -> Iterator[LabelEntry]:
    refuse_labels(folder, "folder")
    for file in folder.files:
        yield LabelEntry(file, GradeLabel())


def _recognizes_table(folder: PhotoFolder) -> str:
    path = folder.labels
    # A table that cannot be read is one by its name: reading it then says what is wrong with it.
    if path is None or path.is_dir() or not (path in folder.headers or path.suffix.lower() in _TABLE_SUFFIXES):
        return ""
    return f"{path.name} is a table"


def _read_table(folder: PhotoFolder) -> Iterator[LabelEntry]:
    path = folder.labels
    if path is None:
        raise InputError("the layout 'csv' needs a label file; name it with --labels")
    if path.is_dir():
        raise InputError(f"the layout 'csv' needs a label file, but {path} is a folder; name the file in it")
    theirs = _match_columns(folder, path)
    for row, values, extra_columns in table_rows(path, list(theirs.values())):
        cells = dict.fromkeys(COLUMNS, "") | dict(zip(theirs, values, strict=True))
        with row.locate_errors(theirs.get("split", "")):
            split = parse_part(cells["split"])
        with row.locate_errors(theirs.get("eye", "")):
            eye = parse_eye(cells["eye"])
        yield LabelEntry(
            folder.find(cells["file"], row),
            folder.parse_grade_cell(cells["grade"], row, theirs["grade"]),
            row,
            group=_filled(cells["group"]),
            group_from="labels",
            eye=eye,
            split=split,
            source=_filled(cells["source"]),
            extra_columns=extra_columns,
        )


def _match_columns(folder: PhotoFolder, path: Path) -> dict[str, str]:
    """Find the columns of the table that mean something, by our name for each."""
    renamed = folder.columns
    for name in renamed:
        if name not in COLUMNS:
            raise InputError(f"--columns {name}=…: there is no column {name!r} to fill; known are {', '.join(COLUMNS)}")
    header = folder.headers.get(path) or read_table(path).columns.tolist()
    has = f"{path} has the columns: {list_columns(header)}"
    for name, theirs in renamed.items():
        if theirs not in header:
            raise InputError(f"--columns {name}={theirs}: there is no column {theirs!r}; {has}")
    for name in _REQUIRED:
        if renamed.get(name, name) not in header:
            raise InputError(f"there is no column {name!r}; {has}; say which one it is with --columns {name}=NAME")
    return {name: renamed.get(name, name) for name in COLUMNS if renamed.get(name, name) in header}


def _filled(cell: str) -> str:
    """The cell, or nothing where it holds a word for nothing."""
    return "" if is_empty(cell) else cell


FOLDER = Layout("a folder of photos without labels", _recognizes_folder, _read_folder)
TABLE = Layout(
    "a table with the columns file and grade, or others named with --columns", _recognizes_table, _read_table
)
