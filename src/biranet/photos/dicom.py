"""Read the photograph in a DICOM file with pydicom, which the extra `[dicom]` brings.

What is decoded is what pydicom and Pillow decode: not compressed, JPEG, JPEG 2000 and RLE. Of several frames the first
is taken. Values are scaled by the bits that are stored; rescale and window are not applied: they belong to measured
values and to a viewer, and a photograph is its values. Nothing of the header leaves this module.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.photos.colours import as_8_bits
from biranet.photos.cut_short import share_in_words
from biranet.photos.jpeg import check_jpeg
from biranet.photos.limits import check_pixels

if TYPE_CHECKING:
    from pydicom import Dataset

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_PLUGINS = dict.fromkeys((*_JPEG, *_JPEG_2000), "pillow") | {"1.2.840.10008.1.2.5": "pydicom"}
"""Compressed transfer syntaxes that are read, and by what; others, which may give other pixels, are not asked."""

_DEFLATED = "1.2.840.10008.1.2.1.99"

_TOMOGRAPHY = ("OPT", "OCT")
_PHOTOGRAPHY = ("OP", "XC", "OT", "GM", "ES", "SC", "")
"""Modalities of photographs, taken with a fundus camera, another camera or another instrument, or not said."""

_INSTEAD = "export it as JPEG, PNG or TIFF"


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM: by its mark, or, without one, by a first element of group 2 or 8."""
    if data[128:132] == b"DICM":
        return True
    # Group, element below 0x100, then a VR of two capitals or the upper half of a short length.
    return data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0" and (data[4:6].isalpha() or data[6:8] == b"\0\0")


def decode_dicom(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode the first frame of a DICOM file.

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
        values = _decode_frame(dataset)
        return _as_rgb(values, dataset)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's log, which may quote the header, from the user's handlers."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def refuse_deflated(data: bytes) -> None:
    """Refuse a DICOM file that pydicom would unpack as a whole, to any size, before anything can be looked at.

    Raises:
        PhotoError: If it is one.
    """
    from pydicom.filereader import read_dataset, read_preamble

    file = io.BytesIO(data)
    read_preamble(file, force=True)
    head = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2)
    if head.get("TransferSyntaxUID") == _DEFLATED:
        raise PhotoError(
            "unreadable", f"is a DICOM file compressed as a whole (Deflated), which is not read; {_INSTEAD}"
        )


def _open(data: bytes) -> "Dataset":
    from pydicom import dcmread, uid
    from pydicom.dataset import FileMetaDataset

    refuse_deflated(data)
    dataset = dcmread(io.BytesIO(data), force=True)
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
        raise PhotoError("unreadable", "is a DICOM file without a photograph")
    check_pixels(dataset.Columns, dataset.Rows, len(dataset.PixelData))
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or (syntax.is_compressed and syntax not in _PLUGINS):
        name = syntax.name if syntax.is_transfer_syntax else "a syntax of its own"
        raise PhotoError("unreadable", f"is a DICOM file compressed as {name}, which is not read; {_INSTEAD}")
    bits = dataset.BitsStored
    if (syntax in _JPEG and bits > 8) or (syntax in _JPEG_2000 and bits > 8 and dataset.SamplesPerPixel > 1):
        raise PhotoError("unreadable", f"is a DICOM file compressed with {bits} bits a colour; {_INSTEAD}")
    if dataset.get("PixelRepresentation") == 1:
        raise PhotoError("unreadable", "is a DICOM file with signed values, which no photograph has")


def _decode_frame(dataset: "Dataset") -> npt.NDArray[Any]:
    from pydicom.encaps import get_frame
    from pydicom.pixels.utils import get_expected_length, pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _JPEG:
        # Pillow, which decodes for pydicom, does not notice damage.
        check_jpeg(get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
    elif not syntax.is_compressed:
        wanted_bytes = get_expected_length(dataset) // int(dataset.get("NumberOfFrames") or 1)
        if len(dataset.PixelData) < wanted_bytes:
            raise PhotoError("unreadable", share_in_words(len(dataset.PixelData) / wanted_bytes))
    return pixel_array(dataset, index=0, decoding_plugin=_PLUGINS.get(syntax, ""))


def _as_rgb(values: npt.NDArray[Any], dataset: "Dataset") -> npt.NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut

    colours = dataset.PhotometricInterpretation
    if colours == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = dataset.RedPaletteColorLookupTableDescriptor[2]
    else:
        bits = dataset.BitsStored
        values = (values >> max(0, dataset.HighBit + 1 - bits)) & (2**bits - 1)
    # Cameras that store 12 bits and say 16 are found out by the largest value, as in other files.
    pixels = as_8_bits(values) if bits == 16 else np.rint(values * (255 / (2**bits - 1))).astype(np.uint8)
    if colours == "MONOCHROME1":
        pixels = 255 - pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
