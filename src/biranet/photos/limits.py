"""What is refused before it is decoded, because a file can claim any size."""

from biranet.errors import PhotoError

PIXEL_LIMIT = 150_000_000
"""Largest photo in pixels. The largest fundus cameras make 50 million; a hostile file can claim any number."""

FILE_LIMIT_BYTES = 1_000_000_000
"""Largest photo file: a photo of as many pixels as are allowed, in 16 bits and not compressed, is no larger."""


_HARMLESS_PIXELS = 4_000_000
_PIXELS_PER_BYTE = 2000
"""A photograph has at most fifty pixels for each byte of its file, a black one some hundred; a bomb claims millions."""


def check_pixels(width_px: int, height_px: int, file_bytes: int) -> None:
    """Refuse a picture by the size it claims.

    Raises:
        PhotoError: If it has too many pixels, at all or for so short a file.
    """
    pixels = width_px * height_px
    if pixels > PIXEL_LIMIT:
        raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels")
    if pixels > max(_HARMLESS_PIXELS, _PIXELS_PER_BYTE * file_bytes):
        raise PhotoError("unreadable", f"claims {pixels // 1_000_000} million pixels in {file_bytes} bytes: no photo")


def check_bytes(file_bytes: int) -> None:
    """Refuse a file by its length.

    Raises:
        PhotoError: If it is too long.
    """
    if file_bytes > FILE_LIMIT_BYTES:
        raise PhotoError("unreadable", f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB")
