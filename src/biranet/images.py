"""The images of a prepared folder: where each stands, and whether it is still the one that was stored."""

import errno
import hashlib
import re
from pathlib import Path

from biranet.files import read_regular

IMAGES_NAME = "images"
"""Folder of the images, in the prepared folder."""

PREPARED_SHA256 = "prepared_sha256"
"""Column of the manifest with the `image_digest` of the prepared image; empty where there is none."""

MAX_IMAGE_BYTES = 1_000_000_000
"""Longest prepared image that is read; the usual ones have some hundred kilobytes."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 as this program writes it.

    Example:
        >>> is_sha256("0123456789abcdef" * 4), is_sha256("../" * 21 + "x")
        (True, False)
    """
    return _SHA256.fullmatch(text) is not None


def image_path(sha256: str) -> str:
    """Where the image of a photo stands in the prepared folder.

    Args:
        sha256: SHA-256 of the photo's file.

    Example:
        >>> image_path("c0ffee")
        'images/c0/c0ffee.jpg'
    """
    return f"{IMAGES_NAME}/{sha256[:2]}/{sha256}.jpg"


def is_image_path(path: str, sha256: str) -> bool:
    """Whether a place in the prepared folder is that of the image of a photo, and so never one outside."""
    return is_sha256(sha256) and path == image_path(sha256)


def image_digest(image: bytes) -> str:
    """SHA-256 of the bytes of a prepared image."""
    return hashlib.sha256(image).hexdigest()


def read_image(path: Path, digest: str) -> bytes:
    """Read a prepared image, and hold it against what was stored.

    Args:
        path: The image.
        digest: Its `image_digest` when it was stored; empty where an older version did not write it down, and then
            nothing is compared.

    Returns:
        Its bytes.

    Raises:
        OSError: If it is missing, cannot be read, is no regular file, or is not what was stored (EIO).
    """
    image = read_regular(path, MAX_IMAGE_BYTES)
    if digest and image_digest(image) != digest:
        raise OSError(errno.EIO, "it is not the image that was stored", str(path))
    return image
