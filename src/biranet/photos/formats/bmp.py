"""BMP: rows of pixels, mostly not compressed and from the bottom up."""

import struct
from functools import partial

from PIL import Image

from biranet.photos.formats.format import Format, ScaledPhoto, begins_with
from biranet.photos.formats.pillow import decode_picture, picture_fields, raw_row_direction
from biranet.photos.formats.refusals import surplus_rows

_EMPTY = b"\0 \t\r\n"


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    return decode_picture(data, "BMP", check=_check_length, row_direction=_row_direction)


def _row_direction(picture: Image.Image) -> int:
    upwards = raw_row_direction(picture) and picture.tile[0].args[2] == -1  # type: ignore[attr-defined]
    return -1 if upwards else raw_row_direction(picture)


def _check_length(picture: Image.Image, data: bytes) -> None:
    """Compare how much a BMP that is not packed holds with what its header announces.

    Args:
        picture: The file, opened and not loaded by Pillow, which refuses what holds less.
        data: The file.

    Raises:
        PhotoError: If it holds more.
    """
    codec, _, offset, args = picture.tile[0]  # type: ignore[attr-defined]
    if codec != "raw":
        return
    end = offset + args[1] * picture.height
    head: int = struct.unpack_from("<I", data, 14)[0]
    if head >= 124:  # A colour profile may stand behind the pixels.
        profile, profile_bytes = struct.unpack_from("<II", data, 14 + 112)
        if 14 + profile >= end and not data[end : 14 + profile].strip(_EMPTY):
            end = 14 + profile + profile_bytes
    if data[end:].strip(_EMPTY):
        raise surplus_rows()


def _readable_share(data: bytes) -> float | None:
    offset, _, width_px, height_px, _, bits, packed = struct.unpack("<IIiiHHI", data[10:34])
    row_bytes = 4 * -(-width_px * bits // 32)
    return (len(data) - offset) / (row_bytes * abs(height_px)) if packed in (0, 3) else None


BMP = Format(
    "BMP", ("bmp", "dib"), begins_with(rb"BM.{4}\0{4}"), _decode, partial(picture_fields, name="BMP"), _readable_share
)
