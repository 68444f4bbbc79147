"""What a DICOM file holds, against what its header says. Where the frame itself knows, the header is corrected by it.

A frame as JPEG or JPEG 2000 knows its coding, size, depth and how many colours it has. Pixels that are not compressed
know their length, and whether their lines fit together (`pixel_order.py`).
"""

import io
import struct
from typing import TYPE_CHECKING

from biranet.errors import PhotoError
from biranet.photos.formats.jpeg import JPEG, check_jpeg, complete_jpeg
from biranet.photos.formats.jpeg2000 import JPEG2000, check_codestream, codestream_size
from biranet.photos.formats.limits import check_memory, check_pixels
from biranet.photos.formats.refusals import check_single, truncated
from biranet.photos.formats.unsupported import EXPORT_ADVICE
from biranet.words import counted

if TYPE_CHECKING:
    from pydicom import Dataset

JPEG_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
JPEG_2000_SYNTAXES = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
RLE = "1.2.840.10008.1.2.5"
_SYNTAXES = {JPEG.name: JPEG_SYNTAXES, JPEG2000.name: JPEG_2000_SYNTAXES}
"""Transfer syntaxes by the coding of the frame; the last one of each holds any such frame."""

_COLORS = {"RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1}
_CODED_COLORS = {"YBR_ICT": 3, "YBR_RCT": 3}
"""Kinds of colours that are read, and samples of each; the second only where a frame is JPEG 2000."""

_PAD_BYTES = 3
"""Bytes that may stand behind the pixels: one makes the length even, some programs fill up to four."""

_COPIES_IN_MEMORY = {"JPEG": 3, "JPEG2000": 6, "RLE": 3, "": 3}
"""How often a sample is held at once, by coding, as measured; besides, 4 bytes a pixel, 12 more through a palette."""


def reconcile_frame(dataset: "Dataset") -> None:
    """Correct the header by what the one frame holds, or refuse the file.

    Args:
        dataset: The file; its header is corrected, and a compressed frame stands alone and whole in it afterwards.

    Raises:
        PhotoError: If there are several frames, header and frame contradict each other, the frame is cut short or is
            not read.
        Exception: What pydicom raises for a damaged file.
    """
    check_pixels(dataset.Columns, dataset.Rows, len(dataset.PixelData))
    frames = int(dataset.get("NumberOfFrames") or 1)
    if dataset.file_meta.TransferSyntaxUID.is_compressed or dataset["PixelData"].is_undefined_length:
        kind = _reconcile_compressed(dataset, frames)
    else:
        kind = ""
        _check_length(dataset, frames)
    colors = str(dataset.PhotometricInterpretation)
    samples = (_COLORS | (_CODED_COLORS if kind == "JPEG2000" else {})).get(colors)
    if samples is None:
        raise PhotoError("unreadable", f"is a DICOM file with colours of a kind that is not read; {EXPORT_ADVICE}")
    if samples != dataset.SamplesPerPixel:
        raise header_mismatch(f"{samples} values a pixel by its colours", f"{dataset.SamplesPerPixel} by their number")
    pixel_bytes = samples * _COPIES_IN_MEMORY[kind] * -(-dataset.BitsAllocated // 8) + (
        16 if "PALETTE" in colors else 4
    )
    check_memory(dataset.Rows * dataset.Columns * pixel_bytes + (4 if kind else 2) * len(dataset.PixelData))


def _check_length(dataset: "Dataset", frames: int) -> None:
    samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else dataset.SamplesPerPixel
    frame_bytes = -(-dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated // 8)
    actual_bytes, announced_bytes = len(dataset.PixelData), frame_bytes * frames
    if actual_bytes < announced_bytes and frames == 1:
        raise truncated(actual_bytes / announced_bytes)
    if actual_bytes < announced_bytes or actual_bytes > announced_bytes + _PAD_BYTES:
        announced = f"{frames} frames" if frames > 1 else f"{dataset.Columns} x {dataset.Rows} pixels"
        raise header_mismatch(f"{announced}, {announced_bytes:,} bytes", f"{actual_bytes:,} bytes are there")
    check_single(frames)


def _reconcile_compressed(dataset: "Dataset", announced: int) -> str:
    """Correct the header by a compressed frame, and return its coding."""
    from pydicom import uid
    from pydicom.encaps import encapsulate, generate_fragments, parse_basic_offsets

    buffer = io.BytesIO(dataset.PixelData)
    offsets = parse_basic_offsets(buffer)
    fragments = list(generate_fragments(buffer))
    coding = next((each for each in (JPEG, JPEG2000) if fragments and each.matches(fragments[0])), None)
    kind = coding.name if coding else "RLE"
    starts = sum(coding.matches(fragment) for fragment in fragments) if coding else len(fragments)
    frames = max(starts, len(offsets))
    if frames != announced:
        raise header_mismatch(counted(announced, "frame"), f"{frames} are there")
    check_single(frames)
    if kind == "RLE" and dataset.file_meta.TransferSyntaxUID != RLE:
        raise header_mismatch("that it is compressed", "how its frame is, is not known")
    frame = b"".join(fragments)
    if kind == "RLE":
        _check_rle(dataset, frame)
    else:
        if dataset.file_meta.TransferSyntaxUID not in _SYNTAXES[kind]:
            dataset.file_meta.TransferSyntaxUID = uid.UID(_SYNTAXES[kind][-1])
        frame = _reconcile_jpeg(dataset, frame) if coding is JPEG else _reconcile_jpeg_2000(dataset, frame)
        check_pixels(dataset.Columns, dataset.Rows, len(frame))
    dataset.PixelData = encapsulate([frame])
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    return kind


def _check_rle(dataset: "Dataset", frame: bytes) -> None:
    planes, announced = struct.unpack_from("<I", frame)[0], dataset.SamplesPerPixel * dataset.BitsAllocated // 8
    if planes != announced:
        raise header_mismatch(f"{announced} bytes a pixel", f"{planes} are there")


def _reconcile_jpeg(dataset: "Dataset", frame: bytes) -> bytes:
    jpeg = check_jpeg(frame)
    _correct_header(dataset, jpeg.width_px, jpeg.height_px, jpeg.components, jpeg.bits, exactly=True)
    if jpeg.components == 3 and jpeg.colors:
        dataset.PhotometricInterpretation = jpeg.colors
    return complete_jpeg(frame, jpeg)


def _reconcile_jpeg_2000(dataset: "Dataset", frame: bytes) -> bytes:
    check_codestream(frame)
    start = max(0, frame.find(b"\xff\x4f\xff\x51"))
    width_px, height_px, components, bits = codestream_size(frame, start)
    if bits > 8 and components > 1:
        raise PhotoError("unreadable", f"is a DICOM file compressed with {bits} bits a colour; {EXPORT_ADVICE}")
    _correct_header(dataset, width_px, height_px, components, bits)
    # The coding style says whether the colours were mixed before coding; decoders then give red, green and blue.
    style = frame.find(b"\xff\x52", start)
    if components == 3 and style >= 0 and frame[style + 8] == 1:
        dataset.PhotometricInterpretation = "YBR_ICT"
    return frame


def _correct_header(
    dataset: "Dataset", width_px: int, height_px: int, components: int, bits: int, *, exactly: bool = False
) -> None:
    """Set the header to what the frame says; `exactly` where no fewer bits than the frame's may be in use."""
    if components not in (1, 3):
        raise PhotoError("unreadable", f"is a DICOM file with {components} colours; {EXPORT_ADVICE}")
    dataset.Columns, dataset.Rows = width_px, height_px
    if exactly or dataset.BitsStored > bits or dataset.BitsAllocated < bits:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    if (_COLORS | _CODED_COLORS).get(str(dataset.PhotometricInterpretation)) != components:
        dataset.PhotometricInterpretation = "MONOCHROME2" if components == 1 else "RGB"
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = components, 0


def header_mismatch(announced: str, actual: str) -> PhotoError:
    """The error for a header that says one thing where the file holds another."""
    return PhotoError(
        "unreadable",
        f"is a DICOM file that contradicts itself: its header says {announced}, and {actual}; {EXPORT_ADVICE}",
    )
