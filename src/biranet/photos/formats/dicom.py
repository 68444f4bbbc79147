"""DICOM: the photograph in a file, by pydicom, which the extra `[dicom]` brings.

What is decoded is what pydicom and Pillow decode: not compressed, JPEG, JPEG 2000 and RLE, of one frame
(`dicom_frame.py`). Values are scaled by the bits that are stored; rescale and window are not applied: they belong to
measured values and to a viewer, and a photograph is its values. Nothing of the header leaves this module.
"""

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.extras import install_command
from biranet.photos.formats.colors import strips, to_8_bits
from biranet.photos.formats.dicom_file import DicomFile, is_dicom, silence_pydicom
from biranet.photos.formats.dicom_frame import JPEG_2000_SYNTAXES, JPEG_SYNTAXES, RLE, header_mismatch, reconcile_frame
from biranet.photos.formats.dicom_header import header_fields
from biranet.photos.formats.format import Format, ScaledPhoto
from biranet.photos.formats.pillow import apply_orientation
from biranet.photos.formats.pixel_order import check_pixel_order
from biranet.photos.formats.unsupported import EXPORT_ADVICE

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset

_PLUGINS = dict.fromkeys((*JPEG_SYNTAXES, *JPEG_2000_SYNTAXES), "pillow") | {RLE: "pydicom"}
"""Compressed transfer syntaxes that are read, and by what; others, which may give other pixels, are not asked."""

_TOMOGRAPHY = ("OPT", "OCT")
_PHOTOGRAPHY = ("OP", "XC", "OT", "GM", "ES", "SC", "")
"""Modalities of photographs, taken with a fundus camera, another camera or another instrument, or not said."""

_NO_PHOTOGRAPH = "is a DICOM file without a photograph"

_SURPLUS_BYTES = re.compile(r"RLE segment .* (\d+) vs\. (\d+) bytes")


def _decode(file: DicomFile, min_side_px: int | None) -> ScaledPhoto:
    """Decode the one frame of a file.

    Raises:
        PhotoError: If pydicom is missing, the file holds no photograph, or one that is not read or not whole.
        Exception: What pydicom raises for a damaged file.
    """
    try:
        import pydicom  # noqa: F401  (late, because it takes longer to import than a photo to read)
    except ImportError:
        raise PhotoError("unreadable", f"is a DICOM file; to read it: {install_command('dicom')}") from None
    with silence_pydicom():
        dataset = _with_syntax(file.dataset())
        _check_photograph(dataset)
        reconcile_frame(dataset)
        return apply_orientation(_as_rgb(_decode_frame(dataset), dataset))


def _with_syntax(dataset: "FileDataset") -> "FileDataset":
    """Name the transfer syntax of a file that does not."""
    from pydicom import uid
    from pydicom.dataset import FileMetaDataset

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
        raise PhotoError("unreadable", f"is a DICOM file compressed as {name}, which is not read; {EXPORT_ADVICE}")
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
        too_long = _SURPLUS_BYTES.search(str(warning.message))
        if too_long and int(too_long[1]) >= int(too_long[2]) + dataset.Columns:
            raise header_mismatch(f"{int(too_long[2]):,} pixels", f"{int(too_long[1]):,} are there")
    if not syntax.is_compressed or syntax == RLE:
        check_pixel_order(values, planar=not syntax.is_compressed and dataset.get("PlanarConfiguration") == 1)
    return values


def _as_rgb(values: npt.NDArray[Any], dataset: "Dataset") -> npt.NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut, convert_color_space

    colors = dataset.PhotometricInterpretation
    if colors == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        # Tables of 16 bits are called such of 8.
        bits = 16 if values.max() > 255 else dataset.RedPaletteColorLookupTableDescriptor[2]
    else:
        bits = dataset.BitsStored
    shift = 0 if colors == "PALETTE COLOR" else max(0, dataset.HighBit + 1 - bits)

    def scaled(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if colors.startswith("YBR_FULL"):
            part = convert_color_space(part, "YBR_FULL", "RGB")
        part = (part >> shift) & (2**bits - 1)
        return part if bits == 16 else np.rint(part * (255 / (2**bits - 1))).astype(np.uint8)

    parts = [scaled(values[rows]) for rows in strips(len(values), values[0].size)]
    del values
    joined = np.concatenate(parts)
    # Cameras that store 12 bits and say 16 are found out by the largest value, as in other files.
    pixels = to_8_bits(joined) if bits == 16 else joined
    if colors == "MONOCHROME1":
        pixels = 255 - pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


DICOM = Format("DICOM", ("dcm", "dicom"), is_dicom, _decode, header_fields, open=DicomFile)
