"""Whether a file holds the pixels that its header announces, where decoders do not ask: no row is lost or invented."""

import struct
import zlib
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from biranet.errors import PhotoError
from biranet.photos.cut_short import share_in_words
from biranet.photos.kinds import open_picture
from biranet.photos.limits import PIXEL_LIMIT
from biranet.photos.segments import examine

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kinds of colour in a PNG, and how many samples a pixel of each has."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row, and the steps across and down."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_SAMPLES_A_PIXEL, _ROWS_A_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags of a TIFF; of strips and tiles where they start, and how long they are."""

_YCBCR, _JPEG = 6, 7
_PACKED = (5, 8, 32773, 32946, 50000)
"""Compressions of rows of bytes: LZW, deflate, PackBits, deflate by its old number, Zstandard."""

_HEAD_BYTES = 8
_UNPACKED_AT_ONCE, _PACKED_AT_ONCE = 1_000_000, 1 << 16
_EMPTY = b"\0 \t\r\n"


def check_png(data: bytes) -> None:
    """Unpack a PNG, little of it at a time, and compare how much it holds with what its header announces.

    Pillow leaves black what is missing, and never asks for what is left over.

    Args:
        data: The file, whose checksums were compared, and which a decoder takes.

    Raises:
        PhotoError: If it holds less or more.
    """
    width_px, height_px, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)

    def stored(columns: int, rows: int) -> int:
        return rows * (1 + -(-columns * depth * _SAMPLES[colour] // 8)) if columns and rows else 0

    needed = stored(width_px, height_px)
    if interlaced:
        needed = sum(
            stored(-(-(width_px - left) // across), -(-(height_px - top) // down))
            for left, top, across, down in _PASSES
        )
    held = _unpacked_bytes(data, needed + 1)
    if held is not None and held < needed:
        raise PhotoError("unreadable", share_in_words(held / needed))
    if held is not None and held > needed:
        raise _holds_more()


def _unpacked_bytes(data: bytes, most: int) -> int | None:
    """How many bytes a PNG unpacks to, about `most` at most; None where that cannot be told."""
    unpack, held, at = zlib.decompressobj(), 0, 8
    while at + 8 <= len(data) and held < most and not unpack.eof:
        length, name = struct.unpack_from(">I4s", data, at)
        for start in range(at + 8, at + 8 + length, _PACKED_AT_ONCE) if name == b"IDAT" else ():
            packed = data[start : min(start + _PACKED_AT_ONCE, at + 8 + length)]
            while packed and held < most:
                try:
                    held += len(unpack.decompress(packed, _UNPACKED_AT_ONCE))
                except zlib.error:  # A decoder took it: no more than the checksum at its end is wrong.
                    return None
                packed = unpack.unconsumed_tail
        at += 12 + length
    return held


def check_bmp(picture: Image.Image, data: bytes) -> None:
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
        raise _holds_more()


def check_tiff(picture: Image.Image, data: bytes) -> None:
    """Compare how much the strips or tiles of a TIFF hold with what its header announces.

    Pillow leaves black what is missing, and never asks for what is left over.

    Args:
        picture: The file, opened at the page of the photo and not loaded by Pillow.
        data: The file.

    Raises:
        PhotoError: If there is less or more.
    """
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    tiled = _TILE_WIDTH in tags
    starts, lengths = (tags.get(tag, ()) for tag in (_TILES if tiled else _STRIPS))
    width_px, height_px, samples = tags[_WIDTH], tags[_HEIGHT], tags.get(_SAMPLES_A_PIXEL, 1)
    across, down = width_px, max(1, min(tags.get(_ROWS_A_STRIP, height_px), height_px))
    if tiled:
        across, down = tags[_TILE_WIDTH], tags[_TILE_HEIGHT]
    planes = samples if tags.get(_PLANAR) == 2 else 1
    parts = -(-height_px // down)
    needed = planes * parts * -(-width_px // across)
    if len(starts) < needed:
        there = len(starts) / needed if tiled or planes > 1 else len(starts) * down / height_px
        raise PhotoError("unreadable", share_in_words(there))
    if len(starts) > needed:
        raise _holds_more()
    bits = set(tags.get(_BITS, (1,)))
    packed = tags.get(_COMPRESSION, 1)
    subsampled = packed != _JPEG and tags.get(_PHOTOMETRIC) == _YCBCR
    if tiled or subsampled or len(bits) > 1 or len(lengths) != needed or 0 in lengths:
        return
    row_bytes = -(-width_px * (samples // planes) * bits.pop() // 8)
    last_rows = height_px - (parts - 1) * down
    if packed == 1:
        held, announced = sum(lengths), row_bytes * height_px * planes
        if held < announced:
            raise PhotoError("unreadable", share_in_words(held / announced))
        more = lengths[-1] >= row_bytes * (last_rows + 1)
    else:
        strip = data[starts[-1] : starts[-1] + lengths[-1]]
        more = packed in _PACKED and _unpacks(strip, tags, row_bytes, last_rows + 1)
        found = examine(strip) if packed == _JPEG else None
        if found is not None and found.height_px < last_rows:
            raise PhotoError("unreadable", share_in_words(1 - (last_rows - found.height_px) / height_px))
        # Of several strips, the last is sometimes filled up to the height of the others.
        more = more or (found is not None and found.height_px > down)
    if more:
        raise _holds_more()


def _unpacks(strip: bytes, tags: Any, row_bytes: int, rows: int) -> bool:
    """Whether a strip of a TIFF holds so many rows, or more: libtiff tells, of a picture that is only this strip."""
    if row_bytes * rows > PIXEL_LIMIT:
        return False
    alone = ImageFileDirectory_v2()  # which counts from its own end where strips start
    for tag, value in (
        *((_WIDTH, row_bytes), (_HEIGHT, rows), (_BITS, 8), (_COMPRESSION, tags[_COMPRESSION]), (_PHOTOMETRIC, 1)),
        *((_STRIPS[0], 0), (_SAMPLES_A_PIXEL, 1), (_ROWS_A_STRIP, rows), (_STRIPS[1], len(strip))),
        (_FILL_ORDER, tags.get(_FILL_ORDER, 1)),
    ):
        alone[tag] = value
    head = struct.pack("<2sHI", b"II", 42, _HEAD_BYTES) + alone.tobytes(_HEAD_BYTES)
    try:
        with open_picture(head + strip, "TIFF") as picture:
            picture.load()
    except OSError:
        return False
    return True


def _holds_more() -> PhotoError:
    return PhotoError("unreadable", "contradicts itself: it holds more rows than its header says; export it anew")
