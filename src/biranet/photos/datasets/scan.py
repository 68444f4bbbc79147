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
from biranet.photos.formats import PHOTO_SUFFIXES, SIGNATURE_BYTES, looks_like_picture
from biranet.public_paths import check_utf8_name
from biranet.text_files import ARCHIVE_SUFFIXES, SPREADSHEET_SUFFIXES
from biranet.words import counted

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".parquet", ".jsonl"})
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
        unrecognized: Number of files that are none of photos and labels, by ending.
        strays: Number of photos that lie in a prepared folder but are none of its own, by the folder.
    """

    photos: list[str]
    labels: list[str]
    packed: list[str]
    unrecognized: Mapping[str, int]
    strays: Mapping[str, int] = field(default_factory=dict)


def scan(root: Path) -> Scan:
    """List the files of a folder and everything below it.

    Hidden files and prepared folders are skipped; photos in these that are none of their own are counted. A file is
    opened only where its ending says nothing. Links that lead out of the folder are listed, never followed; a link to a
    folder inside is followed only where nothing else has led there.

    Args:
        root: The folder.

    Raises:
        InputError: If a name is not UTF-8.
    """
    scanner = _Scanner(root)
    scanner.run()
    for name in scanner.photos:
        check_utf8_name(name, f"{root}: the file name {name!r}")
    return Scan(
        sorted(scanner.photos),
        sorted(scanner.labels),
        sorted(scanner.packed),
        scanner.unrecognized,
        scanner.strays,
    )


class _Scanner:
    """What a scan has listed so far, and the folders that it has still to visit."""

    def __init__(self, root: Path) -> None:
        self.photos, self.labels, self.packed = list[str](), list[str](), list[str]()
        self.unrecognized: Counter[str] = Counter()
        self.strays: dict[str, int] = {}
        self._root = os.path.realpath(root)
        self._folders, self._links = [""], list[str]()
        self._visited: set[str] = set()

    def run(self) -> None:
        # Folders first and links to them last, so that a photo is listed under its own path and not under a link's.
        while self._folders or self._links:
            if self._folders:
                self._visit(self._folders.pop())
            else:
                self._links.sort(reverse=True)
                self._visit(self._links.pop())

    def _visit(self, folder: str) -> None:
        path = os.path.realpath(f"{self._root}/{folder}")
        if path in self._visited:
            return
        self._visited.add(path)
        if not Path(path).is_relative_to(self._root):
            self.photos.append(folder)
            return
        try:
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError:
            self.photos.append(folder or ".")
            return
        if any(entry.name == PREPARATION_NAME for entry in entries):
            if count := _count_strays(path):
                self.strays[folder or "."] = count
            return
        for entry in entries:
            if not entry.name.startswith("."):
                self._add(f"{folder}/{entry.name}" if folder else entry.name, entry)

    def _add(self, name: str, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._folders.append(name)
        elif entry.is_symlink() and Path(os.path.realpath(entry.path)).is_dir():
            self._links.append(name)
        else:
            self._add_file(name, entry)

    def _add_file(self, name: str, entry: os.DirEntry[str]) -> None:
        suffix = posixpath.splitext(entry.name)[1].lower()
        if suffix in PHOTO_SUFFIXES:
            self.photos.append(name)
        elif suffix in LABEL_SUFFIXES and entry.is_file():
            self.labels.append(name)
        elif _begins_like_a_photo(Path(entry.path)):
            self.photos.append(name)
        else:
            self.unrecognized[suffix] += 1
            if suffix in _PACKED_SUFFIXES:
                self.packed.append(name)


def _count_strays(prepared: str) -> int:
    """Count the photos in and below a prepared folder that are none of its own; links are not followed."""
    count = 0
    for folder, subfolders, files in os.walk(prepared):
        own = {IMAGES_NAME, CONTACT_SHEET_NAME} if PREPARATION_NAME in files else set()
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in own]
        others = (Path(folder, name) for name in files if not name.startswith(".") and name not in own)
        count += sum(path.suffix.lower() in PHOTO_SUFFIXES or _begins_like_a_photo(path) for path in others)
    return count


def _begins_like_a_photo(path: Path) -> bool:
    try:
        # Files of no length are passed by unread: those of the system's own folders have none.
        if not path.is_file() or not path.stat().st_size:
            return False
        with open_regular(path) as file:
            return looks_like_picture(file.read(SIGNATURE_BYTES))
    except OSError:
        return False


def refuse_prepared(photos: Path) -> None:
    """Refuse a prepared folder in place of one of photos.

    Raises:
        InputError: If it is one.
    """
    if os.path.lexists(photos / PREPARATION_NAME):
        raise InputError(f"{photos} was prepared by biranet already; give the folder of the photographs as taken")


def describe_skipped(unrecognized: Mapping[str, int], strays: Mapping[str, int] = MappingProxyType({})) -> str:
    """Say what a scan has skipped; nothing where there is nothing.

    Args:
        unrecognized: Number of files that are no photos, by ending.
        strays: Number of photos in prepared folders, by the folder.

    Example:
        >>> describe_skipped({}, {"done": 1})
        '1 photo lies in the prepared folder done and is passed by; move it out of there'
        >>> describe_skipped({".xmp": 2, "": 1})
        '3 files are no photos by their ending and content, and are passed by: .xmp, no ending'
    """
    sentences = [_describe_unrecognized(unrecognized)]
    sentences += [_describe_strays(folder, count) for folder, count in strays.items()]
    return "; ".join(filter(None, sentences))


def _describe_strays(folder: str, count: int) -> str:
    if count == 1:
        return f"1 photo lies in the prepared folder {printable(folder)} and is passed by; move it out of there"
    where = f"in the prepared folder {printable(folder)}"
    one = f"photo lies {where} and is passed by; move it out of there"
    return counted(count, one, f"photos lie {where} and are passed by; move them out of there")


_LISTED_SUFFIXES, _MAX_SUFFIX_LENGTH = 10, 20


def _describe_unrecognized(counts: Mapping[str, int]) -> str:
    count = sum(counts.values())
    if not count:
        return ""
    most_first = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
    # What stands behind the last point of a name may be a whole sentence.
    names = [printable(suffix[:_MAX_SUFFIX_LENGTH]) or "no ending" for suffix in most_first[:_LISTED_SUFFIXES]]
    listed = ", ".join(names) + (", …" if len(counts) > _LISTED_SUFFIXES else "")
    if count == 1:
        return f"1 file is no photo by its ending and content, and is passed by: {listed}"
    one = f"file is no photo by its ending and content, and is passed by: {listed}"
    return counted(count, one, f"files are no photos by their ending and content, and are passed by: {listed}")


OUTSIDE = "lies outside the folder of photos; copy it there, or give the folder that it lies in"
"""Why a photo must not be read of which `outside` is true."""


def outside(root: Path, file: str) -> bool:
    """Tell whether a name leads out of the folder of photos: `../x`, an absolute path, or through a link.

    Such a photo is listed like any other, but must not be read: a label file or an archive of links from a stranger
    could otherwise pull any picture of this machine into a data set.

    Args:
        root: The folder of photos; it may be a link itself.
        file: A photo's path relative to it, as in `LabeledPhoto.file`.

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
