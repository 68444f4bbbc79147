"""What is refused before it is decoded, because a file can claim any size."""

from PIL import Image

from biranet.errors import PhotoError

PIXEL_LIMIT = 150_000_000
"""Largest photo in pixels. The largest fundus cameras make 50 million; a hostile file can claim any number."""

FILE_LIMIT_BYTES = 1_000_000_000
"""Largest photo file: a photo of as many pixels as are allowed, in 16 bits and not compressed, is no larger."""

MEMORY_LIMIT_BYTES = 2_000_000_000
"""Most that reading one photo may hold at once, with all copies of its pixels and of its file."""

_HARMLESS_PIXELS = 4_000_000
_PIXELS_PER_BYTE = 2000
"""A photograph has at most fifty pixels for each byte of its file, a black one some hundred; a bomb claims millions."""

_BYTES_A_PIXEL = {"1": 11, "L": 11, "P": 11, "RGB": 11, "YCbCr": 11}
_FEWEST_OF_OTHER_MODES = 20
"""Held at once for each pixel, as measured: Pillow's picture, the array, the array turned upright, and for other modes
(transparent, CMYK, deep) what lies between them."""

_FURTHER_BYTES_A_PIXEL = {"JPEG": 3, "MPO": 3, "WEBP": 9, "AVIF": 9, "JPEG2000": 13, "TIFF": 3}
"""What the decoder of a format holds besides, at its worst: all coefficients, the frame before, integers of 32 bits."""


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


def check_memory(pixels: int, bytes_a_pixel: int, file_bytes: int) -> None:
    """Refuse a picture by the memory that reading it would take.

    Args:
        pixels: How many it has.
        bytes_a_pixel: How many bytes are held at once for each of them.
        file_bytes: Length of its file, with copies.

    Raises:
        PhotoError: If it is too much.
    """
    needed_bytes = pixels * bytes_a_pixel + file_bytes
    if needed_bytes > MEMORY_LIMIT_BYTES:
        raise PhotoError(
            "unreadable",
            f"would take {needed_bytes / 1e9:.1f} GB of memory to read, and a photo may take "
            f"{MEMORY_LIMIT_BYTES / 1e9:.0f} GB; save it smaller, or with 8 bits a colour",
        )


def check_picture(picture: Image.Image, file_bytes: int) -> None:
    """Refuse a picture, opened and not loaded by Pillow, by what it would take to decode.

    Raises:
        PhotoError: If it has too many pixels, or would take too much memory.
    """
    check_pixels(picture.width, picture.height, file_bytes)
    bytes_a_pixel = _BYTES_A_PIXEL.get(picture.mode, _FEWEST_OF_OTHER_MODES)
    if picture.has_transparency_data:
        bytes_a_pixel = _FEWEST_OF_OTHER_MODES
    bytes_a_pixel += _FURTHER_BYTES_A_PIXEL.get(picture.format or "", 0)
    check_memory(picture.width * picture.height, bytes_a_pixel, file_bytes)


def check_bytes(file_bytes: int) -> None:
    """Refuse a file by its length.

    Raises:
        PhotoError: If it is too long.
    """
    if file_bytes > FILE_LIMIT_BYTES:
        raise PhotoError("unreadable", f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB")
