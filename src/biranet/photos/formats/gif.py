"""GIF: one picture, not a film of several."""

from functools import partial

from biranet.photos.formats.format import Format, ScaledPhoto, begins_with
from biranet.photos.formats.pillow import decode_picture, picture_fields
from biranet.photos.formats.refusals import MAX_FRAMES, MAX_PARTS, check_single, too_many_parts


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    check_single(_count_frames(data))
    return decode_picture(data, "GIF")


def _count_frames(data: bytes) -> int:
    """Count the pictures, up to a thousand and one.

    Raises:
        PhotoError: If there are countless parts, each of which costs as much to read as a picture.
    """
    count, blocks, at = 0, 0, 13 + _palette_bytes(data, 10)
    while at < len(data) and count <= MAX_FRAMES:
        block, blocks = data[at], blocks + 1
        if blocks > MAX_PARTS:
            raise too_many_parts("GIF")
        if block == 0x2C and at + 10 <= len(data):
            count += 1
            at += 11 + _palette_bytes(data, at + 9)
        elif block == 0x21:
            at += 2
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return count


def _palette_bytes(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return int(3 * 2 ** (1 + (flags & 7))) if flags & 0x80 else 0


GIF = Format("GIF", ("gif",), begins_with(rb"GIF8"), _decode, partial(picture_fields, name="GIF", check=_count_frames))
