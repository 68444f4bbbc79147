"""Whether a file holds the pixels that its header announces, where decoders do not ask: no row is lost or invented."""

import struct
import zlib

from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.cut_short import share_in_words

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kinds of colour in a PNG, and how many samples a pixel of each has."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row, and the steps across and down."""

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


def check_raw(picture: Image.Image, data: bytes) -> None:
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
        if 14 + profile == end:
            end += profile_bytes
    if data[end:].strip(_EMPTY):
        raise _holds_more()


def _holds_more() -> PhotoError:
    return PhotoError("unreadable", "contradicts itself: it holds more rows than its header says; export it anew")
