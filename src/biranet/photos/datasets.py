"""Read the labels of a folder of photos, in any of the layouts that people publish.

A layout is one entry of `DATASETS`: how it is recognised, and how it is read.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import pandas as pd

from biranet.errors import InputError
from biranet.grades import GRADES, parse_grade
from biranet.manifest import SPLITS
from biranet.photos.read import PHOTO_SUFFIXES
from biranet.tables import parse_grades, read_table

PREPARATION_NAME = "preparation.json"
"""Marks a prepared folder; the scan for photos passes it by."""

LISTS = {"TrainSet.txt": "train", "ValidSet.txt": "validation"}
"""The two lists of the original release, and the part of the split that each holds."""

_SPLIT_NAMES = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
_EYES = {"l": "left", "os": "left", "left": "left", "r": "right", "od": "right", "right": "right"}
_GRADE_FOLDERS = frozenset(str(grade) for grade in GRADES)


@dataclass(frozen=True)
class LabelledPhoto:
    """What is known of a photo before it is opened.

    Attributes:
        file: Path relative to the folder of photos, with forward slashes.
        grade: 0 to 4, or None where it is not graded.
        group: Photos of one patient share it.
        eye: `left`, `right`, what the labels say, or empty.
        split: One of `biranet.manifest.SPLITS`, or empty.
        source: Where the photo comes from, for example a hospital or a data set.
        further: All other columns of the label file.
    """

    file: str
    grade: int | None
    group: str
    eye: str
    split: str
    source: str
    further: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of photos and the label file given with it.

    Attributes:
        path: The folder.
        labels: The label file, or the folder that holds it, if one was given.
    """

    path: Path
    labels: Path | None

    @cached_property
    def files(self) -> list[str]:
        """All photo files in the folder and below, sorted; hidden files and prepared folders are passed by."""
        found, seen = [], set()
        for folder, folders, names in os.walk(self.path, followlinks=True):
            place = Path(folder).resolve()
            if place in seen or PREPARATION_NAME in names:
                folders.clear()
                continue
            seen.add(place)
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = PurePosixPath(Path(folder).relative_to(self.path).as_posix())
            found += [
                str(base / name)
                for name in names
                if not name.startswith(".") and PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES
            ]
        for name in found:
            try:
                name.encode()
            except UnicodeEncodeError:
                raise InputError(f"{self.path}: the file name {name!r} is not UTF-8; rename the file") from None
        return sorted(found)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Photo files by path and by name, both without suffix."""
        stems: dict[str, list[str]] = {}
        for name in self.files:
            path = PurePosixPath(name).with_suffix("")
            for key in {str(path), path.name, PurePosixPath(name).name}:
                stems.setdefault(key, []).append(name)
        return stems

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    def find(self, name: str, origin: str) -> str:
        """Find the photo that a label file means.

        Args:
            name: Path relative to the folder or name alone, with or without suffix.
            origin: File and row, for the error.

        Returns:
            The path relative to the folder; `name` itself if there is no such photo.

        Raises:
            InputError: If several photos could be meant.
        """
        name = name.strip()
        if name in self._known:
            return name
        try:
            inside = Path(os.path.normpath(self.path / name)).relative_to(os.path.normpath(self.path)).as_posix()
        except ValueError:
            inside = name
        if inside in self._known or (self.path / inside).is_file():
            return inside
        meant = self._by_stem.get(inside, [])
        if len(meant) > 1:
            raise InputError(f"{origin}: {name!r} could be {meant[0]} or {meant[1]}; write the path from {self.path}")
        return meant[0] if meant else inside

    def photo(
        self,
        file: str,
        grade: int | None,
        *,
        group: str = "",
        eye: str = "",
        split: str = "",
        source: str = "",
        further: Mapping[str, str] | None = None,
    ) -> LabelledPhoto:
        """Describe a photo; what the labels leave open comes from its name: `10_left` is the left eye of group `10`."""
        named = re.fullmatch(r"(.+)_(left|right)", PurePosixPath(file).stem, re.IGNORECASE)
        group_in_name, eye_in_name = (named[1], named[2].lower()) if named else (file, "")
        return LabelledPhoto(
            file=file,
            grade=grade,
            group=group or group_in_name,
            eye=_EYES.get(eye.lower(), eye) or eye_in_name,
            split=split,
            source=source or self.path.resolve().name,
            further=further or {},
        )


@dataclass(frozen=True)
class Dataset:
    """One layout of labels.

    Attributes:
        recognises: Tells whether a folder with its labels is laid out so.
        read: Reads the labels, in a fixed order.
    """

    recognises: Callable[[PhotoFolder], bool]
    read: Callable[[PhotoFolder], list[LabelledPhoto]]


def read_labels(photos: Path, labels: Path | None, dataset: str) -> list[LabelledPhoto]:
    """List the photos of a folder with what is known of them.

    Args:
        photos: Folder of photos, searched with everything below it.
        labels: Label file, or the folder with the two lists; None where names and folders say all.
        dataset: A key of `DATASETS`, or `auto` for the first that recognises the layout.

    Returns:
        One entry a photo, in a fixed order: that of the label file, or by name.

    Raises:
        InputError: If folder, labels or a value in them are wrong; the sentence names file, row and value.
    """
    if not photos.exists():
        raise InputError(f"there is no folder {photos}")
    if not photos.is_dir():
        raise InputError(f"{photos} is not a folder; give the folder that holds the photographs")
    if (photos / PREPARATION_NAME).exists():
        raise InputError(f"{photos} was prepared by biranet already; give the folder of the photographs as taken")
    if labels is not None and not labels.exists():
        raise InputError(f"there is no label file {labels}")
    if dataset not in ("auto", *DATASETS):
        raise InputError(f"there is no dataset layout {dataset!r}; known are: auto, {', '.join(DATASETS)}")
    folder = PhotoFolder(photos, labels)
    if not folder.files:
        raise InputError(f"{photos} holds no photographs (no file ends in .jpg, .png, .tif or the like)")
    if dataset == "auto":
        recognised = [name for name, layout in DATASETS.items() if layout.recognises(folder)]
        if not recognised:
            raise InputError(f"{labels} is neither a CSV file nor the lists {' and '.join(LISTS)}")
        dataset = recognised[0]
    found = DATASETS[dataset].read(folder)
    rows: dict[str, LabelledPhoto] = {}
    for photo in found:
        if rows.setdefault(photo.file, photo) is not photo:
            raise InputError(f"{labels or photos}: the photo {photo.file!r} stands there twice; leave one row")
    if not any((photos / photo.file).is_file() for photo in found):
        raise InputError(
            f"none of the photos that {labels or photos} names is in {photos}, for example {found[0].file!r}"
        )
    return found


def _read_folder(folder: PhotoFolder) -> list[LabelledPhoto]:
    _no_labels(folder, "folder")
    return [folder.photo(file, None) for file in folder.files]


def _split_and_folders(file: str) -> tuple[str, tuple[str, ...]]:
    """The part of the split that the outermost folder names, and the folders below it."""
    folders = PurePosixPath(file).parts[:-1]
    split = _SPLIT_NAMES.get(folders[0].lower(), "") if folders else ""
    return split, folders[1:] if split else folders


def _has_classes(folder: PhotoFolder) -> bool:
    inner = [_split_and_folders(file)[1] for file in folder.files] if folder.labels is None else []
    return any(folders and folders[0] in _GRADE_FOLDERS for folders in inner)


def _read_classes(folder: PhotoFolder) -> list[LabelledPhoto]:
    _no_labels(folder, "classes")
    found = []
    for file in folder.files:
        split, folders = _split_and_folders(file)
        try:
            grade = parse_grade(folders[0]) if folders else None
        except InputError as error:
            raise InputError(
                f"{folder.path / file}: the folder name {error}; if the folders are not grades, say --dataset folder"
            ) from error
        found.append(folder.photo(file, grade, split=split))
    return found


def _read_csv(folder: PhotoFolder) -> list[LabelledPhoto]:
    path = _labels_of(folder, "csv")
    table = read_table(path, ("file", "grade"))
    grades = parse_grades(table, "grade", path)
    own = ("file", "grade", "group", "eye", "split", "source")
    found = []
    for row, values, grade in zip(table.index, table.to_numpy().tolist(), grades, strict=True):
        cells = dict(zip(table.columns, values, strict=True))
        origin = f"{path}, row {row}"
        if not cells["file"].strip():
            raise InputError(f"{origin}, column 'file': there is no file name")
        split = cells.get("split", "").strip()
        if split and split not in _SPLIT_NAMES:
            raise InputError(
                f"{origin}, column 'split': {split!r} is not one of {', '.join(SPLITS)}; "
                "rename the column if it means something else"
            )
        found.append(
            folder.photo(
                folder.find(cells["file"], origin),
                None if pd.isna(grade) else int(grade),
                group=cells.get("group", "").strip(),
                eye=cells.get("eye", "").strip(),
                split=_SPLIT_NAMES.get(split, ""),
                source=cells.get("source", "").strip(),
                further={name: value for name, value in cells.items() if name not in own},
            )
        )
    return found


def _lists_of(folder: PhotoFolder) -> list[Path]:
    place = folder.labels or folder.path
    return [place / name for name in LISTS if (place / name).is_file()] if place.is_dir() else [place]


def _has_lists(folder: PhotoFolder) -> bool:
    lists = _lists_of(folder)
    return bool(lists) and all(path.name in LISTS for path in lists)


def _read_lists(folder: PhotoFolder) -> list[LabelledPhoto]:
    lists = _lists_of(folder)
    if not lists:
        raise InputError(f"{folder.labels or folder.path} holds neither of the lists {' and '.join(LISTS)}")
    found = []
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {path}: {error}") from error
        for row, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, _, text = line.strip().replace("\t", " ").rpartition(" ")
            origin = f"{path}, row {row}"
            if not name:
                raise InputError(f"{origin}: {line.strip()!r} is not a name and a grade with a space between")
            try:
                grade = parse_grade(text)
            except InputError as error:
                raise InputError(f"{origin}: {error}") from error
            found.append(folder.photo(folder.find(name, origin), grade, split=LISTS.get(path.name, "")))
    if not found:
        raise InputError(f"{lists[0]} has no lines with a name and a grade")
    return found


def _no_labels(folder: PhotoFolder, name: str) -> None:
    if folder.labels is not None:
        raise InputError(f"the layout {name!r} has no label file, but {folder.labels} was given; leave one of them out")


def _labels_of(folder: PhotoFolder, name: str) -> Path:
    if folder.labels is None:
        raise InputError(f"the layout {name!r} needs a label file; name it with --labels")
    return folder.labels


# In the order in which `auto` asks them; `folder` takes whatever has no labels.
DATASETS: dict[str, Dataset] = {
    "lists": Dataset(_has_lists, _read_lists),
    "csv": Dataset(lambda folder: folder.labels is not None and folder.labels.suffix.lower() == ".csv", _read_csv),
    "classes": Dataset(_has_classes, _read_classes),
    "folder": Dataset(lambda folder: folder.labels is None, _read_folder),
}
