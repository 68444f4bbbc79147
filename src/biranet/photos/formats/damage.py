"""How much of a picture file that stops early can be read; asked only once reading it has failed."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import simplejpeg
from PIL import Image

from biranet.photos.segments import examine

_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags of a TIFF: where its parts start, and how long they are."""


def why_not_whole(data: bytes, kind: str) -> str:
    """Say why a file that could not be decoded is not whole.

    Args:
        data: The file.
        kind: Pillow's name of its format.

    Returns:
        The reason, with the share that can be read, from the top or in the order of the file, where that can be known.
    """
    fraction = None
    with suppress(Exception):  # A damaged file makes decoders raise anything; then the share is not known.
        fraction = _SHARES[kind](data) if kind in _SHARES else None
    return share_in_words(fraction, "file" if kind == "WEBP" else "picture")


def share_in_words(fraction: float | None, whole: str = "picture") -> str:
    """Say how much can be read.

    Args:
        fraction: The share, 0 to 1; None where it is not known.
        whole: Of what: `picture` or `file`.

    Returns:
        The reason, for an error.

    Example:
        >>> share_in_words(0.637)
        'is cut short: the first 63 % of the picture can be read'
    """
    if fraction is None or not 0 <= fraction < 1:
        return "is damaged or cut short"
    # Rounded down: what is named is there.
    percent = int(100 * fraction)
    if percent == 0:
        return "is cut short: nothing of the picture can be read"
    return f"is cut short: the first {percent} % of the {whole} can be read"


def _of_jpeg(data: bytes) -> float | None:
    if (found := examine(data)) is None or found.end is not None:
        return None
    # At 1/8, because the size is only claimed. What a broken download filled with zeros is no part of the picture.
    pixels = simplejpeg.decode_jpeg(data.rstrip(b"\0"), "GRAY", min_height=1, min_width=1, strict=False)[:, :, 0]
    # libjpeg leaves what is missing at the middle of the range. Of a progressive file all may be there, but coarse.
    there = np.flatnonzero((pixels != 128).any(axis=1))
    return min(0.99, (int(there[-1]) + 1) / len(pixels)) if there.size else 0.0


def _of_png(data: bytes) -> float | None:
    width_px, height_px, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if interlaced or b"IEND" in data[-12:]:
        return None
    row_bytes = 1 + -(-width_px * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    unpack, unpacked_bytes, at = zlib.decompressobj(), 0, 8
    with suppress(zlib.error):
        # Little by little, up to the first byte that cannot be unpacked, and never more than the picture holds.
        while at + 8 < len(data) and unpacked_bytes < row_bytes * height_px:
            length, name = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + 8 + length] if name == b"IDAT" else b""
            for start in range(0, len(body), 256):
                unpacked_bytes += len(unpack.decompress(body[start : start + 256], 1_000_000))
            at += 12 + length
    return float(unpacked_bytes // row_bytes / height_px)


def _of_tiff(data: bytes) -> float | None:
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as picture:
        tags, raw = picture.tag_v2, picture.tile[0].codec_name == "raw"  # type: ignore[attr-defined]
    starts, lengths = (tags[name] for name in (_STRIPS if _STRIPS[0] in tags else _TILES))
    if len(starts) == 1:
        return float(len(data) - starts[0]) / lengths[0] if raw else None
    there = [start + length <= len(data) for start, length in zip(starts, lengths, strict=True)]
    return None if all(there) else there.index(False) / len(there)


def _of_bmp(data: bytes) -> float | None:
    offset, _, width_px, height_px, _, bits, packed = struct.unpack("<IIiiHHI", data[10:34])
    row_bytes = 4 * -(-width_px * bits // 32)
    return (len(data) - offset) / (row_bytes * abs(height_px)) if packed in (0, 3) else None


def _of_webp(data: bytes) -> float | None:
    file_bytes: int = struct.unpack("<I", data[4:8])[0] + 8
    return len(data) / file_bytes


_SHARES = {"JPEG": _of_jpeg, "MPO": _of_jpeg, "PNG": _of_png, "TIFF": _of_tiff, "BMP": _of_bmp, "WEBP": _of_webp}
