"""What every format does, one module a format: recognise a file, decode it, and read the fields of its header."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biranet.photos.formats.refusals import describe_damage

HeaderField = tuple[str, str, str | bytes]
"""A field of a header: its place, such as EXIF; its name; what stands in it, as bytes where its layout is not known."""


@dataclass(frozen=True)
class ScaledPhoto:
    """A photo, perhaps decoded at a smaller scale.

    Attributes:
        pixels: Upright RGB (h, w, 3), uint8.
        width_px: Width of the upright photo at full scale.
        height_px: Height of the upright photo at full scale.
        left_px: Where the first column of the pixels begins at full scale: below 0 where the last one as it lies in the
            file, which stands for fewer of the photo, has become the first.
        top_px: The same of their first row.
    """

    pixels: npt.NDArray[np.uint8]
    width_px: int
    height_px: int
    left_px: int = 0
    top_px: int = 0

    @property
    def scale(self) -> int:
        """How many of the photo's pixels a side a decoded one stands for: libjpeg shrinks by whole factors."""
        width: int = self.pixels.shape[1]
        return round(self.width_px / width)


def begins_with(pattern: bytes) -> Callable[[bytes], bool]:
    """Make the test of whether a file begins with a pattern, in which a point stands for any byte."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda data: compiled.match(data) is not None


def _unknown_share(data: bytes) -> float | None:
    return None


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: Pillow's name of it, or DICOM.
        suffixes: Endings of its files, in lower case, without the point.
        matches: Tells from the content whether a file has this format.
        decode: Decodes an opened file; the shorter side of the result must measure so many pixels at least, None for
            full scale. Raises `PhotoError`, or whatever its decoder raises for a damaged file.
        header_fields: Goes through the fields of an opened file's header that hold words; raises anything for a damaged
            one.
        readable_share: Tells of a file that could not be decoded how much of it can be read, from 0 to 1, or None.
        share_of: What that is a share of: the picture or the file.
        open: Makes of the bytes of a file what `decode` and `header_fields` take, once for both: the bytes themselves,
            unless the header takes parsing.
    """

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    decode: Callable[[Any, int | None], ScaledPhoto]
    header_fields: Callable[[Any], Iterator[HeaderField]]
    readable_share: Callable[[bytes], float | None] = _unknown_share
    share_of: str = "picture"
    open: Callable[[bytes], Any] = bytes

    def describe_damage(self, data: bytes) -> str:
        """Say why a file that could not be decoded is not whole, with the share that can be read where it is known."""
        share = None
        with suppress(Exception):  # A damaged file makes parsers raise anything; then the share is not known.
            share = self.readable_share(data)
        return describe_damage(share, self.share_of)
