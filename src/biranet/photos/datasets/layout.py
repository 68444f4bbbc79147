"""What every layout of labels is made of: a photo with its labels, the folder it is looked for in, and the layout."""

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from biranet.errors import InputError
from biranet.files import printable
from biranet.photos.datasets.names import PhotoNames
from biranet.photos.datasets.scan import Scan, describe_passed_by, outside, scan
from biranet.scale import Graded, Scale
from biranet.tables import read_header
from biranet.texts import SPREADSHEET_SUFFIXES
from biranet.words import EYE_IN_NAME, parse_eye

_NAMED_EYE = re.compile(rf"(?:^|/)(?:([^/]+)[-_ ])?({EYE_IN_NAME})(?:[-_ ]?eye)?(?:\.[^./]*)?$", re.IGNORECASE)
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """What is known of a photo before it is opened.

    Attributes:
        file: Path relative to the folder of photos, with forward slashes. It may not exist or lead out of the folder:
            see `outside`.
        grade: 0 to 4, or None where it is not graded.
        group: Photos of one patient or visit share it; empty where neither labels nor names tell.
        eye: `left`, `right` or empty.
        split: One of `biranet.manifest.SPLITS`, or empty.
        source: Where the photo comes from, for example a hospital or a data set.
        ungradable: Why the labels say that it cannot be graded, or empty.
        further: All other columns of the label file.
        group_from: Where the group comes from, one of `biranet.manifest.GROUPS_FROM`; empty without a group.
    """

    file: str
    grade: int | None
    group: str
    eye: str
    split: str
    source: str
    ungradable: str = ""
    further: Mapping[str, str] = field(default_factory=dict)
    group_from: str = ""


@dataclass(frozen=True)
class Labels:
    """All photos of a folder with what is known of them.

    Attributes:
        photos: One entry a photo, in a fixed order: that of the label files, or by name.
        dataset: Name of the layout, a key of `DATASETS`.
        why: How the layout was recognised, in one clause; or that it was asked for.
        already_cropped: The photos are square cut-outs of the field already, so that no field is looked for.
        unlisted: How many photo files are in the folder that no label names; they are left out.
        hints: For photos that are not there: which one may be meant, see `PhotoNames.hint`.
        passed_by: What was seen in the folder and is no photo, in a sentence; empty where there is nothing.
        unused: Where no photo has a grade: files that may hold labels and were not used, each with what to do.
    """

    photos: list[LabelledPhoto]
    dataset: str
    why: str
    already_cropped: bool
    unlisted: int = 0
    hints: Mapping[str, str] = field(default_factory=dict)
    passed_by: str = ""
    unused: tuple[str, ...] = ()


class Place(NamedTuple):
    """A row of a label file, counted from 1 as an editor shows it."""

    path: Path
    row: int

    def __str__(self) -> str:
        return f"{self.path}, row {self.row}"


