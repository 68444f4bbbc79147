"""Open a DICOM file with pydicom, quietly, and never further than a camera's file goes."""

import copy
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

from biranet.errors import PhotoError
from biranet.photos.formats.unsupported import EXPORT_ADVICE

if TYPE_CHECKING:
    from pydicom import FileDataset
    from pydicom.tag import BaseTag

_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXEL_DATA = 0x7FE00010

_MAX_ITEMS, _MAX_READS = 20_000, 30_000
"""A header has some hundred elements, each of three reads."""
_TOO_MANY_PARTS = "is a DICOM file of countless parts, which no camera writes"


def has_dicom_prefix(data: bytes) -> bool:
    """Tell whether a file has the mark of DICOM, which some are without."""
    return data[128:132] == b"DICM"


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM: by its mark, or, without one, by a first element of group 2 or 8."""
    if has_dicom_prefix(data):
        return True
    # Group, element below 0x100, then a VR of two capitals or the upper half of a short length.
    return data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0" and (data[4:6].isalpha() or data[6:8] == b"\0\0")


@contextmanager
def silence_pydicom() -> Iterator[None]:
    """Keep pydicom's log, which may quote the header, from the user's handlers."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


class DicomFile:
    """A DICOM file, with or without a preamble, parsed once for its header and its pixels.

    What it gives are copies: pydicom makes values of elements where they are asked for, and decoding corrects them.
    Values are quoted in warnings and in pydicom's log while they are made: ask for them inside of `silence_pydicom`.

    Attributes:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def _dataset(self) -> "FileDataset":
        return _parse(self.data, pixels=True)

    @cached_property
    def _header(self) -> "FileDataset":
        # A header counts even where the pixels behind it are damaged, or are missing.
        with suppress(Exception):
            if _PIXEL_DATA in self._dataset:
                return _copy(self._dataset, pixels=False)
        return _parse(self.data, pixels=False)

    def dataset(self) -> "FileDataset":
        """Copy the file, with its pixels.

        Raises:
            PhotoError: If pydicom would unpack the file as a whole, to any size, before anything can be looked at, or
                if it has countless elements.
            Exception: What pydicom raises for a damaged file.
        """
        return _copy(self._dataset)

    def header(self) -> "FileDataset":
        """Copy the header, which ends where the pixels begin; raises what `dataset` raises."""
        return _copy(self._header)


def _copy(dataset: "FileDataset", *, pixels: bool = True) -> "FileDataset":
    """Copy a file element by element, as they were parsed: their bytes are shared, and no value is made yet."""
    from pydicom.dataset import FileDataset

    elements = {tag: element for tag, element in dataset.items() if pixels or tag != _PIXEL_DATA}
    return FileDataset(io.BytesIO(), elements, None, copy.deepcopy(dataset.file_meta), *dataset.original_encoding)


def _parse(data: bytes, *, pixels: bool) -> "FileDataset":
    from pydicom.filereader import read_dataset, read_partial, read_preamble

    # Items of sequences and pieces of frames, in both orders of bytes.
    if max(data.count(item) for item in (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")) > _MAX_ITEMS:
        raise PhotoError("unreadable", _TOO_MANY_PARTS)
    file = _ReadLimited(data)
    read_preamble(file, force=True)
    head = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: bool(tag.group != 2)
    )
    if head.get("TransferSyntaxUID") == _DEFLATED:
        raise PhotoError(
            "unreadable", f"is a DICOM file compressed as a whole (Deflated), which is not read; {EXPORT_ADVICE}"
        )
    passed = False

    def ends(tag: "BaseTag", *_: object) -> bool:
        # What stands behind the pixels is not looked at.
        nonlocal passed
        before, passed = passed, passed or tag == _PIXEL_DATA
        return before if pixels else passed

    return read_partial(_ReadLimited(data), stop_when=ends, force=True)


class _ReadLimited(io.BytesIO):
    """A file that pydicom reads element by element, until it is too many, wherever they are nested."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        # Long values are read in pieces.
        self.reads_left = _MAX_READS + len(data) // 1000

    def read(self, size: int | None = -1) -> bytes:
        """Read, as often as is allowed."""
        self.reads_left -= 1
        if self.reads_left < 0:
            raise PhotoError("unreadable", _TOO_MANY_PARTS)
        return super().read(size)
