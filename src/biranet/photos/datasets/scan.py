"""What lies in a folder of photos: one pass over the names, without leaving the folder."""

import os
import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from biranet.errors import InputError
from biranet.files import open_regular, printable
from biranet.images import IMAGES_NAME
from biranet.photos import CONTACT_SHEET_NAME, PREPARATION_NAME
from biranet.photos.kinds import BEGINNING_BYTES, begins_like_a_picture
from biranet.photos.read import PHOTO_SUFFIXES
from biranet.places import refuse_undecoded
from biranet.texts import ARCHIVE_SUFFIXES, SPREADSHEET_SUFFIXES

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".parquet"})
"""Endings, in lower case, of tables."""

LABEL_SUFFIXES = TABLE_SUFFIXES | {".npz"}
"""Endings, in lower case, of files that may hold labels."""

_PACKED_SUFFIXES = ARCHIVE_SUFFIXES | SPREADSHEET_SUFFIXES


@dataclass(frozen=True)
class Scan:
    """Files below a folder, sorted, as paths relative to it with forward slashes.

    Attributes:
        photos: Files that end or, where the ending is not known, begin like photos, and what cannot be followed: links
            to folders outside, folders that must not be read. Each becomes a row with a reason when it is opened.
        labels: Files that end like tables, lists or arrays.
        packed: Files that end like archives or spreadsheets, and may hold labels.
        others: Number of files that are none of photos and labels, by ending.
        beside: Number of photos that lie in a prepared folder but are none of its own, by the folder.
    """

    photos: list[str]
    labels: list[str]
    packed: list[str]
    others: Mapping[str, int]
    beside: Mapping[str, int] = field(default_factory=dict)


def scan(root: Path) -> Scan:
    """List the files of a folder and everything below it.

    Hidden files and prepared folders are passed by; photos in these that are none of their own are counted. A file is
    opened only where its ending says nothing. Links that lead out of the folder are listed, never followed; a link to a
    folder inside is followed only where nothing else has led there.

    Args:
        root: The folder.

    Raises:
        InputError: If a name is not UTF-8.
    """
    photos, labels, packed = list[str](), list[str](), list[str]()
    others: Counter[str] = Counter()
    beside: dict[str, int] = {}
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
            if count := _photos_beside(place):
                beside[base or "."] = count
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
                if suffix in PHOTO_SUFFIXES:
                    photos.append(name)
                elif suffix in LABEL_SUFFIXES and entry.is_file():
                    labels.append(name)
                elif _begins_like_a_photo(Path(entry.path)):
                    photos.append(name)
                else:
                    others[suffix] += 1
                    if suffix in _PACKED_SUFFIXES:
                        packed.append(name)
    for name in photos:
        refuse_undecoded(name, f"{root}: the file name {name!r}")
    return Scan(sorted(photos), sorted(labels), sorted(packed), others, beside)


def _photos_beside(prepared: str) -> int:
    """Count the photos in and below a prepared folder that are none of its own; links are not followed."""
    count = 0
    for place, folders, files in os.walk(prepared):
        ours = {IMAGES_NAME, CONTACT_SHEET_NAME} if PREPARATION_NAME in files else set()
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ours]
        theirs = (Path(place, name) for name in files if not name.startswith(".") and name not in ours)
        count += sum(path.suffix.lower() in PHOTO_SUFFIXES or _begins_like_a_photo(path) for path in theirs)
    return count


def _begins_like_a_photo(path: Path) -> bool:
    try:
        # Files of no length are passed by unread: those of the system's own folders have none.
        if not path.is_file() or not path.stat().st_size:
            return False
        with open_regular(path) as file:
            return begins_like_a_picture(file.read(BEGINNING_BYTES))
    except OSError:
        return False


def refuse_prepared(photos: Path) -> None:
    """Refuse a prepared folder in place of one of photos.

    Raises:
        InputError: If it is one.
    """
    if os.path.lexists(photos / PREPARATION_NAME):
        raise InputError(f"{photos} was prepared by biranet already; give the folder of the photographs as taken")


def describe_passed_by(others: Mapping[str, int], beside: Mapping[str, int] = MappingProxyType({})) -> str:
    """Say what a scan has passed by; nothing where there is nothing.

    Args:
        others: Number of files that are no photos, by ending.
        beside: Number of photos in prepared folders, by the folder.

    Example:
        >>> describe_passed_by({}, {"done": 1})
        '1 photo lies in the prepared folder done and is passed by; move it out of there'
        >>> describe_passed_by({".xmp": 2, "": 1})
        '3 files are no photos by their ending and content, and are passed by: .xmp, no ending'
    """
    return "; ".join(filter(None, (_describe_others(others), *(_describe_beside(*each) for each in beside.items()))))


def _describe_beside(folder: str, count: int) -> str:
    if count == 1:
        return f"1 photo lies in the prepared folder {printable(folder)} and is passed by; move it out of there"
    return f"{count} photos lie in the prepared folder {printable(folder)} and are passed by; move them out of there"


def _describe_others(others: Mapping[str, int]) -> str:
    count = sum(others.values())
    if not count:
        return ""
    most_first = sorted(others, key=lambda ending: (-others[ending], ending))
    # What stands behind the last point of a name may be a whole sentence.
    shown = [printable(ending[:_LONGEST_ENDING]) or "no ending" for ending in most_first[:_SHOWN_ENDINGS]]
    listed = ", ".join(shown) + (", …" if len(others) > _SHOWN_ENDINGS else "")
    if count == 1:
        return f"1 file is no photo by its ending and content, and is passed by: {listed}"
    return f"{count} files are no photos by their ending and content, and are passed by: {listed}"


_SHOWN_ENDINGS, _LONGEST_ENDING = 10, 20


OUTSIDE = "lies outside the folder of photos; copy it there, or give the folder that it lies in"
"""Why a photo must not be read of which `outside` is true."""


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
