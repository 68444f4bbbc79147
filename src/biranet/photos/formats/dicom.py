"""Read the photograph in a DICOM file with pydicom, which the extra `[dicom]` brings.

What is decoded is what pydicom and Pillow decode: not compressed, JPEG, JPEG 2000 and RLE, of one frame
(`dicom_frame.py`). Values are scaled by the bits that are stored; rescale and window are not applied: they belong to
measured values and to a viewer, and a photograph is its values. Nothing of the header leaves this module.
"""

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.photos.colours import as_8_bits, strips
from biranet.photos.dicom_frame import JPEG, JPEG_2000, RLE, contradiction, settle_frame
from biranet.photos.kinds import INSTEAD
from biranet.photos.layout import check_layout

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.tag import BaseTag

_PLUGINS = dict.fromkeys((*JPEG, *JPEG_2000), "pillow") | {RLE: "pydicom"}
"""Compressed transfer syntaxes that are read, and by what; others, which may give other pixels, are not asked."""

_DEFLATED = "1.2.840.10008.1.2.1.99"

_TOMOGRAPHY = ("OPT", "OCT")
_PHOTOGRAPHY = ("OP", "XC", "OT", "GM", "ES", "SC", "")
"""Modalities of photographs, taken with a fundus camera, another camera or another instrument, or not said."""

_PIXEL_DATA = 0x7FE00010

_MOST_ITEMS, _MOST_READS = 20_000, 30_000
_NO_PHOTOGRAPH = "is a DICOM file without a photograph"
_COUNTLESS = "is a DICOM file of countless parts, which no camera writes"
"""A header has some hundred elements, each of three reads."""

_TOO_LONG = re.compile(r"RLE segment .* (\d+) vs\. (\d+) bytes")


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM: by its mark, or, without one, by a first element of group 2 or 8."""
    if data[128:132] == b"DICM":
        return True
    # Group, element below 0x100, then a VR of two capitals or the upper half of a short length.
    return data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0" and (data[4:6].isalpha() or data[6:8] == b"\0\0")


def decode_dicom(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode the frame of a DICOM file.

    Args:
        data: The file.

    Returns:
        RGB pixels (H, W, 3), uint8.

    Raises:
        PhotoError: If pydicom is missing, the file holds no photograph, or one that is not read or not whole.
        Exception: What pydicom raises for a damaged file.
    """
    try:
        import pydicom  # noqa: F401  (late, because it takes longer to import than a photo to read)
    except ImportError:
        raise PhotoError("unreadable", 'is a DICOM file; to read it: pip install "biranet[dicom]"') from None
    with quiet():
        dataset = _open(data)
        _check_photograph(dataset)
        settle_frame(dataset)
        return _as_rgb(_decode_frame(dataset), dataset)


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
    if max(data.count(item) for item in (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")) > _MOST_ITEMS:
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
        self.reads_left = _MOST_READS + len(data) // 1000

    def read(self, size: int | None = -1) -> bytes:
        """Read, as often as is allowed."""
        self.reads_left -= 1
        if self.reads_left < 0:
            raise PhotoError("unreadable", _COUNTLESS)
        return super().read(size)


def _open(data: bytes) -> "Dataset":
    from pydicom import uid
    from pydicom.dataset import FileMetaDataset

    dataset = open_dicom(data, pixels=True)
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # A file without its head: how it was written tells the syntax, and what is compressed always has a head.
        implicit, little = dataset.original_encoding
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little
            else uid.ExplicitVRBigEndian
        )
    return dataset


def _check_photograph(dataset: "Dataset") -> None:
    modality = str(dataset.get("Modality") or "")
    if modality in _TOMOGRAPHY:
        raise PhotoError("unreadable", "is an OCT scan in a DICOM file, not a photograph")
    if modality not in _PHOTOGRAPHY:
        raise PhotoError("unreadable", "is a DICOM file of another modality than photography (OP, XC, OT)")
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        raise PhotoError("unreadable", _NO_PHOTOGRAPH)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or (syntax.is_compressed and syntax not in _PLUGINS):
        name = syntax.name if syntax.is_transfer_syntax else "a syntax of its own"
        raise PhotoError("unreadable", f"is a DICOM file compressed as {name}, which is not read; {INSTEAD}")
    if dataset.get("PixelRepresentation") == 1:
        raise PhotoError("unreadable", "is a DICOM file with signed values, which no photograph has")


def _decode_frame(dataset: "Dataset") -> npt.NDArray[Any]:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        values: npt.NDArray[Any]
        values, _ = get_decoder(syntax).as_array(dataset, index=0, raw=True, decoding_plugin=_PLUGINS.get(syntax, ""))
    for warning in heard:
        # Only so does pydicom tell that a frame has more pixels than its header says, and not only some bytes to fill.
        found = _TOO_LONG.search(str(warning.message))
        if found and int(found[1]) >= int(found[2]) + dataset.Columns:
            raise contradiction(f"{int(found[2]):,} pixels", f"{int(found[1]):,} are there")
    if not syntax.is_compressed or syntax == RLE:
        check_layout(values, planar=not syntax.is_compressed and dataset.get("PlanarConfiguration") == 1)
    return values


def _as_rgb(values: npt.NDArray[Any], dataset: "Dataset") -> npt.NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut, convert_color_space

    colours = dataset.PhotometricInterpretation
    if colours == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        # Tables of 16 bits are called such of 8.
        bits = 16 if values.max() > 255 else dataset.RedPaletteColorLookupTableDescriptor[2]
    else:
        bits = dataset.BitsStored
    shift = 0 if colours == "PALETTE COLOR" else max(0, dataset.HighBit + 1 - bits)

    def scaled(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if colours.startswith("YBR_FULL"):
            part = convert_color_space(part, "YBR_FULL", "RGB")
        part = (part >> shift) & (2**bits - 1)
        return part if bits == 16 else np.rint(part * (255 / (2**bits - 1))).astype(np.uint8)

    parts = [scaled(values[rows]) for rows in strips(len(values), values[0].size)]
    del values
    joined = np.concatenate(parts)
    # Cameras that store 12 bits and say 16 are found out by the largest value, as in other files.
    pixels = as_8_bits(joined) if bits == 16 else joined
    if colours == "MONOCHROME1":
        pixels = 255 - pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
