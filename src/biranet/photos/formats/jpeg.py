"""Decode a JPEG at the scale that is needed, and notice when its data is damaged.

libjpeg fills what it cannot decode with grey and only murmurs, and Pillow and OpenCV do not pass the murmur on.
simplejpeg decodes with the same library to the same pixels and raises.
"""

import re

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.colours import as_rgb
from biranet.photos.cut_short import why_not_whole
from biranet.photos.kinds import not_read
from biranet.photos.segments import END, MOST_STRAY_BYTES, Jpeg, examine, segments

_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's mode of a JPEG, and what simplejpeg calls it."""

_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC|\d+ extraneous bytes before marker 0x(?:e|fe|db|c0|c2))"
    r"|Premature end|Inconsistent progression"
)
"""How libjpeg's words begin where pixels are lost. Colour profile and head are none of them."""

_SCAN_LIMIT = 200
"""A progressive JPEG has about ten scans. Each costs a pass over the picture, and a hostile file can hold millions."""


def decode_jpeg(data: bytes, found: Jpeg, picture: Image.Image, least_px: int | None) -> npt.NDArray[np.uint8]:
    """Decode a JPEG as it lies, at 1, 1/2, 1/4 or 1/8.

    Args:
        data: The file.
        found: What it is, from `examine_jpeg`.
        picture: The same file, opened and not loaded by Pillow.
        least_px: What the shorter side must at least measure; None for full scale.

    Returns:
        RGB pixels (h, w, 3), uint8; of the scales at which the shorter side is large enough, the smallest.

    Raises:
        PhotoError: If the file is cut short or its data damaged.
        Exception: What Pillow raises for a file that it cannot decode either.
    """
    shorter_px = min(picture.size)
    scale = 1 if least_px is None else next((s for s in (8, 4, 2) if shorter_px // s >= least_px), 1)
    width_px, height_px = (0, 0) if scale == 1 else (-(-side_px // scale) for side_px in picture.size)
    pixels = _decode(data, found, _COLOURS[picture.mode], height_px, width_px)
    if pixels is None:
        # Odd, but not known to be damaged: Pillow takes what simplejpeg is too strict for.
        picture.draft(None, (picture.width // scale, picture.height // scale))
        return as_rgb(picture)
    if picture.mode == "L":
        return np.repeat(pixels, 3, axis=2)
    if picture.mode == "CMYK":
        # As all programs do that know only Adobe's CMYK files, in which 0 is full ink.
        return as_rgb(Image.fromarray(255 - pixels, "CMYK"))
    return pixels


def examine_jpeg(data: bytes) -> Jpeg:
    """Look through a JPEG before anything opens it.

    Args:
        data: The file.

    Returns:
        What it is.

    Raises:
        PhotoError: If it is of a kind that is not read, or costs much more to read than it weighs.
        ValueError: If it has no frame header.
    """
    found = examine(data)
    if found is None:
        if any(segment.stray_bytes > MOST_STRAY_BYTES for segment in segments(data)):
            raise PhotoError("unreadable", "is a JPEG whose head is filled with bytes that belong to nothing")
        raise ValueError("no frame header")
    if found.foreign_kind:
        raise PhotoError("unreadable", not_read(found.foreign_kind))
    if found.progressive and found.scans > _SCAN_LIMIT:
        raise PhotoError("unreadable", f"is a JPEG with more than {_SCAN_LIMIT} scans, which no camera writes")
    return found


def whole_jpeg(data: bytes, found: Jpeg) -> bytes:
    """Check a JPEG that something else decodes, and give it an end mark where it lacks only that.

    Args:
        data: The file.
        found: What it is, from `examine_jpeg`.

    Returns:
        The file, with its end mark.

    Raises:
        PhotoError: If the file is cut short or its data damaged.
    """
    _decode(data, found, "GRAY", 1, 1)
    return _closed(data, found)


def _decode(data: bytes, found: Jpeg, colours: str, height_px: int, width_px: int) -> npt.NDArray[np.uint8] | None:
    """The pixels, at the smallest scale that gives this size; None where the decoder finds odd what is no damage."""
    if not found.complete and found.end is None:
        raise PhotoError("unreadable", why_not_whole(data, "JPEG"))
    try:
        pixels = simplejpeg.decode_jpeg(_closed(data, found), colours, min_height=height_px, min_width=width_px)
    except ValueError as error:
        if found.end is None:
            raise PhotoError("unreadable", why_not_whole(data, "JPEG")) from None
        if _DAMAGE.match(str(error)):
            raise PhotoError("unreadable", "is damaged: some of its data cannot be decoded") from None
        return None
    return np.asarray(pixels, np.uint8)


def _closed(data: bytes, found: Jpeg) -> bytes:
    # With an end mark, libjpeg tells of every pixel that is missing, and of nothing where only the mark was. Broken
    # downloads are filled up with zeros.
    return data if found.end is not None else data.rstrip(b"\0") + END
