"""A folder of photos with its label files, and the photo that each row of them means."""

import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from biranet.errors import InputError
from biranet.files import printable
from biranet.photos.datasets.labels import LabeledPhoto, LabelEntry, SourceRow
from biranet.photos.datasets.names import PhotoNames
from biranet.photos.datasets.scan import Scan, describe_skipped, outside, scan
from biranet.scale import GradeLabel, Scale
from biranet.tables import read_header
from biranet.text_files import SPREADSHEET_SUFFIXES
from biranet.words import split_eye_suffix


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
        """All photo files in the folder and below, sorted; without hidden files and prepared folders."""
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
    def skipped(self) -> str:
        """The files in the folder that are no photos, in a sentence; empty where there are none."""
        return describe_skipped(self._scan.unrecognized, self._scan.strays)

    def unused_label_files(self) -> Iterator[str]:
        """List the files among the photos that may hold labels, where none was used, each with what to do."""
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
        headers = {path: read_header(path) for path in self.label_files if path.suffix.lower() not in lists}
        return {path: header for path, header in headers.items() if header}

    def tables_with(self, *columns: str) -> list[Path]:
        """List those label files that have all these columns."""
        return [path for path, header in self.headers.items() if set(columns) <= set(header)]

    def has_photo(self, file: str) -> bool:
        """Tell whether a photo is there, in the folder."""
        if file in self._file_set:
            return True
        # Path.is_file raises where a name is longer than a file system takes.
        return os.path.isfile(self.path / file) and not outside(self.path, file)  # noqa: PTH113

    def read_start(self, file: str, size_bytes: int) -> bytes:
        """Read the first bytes of a photo; none where it is not there, in the folder."""
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
    def _file_set(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _names(self) -> PhotoNames:
        return PhotoNames(self.files)

    def find(self, name: str, row: SourceRow, *, accept: Callable[[str], bool] | None = None) -> str:
        """Find the photo that a label file means, by the rule of `PhotoNames.candidates`.

        Args:
            name: Path from the folder, or its last part or parts, spelled in any way.
            row: Where the name stands, for the error.
            accept: Tells of a file whether a name that is not its path can mean it.

        Returns:
            The path relative to the folder; `name` itself if there is no such photo.

        Raises:
            InputError: If there is no name, or several photos could be meant.
        """
        name = name.strip()
        if not name or "\0" in name:
            raise InputError(f"{row}: there is no file name, but {name!r}; give every row the name of its photo")
        if name in self._file_set:
            return name
        name = self._relative(name)
        if name in self._file_set:
            return name
        candidates = self._names.candidates(name, accept)
        if len(candidates) > 1:
            raise InputError(
                f"{row}: {name!r} could be {candidates[0]!r} or {candidates[1]!r}; write the path from {self.path}"
            )
        return candidates[0] if candidates else name

    def hint(self, file: str) -> str:
        """Say which photo may be meant by a name that means none, see `PhotoNames.hint`."""
        return self._names.hint(file)

    def _relative(self, name: str) -> str:
        """Shorten an absolute path, or one with steps up, to the path from the folder where it ends inside."""
        top = os.path.normpath(self.path)
        inside = Path(os.path.normpath(self.path / name))
        return inside.relative_to(top).as_posix() if inside.is_relative_to(top) else name

    def photo(self, entry: LabelEntry) -> LabeledPhoto:
        """Describe a photo; an eye that the labels leave open comes from its name: `10_left`, `10_L`, `10_OS`."""
        return LabeledPhoto(
            file=entry.file,
            grade=entry.label.grade,
            group=entry.group,
            eye=entry.eye or split_eye_suffix(entry.file)[1],
            split=entry.split,
            source=entry.source or self._name,
            ungradable=entry.label.ungradable,
            extra_columns=entry.extra_columns,
            group_from=entry.group_from if entry.group else "",
        )

    def parse_grade_cell(self, text: str, row: SourceRow, column: str = "") -> GradeLabel:
        """Parse the grade in a row of a label file.

        Raises:
            InputError: If it is no grade; the sentence names file, row and value.
        """
        with row.locate_errors(column):
            return self.scale.read(text)

    @cached_property
    def _name(self) -> str:
        return self.path.resolve().name
