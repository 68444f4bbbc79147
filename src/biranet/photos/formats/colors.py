"""What a file stores as grey, palette, CMYK, transparent or 16-bit pixels becomes RGB in 8 bits."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.formats.limits import check_memory, check_pixels

_PHOTOMETRIC, _PLANAR, _BITS = 262, 284, 258
"""Tags of a TIFF: which value is white, whether each colour lies in a plane of its own, bits of each sample."""

_STRIP_VALUES = 1_000_000

_PLAIN_MODES = ("1", "L", "P", "RGB")
_BYTES_A_PIXEL = {"WEBP": (20, 28), "AVIF": (20, 28), "JPEG2000": (20, 28)}
_BYTES_A_PIXEL_OF_OTHERS = (11, 19)
_BYTES_A_PIXEL_OF_HIGH_BIT_DEPTH = (13, 17)
"""What reading holds at once for each pixel, as measured, all copies together: of a plain picture, and of one that is
transparent, CMYK or the like."""


def to_rgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert what Pillow decodes.

    Args:
        picture: Any mode; of 16 bits a colour only the upper 8 are left, see `decode_high_bit_depth`.

    Returns:
        Pixels (H, W, 3), uint8, transparency on black.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        gray = to_8_bits(np.asarray(picture))
        # Pillow turns a negative only where it has 8 bits.
        negative = picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
        return np.repeat((255 - gray if negative else gray)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.new("RGB", layer.size)
        picture.paste(layer, mask=layer.getchannel("A"))
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def check_picture(picture: Image.Image, file_bytes: int) -> None:
    """Refuse a picture, opened and not loaded by Pillow, by what it would take to decode.

    Raises:
        PhotoError: If it has too many pixels, would take too much memory, or has a layout that is not read.
    """
    check_pixels(picture.width, picture.height, file_bytes)
    usual = _BYTES_A_PIXEL.get(picture.format or "", _BYTES_A_PIXEL_OF_OTHERS)
    plain, other = _BYTES_A_PIXEL_OF_HIGH_BIT_DEPTH if has_high_bit_depth(picture) else usual
    is_plain = picture.mode in _PLAIN_MODES and not picture.has_transparency_data
    check_memory(picture.width * picture.height * (plain if is_plain else other) + file_bytes)


def has_high_bit_depth(picture: Image.Image) -> bool:
    """Tell whether a picture, opened and not loaded, stores colours in more than 8 bits.

    Raises:
        PhotoError: If it does so in a layout that neither Pillow nor OpenCV reads.
    """
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        more_bits = len(tags.get(_BITS, ())) > 1 and max(tags[_BITS]) > 8 and picture.mode != "CMYK"
        if more_bits and tags.get(_PLANAR) == 2:
            raise PhotoError("unreadable", "is a TIFF of 16-bit colours in separate planes; save it interleaved")
        return bool(more_bits)
    return picture.format == "PNG" and picture.mode != "I;16" and str(picture.tile[0].args).endswith(";16B")  # type: ignore[attr-defined]


def decode_high_bit_depth(data: bytes, page: int = 0) -> npt.NDArray[np.uint8]:
    """Decode a PNG or TIFF with 16 bits a colour; one white level serves all colours.

    Args:
        data: The file, which must be whole.
        page: Which page of a TIFF.

    Returns:
        Pixels (H, W, 3), uint8, transparency on black, as they lie.
    """
    encoded = np.frombuffer(data, np.uint8)
    if page:
        _, pages = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
        values = pages[0] if pages else None
    else:
        values = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] not in (3, 4):
        raise ValueError("OpenCV does not read it")
    pixels = to_8_bits(values[:, :, 2::-1])
    if values.shape[2] == 4:
        opaque = 2 ** (8 * values.itemsize) - 1
        for rows in strips(len(pixels), pixels[0].size):
            alpha = values[rows, :, 3:].astype(np.float32) / opaque
            pixels[rows] = np.rint(pixels[rows] * alpha).astype(np.uint8)
    return pixels


def to_8_bits(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Scale values of more than 8 bits to 8.

    Cameras store 10, 12 or 14 bits in 16 without saying so: the largest value tells. Floats mostly lie in 0 to 1.

    Args:
        values: Integers or floats, at least one dimension; what is negative or no number becomes black.

    Returns:
        Values of the same shape, uint8.

    Source:
        Our reading.

    Example:
        >>> to_8_bits(np.array([0, 2048, 4095], np.uint16)).tolist()
        [0, 128, 255]
    """

    def numbers(rows: slice) -> npt.NDArray[np.float32]:
        return np.nan_to_num(values[rows].astype(np.float32), posinf=0, neginf=0).clip(min=0)

    parts = strips(len(values), max(1, values[:1].size))
    largest = max((numbers(rows).max() for rows in parts), default=0)
    depths = [1.0] if largest <= 1 and values.dtype.kind == "f" else []
    depths += [2.0**bits - 1 for bits in (8, 10, 12, 14, 16, 32)]
    white = next((depth for depth in depths if largest <= depth), float(largest))
    pixels = np.empty(values.shape, np.uint8)
    for rows in parts:
        pixels[rows] = np.rint(numbers(rows) * (255 / white)).clip(0, 255)
    return pixels


def strips(rows: int, values_a_row: int) -> list[slice]:
    """Divide a picture into strips, so that what is calculated on the way is never as large as the picture.

    Example:
        >>> strips(5, 600_000)
        [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None), slice(3, 4, None), slice(4, 5, None)]
    """
    step = max(1, _STRIP_VALUES // values_a_row)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
