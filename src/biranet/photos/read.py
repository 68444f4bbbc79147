"""Any picture file becomes an upright RGB photo, or one clear reason why not.

Metadata never leaves this module: what is returned is pixels and nothing else. Colours are taken as stored; an embedded
colour profile is not applied.
"""

import errno
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from biranet.errors import PhotoError
from biranet.files import read_regular
from biranet.photos.formats import PhotoFile
from biranet.photos.formats.archive import is_archive_item, read_archive_item
from biranet.photos.formats.format import ScaledPhoto
from biranet.photos.formats.limits import FILE_LIMIT_BYTES, PIXEL_LIMIT
from biranet.photos.formats.unsupported import describe_unsupported

_REFUSED = {
    errno.EINVAL: "is not a file",
    errno.ENXIO: "is not a file",
    errno.EFBIG: f"is a file of more than {FILE_LIMIT_BYTES // 1_000_000_000} GB",
}
"""Why a path was not read: a folder, a pipe or a device, never waited for; a socket; a file that is too long."""


def read_source(source: Path | bytes) -> bytes:
    """Read the bytes of a photo file.

    Args:
        source: A file; an item of an archive, as `biranet.photos.formats.archive` names them; or bytes, which are
            returned as they are.

    Returns:
        The bytes; at least one.

    Raises:
        PhotoError: If the file is missing, is not a file, must not be read, or is empty.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = read_archive_item(source) if is_archive_item(source) else read_regular(source, FILE_LIMIT_BYTES)
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
    return decode_photo(PhotoFile(read_source(source)), None).pixels


def decode_photo(file: PhotoFile, min_side_px: int | None) -> ScaledPhoto:
    """Decode a photo file as upright RGB, a JPEG at the smallest scale that is still large enough.

    A JPEG is decoded at 1, 1/2, 1/4 or 1/8 for a fraction of the time; each pixel is about the mean of those it stands
    for, in the last row and column as the file stores them perhaps of fewer.

    Args:
        file: The picture file.
        min_side_px: What the shorter side must at least measure, at least 1; a smaller photo keeps its size. Full scale
            where None.

    Returns:
        The pixels, and the size of the photo at full scale.

    Raises:
        PhotoError: With status `unreadable` and the reason, for anything that is not a whole picture.
    """
    # Decoders warn about odd metadata and large sizes: the first is of no interest here, the second is refused below.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file.format is None:
            raise PhotoError("unreadable", describe_unsupported(file.data))
        try:
            return file.format.decode(file.opened, min_side_px)
        except PhotoError:
            raise
        except Image.DecompressionBombError:
            raise PhotoError("unreadable", f"has more than {PIXEL_LIMIT // 1_000_000} million pixels") from None
        except MemoryError:
            raise PhotoError("unreadable", "needs more memory than there is") from None
        except Exception as error:  # A damaged file makes decoders raise anything: one photo must not end a run.
            # Without the decoder's own words, which may quote metadata.
            raise PhotoError("unreadable", file.format.describe_damage(file.data)) from error
