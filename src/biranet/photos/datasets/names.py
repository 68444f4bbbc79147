"""Which photo a name in a table means: one rule for all layouts, and for lists of photos to grade."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cached_property

from biranet.photos.formats import PHOTO_SUFFIXES

_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SPACES_AROUND = re.compile(r" */ *")


class PhotoNames:
    """The names of the photos of a folder.

    Args:
        files: Paths from the folder, with forward slashes.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files = files

    def candidates(self, name: str, accept: Callable[[str], bool] | None = None) -> list[str]:
        r"""Find the photos that a name can mean.

        The name is a path from the folder, or its last part or parts, with or without the ending of a picture. Of the
        ways to read it, the first that finds a photo counts: as it is written; with letters composed as here, and
        backslashes for slashes; in small letters, without spaces around; and all these with another ending.

        Args:
            name: What a table says.
            accept: Tells of a file whether it can be meant.

        Returns:
            No photo, one, or several that are equally close.

        Example:
            >>> PhotoNames(["a/Eye_1.JPG", "b.png"]).candidates(r"A\eye_1"), PhotoNames(["b.png"]).candidates("b.jpg")
            (['a/Eye_1.JPG'], ['b.png'])
        """
        files = [file for key in _keys(name) for file in self._by_key.get(key, ())]
        if accept is not None:
            files = [file for file in files if accept(file)]
        shortened = (_exact, _stem) if _stem(name) != name else (_exact,)
        for shorten in shortened if files else ():
            for spell in (_exact, _nfc, _casefolded):
                end = f"/{shorten(spell(name))}"
                paths = [(file, f"/{spell(file)}") for file in files]
                matches = [
                    file
                    for file, path in paths
                    if (shorten is _exact and path.endswith(end)) or _stem(path).endswith(end)
                ]
                if matches:
                    return matches
        return []

    def hint(self, name: str) -> str:
        """Say which photo may be meant by a name that means none, in a clause; nothing where none is near.

        Example:
            >>> PhotoNames(["0010.jpg"]).hint("10")
            "but '0010.jpg' is there; did a spreadsheet strip the zeros?"
        """
        keys, name = _keys(name), _nfc(name)
        for file in (file for key in keys for file in self._by_stripped_key.get(_strip_zeros(key), ())):
            if _keys(file).isdisjoint(keys):
                return f"but {file!r} is there; did a spreadsheet strip the zeros?"
            if "/" in name and not posixpath.isabs(name):
                return f"but {file!r} is there; write its path from the folder of photos"
        return ""

    @cached_property
    def _by_key(self) -> dict[str, list[str]]:
        by_key: dict[str, list[str]] = {}
        for file in self.files:
            by_key.setdefault(_key(_stem(file)), []).append(file)
        return by_key

    @cached_property
    def _by_stripped_key(self) -> dict[str, list[str]]:
        by_key: dict[str, list[str]] = {}
        for key, files in self._by_key.items():
            by_key.setdefault(_strip_zeros(key), []).extend(files)
        return by_key


def _keys(name: str) -> set[str]:
    """What a photo of this name is looked up by: a name without an ending may have a point in it."""
    return {_key(name), _key(_stem(name))}


def _key(path: str) -> str:
    path = _casefolded(path)
    return path[path.rfind("/") + 1 :].strip()


def _strip_zeros(key: str) -> str:
    return _LEADING_ZEROS.sub("", key)


def _stem(path: str) -> str:
    """A path without the ending of a picture; other endings belong to the name."""
    stem, suffix = posixpath.splitext(path)
    return stem if suffix.strip().lower() in PHOTO_SUFFIXES else path


def _exact(path: str) -> str:
    return path


def _nfc(path: str) -> str:
    path = path.replace("\\", "/")
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _casefolded(path: str) -> str:
    path = _SPACES_AROUND.sub("/", _nfc(path).strip())
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
