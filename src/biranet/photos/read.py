"""Any picture file becomes an upright RGB photo, or one clear reason why not.

The content says what a file is, and of what size; its name and its header are not believed where they contradict it.
Metadata never leaves this module: what is returned is pixels and nothing else. Colours are taken as stored; an embedded
colour profile is not applied.
"""

import errno
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from biranet.errors import PhotoError
from biranet.files import read_regular
from biranet.photos.announced import check_bmp, check_png, check_tiff
from biranet.photos.archive import is_item, read_item
from biranet.photos.colours import as_rgb, check_picture, deep_as_rgb, is_deep
from biranet.photos.cut_short import why_not_whole
from biranet.photos.dicom import decode_dicom, is_dicom
from biranet.photos.jpeg import decode_jpeg, examine_jpeg
from biranet.photos.kinds import kind_of, open_picture, why_unknown
from biranet.photos.layout import check_layout
from biranet.photos.limits import FILE_LIMIT_BYTES, PIXEL_LIMIT
from biranet.photos.pages import check_codestream, count_further_jpegs, count_gif_frames, photo_page, refuse_several
from biranet.photos.png import sound_png
from biranet.photos.ppm import plain_ppm

PHOTO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "tif", "tiff", "webp", "bmp", "dib", "gif"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "j2c", "jpc", "jpx", "jpf", "avif", "avifs", "dcm", "dicom"),
        *("heic", "heif", "hif", "jxl", "jls", "jxr"),
    )
)
"""File name endings, in lower case, that a folder scan takes; some cannot be read, but a row with a reason tells so."""

_REFUSED = {
    errno.EINVAL: "is not a file",
    errno.ENXIO: "is not a file",
    errno.EFBIG: f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB",
}
"""Why a path was not read: a folder, a pipe or a device, never waited for; a socket; a file that is too long."""

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
            data = read_item(source) if is_item(source) else read_regular(source, FILE_LIMIT_BYTES)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no file can have
            raise PhotoError("unreadable", "no such file") from None
        except PermissionError:
            raise PhotoError("unreadable", "no permission to read the file") from None
        except OSError as error:
            reason = _REFUSED.get(error.errno or 0, f"the file cannot be read: {error.strerror or error}")
            raise PhotoError("unreadable", reason) from error
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
        source: A picture file, or its bytes.

    Returns:
        Pixels (H, W, 3), uint8, with the EXIF orientation applied, transparency on black, and grey, palette, CMYK and
        16-bit pictures converted.

    Raises:
        PhotoError: With status `unreadable` and the reason, for anything that is not one whole picture.
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
        kind = "DICOM" if is_dicom(data) else kind_of(data)
        if kind is None:
            raise PhotoError("unreadable", why_unknown(data))
        try:
            return _DECODERS.get(kind, _decode_other)(data, kind, least_px)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels") from None
        except MemoryError:
            raise PhotoError("unreadable", "needs more memory than there is") from None
        except Exception as error:  # A damaged file makes decoders raise anything: one photo must not end a run.
            # Without the decoder's own words, which may quote metadata.
            raise PhotoError("unreadable", why_not_whole(data, kind)) from error


def _whole(pixels: npt.NDArray[np.uint8]) -> ScaledPhoto:
    return ScaledPhoto(pixels, pixels.shape[1], pixels.shape[0])


def _decode_dicom(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    return _whole(decode_dicom(data))


def _decode_jpeg(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    found = examine_jpeg(data)
    refuse_several(1 + count_further_jpegs(data, found), "pictures")
    with open_picture(data, kind) as picture:
        check_picture(picture, len(data))
        pixels = decode_jpeg(data, found, picture, least_px)
        orientation = _orientation(picture)
        width_px, height_px = picture.size[::-1] if orientation in _LYING else picture.size
    return ScaledPhoto(_turn_upright(pixels, orientation), width_px, height_px)


def _decode_png(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    data, frames = sound_png(data)
    refuse_several(frames)
    photo = _decode_other(data, kind, least_px)
    check_png(data)
    return photo


def _decode_tiff(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    return _decode_other(data, kind, least_px, page=photo_page(data))


def _decode_gif(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    refuse_several(count_gif_frames(data))
    return _decode_other(data, kind, least_px)


def _decode_jpeg_2000(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    check_codestream(data)
    return _decode_other(data, kind, least_px)


def _decode_ppm(data: bytes, kind: str, least_px: int | None) -> ScaledPhoto:
    return _decode_other(plain_ppm(data), kind, least_px)


def _decode_other(data: bytes, kind: str, least_px: int | None, page: int = 0) -> ScaledPhoto:
    with open_picture(data, kind) as picture:
        picture.seek(page)
        check_picture(picture, len(data))
        refuse_several(1 if kind in _DECODERS else getattr(picture, "n_frames", 1))
        deep = is_deep(picture)
        plain = kind in ("PPM", "TIFF", "BMP") and picture.tile[0].codec_name == "raw"  # type: ignore[attr-defined]
        upwards = kind == "BMP" and plain and picture.tile[0].args[2] == -1  # type: ignore[attr-defined]
        if kind == "BMP":
            check_bmp(picture, data)
        if kind == "TIFF":
            check_tiff(picture, data)
        # This shows that the file is whole. OpenCV keeps its depth, and both turn a TIFF upright themselves.
        picture.load()
        pixels = None if deep else as_rgb(picture)
        orientation = _orientation(picture)
    if pixels is None:
        del picture
        pixels = deep_as_rgb(data, page)
    if plain:
        check_layout(pixels[::-1] if upwards else pixels)
    return _whole(_turn_upright(pixels, orientation))


_DECODERS = {
    "DICOM": _decode_dicom,
    "JPEG": _decode_jpeg,
    "PNG": _decode_png,
    "TIFF": _decode_tiff,
    "GIF": _decode_gif,
    "JPEG2000": _decode_jpeg_2000,
    "PPM": _decode_ppm,
}
"""What looks into a file of a kind before it is decoded; the libraries of the others tell how many frames there are."""


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
