"""Open a DICOM file with pydicom, quietly, and never further than a camera's file goes."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from biranet.errors import PhotoError
from biranet.photos.formats.unread import INSTEAD

if TYPE_CHECKING:
    from pydicom import FileDataset
    from pydicom.tag import BaseTag

_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXEL_DATA = 0x7FE00010

_MAX_ITEMS, _MAX_READS = 20_000, 30_000
"""A header has some hundred elements, each of three reads."""
_COUNTLESS = "is a DICOM file of countless parts, which no camera writes"


def has_mark(data: bytes) -> bool:
    """Tell whether a file has the mark of DICOM, which some are without."""
    return data[128:132] == b"DICM"


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM: by its mark, or, without one, by a first element of group 2 or 8."""
    if has_mark(data):
        return True
    # Group, element below 0x100, then a VR of two capitals or the upper half of a short length.
    return data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0" and (data[4:6].isalpha() or data[6:8] == b"\0\0")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's log, which may quote the header, from the user's handlers."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def open_dicom(data: bytes, *, pixels: bool) -> "FileDataset":
    """Open a DICOM file, with or without a preamble, as far as its pixels.

    Args:
        data: The file.
        pixels: Read them too.

    Returns:
        The file; its values are made only when they are asked for.

    Raises:
        PhotoError: If pydicom would unpack the file as a whole, to any size, before anything can be looked at, or if
            it has countless elements.
        Exception: What pydicom raises for a damaged file.
    """
    from pydicom.filereader import read_dataset, read_partial, read_preamble

    # Items of sequences and pieces of frames, in both orders of bytes.
    if max(data.count(item) for item in (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")) > _MAX_ITEMS:
        raise PhotoError("unreadable", _COUNTLESS)
    file = _Counted(data)
    read_preamble(file, force=True)
    head = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: bool(tag.group != 2)
    )
    if head.get("TransferSyntaxUID") == _DEFLATED:
        raise PhotoError(
            "unreadable", f"is a DICOM file compressed as a whole (Deflated), which is not read; {INSTEAD}"
        )
    passed = False

    def ends(tag: "BaseTag", *_: object) -> bool:
        # What stands behind the pixels is not looked at.
        nonlocal passed
        before, passed = passed, passed or tag == _PIXEL_DATA
        return before if pixels else passed

    return read_partial(_Counted(data), stop_when=ends, force=True)


class _Counted(io.BytesIO):
    """A file that pydicom reads element by element, until it is too many, wherever they are nested."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        # Long values are read in pieces.
        self.reads_left = _MAX_READS + len(data) // 1000

    def read(self, size: int | None = -1) -> bytes:
        """Read, as often as is allowed."""
        self.reads_left -= 1
        if self.reads_left < 0:
            raise PhotoError("unreadable", _COUNTLESS)
        return super().read(size)
