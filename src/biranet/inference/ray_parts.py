"""The folder of Parquet parts that grading on a Ray cluster writes: whose it is, what is in it, and what goes from it.

It holds `_grading.json`, by which model and how it was graded; parts, one for each piece of work that was finished; and
`_checkpoint/`; see `biranet.table_parts`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.patients import Subject
from biranet.errors import InputError
from biranet.files import atomic_write, printable, read_json, write_json
from biranet.inference.loading import Header, PhotoTask, whose
from biranet.inference.prediction import TABLE_COLUMNS, Prediction
from biranet.inference.rows import Further, GradeRows
from biranet.outputs import OutputKind, holds_keys, visible
from biranet.table_parts import CHECKPOINT_NAME, MARK_NAME, OWN_PREFIX, PART, PENDING, parts_in
from biranet.typed_tables import Columns, plain

ID = f"{OWN_PREFIX}id"
"""Column of parts and checkpoint: a digest of all that the answer for a photo depends on."""

_MARGIN, _PROBLEM = f"{OWN_PREFIX}margin", f"{OWN_PREFIX}problem"
"""Columns with what else counts for the answers of patients: the margin, and what is wrong with whose photo it is."""

_HEADER = tuple(f"{OWN_PREFIX}header_{name}" for name in Header._fields)
"""Columns with what the header of the file says of that, whatever a list says."""

_OWN_COLUMNS: Columns = {_MARGIN: float, _PROBLEM: str, **dict.fromkeys(_HEADER, str)}

_WHOSE = ("group", "group_from", "eye", "eye_from")

_OF_PHOTO = frozenset({ID, *TABLE_COLUMNS, _MARGIN, *_HEADER} - {*_WHOSE})
"""Columns that no list changes."""

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}

_MARKS = ("model", "sha256", "engine", "biranet", "keep_ungradable")


class ListedPhoto(NamedTuple):
    """A photo to grade.

    Attributes:
        id: What tells it from all others, and from itself before its file changed.
        task: How to load it, by a whole path.
        further: What else a list says of it.
    """

    id: str
    task: PhotoTask
    further: Further


def _find_unowned(folder: Path) -> Path | None:
    if not holds_keys(folder / MARK_NAME, *_MARKS):
        return next(visible(folder), None)
    own = (MARK_NAME, CHECKPOINT_NAME)
    return next((each for each in visible(folder) if not (each.name in own or PART.fullmatch(each.name))), None)


PARTS = OutputKind("parts of a table of grades", _find_unowned, folder=True)


def begin_parts(folder: Path, mark: Mapping[str, Any]) -> None:
    """Write down by what the parts of a folder are made.

    Args:
        folder: The folder, which is ours or empty.
        mark: `model` and `sha256`, its `engine`, the release of `biranet`, and `keep_ungradable`.

    Raises:
        InputError: If it holds parts that were made otherwise.
    """
    if (folder / MARK_NAME).exists() and any(parts_in(folder)):
        earlier = read_json(folder / MARK_NAME)
        different = [name for name in _MARKS if name != "model" and earlier[name] != mark[name]]
        if different:
            what = {"sha256": "model", "keep_ungradable": "--keep-ungradable"}.get(different[0], different[0])
            was = earlier["model" if different[0] == "sha256" else different[0]]
            raise InputError(
                f"{folder} holds grades that were made with another {what}, {printable(str(was))}; name another folder "
                "with --out, or delete this one"
            )
    write_json(folder / MARK_NAME, dict(mark))


def row_count(part: Path) -> int:
    """Count the rows of a part; none where it has just been taken away."""
    with suppress(OSError, pa.ArrowException):
        return int(parquet.read_metadata(part).num_rows)
    return 0


def as_part(photos: Collection[tuple[str, Prediction, Header, Further]], rows: GradeRows) -> Any:
    """Put answers into a table of Arrow.

    Args:
        photos: Of each the id, the answer, what the header of its file says, and what else a list says.
        rows: Makes the rows of the table of grades.
    """
    schema, values = _schema(rows), []
    for number, answer, header, further in photos:
        own = (answer.margin, answer.subject.problem, *header)
        values.append({ID: number, **rows.row(answer, further), **dict(zip(_OWN_COLUMNS, own, strict=True))})
    return pa.table([[plain(each[name]) for each in values] for name in schema.names], schema=schema)


def _schema(rows: GradeRows) -> Any:
    columns = {ID: str, **rows.columns, **_OWN_COLUMNS}
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])


def _as_listed(part: Any, photos: Mapping[str, ListedPhoto], rows: GradeRows) -> Any:
    """The rows of a part with the columns of today's list, and what that says of the photos."""
    listed = []
    for number, *header in zip(*(part[name].to_pylist() for name in (ID, *_HEADER)), strict=True):
        photo = photos[number]
        subject = whose(photo.task.subject, Header(*(text or "" for text in header)))
        listed.append({**rows.row(Prediction("", subject=subject), photo.further), _PROBLEM: subject.problem})
    schema = _schema(rows).with_metadata(part.schema.metadata)
    columns = [part[name] if name in _OF_PHOTO else [plain(each[name]) for each in listed] for name in schema.names]
    return pa.table(columns, schema=schema)


