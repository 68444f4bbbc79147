"""Inputs and outputs of `biranet grade`: which files are photos, where the tables and pictures go."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from biranet.decisions.patients import NOBODY, Subject
from biranet.errors import InputError, PhotoError
from biranet.inference.addresses import (
    Address,
    check_reachable,
    is_address,
    list_address,
    parse_address,
    read_address,
)
from biranet.inference.grade_journal import JOURNAL, journal_path, was_written
from biranet.inference.patient_tables import EYE_COLUMNS, PATIENT_COLUMNS
from biranet.inference.prediction import TABLE_COLUMNS
from biranet.inference.rows import NOTHING_FURTHER, Further
from biranet.inference.subjects import (
    agree,
    further_columns,
    misleading_names,
    overlooked_columns,
    read_names,
    subjects_in,
)
from biranet.outputs import OutputKind, check_output, claim_output, file_kind, head_of, lies_in, visible
from biranet.photos import PICTURE_MARK
from biranet.photos.datasets import OUTSIDE, PhotoFolder, SourceRow, outside, refuse_prepared
from biranet.photos.datasets.name_pattern import NamePattern
from biranet.photos.datasets.scan import TABLE_SUFFIXES, describe_skipped
from biranet.photos.formats import PHOTO_SUFFIXES
from biranet.public_paths import check_utf8_name
from biranet.tables import read_table
from biranet.text_files import refuse_packed
from biranet.typed_tables import check_table_format, has_columns

PhotoPath = Path | Address
"""Where a photo is: a file, or an address."""


def parse_input(text: str) -> PhotoPath:
    """Read what is given to grade: a path, or an address.

    Raises:
        InputError: If it is an address of a kind that is not read.
    """
    return parse_address(text) if is_address(text) else Path(text)


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

    files: list[PhotoPath]
    refused: Mapping[PhotoPath, str]
    skipped: list[str]
    subjects: Mapping[PhotoPath, Subject] = field(default_factory=dict)
    further: Sequence[Further] = ()
    columns: Sequence[str] = ()


def list_photos(inputs: Sequence[PhotoPath], names: NamePattern | None = None) -> PhotoList:
    """List the photo files behind paths, as `biranet prepare` finds them.

    Args:
        inputs: Files; folders, searched in the order of their names; or tables with a column `file`, whose names are
            looked for in the folder of the table by the rule of `biranet.photos.datasets.names`. A table may also name
            photos elsewhere, by a whole path, by steps up or by an address. Its columns `patient` or `group`, and
            `eye`, tell whose photos they are. All of them may be addresses, see `biranet.inference.addresses`.
        names: How the names of files tell patient and eye; without it, no name tells anything.

    Returns:
        The files. Links that lead out of a folder are among them, and refused.

    Raises:
        InputError: If a path does not exist, is not UTF-8, is an archive or a prepared folder, a table has no such
            column, a name that may mean several photos or an eye that is none, there is no photo; if a photo is called
            another patient's or eye in another place; or if no name fits the pattern.
    """
    files: list[PhotoPath] = []
    refused: dict[PhotoPath, str] = {}
    skipped: list[str] = []
    subjects: dict[PhotoPath, Subject] = {}
    further: list[Further] = []
    for source in inputs:
        behind = _photos_at(source, skipped) if isinstance(source, Address) else _photos_behind(source, skipped)
        for file, reason, subject, more in behind:
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
    _check_addresses(files)
    if names is not None:
        skipped += read_names(dict.fromkeys(files), names, subjects)
    columns = tuple(dict.fromkeys(name for named in {each.columns: None for each in further} for name in named))
    return PhotoList(files, refused, [*skipped, *misleading_names(subjects)], subjects, further, columns)


def _check_addresses(files: Iterable[PhotoPath]) -> None:
    """Refuse addresses of which none can be reached, and those that only differ in what is not written down."""
    urls: dict[str, str] = {}
    for file in files:
        if isinstance(file, Address) and urls.setdefault(file.name, file.url) != file.url:
            raise InputError(
                f"{file} stands for several addresses, which differ in what may be a secret and is not written down; "
                "name photos by addresses that differ before the ?"
            )
    check_reachable(file for file in dict.fromkeys(files) if isinstance(file, Address))


_Listed = tuple[PhotoPath, str, Subject, Further]
"""A photo, why it must not be read or which one may be meant, whose it is, and what else is said of it."""


def _photos_behind(path: Path, skipped: list[str]) -> Iterator[_Listed]:
    """The photos behind one path; what is skipped in a folder is added to the sentences about that."""
    if path.is_dir():
        refuse_prepared(path)
        folder = PhotoFolder(path, None)
        if not folder.files:
            skipped_files = f"; {folder.skipped}" if folder.skipped else ""
            raise InputError(f"{path} holds no photos; known are {', '.join(sorted(PHOTO_SUFFIXES))}{skipped_files}")
        if folder.skipped:
            skipped.append(folder.skipped)
        for name in folder.files:
            yield path / name, OUTSIDE if outside(path, name) else "", NOBODY, NOTHING_FURTHER
    elif path.suffix.lower() in TABLE_SUFFIXES:
        yield from _photos_in_table(path, skipped)
    elif path.exists():
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            refuse_packed(path)
        yield path, "", NOBODY, NOTHING_FURTHER
    else:
        raise InputError(f"{path} does not exist; give a photo, a folder of photos or a table of them")


_Row = tuple[SourceRow, str, Subject, Further]
"""A row of a list, the name of its photo, whose it is, and what else the row says."""


def _photos_at(address: Address, skipped: list[str]) -> Iterator[_Listed]:
    """The photos behind an address: a table, what lies below it, or the photo itself."""
    if address.suffix in TABLE_SUFFIXES:
        for row, name, subject, further in _rows_at(address, skipped):
            with row.locate_errors("file"):
                yield parse_address(name) if is_address(name) else address.beside(name), "", subject, further
        return
    below = list_address(address) if address.can_be_listed else [address]
    photos = [each for each in below if each == address or each.suffix in PHOTO_SUFFIXES]
    if not photos:
        raise InputError(f"{address} holds no photos; known are {', '.join(sorted(PHOTO_SUFFIXES))}")
    if sentence := describe_skipped(Counter(each.suffix for each in below if each not in set(photos))):
        skipped.append(sentence)
    for photo in photos:
        yield photo, "", NOBODY, NOTHING_FURTHER


def _rows_at(address: Address, skipped: list[str]) -> list[_Row]:
    """The rows of a table at an address."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, f"table{address.suffix}")
        try:
            table.write_bytes(read_address(address))
            return list(_rows(table, address, skipped))
        except PhotoError as error:
            raise InputError(f"{address} cannot be read: {error}") from error
        except InputError as error:
            raise InputError(str(error).replace(str(table), str(address))) from error


