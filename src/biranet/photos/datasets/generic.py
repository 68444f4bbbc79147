"""Layouts that belong to no data set: folders of photos, tables with any columns, the original lists."""

from biranet.errors import InputError
from biranet.manifest import SPLITS
from biranet.photos.datasets.classes import SPLIT_NAMES, looks_like_classes
from biranet.photos.datasets.layout import Layout, PhotoFolder, Rows, at, refuse_labels
from biranet.photos.datasets.rows import list_rows, table_rows
from biranet.scale import Graded
from biranet.tables import list_columns, read_table
from biranet.words import is_empty, parse_eye

LISTS = {"TrainSet.txt": "train", "ValidSet.txt": "validation"}
"""The two lists of the original release, and the part of the split that each holds."""

COLUMNS = ("file", "grade", "group", "eye", "split", "source")
"""The columns of a table that mean something; `file` and `grade` must be there, all others are passed through."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".parquet")


def _recognises_folder(folder: PhotoFolder) -> str:
    if folder.labels is not None:
        return ""
    why = "no label file was given, and no known one lies among the photos"
    tables = folder.tables("file", "grade")
    if tables:
        return f"{why}; {tables[0]} looks like a table of grades: name it with --labels"
    return "; ".join(filter(None, (why, looks_like_classes(folder))))


def _read_folder(folder: PhotoFolder) -> Rows:
    refuse_labels(folder, "folder")
    for file in folder.files:
        yield folder.photo(file, Graded()), None


def _recognises_table(folder: PhotoFolder) -> str:
    path = folder.labels
    # A table that cannot be read is one by its name: reading it then says what is wrong with it.
    if path is None or path.is_dir() or not (path in folder.headers or path.suffix.lower() in _TABLE_SUFFIXES):
        return ""
    return f"{path.name} is a table"


def _read_table(folder: PhotoFolder) -> Rows:
    path = folder.labels
    if path is None:
        raise InputError("the layout 'csv' needs a label file; name it with --labels")
    if path.is_dir():
        raise InputError(f"the layout 'csv' needs a label file, but {path} is a folder; name the file in it")
    ours = folder.columns
    for name in ours:
        if name not in COLUMNS:
            raise InputError(f"--columns {name}=…: there is no column {name!r} to fill; known are {', '.join(COLUMNS)}")
    header = folder.headers.get(path) or read_table(path).columns.tolist()
    has = f"{path} has the columns: {list_columns(header)}"
    for name, theirs in ours.items():
        if theirs not in header:
            raise InputError(f"--columns {name}={theirs}: there is no column {theirs!r}; {has}")
    for name in ("file", "grade"):
        if ours.get(name, name) not in header:
            raise InputError(f"there is no column {name!r}; {has}; say which one it is with --columns {name}=NAME")
    theirs_of = {name: ours.get(name, name) for name in COLUMNS if ours.get(name, name) in header}
    for place, values, further in table_rows(path, list(theirs_of.values())):
        cells = dict(zip(theirs_of, values, strict=True))
        cells |= {name: "" for name in ("group", "split", "source") if is_empty(cells.get(name, ""))}
        split = cells["split"]
        if split and split.lower() not in SPLIT_NAMES:
            raise InputError(
                f"{place}, column {theirs_of['split']!r}: {split!r} is not one of {', '.join(SPLITS)}; "
                "rename the column if it means something else"
            )
        with at(place, theirs_of.get("eye", "")):
            eye = parse_eye(cells.get("eye", ""))
        yield (
            folder.photo(
                folder.find(cells["file"], place),
                folder.graded(cells["grade"], place, theirs_of["grade"]),
                group=cells["group"],
                group_from="labels",
                eye=eye,
                split=SPLIT_NAMES.get(split.lower(), ""),
                source=cells["source"],
                further=further,
            ),
            place,
        )


def _recognises_lists(folder: PhotoFolder) -> str:
    lists = [path.name for path in folder.label_files if path.name in LISTS]
    return f"{' and '.join(sorted(set(lists)))} lie there" if lists else ""


def _read_lists(folder: PhotoFolder) -> Rows:
    lists = [path for path in folder.label_files if path.name in LISTS]
    if folder.labels is not None and not folder.labels.is_dir():
        lists = [folder.labels]
    if not lists:
        raise InputError(f"{folder.labels or folder.path} holds neither of the lists {' and '.join(LISTS)}")
    for path in lists:
        for place, name, text in list_rows(path):
            split = LISTS.get(path.name, "")
            yield folder.photo(folder.find(name, place), folder.graded(text, place), split=split), place


FOLDER = Layout("a folder of photos without labels", _recognises_folder, _read_folder)
TABLE = Layout(
    "a table with the columns file and grade, or others named with --columns", _recognises_table, _read_table
)
TWO_LISTS = Layout(f"the lists {' and '.join(LISTS)}", _recognises_lists, _read_lists)