def answers_in(folder: Path) -> Iterator[Prediction]:
    """Read the answers for photos back from the parts, without pictures, in no order."""
    for part in parts_in(folder):
        for row in parquet.read_table(part).to_pylist():
            texts = {name: value or "" for name, value in row.items()}
            shares = [row[name] for name in PROBABILITIES]
            ends = row["lowest_grade"], row["highest_grade"]
            yield Prediction(
                row["file"],
                texts["status"],
                texts["reason"],
                row["predicted_grade"],
                None if None in shares else np.array(shares),
                texts["decision"],
                None if None in ends else ends,
                row["temperature"],
                margin=row[_MARGIN],
                action=texts["action"],
                subject=Subject(*(texts[name] for name in (*_WHOSE, _HEADER[0], _PROBLEM))),
            )


def settle_parts(
    folder: Path, photos: Mapping[str, ListedPhoto], rows: GradeRows, redo: Callable[[str], bool] = lambda _: False
) -> int:
    """Leave in the parts what is wanted, as today's list says it, and have Ray's checkpoint tell what that is.

    The parts are what counts: photos whose part was deleted are graded again, and of two rows for one photo, which a
    worker of a run that was killed can leave, one stays. What a list says of a photo changes its row, not its answer:
    parts with other columns or cells are written again, so that all have the same columns. Whatever is interrupted here
    is done by the next call.

    Args:
        folder: The folder.
        photos: The photos that shall have a row, by id.
        rows: Makes the rows of the table of grades.
        redo: Whether a row is to be made again, by its status.

    Returns:
        The number of rows that are there and stay.

    Raises:
        InputError: If no row is wanted, or a part cannot be read.
    """
    parts = list(parts_in(folder))
    if parts and not any(each in photos for part in parts for each in _read(part, ID)[ID].to_pylist()):
        raise InputError(
            f"{folder} holds grades of other photos, or of these before they changed; name another folder with --out, "
            "or delete this one"
        )
    checkpoint = folder / CHECKPOINT_NAME
    left = set(photos)
    for part in parts:
        before = _read(part)
        pairs = zip(before[ID].to_pylist(), before["status"].to_pylist(), strict=True)
        stays = [number in left and not redo(status) for number, status in pairs]
        now = _as_listed(before.filter(pa.array(stays)), photos, rows)
        if not now.equals(before):
            _rewrite(part, now)
        ids = now[ID].to_pylist()
        if _ids_in(checkpoint / part.name) != ids:
            _rewrite(checkpoint / part.name, pa.table({ID: pa.array(ids, pa.string())}))
        left.difference_update(ids)
    for file in checkpoint.glob("*.parquet"):
        if not file.name.endswith(PENDING) and not (folder / file.name).exists():
            file.unlink()
    return len(photos) - len(left)


def _read(part: Path, *columns: str) -> Any:
    try:
        return parquet.read_table(part, columns=list(columns) or None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{part} is damaged; delete it, and its photos are graded again") from error


def _ids_in(file: Path) -> list[str] | None:
    with suppress(OSError, pa.ArrowException):
        ids: list[str] = parquet.read_table(file, columns=[ID])[ID].to_pylist()
        return ids
    return None


def _rewrite(file: Path, table: Any) -> None:
    """Replace a file by what is left of it; by nothing where that is nothing."""
    if table.num_rows:
        with atomic_write(file) as opened:
            parquet.write_table(table, opened)
    else:
        file.unlink(missing_ok=True)