def _rows(table: Path, named: PhotoPath, skipped: list[str]) -> Iterator[_Row]:
    """The rows of a list; what they leave unsaid is added to the sentences about what was skipped."""
    cells = read_table(table, ["file"])
    skipped += overlooked_columns(cells, named)
    columns = further_columns(cells)
    more = (Further(columns, tuple(row)) for row in cells[list(columns)].itertuples(index=False, name=None))
    for (row, cell), subject, further in zip(cells["file"].items(), subjects_in(cells, table), more, strict=True):
        yield SourceRow(table, int(str(row))), str(cell).strip(), subject, further


def _photos_in_table(table: Path, skipped: list[str]) -> Iterator[_Listed]:
    """The photos that a table names."""
    folder = PhotoFolder(table.parent, None)
    for row, name, subject, further in _rows(table, table, skipped):
        reason = ""
        if is_address(name):
            with row.locate_errors("file"):
                yield parse_address(name), "", subject, further
            continue
        # The folder is looked through only for what is not there as it is written: it may be anyone's home.
        if not name or not os.path.isfile(folder.path / name):  # noqa: PTH113 - Path.is_file raises for long names
            name = folder.find(name, row)
            hint = "" if folder.has_photo(name) else folder.hint(name)
            reason = f"no such file, {hint}" if hint else ""
        if not os.path.isabs(name) and ".." not in name.split("/") and outside(folder.path, name):  # noqa: PTH117
            reason = OUTSIDE
        yield folder.path / name, reason, subject, further


