"""Any picture file becomes an upright RGB photo, or one clear reason why not.

Metadata never leaves this module: what is returned is pixels and nothing else. Colours are taken as stored; an embedded
colour profile is not applied.
"""

import io
import re
import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from biranet.errors import PhotoError
from biranet.photos.archive import is_item, read_item
from biranet.photos.colours import as_rgb, deep_as_rgb, is_deep
from biranet.photos.cut_short import why_not_whole
from biranet.photos.dicom import decode_dicom, is_dicom
from biranet.photos.jpeg import decode_jpeg
from biranet.photos.limits import PIXEL_LIMIT, check_bytes, check_pixels

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

_STARTS = {
    "JPEG": rb"\xff\xd8\xff", "PNG": rb"\x89PNG", "TIFF": rb"II[*+]\0|MM\0[*+]", "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8", "BMP": rb"BM.{4}\0{4}", "PPM": rb"P[1-6]\s", "JPEG2000": rb"\0\0\0\x0cjP|\xff\x4f\xff\x51",
}  # fmt: skip
"""How files begin, for the reason why one whose head is damaged cannot be read."""

_LYING = (5, 6, 7, 8)
"""The EXIF orientations in which width and height change places."""


def read_source(source: Path | bytes) -> bytes:
    """Read the bytes of a photo file.

    Args:
        source: A file; an item of an archive, as `biranet.photos.archive` names them; or bytes, which are returned
            as they are.

    Returns:
        The bytes; at least one.

    Raises:
        PhotoError: If the file is missing, is not a file, must not be read, or is empty.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if is_item(source):
                return read_item(source)
            state = source.stat()
            # Never opened, because a pipe or a device would be waited for.
            if not stat.S_ISREG(state.st_mode):
                raise PhotoError("unreadable", "is not a file")
            check_bytes(state.st_size)
            data = source.read_bytes()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
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

    A JPEG is decoded at 1, 1/2, 1/4 or 1/8 for a fraction of the time; each pixel is about the mean of those it stands
    for, in the last row and column as the file stores them perhaps of fewer.

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
    # Decoders warn about odd metadata and large sizes: the first is of no interest here, the second is refused below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _whole(decode_dicom(data)) if is_dicom(data) else _decode(data, least_px)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels") from None
        except MemoryError:
            raise PhotoError("unreadable", "needs more memory than there is") from None
        except Exception as error:  # A damaged file makes decoders raise anything: one photo must not end a run.
            # Without the decoder's own words, which may quote metadata.
            kind = next((kind for kind, start in _STARTS.items() if re.match(start, data, re.DOTALL)), None)
            if kind is None and not is_dicom(data):
                reason = "is not a picture in a format that is read (JPEG, PNG, TIFF, …)"
            else:
                reason = why_not_whole(data, kind or "")
            raise PhotoError("unreadable", reason) from error


def _decode(data: bytes, least_px: int | None) -> ScaledPhoto:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        check_pixels(picture.width, picture.height, len(data))
        if picture.format not in ("JPEG", "MPO"):
            return _whole(_decode_whole(data, picture))
        pixels = decode_jpeg(data, picture, least_px)
        orientation = _orientation(picture)
        width_px, height_px = picture.size[::-1] if orientation in _LYING else picture.size
    return ScaledPhoto(_turn_upright(pixels, orientation), width_px, height_px)


def _whole(pixels: npt.NDArray[np.uint8]) -> ScaledPhoto:
    return ScaledPhoto(pixels, pixels.shape[1], pixels.shape[0])


def _decode_whole(data: bytes, picture: Image.Image) -> npt.NDArray[np.uint8]:
    if picture.format == "PNG":
        # Reading skips the checksums; this compares them, and raises.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
            again.verify()
    deep = is_deep(picture)
    picture.load()
    # Loading has shown that the file is whole. OpenCV keeps its depth, and both turn a TIFF upright themselves.
    pixels = deep_as_rgb(data) if deep else as_rgb(picture)
    return _turn_upright(pixels, _orientation(picture))


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
