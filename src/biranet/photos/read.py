"""Any picture file becomes an upright RGB photo, or one clear reason why not.

Metadata never leaves this module: what is returned is pixels and nothing else. Colours are taken as stored; an embedded
colour profile is not applied.
"""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from biranet.errors import PhotoError

PIXEL_LIMIT = 150_000_000
"""Largest photo in pixels. The largest fundus cameras make 50 million; a hostile file can claim any number."""

PHOTO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "webp", "bmp", "dib", "gif", "ppm", "pgm", "pnm"),
        *("jp2", "j2k", "avif", "heic", "heif", "dcm", "dicom"),
    )
)
"""File name endings, in lower case, that a folder scan takes; some cannot be read, but a row with a reason tells so."""

# Named one by one, because others start outside programs (EPS) or are no photographs.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000")

_LYING = (5, 6, 7, 8)
"""The EXIF orientations in which width and height change places."""


def read_source(source: Path | bytes) -> bytes:
    """Read the bytes of a photo file.

    Args:
        source: A file, or its bytes, which are returned as they are.

    Returns:
        The bytes; at least one.

    Raises:
        PhotoError: If the file is missing, is not a file, must not be read, or is empty.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if source.exists() and not source.is_file():
                raise PhotoError("unreadable", "is not a file")
            data = source.read_bytes()
        except FileNotFoundError:
            raise PhotoError("unreadable", "no such file") from None
        except PermissionError:
            raise PhotoError("unreadable", "no permission to read the file") from None
        except OSError as error:
            raise PhotoError("unreadable", f"the file cannot be read: {error.strerror or error}") from error
    if not data:
        raise PhotoError("unreadable", "the file is empty")
    return data


@dataclass(frozen=True)
class ScaledPhoto:
    """A photo, perhaps decoded at a smaller scale.

    Attributes:
        pixels: Upright RGB (h, w, 3), uint8.
        width_px: Width of the upright photo at full scale.
        height_px: Height of the upright photo at full scale.
    """

    pixels: npt.NDArray[np.uint8]
    width_px: int
    height_px: int


def read_photo(source: Path | bytes) -> npt.NDArray[np.uint8]:
    """Read a photo as upright RGB.

    Args:
        source: A picture file, or its bytes. Of several pages or frames the first is taken.

    Returns:
        Pixels (H, W, 3), uint8, with the EXIF orientation applied, transparency on black, and grey, palette, CMYK and
        16-bit pictures converted.

    Raises:
        PhotoError: With status `unreadable` and the reason, for anything that is not a whole picture.
    """
    return _read(source, None).pixels


def read_scaled(source: Path | bytes, least_px: int) -> ScaledPhoto:
    """Read a photo as upright RGB, a JPEG at the smallest scale that is still large enough.

    A JPEG is decoded at 1, 1/2, 1/4 or 1/8 for a fraction of the time; each pixel is the mean of those it stands for.

    Args:
        source: A picture file, or its bytes, as for `read_photo`.
        least_px: What the shorter side must at least measure, at least 1. A smaller photo keeps its size.

    Returns:
        The pixels, and the size of the photo at full scale.

    Raises:
        PhotoError: With status `unreadable` and the reason, for anything that is not a whole picture.
    """
    return _read(source, least_px)


def _read(source: Path | bytes, least_px: int | None) -> ScaledPhoto:
    data = read_source(source)
    if data[128:132] == b"DICM":
        raise PhotoError("unreadable", "is a DICOM file, which is not read yet; export it as JPEG, PNG or TIFF")
    # Decoders warn about odd metadata and large sizes: the first is of no interest here, the second is refused below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(data, least_px)
        except PhotoError:
            raise
        except UnidentifiedImageError:
            raise PhotoError("unreadable", "is not a picture in a format that is read (JPEG, PNG, TIFF, …)") from None
        except Image.DecompressionBombError:
            raise _too_large() from None
        except Exception as error:  # A damaged file makes decoders raise anything: one photo must not end a run.
            # Without the decoder's own words, which may quote metadata.
            raise PhotoError("unreadable", "is damaged or cut short") from error


def _decode(data: bytes, least_px: int | None) -> ScaledPhoto:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        stored = picture.size
        if stored[0] * stored[1] > PIXEL_LIMIT:
            raise _too_large()
        _check_whole(data, picture.format)
        if least_px is not None:
            picture.draft(None, (least_px, least_px))
        picture.load()
        orientation = _orientation(picture)
        pixels = _turn_upright(_as_rgb(picture), orientation)
    width_px, height_px = stored[::-1] if orientation in _LYING else stored
    return ScaledPhoto(pixels, width_px, height_px)


def _check_whole(data: bytes, kind: str | None) -> None:
    """Refuse a file that stops early, perhaps filled up with zeros, for which decoders invent the missing part."""
    if kind in ("JPEG", "MPO"):
        # libjpeg fills what is missing with grey and only murmurs; a whole JPEG has an end marker after its last scan.
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise PhotoError("unreadable", "is damaged or cut short")
    elif kind == "PNG":
        # Reading skips the checksums; this compares them, and raises.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.verify()


def _too_large() -> PhotoError:
    return PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels")


def _orientation(picture: Image.Image) -> int:
    # Unreadable EXIF says nothing about the pixels, which are whole: they are then taken as they lie.
    with suppress(Exception):
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _turn_upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    if orientation in _LYING:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _as_rgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return np.repeat(_as_grey8(np.asarray(picture))[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.new("RGB", layer.size)
        picture.paste(layer, mask=layer.getchannel("A"))
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _as_grey8(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    numbers = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0).clip(min=0)
    # Cameras store 10, 12 or 14 bits in 16 without saying so: the largest value tells. Floats mostly lie in 0 to 1.
    depths = [1.0] if numbers.max() <= 1 and values.dtype.kind == "f" else []
    depths += [2.0**bits - 1 for bits in (8, 10, 12, 14, 16, 32)]
    white = next((depth for depth in depths if numbers.max() <= depth), float(numbers.max()))
    return np.rint(numbers * (255 / white)).clip(0, 255).astype(np.uint8)