def table_kind(
    what: str, *headers: Sequence[str], was_noted: Callable[[Path], bool | None] = lambda _: None
) -> OutputKind:
    """A kind of table that `biranet grade` writes.

    Args:
        what: What it is.
        headers: Its columns, in this version and earlier ones: by them it is known where no journal is; with one more,
            it is somebody's.
        was_noted: Whether its journal says that it was written, to the byte; None where there is none that says it.
    """

    def is_own(path: Path) -> bool:
        noted = was_noted(path)
        return any(has_columns(path, columns) for columns in headers) if noted is None else noted

    return file_kind(what, is_own)


_GRADES = "a table of grades", TABLE_COLUMNS, TABLE_COLUMNS[: TABLE_COLUMNS.index("action")]
_EYES = "a table of eyes", EYE_COLUMNS
_PATIENTS = "a table of patients", PATIENT_COLUMNS
EYES_TABLE, PATIENTS_TABLE = table_kind(*_EYES), table_kind(*_PATIENTS)


class Outputs(NamedTuple):
    """Where grading writes its tables: of photos, of eyes and of patients."""

    photos: Path
    eyes: Path
    patients: Path


@contextmanager
def outputs_of_grading(
    out: Path, overlay: Path | None, inputs: Sequence[PhotoPath], files: Sequence[PhotoPath], checkpoint: Path
) -> Iterator[Outputs]:
    """Ask for the outputs of grading, and keep all others from them meanwhile.

    Args:
        out: The table of photos; those of eyes and patients are named after it, `grades_eyes.csv` beside `grades.csv`.
        overlay: Folder for the pictures of the photos, if any.
        inputs: What was given to grade: files, folders, lists.
        files: The photos behind it.
        checkpoint: The model.

    Yields:
        Where to write the tables.

    Raises:
        InputError: If one of them would replace something else, or pictures would lie among the photos.
    """
    with ExitStack() as locks:
        inputs, files = ([each for each in paths if isinstance(each, Path)] for paths in (inputs, files))
        read = (*inputs, *files, checkpoint)
        ours = partial(was_written, table=out)
        kinds = {
            out: table_kind(*_GRADES, was_noted=ours),
            beside(out, "eyes"): table_kind(*_EYES, was_noted=ours),
            beside(out, "patients"): table_kind(*_PATIENTS, was_noted=ours),
        }
        tables = Outputs(*(locks.enter_context(claim_output(path, kind, read)) for path, kind in kinds.items()))
        check_table_format(out)
        check_output(journal_path(tables.photos), JOURNAL, read)
        if overlay is not None:
            locks.enter_context(claim_pictures(overlay, inputs, files, tables))
        yield tables


def claim_pictures(
    folder: Path, inputs: Iterable[PhotoPath], files: Iterable[PhotoPath], tables: Collection[Path]
) -> AbstractContextManager[Path]:
    """Ask for a folder of pictures, and keep all others from it meanwhile.

    Args:
        folder: The folder.
        inputs: What was given: files, folders, lists.
        files: The photos behind it.
        tables: Tables that may stand in it.

    Raises:
        InputError: If pictures would lie among the photos; what is raised as the context is entered, `claim_output`
            says.
    """
    folders = [path for path in inputs if isinstance(path, Path) and path.is_dir()]
    if any(lies_in(folder, path) for path in folders) or any(
        _same_folder(folder, path) for path in {file.parent for file in files if isinstance(file, Path)}
    ):
        raise InputError(
            f"{folder} is a folder of photos that are graded, or lies in one, so its pictures would come to be graded "
            "as photos; name another folder"
        )
    kind = OutputKind("pictures of graded photos", partial(_find_unowned, tables=tables), folder=True)
    return claim_output(folder, kind)


def beside(out: Path, what: str) -> Path:
    """Name a table after that of photos.

    Example:
        >>> beside(Path("out/grades.csv"), "eyes").name
        'grades_eyes.csv'
    """
    return out.with_name(f"{out.stem}_{what}{out.suffix}")


def _find_unowned(folder: Path, tables: Collection[Path]) -> Path | None:
    """What a folder holds but pictures that we drew, and the tables beside them."""
    unowned = (path for path in visible(folder) if PICTURE_MARK not in head_of(path) and path.resolve() not in tables)
    return next(unowned, None)


def _same_folder(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
