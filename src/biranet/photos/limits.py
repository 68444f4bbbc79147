"""What is refused before it is decoded, because a file can claim any size."""

from biranet.errors import PhotoError

PIXEL_LIMIT = 150_000_000
"""Largest photo in pixels. The largest fundus cameras make 50 million; a hostile file can claim any number."""

FILE_LIMIT_BYTES = 1_000_000_000
"""Largest photo file: a photo of as many pixels as are allowed, in 16 bits and not compressed, is no larger."""


def check_pixels(width_px: int, height_px: int) -> None:
    """Refuse a picture by the size it claims.

    Raises:
        PhotoError: If it has too many pixels.
    """
    if width_px * height_px > PIXEL_LIMIT:
        raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels")


def check_bytes(file_bytes: int) -> None:
    """Refuse a file by its length.

    Raises:
        PhotoError: If it is too long.
    """
    if file_bytes > FILE_LIMIT_BYTES:
        raise PhotoError("unreadable", f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB")
