"""What is refused before it is decoded, because a file can claim any size."""

from biranet.errors import PhotoError

PIXEL_LIMIT = 150_000_000
"""Largest photo in pixels. The largest fundus cameras make 50 million; a hostile file can claim any number."""

FILE_LIMIT_BYTES = 1_000_000_000
"""Largest photo file: a photo of as many pixels as are allowed, in 16 bits and not compressed, is no larger."""

MEMORY_LIMIT_BYTES = 2_000_000_000
"""Most that reading one photo may hold at once, with all copies of its pixels and of its file."""

_MIN_BYTES = ((4_000_000, 2000), (50_000_000, 100))
"""From how many pixels on a file must have one byte for how many: a photograph has at most fifty for each byte, a black
one some hundred, what is made to fill the memory thousands. No fundus camera makes more than 50 million."""


def check_pixels(width_px: int, height_px: int, file_bytes: int) -> None:
    """Refuse a picture by the size it claims.

    Raises:
        PhotoError: If it has too many pixels, at all or for so short a file.
    """
    pixels = width_px * height_px
    if pixels > PIXEL_LIMIT:
        raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels")
    if any(pixels > harmless and pixels > most * file_bytes for harmless, most in _MIN_BYTES):
        raise PhotoError("unreadable", f"claims {pixels // 1_000_000} million pixels in {file_bytes} bytes: no photo")


def check_memory(needed_bytes: int) -> None:
    """Refuse a picture by the memory that reading it would take.

    Raises:
        PhotoError: If it is too much.
    """
    if needed_bytes > MEMORY_LIMIT_BYTES:
        raise PhotoError(
            "unreadable",
            f"would take {needed_bytes / 1e9:.1f} GB of memory to read, and a photo may take "
            f"{MEMORY_LIMIT_BYTES / 1e9:.0f} GB; save it smaller, or with 8 bits a colour",
        )


def check_bytes(file_bytes: int) -> None:
    """Refuse a file by its length.

    Raises:
        PhotoError: If it is too long.
    """
    if file_bytes > FILE_LIMIT_BYTES:
        raise PhotoError("unreadable", f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB")
