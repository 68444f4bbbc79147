"""Prepared photos, read as a network takes them: whole, as they were stored, and at its size; no torch here."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.errors import InputError, PhotoError
from biranet.files import printable
from biranet.images import PREPARED_SHA256, read_image
from biranet.learning.transforms import Pixels, resize
from biranet.photos.prepare import decode_prepared
from biranet.setting_names import setting


class StoredPhotos(NamedTuple):
    """Where prepared photos stand; arrays of text, (n,).

    Attributes:
        files: The photos, as the manifest names them.
        paths: Their images.
        digests: SHA-256 of the images as they were stored; empty where older versions did not write it down: then
            images are taken as they are, of which the audit warns.
    """

    files: NDArray[np.str_]
    paths: NDArray[np.str_]
    digests: NDArray[np.str_]


def stored_photos(prepared: Path, table: pd.DataFrame) -> StoredPhotos:
    """Find prepared photos.

    Args:
        prepared: The prepared folder.
        table: Rows of its manifest.
    """
    return StoredPhotos(
        table["file"].to_numpy(dtype=str),
        (str(prepared) + "/" + table["prepared"].astype(str)).to_numpy(dtype=str),
        table.get(PREPARED_SHA256, pd.Series("", table.index)).to_numpy(dtype=str),
    )


def read_stored(photo: tuple[str, str, str], image_size: int) -> Pixels:
    """Read one prepared photo.

    Args:
        photo: File, path and digest, of `StoredPhotos`.
        image_size: Side in pixels.

    Returns:
        (image_size, image_size, 3), uint8.

    Raises:
        InputError: If it is missing, smaller, or not what was stored when it was prepared.
    """
    file, path, digest = map(str, photo)
    try:
        pixels = decode_prepared(read_image(Path(path), digest))
    except (OSError, PhotoError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"the prepared image of {printable(file)}, {path}, cannot be read: {reason}; run `biranet prepare` again "
            "to restore it"
        ) from error
    refuse_larger(image_size, pixels.shape[0])
    return resize(pixels, image_size)


def refuse_larger(image_size: int, stored: int) -> None:
    """Refuse images that are larger than the stored ones.

    Args:
        image_size: Their side in pixels.
        stored: That of the stored ones.

    Raises:
        InputError: If they are.
    """
    if stored < image_size:
        raise InputError(
            f"{setting('image_size')} {image_size} is larger than the prepared photos, which are {stored} px; choose "
            f"at most {stored}, or prepare them again with a larger --size"
        )
