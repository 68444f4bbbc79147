"""Archives of arrays, `.npz`, from anyone: what they claim is looked at before anything is unpacked."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from biranet.files import open_regular


class ArraysError(Exception):
    """An archive of arrays is damaged or claims what no such archive has; the message is a clause without its name."""


class Arrays:
    """The arrays in an open archive."""

    def __init__(self, members: zipfile.ZipFile) -> None:
        self._members = members
        self.names = frozenset(name[:-4] for name in members.namelist() if name.endswith(".npy"))

    def head(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an array, which must be what the length of its member says.

        Raises:
            ArraysError: If it cannot be read, or shape and length contradict each other.
        """
        info = self._members.getinfo(f"{name}.npy")
        with _readable(name, info), self._members.open(info) as member:
            shape, _, dtype = _read_head(member)
            announced = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0:
                raise ArraysError(f"the array {name!r} is damaged; fetch the archive anew")
            if not dtype.hasobject and announced != info.file_size - member.tell():
                raise ArraysError(f"the array {name!r} announces {announced} bytes, not the {info.file_size} it takes")
        return shape, dtype

    def read(self, name: str, limit_bytes: int) -> npt.NDArray[Any]:
        """Read an array.

        Args:
            name: One of `names`.
            limit_bytes: How long it may be.

        Raises:
            ArraysError: If it is longer, or cannot be read.
        """
        _, dtype = self.head(name)
        if dtype.hasobject:
            raise ArraysError(f"the array {name!r} holds no numbers")
        info = self._members.getinfo(f"{name}.npy")
        if info.file_size > min(limit_bytes, max(_HARMLESS_BYTES, _MAX_PACKED * info.compress_size)):
            raise ArraysError(f"the array {name!r} claims {info.file_size} bytes in {info.compress_size}")
        with _readable(name, info), self._members.open(info) as member:
            return np.lib.format.read_array(member, allow_pickle=False)


_HARMLESS_BYTES = 4_000_000
_MAX_PACKED = 100
"""Photographs are packed to a half of their length, drawings to a tenth; a bomb to a thousandth."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1


@contextmanager
def open_arrays(archive: Path) -> Iterator[Arrays]:
    """Open an archive of arrays, a `.npz` file.

    Raises:
        PermissionError: If it must not be read.
        ArraysError: If it is missing, no regular file, or no archive.
    """
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open_regular(archive))
            arrays = Arrays(opened.enter_context(zipfile.ZipFile(file)))
        except PermissionError:
            raise
        except Exception as error:  # A damaged archive makes zipfile raise anything.
            raise ArraysError("it is damaged, or no archive of arrays; fetch it anew") from error
        yield arrays


@contextmanager
def _readable(name: str, info: zipfile.ZipInfo) -> Iterator[None]:
    if info.flag_bits & _ENCRYPTED:
        raise ArraysError(f"the array {name!r} is encrypted; unpack the archive and pack it without a password")
    if info.compress_type not in _METHODS:
        raise ArraysError(f"the array {name!r} is packed by a method that is not read; pack it anew with numpy")
    try:
        yield
    except ArraysError:
        raise
    except Exception as error:  # A damaged array makes zipfile and numpy raise anything.
        raise ArraysError(f"the array {name!r} is damaged; fetch the archive anew") from error


def _read_head(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    major, _ = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    return read(member)
