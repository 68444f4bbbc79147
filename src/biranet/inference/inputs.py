"""Inputs and outputs of `biranet grade`: which files are photos, where the table and pictures of attention go."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from biranet.decisions.patients import NOBODY, Subject
from biranet.errors import InputError
from biranet.inference.grade_journal import was_written
from biranet.inference.grader import TABLE_COLUMNS
from biranet.inference.patient_tables import EYE_COLUMNS, PATIENT_COLUMNS
from biranet.inference.rows import NOTHING_FURTHER, Further
from biranet.inference.subjects import agree, further_columns, misleading_names, read_names, subjects_in
from biranet.outputs import OutputKind, claim_output, file_kind, head_of, lies_in, visible
from biranet.photos import PICTURE_MARK
from biranet.photos.datasets import OUTSIDE, PhotoFolder, SourceRow, outside, refuse_prepared
from biranet.photos.datasets.name_pattern import NamePattern
from biranet.photos.datasets.scan import TABLE_SUFFIXES
from biranet.photos.formats import PHOTO_SUFFIXES
from biranet.public_paths import check_utf8_name
from biranet.tables import read_table
from biranet.text_files import refuse_packed
from biranet.typed_tables import check_table_format, has_columns


@dataclass(frozen=True)
class PhotoList:
    """The photos behind what was given.

    Attributes:
        files: The photo files, in order. One that is named but missing stays in: it gets its row.
        refused: For files that must not be read, or are not there while a near name is: why, in a sentence.
        skipped: What was seen in folders and is no photo, a sentence a folder; names that do not fit the pattern, and
            those that say another eye than the list.
        subjects: For files whose patient or eye a table tells, or the name by a pattern: what they tell.
        further: For each of the files, what else a table says of it.
        columns: All further columns of tables.
    """

    files: list[Path]
    refused: Mapping[Path, str]
    skipped: list[str]
    subjects: Mapping[Path, Subject] = field(default_factory=dict)
    further: Sequence[Further] = ()
    columns: Sequence[str] = ()


def list_photos(inputs: Sequence[Path], names: NamePattern | None = None) -> PhotoList:
    """List the photo files behind paths, as `biranet prepare` finds them.

    Args:
        inputs: Files; folders, searched in the order of their names; or tables with a column `file`, whose names are
            looked for in the folder of the table by the rule of `biranet.photos.datasets.names`. A table may also name
            photos elsewhere, by a whole path or by steps up. Its columns `patient` or `group`, and `eye`, tell whose
            photos they are.
        names: How the names of files tell patient and eye; without it, no name tells anything.

    Returns:
        The files. Links that lead out of a folder are among them, and refused.

    Raises:
        InputError: If a path does not exist, is not UTF-8, is an archive or a prepared folder, a table has no such
            column, a name that may mean several photos or an eye that is none, there is no photo; if a photo is called
            another patient's or eye in another place; or if no name fits the pattern.
    """
    files: list[Path] = []
    refused: dict[Path, str] = {}
    skipped: list[str] = []
    subjects: dict[Path, Subject] = {}
    further: list[Further] = []
    for path in inputs:
        for file, reason, subject, more in _photos_behind(path, skipped):
            files.append(file)
            further.append(more)
            if reason:
                refused[file] = reason
            if subject != NOBODY:
                subjects[file] = agree(file, subjects.get(file, NOBODY), subject)
    if not files:
        raise InputError("no photos were given; name photos, folders of photos or tables of them")
    for file in files:
        check_utf8_name(str(file), f"the file name {str(file)!r}")
    if names is not None:
        skipped += read_names(dict.fromkeys(files), names, subjects)
    columns = tuple(dict.fromkeys(name for named in {each.columns: None for each in further} for name in named))
    return PhotoList(files, refused, [*skipped, *misleading_names(subjects)], subjects, further, columns)


_Listed = tuple[Path, str, Subject, Further]
"""A photo, why it must not be read or which one may be meant, whose it is, and what else is said of it."""


def _photos_behind(path: Path, skipped: list[str]) -> Iterator[_Listed]:
    """The photos behind one path; what is skipped in a folder is added to the sentences about that."""
    if path.is_dir():
        refuse_prepared(path)
        folder = PhotoFolder(path, None)
        if not folder.files:
            seen = f"; {folder.skipped}" if folder.skipped else ""
            raise InputError(f"{path} holds no photos; known are {', '.join(sorted(PHOTO_SUFFIXES))}{seen}")
        if folder.skipped:
            skipped.append(folder.skipped)
        for name in folder.files:
            yield path / name, OUTSIDE if outside(path, name) else "", NOBODY, NOTHING_FURTHER
    elif path.suffix.lower() in TABLE_SUFFIXES:
        yield from _photos_in_table(path)
    elif path.exists():
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            refuse_packed(path)
        yield path, "", NOBODY, NOTHING_FURTHER
    else:
        raise InputError(f"{path} does not exist; give a photo, a folder of photos or a table of them")


def _photos_in_table(table: Path) -> Iterator[_Listed]:
    """The photos that a table names."""
    folder = PhotoFolder(table.parent, None)
    cells = read_table(table, ["file"])
    columns = further_columns(cells)
    more = (Further(columns, tuple(row)) for row in cells[list(columns)].itertuples(index=False, name=None))
    for (row, cell), subject, further in zip(cells["file"].items(), subjects_in(cells, table), more, strict=True):
        name, reason = str(cell).strip(), ""
        # The folder is looked through only for what is not there as it is written: it may be anyone's home.
        if not name or not os.path.isfile(folder.path / name):  # noqa: PTH113 - Path.is_file raises for long names
            name = folder.find(name, SourceRow(table, int(str(row))))
            hint = "" if folder.has_photo(name) else folder.hint(name)
            reason = f"no such file, {hint}" if hint else ""
        if not os.path.isabs(name) and ".." not in name.split("/") and outside(folder.path, name):  # noqa: PTH117
            reason = OUTSIDE
        yield folder.path / name, reason, subject, further


def table_kind(what: str, *headers: Sequence[str], is_noted: Callable[[Path], bool] = lambda _: False) -> OutputKind:
    """A kind of table that `biranet grade` writes, known by its columns: with one more, it is somebody's.

    Args:
        what: What it is.
        headers: Its columns, in this version and earlier ones.
        is_noted: Whether a table with other columns was written all the same, to the byte.
    """
    return file_kind(what, lambda path: any(has_columns(path, columns) for columns in headers) or is_noted(path))


GRADES_TABLE = table_kind(
    "a table of grades", TABLE_COLUMNS, TABLE_COLUMNS[: TABLE_COLUMNS.index("action")], is_noted=was_written
)
EYES_TABLE = table_kind("a table of eyes", EYE_COLUMNS)
PATIENTS_TABLE = table_kind("a table of patients", PATIENT_COLUMNS)


class Outputs(NamedTuple):
    """Where grading writes its tables: of photos, of eyes and of patients."""

    photos: Path
    eyes: Path
    patients: Path


@contextmanager
def outputs_of_grading(
    out: Path, attention: Path | None, inputs: Sequence[Path], files: Sequence[Path], checkpoint: Path
) -> Iterator[Outputs]:
    """Ask for the outputs of grading, and keep all others from them meanwhile.

    Args:
        out: The table of photos; those of eyes and patients are named after it, `grades_eyes.csv` beside `grades.csv`.
        attention: Folder for the pictures of what the model looked at, if any.
        inputs: What was given to grade: files, folders, lists.
        files: The photos behind it.
        checkpoint: The model.

    Yields:
        Where to write the tables.

    Raises:
        InputError: If one of them would replace something else, or pictures would lie among the photos.
    """
    with ExitStack() as locks:
        read = (*inputs, *files, checkpoint)
        kinds = {out: GRADES_TABLE, beside(out, "eyes"): EYES_TABLE, beside(out, "patients"): PATIENTS_TABLE}
        tables = Outputs(*(locks.enter_context(claim_output(path, kind, read)) for path, kind in kinds.items()))
        check_table_format(out)
        if attention is not None:
            folders = [path for path in inputs if path.is_dir()]
            if any(lies_in(attention, path) for path in folders) or any(
                _same_folder(attention, path) for path in {file.parent for file in files}
            ):
                raise InputError(
                    f"{attention} is a folder of photos that are graded, or lies in one, so its pictures would come to "
                    "be graded as photos; name another folder"
                )
            pictures = OutputKind("pictures of attention", partial(_find_unowned, tables=tables), folder=True)
            locks.enter_context(claim_output(attention, pictures))
        yield tables


def beside(out: Path, what: str) -> Path:
    """Name a table after that of photos.

    Example:
        >>> beside(Path("out/grades.csv"), "eyes").name
        'grades_eyes.csv'
    """
    return out.with_name(f"{out.stem}_{what}{out.suffix}")


def _find_unowned(folder: Path, tables: Outputs) -> Path | None:
    """What a folder holds but pictures that we drew, and the tables beside them."""
    unowned = (path for path in visible(folder) if PICTURE_MARK not in head_of(path) and path.resolve() not in tables)
    return next(unowned, None)


def _same_folder(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
