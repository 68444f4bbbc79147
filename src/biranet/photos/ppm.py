"""A PPM, PGM or PBM file: its few words of a header, and as many pixels as they say."""

import re

from biranet.errors import PhotoError
from biranet.photos.pages import MOST_FRAMES, refuse_several

_MOST_HEAD_BYTES = 4096
_MOST_TEXT_BYTES = 20_000_000
_START = re.compile(rb"\s*P([1-6])")
_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})")
_EMPTY = b"\0 \t\r\n"


def check_ppm(data: bytes) -> None:
    """Hold what a file announces against its length, before anything reads it letter by letter.

    Raises:
        PhotoError: If it holds more than was announced, or costs much more to read than it weighs.
        ValueError: If it has no header.
    """
    count, at = 0, 0
    while count <= MOST_FRAMES and (start := _START.match(data, at)):
        end = _end(data, start)
        if start[1] in b"123":
            if len(data) > _MOST_TEXT_BYTES:
                raise PhotoError("unreadable", "is a PPM written as text, of more than 20 MB; save it as PNG")
            return
        at = end
        count += 1
    refuse_several(count, "pictures")
    if data[at:].strip(_EMPTY):
        raise PhotoError(
            "unreadable", f"contradicts itself: its header announces {at:,} bytes, and there are {len(data):,}"
        )


def _end(data: bytes, start: re.Match[bytes]) -> int:
    """Where a picture of bytes ends by its header."""
    at, numbers = start.end(), list[int]()
    while len(numbers) < (2 if start[1] in b"14" else 3):
        number = _NUMBER.match(data, at, start.start() + _MOST_HEAD_BYTES)
        if number is None:
            raise ValueError("the header ends nowhere")
        numbers.append(int(number[1]))
        at = number.end()
    width, height = numbers[:2]
    if start[1] == b"4":
        return at + 1 + -(-width // 8) * height
    return at + 1 + width * height * (3 if start[1] == b"6" else 1) * (2 if numbers[2] > 255 else 1)
