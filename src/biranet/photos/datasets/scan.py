"""What lies in a folder of photos: one pass over the names, without leaving the folder."""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from biranet.errors import InputError
from biranet.photos import PREPARATION_NAME
from biranet.photos.read import PHOTO_SUFFIXES

LABEL_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".parquet", ".npz"})
"""Endings, in lower case, of files that may hold labels."""


@dataclass(frozen=True)
class Scan:
    """Files below a folder, sorted, as paths relative to it with forward slashes.

    Attributes:
        photos: Files that end like photos, and what cannot be followed: links to folders outside, folders that must not
            be read. Each becomes a row with a reason when it is opened.
        labels: Files that end like tables, lists or arrays.
    """

    photos: list[str]
    labels: list[str]


def scan(root: Path) -> Scan:
    """List the files of a folder and everything below it.

    Hidden files and prepared folders are passed by. Links that lead out of the folder are listed, never followed; a
    link to a folder inside is followed only where nothing else has led there.

    Args:
        root: The folder.

    Raises:
        InputError: If a name is not UTF-8.
    """
    photos: list[str] = []
    labels: list[str] = []
    top = os.path.realpath(root)
    seen: set[str] = set()
    # Folders first and links to them last, so that a photo is listed under its own path and not under a link's.
    folders, links = [""], list[str]()
    while folders or links:
        if folders:
            base = folders.pop()
        else:
            links.sort(reverse=True)
            base = links.pop()
        place = os.path.realpath(f"{top}/{base}")
        if place in seen:
            continue
        seen.add(place)
        if not Path(place).is_relative_to(top):
            photos.append(base)
            continue
        try:
            with os.scandir(place) as listed:
                entries = list(listed)
        except OSError:
            photos.append(base or ".")
            continue
        if any(entry.name == PREPARATION_NAME for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{base}/{entry.name}" if base else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_symlink() and Path(os.path.realpath(entry.path)).is_dir():
                links.append(name)
            else:
                suffix = posixpath.splitext(entry.name)[1].lower()
                if suffix in PHOTO_SUFFIXES or _is_nameless_dicom(entry, suffix):
                    photos.append(name)
                elif suffix in LABEL_SUFFIXES and entry.is_file():
                    labels.append(name)
    for name in photos:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{root}: the file name {name!r} is not UTF-8; rename the file") from None
    return Scan(sorted(photos), sorted(labels))


def _is_nameless_dicom(entry: "os.DirEntry[str]", suffix: str) -> bool:
    """Whether a file without an ending, or with a number for one, as archives name them, is marked as DICOM."""
    if suffix.strip(".0123456789") or not entry.is_file():
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123 (many thousands of them, as strings)
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def outside(root: Path, file: str) -> bool:
    """Tell whether a name leads out of the folder of photos: `../x`, an absolute path, or through a link.

    Such a photo is listed like any other, but must not be read: a label file or an archive of links from a stranger
    could otherwise pull any picture of this machine into a data set.

    Args:
        root: The folder of photos; it may be a link itself.
        file: A photo's path relative to it, as in `LabelledPhoto.file`.

    Returns:
        True where the file that would be opened is not below `root`.

    Example:
        >>> outside(Path("."), "a/../b.jpg"), outside(Path("."), "../b.jpg"), outside(Path("."), "/b.jpg")
        (False, True, True)
    """
    steps = file.split("/")
    if not posixpath.isabs(file) and ".." not in steps:
        path = root
        for step in steps:
            path = path / step
            if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where a name is too long
                break
        else:
            return False
    return not Path(os.path.realpath(root / file)).is_relative_to(os.path.realpath(root))
