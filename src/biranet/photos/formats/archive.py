"""Photos inside a `.npz` archive of arrays, as RetinaMNIST comes: `retinamnist.npz/train_images/0012`."""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.photos.formats.limits import FILE_LIMIT_BYTES, check_bytes, check_pixels
from biranet.photos.formats.npz import ArraysError, open_arrays
from biranet.words import counted


def is_archive_item(path: Path) -> bool:
    """Tell whether a path has the form `x.npz/array/number` and the archive is a file."""
    archive = path.parent.parent
    return archive.suffix.lower() == ".npz" and archive.is_file()


def read_archive_item(path: Path) -> bytes:
    r"""Read one photo out of an archive.

    Args:
        path: `x.npz/array/number`: the number counts from 0 and may have leading zeros. The array is uint8 of shape
            (n, h, w, 3), RGB, or (n, h, w), grey.

    Returns:
        A picture file in PPM (RGB) or PGM (grey) with the very pixels.

    Raises:
        PhotoError: If the archive is damaged or has no such photo.

    Example:
        >>> import tempfile
        >>> archive = Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(archive, train_images=np.zeros((2, 1, 1, 3), np.uint8))
        >>> read_archive_item(archive / "train_images" / "0001")
        b'P6 1 1 255\n\x00\x00\x00'
    """
    archive, name, number = path.parent.parent, path.parent.name, path.name
    state = archive.stat()
    photos = _load(archive, name, state.st_mtime_ns, state.st_size)
    if not (number.isascii() and number.isdecimal() and int(number) < len(photos)):
        raise PhotoError(
            "unreadable", f"is not in the array, which has {counted(len(photos), 'photo')}, numbered from 0"
        )
    photo: npt.NDArray[np.uint8] = photos[int(number)]
    head = f"P{6 if photo.ndim == 3 else 5} {photo.shape[1]} {photo.shape[0]} 255\n"
    return head.encode() + photo.tobytes()


# One array, because a folder scan reads one after the other; the time of the file, so that a new one is read anew.
@lru_cache(maxsize=1)
def _load(archive: Path, name: str, mtime_ns: int, file_bytes: int) -> npt.NDArray[np.uint8]:
    check_bytes(file_bytes)
    try:
        with open_arrays(archive) as arrays:
            if name not in arrays.names:
                raise PhotoError("unreadable", "is not in the archive: there is no such array")
            shape, dtype = arrays.head(name)
            if dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or 0 in shape:
                raise PhotoError(
                    "unreadable",
                    f"is in an array of {dtype} with shape {shape}; photos are uint8, (n, h, w, 3) or (n, h, w)",
                )
            check_pixels(shape[2], shape[1], math.prod(shape))
            return arrays.read(name, FILE_LIMIT_BYTES)
    except PermissionError:
        raise PhotoError("unreadable", "no permission to read the file") from None
    except ArraysError as error:
        raise PhotoError("unreadable", f"is in an archive that cannot be read: {error}") from error
