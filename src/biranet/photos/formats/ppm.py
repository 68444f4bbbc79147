"""PPM, PGM and PBM: a few words of a header, and as many pixels as they say.

Pillow reads every sample of a file written as text, or with an uncommon maximum, by itself, at a second a megabyte:
what it gets is the same picture in bytes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.photos.formats.format import Format, HeaderField, ScaledPhoto, begins_with
from biranet.photos.formats.limits import check_pixels
from biranet.photos.formats.pillow import decode_picture, raw_row_direction
from biranet.photos.formats.refusals import MAX_FRAMES, check_single, truncated

_MAX_HEAD_BYTES = 4096
_MAX_TEXT_BYTES = 100_000_000
_START = re.compile(rb"\s*P([1-6])")
_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})")
_COMMENT = re.compile(rb"#[^\r\n]*")
_EMPTY = b"\0 \t\r\n"


@dataclass(frozen=True)
class _Header:
    """Of one picture: its kind, 1 to 6; what it says; where its pixels start."""

    kind: int
    width: int
    height: int
    maximum: int
    start: int

    @property
    def samples(self) -> int:
        return self.width * self.height * (3 if self.kind in (3, 6) else 1)

    @property
    def end(self) -> int:
        """Where the pixels end, where they are bytes."""
        if self.kind == 4:
            return self.start + -(-self.width // 8) * self.height
        return self.start + self.samples * (2 if self.maximum > 255 else 1)


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    return decode_picture(_to_binary(data), "PPM", row_direction=raw_row_direction)


def _no_fields(data: bytes) -> Iterator[HeaderField]:
    """None: the format has only comments, and Pillow reads its head byte by byte."""
    return iter(())


def _to_binary(data: bytes) -> bytes:
    """Hold what a file announces against its length, and make its samples bytes.

    Args:
        data: The file.

    Returns:
        A file with the same picture, mostly the very bytes: of bits; or of bytes with the maximum 255, grey ones of
        more than 8 bits with the maximum 65535.

    Raises:
        PhotoError: If it holds less or more than announced, or is too large.
        ValueError: If it has no header, or samples that are no numbers up to its maximum.
    """
    header = _header(data, 0)
    check_pixels(header.width, header.height, len(data))
    if header.kind <= 3:
        if len(data) > _MAX_TEXT_BYTES:
            raise PhotoError("unreadable", "is a PPM written as text, of more than 100 MB; save it as PNG")
        return _parse_text(data, header)
    count, end = 1, header.end
    if len(data) < end:
        raise truncated((len(data) - header.start) / max(1, end - header.start))
    while count <= MAX_FRAMES and _START.match(data, end):
        count, end = count + 1, _header(data, end).end
    check_single(count, "pictures")
    if data[end:].strip(_EMPTY):
        raise PhotoError(
            "unreadable", f"contradicts itself: its header announces {end:,} bytes, and there are {len(data):,}"
        )
    if header.kind == 4 or header.maximum == (65535 if header.maximum > 255 and header.kind == 5 else 255):
        return data
    samples = np.frombuffer(data, ">u2" if header.maximum > 255 else "u1", header.samples, header.start)
    return _encode_samples(samples, header)


def _header(data: bytes, at: int) -> _Header:
    start = _START.match(data, at)
    if start is None:
        raise ValueError("there is no header")
    kind, at, numbers = int(start[1]), start.end(), list[int]()
    while len(numbers) < (2 if kind in (1, 4) else 3):
        number = _NUMBER.match(data, at, start.start() + _MAX_HEAD_BYTES)
        if number is None:
            raise ValueError("the header ends nowhere")
        numbers.append(int(number[1]))
        at = number.end()
    width, height, maximum = (*numbers, 1)[:3]
    if not 1 <= maximum <= 65535:
        raise ValueError("a maximum that none may have")
    return _Header(kind, width, height, maximum, at + 1)


def _parse_text(data: bytes, header: _Header) -> bytes:
    text = _COMMENT.sub(b"", data[header.start - 1 :])
    if header.kind == 1:
        bits = np.frombuffer(text, np.uint8)
        bits = bits[(bits == ord("0")) | (bits == ord("1"))][: header.samples] - ord("0")
        rows = np.packbits(bits.reshape(header.height, header.width), axis=1)
        return f"P4 {header.width} {header.height}\n".encode() + rows.tobytes()
    # Without a count, since numpy fills up to one with whatever lies in the memory.
    samples = np.fromstring(text.decode("ascii"), np.int64, sep=" ")[: header.samples]
    if len(samples) < header.samples or samples.min() < 0 or samples.max() > header.maximum:
        raise ValueError("too few samples, or some that are none")
    return _encode_samples(samples, header)


def _encode_samples(samples: npt.NDArray[np.integer], header: _Header) -> bytes:
    color = header.kind in (3, 6)
    white = 255 if color or header.maximum <= 255 else 65535
    scale = np.arange(65536) / header.maximum * white
    table = np.rint(scale).clip(0, white).astype("u1" if white == 255 else ">u2")
    head = f"P{6 if color else 5} {header.width} {header.height} {white}\n".encode()
    return head + bytes(table[samples].tobytes())


PPM = Format("PPM", ("ppm", "pgm", "pbm", "pnm"), begins_with(rb"P[1-6]\s"), _decode, _no_fields)