Rows = Iterator[tuple[LabelledPhoto, Place | None]]
"""Photos, each with the row that names it, or None where no label file does."""


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos and the labels given with it.

    Attributes:
        path: The folder.
        labels: The label file, or the folder that holds the label files, if one was given.
        columns: For tables with columns of any name: our column, and theirs.
        scale: How grades are written.
    """

    path: Path
    labels: Path | None
    columns: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = field(default_factory=Scale)

    @property
    def files(self) -> list[str]:
        """All photo files in the folder and below, sorted; hidden files and prepared folders are passed by."""
        return self._scan.photos

    @cached_property
    def label_files(self) -> list[Path]:
        """The label file that was given, or all files that may be one: below what was given, or among the photos."""
        if self.labels is None:
            return self.label_files_inside
        if self.labels.is_dir():
            return [self.labels / name for name in scan(self.labels).labels]
        return [self.labels]

    @cached_property
    def label_files_inside(self) -> list[Path]:
        """All files among the photos that may hold labels."""
        return [self.path / name for name in self._scan.labels]

    @cached_property
    def passed_by(self) -> str:
        """What was seen in the folder and is no photo, in a sentence; empty where there is nothing."""
        return describe_passed_by(self._scan.others, self._scan.beside)

    def unused_labels(self) -> Iterator[str]:
        """Files among the photos that may hold labels, where none was used, each with what to do."""
        for name in self._scan.packed:
            advice = "save it as CSV" if posixpath.splitext(name)[1].lower() in SPREADSHEET_SUFFIXES else "unpack it"
            yield f"{printable(name)} ({advice})"
        for path in self.label_files_inside:
            if path.suffix.lower() != ".npz" and len(read_header(path)) > 1:
                yield f"{printable(path.relative_to(self.path).as_posix())} (name it with --labels)"

    @cached_property
    def headers(self) -> dict[Path, tuple[str, ...]]:
        """The columns of those label files that are tables."""
        lists = {".txt", ".npz"} if self.labels is None or self.labels.is_dir() else set()
        found = {path: read_header(path) for path in self.label_files if path.suffix.lower() not in lists}
        return {path: header for path, header in found.items() if header}

    def tables(self, *columns: str) -> list[Path]:
        """Those label files that have all these columns."""
        return [path for path, header in self.headers.items() if set(columns) <= set(header)]

    def holds(self, file: str) -> bool:
        """Tell whether a photo is there, in the folder."""
        if file in self._known:
            return True
        # Path.is_file raises where a name is longer than a file system takes.
        return os.path.isfile(self.path / file) and not outside(self.path, file)  # noqa: PTH113

    def head(self, file: str, size_bytes: int) -> bytes:
        """Read the beginning of a photo; nothing where it is not there, in the folder."""
        path = self.path / file
        if not os.path.isfile(path) or outside(self.path, file):  # noqa: PTH113
            return b""
        try:
            with path.open("rb") as opened:
                return opened.read(size_bytes)
        except OSError:
            return b""  # Why it cannot be read is for the reader of photos to say.

    @cached_property
    def _scan(self) -> Scan:
        return scan(self.path)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _names(self) -> PhotoNames:
        return PhotoNames(self.files)

    def find(self, name: str, place: Place, *, among: Callable[[str], bool] | None = None) -> str:
        """Find the photo that a label file means, by the rule of `PhotoNames.meant`.

        Args:
            name: Path from the folder, or its last part or parts, spelled in any way.
            place: Where it stands, for the error.
            among: Tells of a file whether a name that is not its path can mean it.

        Returns:
            The path relative to the folder; `name` itself if there is no such photo.

        Raises:
            InputError: If there is no name, or several photos could be meant.
        """
        name = name.strip()
        if not name or "\0" in name:
            raise InputError(f"{place}: there is no file name, but {name!r}; give every row the name of its photo")
        if name in self._known:
            return name
        name = self._inside(name)
        if name in self._known:
            return name
        meant = self._names.meant(name, among)
        if len(meant) > 1:
            raise InputError(
                f"{place}: {name!r} could be {meant[0]!r} or {meant[1]!r}; write the path from {self.path}"
            )
        return meant[0] if meant else name

    def hint(self, file: str) -> str:
        """Say which photo may be meant by a name that means none, see `PhotoNames.hint`."""
        return self._names.hint(file)

    def _inside(self, name: str) -> str:
        """The path from the folder, where an absolute path, or one with steps up, ends inside."""
        top = os.path.normpath(self.path)
        inside = Path(os.path.normpath(self.path / name))
        return inside.relative_to(top).as_posix() if inside.is_relative_to(top) else name

    def photo(
        self,
        file: str,
        label: Graded,
        *,
        group: str = "",
        group_from: str = "data set",
        eye: str = "",
        split: str = "",
        source: str = "",
        further: Mapping[str, str] | None = None,
    ) -> LabelledPhoto:
        """Describe a photo; an eye that the labels leave open comes from its name: `10_left`, `10_L`, `10_OS`."""
        shown = None if eye else named(file)
        return LabelledPhoto(
            file=file,
            grade=label.grade,
            group=group,
            eye=shown[1] if shown else eye,
            split=split,
            source=source or self._name,
            ungradable=label.ungradable,
            further=_NOTHING if further is None else further,
            group_from=group_from if group else "",
        )

    def graded(self, text: str, place: Place, column: str = "") -> Graded:
        """Read the grade in a row of a label file.

        Raises:
            InputError: If it is no grade; the sentence names file, row and value.
        """
        with at(place, column):
            return self.scale.read(text)

    @cached_property
    def _name(self) -> str:
        return self.path.resolve().name


@dataclass(frozen=True)
class Layout:
    """One way in which photos and their labels lie in a folder.

    Attributes:
        marks: What the folder is known by, in words.
        recognises: Says by what, in one clause, a folder is known to be laid out so; empty where it is not.
        read: Reads the labels, in a fixed order.
        already_cropped: The photos are square cut-outs of the field already.
    """

    marks: str
    recognises: Callable[[PhotoFolder], str]
    read: Callable[[PhotoFolder], Rows]
    already_cropped: bool = False


def published(
    marks: str,
    label_files: Callable[[PhotoFolder], list[Path]],
    read: Callable[[PhotoFolder, Path], Rows],
    *,
    already_cropped: bool = False,
) -> Layout:
    """Make the layout of a data set that is known by its label files.

    Args:
        marks: What the label files are, in words, for `Layout.marks` and the errors.
        label_files: Finds the label files of the data set.
        read: Reads one of them.
        already_cropped: See `Layout`.
    """

    def recognises(folder: PhotoFolder) -> str:
        found = label_files(folder)
        return f"{found[0].name} is {marks}" if found else ""

    def read_all(folder: PhotoFolder) -> Rows:
        found = label_files(folder)
        if not found:
            raise InputError(f"{folder.labels or folder.path} holds no label file of this layout, which is {marks}")
        for path in found:
            yield from read(folder, path)

    return Layout(marks, recognises, read_all, already_cropped)


@contextmanager
def at(place: Place, column: str = "") -> Iterator[None]:
    """Say of an `InputError` where in a label file its value stands."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}{f', column {column!r}' if column else ''}: {error}") from error


def named(file: str) -> tuple[str, str] | None:
    """Read what the name of a file says of an eye, and what stands before that, which may be a patient.

    Args:
        file: A path with forward slashes.

    Returns:
        What stands before, empty for `left.jpg`, and the eye, `left` or `right`; None where the name ends otherwise.

    Example:
        >>> named("train/10_left.jpeg"), named("P1/OD.png"), named("x_color.jpg")
        (('10', 'left'), ('', 'right'), None)
    """
    found = _NAMED_EYE.search(file)
    return (found[1] or "", parse_eye(found[2])) if found else None


def refuse_labels(folder: PhotoFolder, name: str) -> None:
    """Refuse a label file for a layout that has none.

    Raises:
        InputError: If there is one.
    """
    if folder.labels is not None:
        raise InputError(f"the layout {name!r} has no label file, but {folder.labels} was given; leave one of them out")
