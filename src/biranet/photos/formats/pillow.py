"""Decode with Pillow what is checked before, and read the fields that it finds: for most formats."""

import ctypes
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from biranet.photos.formats.colors import check_picture, decode_high_bit_depth, has_high_bit_depth, to_rgb
from biranet.photos.formats.format import HeaderField, ScaledPhoto
from biranet.photos.formats.header_blocks import as_text, exif_tags, xmp_fields
from biranet.photos.formats.pixel_order import check_pixel_order

_TRANSPOSED = (5, 6, 7, 8)
"""The EXIF orientations in which width and height change places."""


def open_picture(data: bytes, name: str) -> Image.Image:
    """Open a picture with Pillow, as the format that it has, without decoding it.

    Args:
        data: The file.
        name: Pillow's name of the format.

    Raises:
        Exception: What Pillow raises for a damaged file.
    """
    if name == "TIFF":
        _silence_libtiff()
    return Image.open(io.BytesIO(data), formats=(name,))


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from writing about damage to the standard error; Pillow raises, and silences only its warnings."""
    with suppress(OSError, AttributeError):  # Where it is linked otherwise, it goes on writing.
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)  # type: ignore[attr-defined]


def decode_picture(
    data: bytes,
    name: str,
    *,
    page: int = 0,
    check: Callable[[Image.Image, bytes], object] | None = None,
    row_direction: Callable[[Image.Image], int] | None = None,
) -> ScaledPhoto:
    """Decode a picture at full scale.

    Args:
        data: The file.
        name: Pillow's name of its format.
        page: Which page of a TIFF.
        check: Raises where the opened picture, not yet loaded, and the file contradict each other.
        row_direction: Tells of such a picture how its rows lie in the file, as `raw_row_direction` does; not asked for
            formats that compress, whose decoders need no check of width and height.

    Raises:
        PhotoError: If the picture is too large, contradicts itself, or has a layout that is not read.
        Exception: What Pillow raises for a damaged file.
    """
    with open_picture(data, name) as picture:
        picture.seek(page)
        check_picture(picture, len(data))
        if check is not None:
            check(picture, data)
        high_bit_depth = has_high_bit_depth(picture)
        direction = row_direction(picture) if row_direction else 0
        # This shows that the file is whole. OpenCV keeps its depth, and both turn a TIFF upright themselves.
        picture.load()
        pixels = None if high_bit_depth else to_rgb(picture)
        orientation = exif_orientation(picture)
    if pixels is None:
        del picture
        pixels = decode_high_bit_depth(data, page)
    if direction:
        check_pixel_order(pixels[::direction])
    return apply_orientation(pixels, orientation)


def raw_row_direction(picture: Image.Image) -> int:
    """Tell how rows lie in a file: 1 where they are not compressed, from the top down, as in most formats; else 0."""
    return int(picture.tile[0].codec_name == "raw")  # type: ignore[attr-defined]


def exif_orientation(picture: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 where there is none."""
    # Unreadable EXIF says nothing about the pixels, which are whole: they are then taken as they lie.
    with suppress(Exception):
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def apply_orientation(
    pixels: npt.NDArray[np.uint8], orientation: int = 1, size_px: tuple[int, int] | None = None
) -> ScaledPhoto:
    """Turn a photo by its EXIF orientation.

    Args:
        pixels: RGB (h, w, 3), uint8, as it lies.
        orientation: From `exif_orientation`.
        size_px: Width and height at full scale, as it lies; that of the pixels when not given.
    """
    width_px, height_px = size_px or (pixels.shape[1], pixels.shape[0])
    if orientation in _TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
        width_px, height_px = height_px, width_px
    down, across = (-1 if orientation in turned else 1 for turned in ((3, 4, 7, 8), (2, 3, 6, 7)))
    photo = ScaledPhoto(np.ascontiguousarray(pixels[::down, ::across]), width_px, height_px)
    # The last pixels as they lie, which perhaps stand for fewer of the photo, are now the first.
    height, width = (photo.scale * side for side in pixels.shape[:2])
    return replace(photo, left_px=min(0, across * (width - width_px)), top_px=min(0, down * (height - height_px)))


def picture_fields(data: bytes, name: str, check: Callable[[bytes], object] | None = None) -> Iterator[HeaderField]:
    """Go through the fields of a picture as Pillow finds them: comment, XMP and EXIF.

    Args:
        data: The file.
        name: Pillow's name of its format.
        check: Refuses a file of countless parts, which Pillow would all read.
    """
    if check is not None:
        check(data)
    with open_picture(data, name) as picture:
        yield from info_fields(picture)
        yield from exif_tags(picture.getexif(), "EXIF", ExifTags.TAGS)


def info_fields(picture: Image.Image) -> Iterator[HeaderField]:
    """Go through what Pillow keeps beside an opened picture: its comment and its XMP."""
    if comment := picture.info.get("comment"):
        yield "comment", "", as_text(comment) if isinstance(comment, bytes) else str(comment)
    if isinstance(xmp := picture.info.get("xmp"), bytes):
        yield from xmp_fields(xmp)
