"""What labels say: a photo before it is opened, all photos of a folder, and the row of a file that says it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from biranet.errors import InputError
from biranet.scale import GradeLabel


@dataclass(frozen=True)
class LabelSource:
    """Where the labels of a folder of photos stand, and how they are written.

    Attributes:
        file: Label file, or a folder with label files; None where they lie among the photos, or where names and folders
            say all.
        dataset: A key of `biranet.photos.datasets.DATASETS`, or `auto` for the one that recognises the layout.
        columns: For a table with columns of any name: our column (`file`, `grade`, `group`, `eye`, `split`, `source`),
            and theirs.
        grades: Where the labels are on another scale or in other words: their values, and the grade of each.
        ungradable: Values of the grade that mean that nobody could grade the photo.

    Example:
        >>> LabelSource(Path("labels.csv"), columns={"grade": "level"}, grades={"mild": "1"}).dataset
        'auto'
    """

    file: Path | None = None
    dataset: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    grades: Mapping[str, str] = field(default_factory=dict)
    ungradable: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class LabeledPhoto:
    """A photo and its labels, before it is opened.

    Attributes:
        file: Path relative to the folder of photos, with forward slashes. It may not exist or lead out of the folder:
            see `outside`.
        grade: 0 to 4, or None where it is not graded.
        group: Photos of one patient or visit share it; empty where neither labels nor names tell.
        eye: `left`, `right` or empty.
        split: One of `biranet.manifest.SPLITS`, or empty.
        source: Where the photo comes from, for example a hospital or a data set.
        ungradable: Why the labels say that it cannot be graded, or empty.
        extra_columns: All other columns of the label file.
        group_from: Where the group comes from, one of `biranet.manifest.GROUPS_FROM`; empty without a group.
    """

    file: str
    grade: int | None
    group: str
    eye: str
    split: str
    source: str
    ungradable: str = ""
    extra_columns: Mapping[str, str] = field(default_factory=dict)
    group_from: str = ""


_NO_COLUMNS: Mapping[str, str] = {}


class LabelEntry(NamedTuple):
    """What the labels say of a photo, and no more; see `LabeledPhoto` for its terms.

    Attributes:
        file: The photo.
        label: Its grade, or why it has none.
        row: The row that names it; None where no label file does.
        group: Its patient or visit, where the labels say it.
        eye: Its eye, likewise.
        split: Its part, likewise.
        source: Its source, likewise.
        extra_columns: All other columns of the label file.
        group_from: Where the group comes from, where there is one.
    """

    file: str
    label: GradeLabel
    row: "SourceRow | None" = None
    group: str = ""
    eye: str = ""
    split: str = ""
    source: str = ""
    extra_columns: Mapping[str, str] = _NO_COLUMNS
    group_from: str = "data set"


@dataclass(frozen=True)
class Labels:
    """All photos of a folder with their labels.

    Attributes:
        photos: One entry a photo, in a fixed order: that of the label files, or by name.
        dataset: Name of the layout, a key of `DATASETS`.
        why: How the layout was recognised, in one clause; or that it was asked for.
        already_cropped: The photos are square cut-outs of the field already, so that no field is looked for.
        unlisted: How many photo files are in the folder that no label names; they are left out.
        hints: For photos that are not there: which one may be meant, see `PhotoNames.hint`.
        skipped: The files in the folder that are no photos, in a sentence; empty where there are none.
        unused_label_files: Where no photo has a grade: files that may hold labels and were not used, each with what to
            do.
    """

    photos: list[LabeledPhoto]
    dataset: str
    why: str
    already_cropped: bool
    unlisted: int = 0
    hints: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""
    unused_label_files: tuple[str, ...] = ()


class SourceRow(NamedTuple):
    """A row of a label file, counted from 1 as an editor shows it."""

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}, row {self.number}"

    @contextmanager
    def locate_errors(self, column: str = "") -> Iterator[None]:
        """Add file, row and column to the sentence of an `InputError`."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self}{f', column {column!r}' if column else ''}: {error}") from error
