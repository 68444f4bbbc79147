"""The folder of Parquet parts that grading on a Ray cluster writes: whose it is, what is in it, and what goes from it.

It holds `_grading.json`, by which model and how it was graded; parts, one for each piece of work that was finished; and
`_checkpoint/`, Ray's own, in which a file named like the part has the ids of its photos. Readers of Parquet pass by
what begins with an underscore.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.patients import Subject
from biranet.errors import InputError
from biranet.files import atomic_write, printable, read_json, write_json
from biranet.inference.prediction import Prediction
from biranet.outputs import OutputKind, holds_keys, visible
from biranet.typed_tables import Columns, Row, plain

MARK_NAME, CHECKPOINT_NAME = "_grading.json", "_checkpoint"

OWN_PREFIX = "biranet_"
"""Beginning of the names of columns that a part has beside those of the table of grades."""

ID = f"{OWN_PREFIX}id"
"""Column of parts and checkpoint: a digest of all that a photo's row depends on."""

_FOR_PATIENTS = {f"{OWN_PREFIX}{name}": kind for name, kind in (("margin", float), ("patient", str), ("problem", str))}
"""Columns with what else counts for the answers of patients: margin, the patient in the header, and what was wrong."""

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}

_PART = re.compile(r"[0-9a-f]{32}_[0-9]{6}\.parquet")
"""Names that Ray gives to parts: a number for the run, and one for the piece of work."""

_PENDING = ".pending.parquet"
"""End of the name of a checkpoint whose part is being written."""

_MARKS = ("model", "sha256", "engine", "biranet", "keep_ungradable")


def _find_unowned(folder: Path) -> Path | None:
    if not holds_keys(folder / MARK_NAME, *_MARKS):
        return next(visible(folder), None)
    own = (MARK_NAME, CHECKPOINT_NAME)
    return next((each for each in visible(folder) if not (each.name in own or _PART.fullmatch(each.name))), None)


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


def parts_in(folder: Path) -> Iterator[Path]:
    """The finished parts of a folder, in order of their names."""
    # In this order: a part is pending before it is there.
    parts = [each for each in sorted(folder.glob("*.parquet")) if _PART.fullmatch(each.name)]
    unfinished = {each.name.removesuffix(_PENDING) for each in (folder / CHECKPOINT_NAME).glob(f"*{_PENDING}")}
    return (each for each in parts if each.name.removesuffix(".parquet") not in unfinished)


def row_count(part: Path) -> int:
    """Count the rows of a part; none where it has just been taken away."""
    with suppress(OSError, pa.ArrowException):
        return int(parquet.read_metadata(part).num_rows)
    return 0


def as_part(rows: Collection[tuple[str, Prediction, Row]], columns: Columns) -> Any:
    """Put answers into a table of Arrow.

    Args:
        rows: Of each photo the id, the answer, and the row of the table of grades.
        columns: Of the table of grades.
    """
    kinds = {ID: str, **columns, **_FOR_PATIENTS}
    values = []
    for number, answer, row in rows:
        subject = answer.subject
        more = (answer.margin, subject.header_patient, subject.problem)
        values.append({ID: number, **row, **dict(zip(_FOR_PATIENTS, more, strict=True))})
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in kinds.items()])
    return pa.table([[plain(each[name]) for each in values] for name in kinds], schema=schema)


def answers_in(folder: Path) -> Iterator[Prediction]:
    """Read the answers for photos back from the parts, without pictures, in no order."""
    for part in parts_in(folder):
        for row in parquet.read_table(part).to_pylist():
            texts = {name: value or "" for name, value in row.items()}
            margin, patient, problem = (row[name] for name in _FOR_PATIENTS)
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
                margin=margin,
                action=texts["action"],
                subject=Subject(
                    texts["group"], texts["group_from"], texts["eye"], texts["eye_from"], patient or "", problem or ""
                ),
            )


def settle_parts(folder: Path, wanted: Collection[str], redo: Callable[[str], bool]) -> int:
    """Take rows out of the parts that are not wanted as they are, and have Ray's checkpoint tell what is left.

    The parts are what counts: photos whose part was deleted are graded again, and of two rows for one photo, which a
    worker of a run that was killed can leave, one stays. Whatever is interrupted here is done by the next call.

    Args:
        folder: The folder.
        wanted: The ids of the photos that shall have a row.
        redo: Whether a row is to be made again, by its status.

    Returns:
        The number of rows that are there and stay.

    Raises:
        InputError: If no row is wanted, or a part cannot be read.
    """
    known = {part: _read(part, ID, "status") for part in parts_in(folder)}
    if known and not any(each in wanted for rows in known.values() for each in rows[ID].to_pylist()):
        raise InputError(
            f"{folder} holds grades of other photos, or of these before they or their list changed; name another "
            "folder with --out, or delete this one"
        )
    checkpoint = folder / CHECKPOINT_NAME
    left = set(wanted)
    for part, rows in known.items():
        ids, statuses = rows[ID].to_pylist(), rows["status"].to_pylist()
        stays = [each in left and not redo(status) for each, status in zip(ids, statuses, strict=True)]
        if not all(stays):
            _rewrite(part, _read(part).filter(pa.array(stays)))
            ids = [each for each, stay in zip(ids, stays, strict=True) if stay]
        if _ids_in(checkpoint / part.name) != ids:
            _rewrite(checkpoint / part.name, pa.table({ID: pa.array(ids, pa.string())}))
        left.difference_update(ids)
    for file in checkpoint.glob("*.parquet"):
        if not file.name.endswith(_PENDING) and not (folder / file.name).exists():
            file.unlink()
    return len(wanted) - len(left)


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
