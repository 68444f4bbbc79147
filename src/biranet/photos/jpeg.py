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
from biranet.photos.cut_short import jpeg_stops_early, why_not_whole

_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's mode of a JPEG, and what simplejpeg calls it."""

_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC|\d+ extraneous bytes before marker 0x(?:e|fe|db|c0|c2))"
    r"|Premature end|Inconsistent progression"
)
"""How libjpeg's words begin where pixels are lost. Colour profile and head are none of them."""

_SCAN_LIMIT = 200
"""A progressive JPEG has about ten scans. Each costs a pass over the picture, and a hostile file can hold millions."""


def decode_jpeg(data: bytes, picture: Image.Image, least_px: int | None) -> npt.NDArray[np.uint8]:
    """Decode a JPEG as it lies, at 1, 1/2, 1/4 or 1/8.

    Args:
        data: The file.
        picture: The same file, opened and not loaded by Pillow.
        least_px: What the shorter side must at least measure; None for full scale.

    Returns:
        RGB pixels (h, w, 3), uint8; of the scales at which the shorter side is large enough, the smallest.

    Raises:
        PhotoError: If the file is cut short or its data damaged.
        Exception: What Pillow raises for a file that it cannot decode either.
    """
    if "progressive" in picture.info and data.count(b"\xff\xda") > _SCAN_LIMIT:
        raise PhotoError("unreadable", f"is a JPEG with more than {_SCAN_LIMIT} scans, which no camera writes")
    shorter_px = min(picture.size)
    scale = 1 if least_px is None else next((s for s in (8, 4, 2) if shorter_px // s >= least_px), 1)
    width_px, height_px = (0, 0) if scale == 1 else (-(-side_px // scale) for side_px in picture.size)
    try:
        pixels = simplejpeg.decode_jpeg(data, _COLOURS[picture.mode], min_height=height_px, min_width=width_px)
    except ValueError as error:
        _check_damage(data, str(error))
        # Odd, but not known to be damaged: Pillow takes what simplejpeg is too strict for.
        picture.draft(None, (picture.width // scale, picture.height // scale))
        return as_rgb(picture)
    if picture.mode == "L":
        return np.repeat(pixels, 3, axis=2)
    if picture.mode == "CMYK":
        # As all programs do that know only Adobe's CMYK files, in which 0 is full ink.
        return as_rgb(Image.fromarray(255 - pixels, "CMYK"))
    return np.asarray(pixels, np.uint8)


def check_jpeg(data: bytes) -> None:
    """Notice damage in a JPEG that something else decodes.

    Raises:
        PhotoError: If the file is cut short or its data damaged.
    """
    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        _check_damage(data, str(error))


def _check_damage(data: bytes, words: str) -> None:
    if jpeg_stops_early(data):
        raise PhotoError("unreadable", why_not_whole(data, "JPEG")) from None
    if _DAMAGE.match(words):
        raise PhotoError("unreadable", "is damaged: some of its data cannot be decoded") from None
