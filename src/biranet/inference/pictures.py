"""The pictures of `biranet grade`: what they are called, how they are written, known again and removed."""

import hashlib
import os
from pathlib import Path

from biranet.errors import InputError
from biranet.files import sha256_of, write_bytes
from biranet.inference.prediction import Prediction

_MAX_NAME_BYTES = 255

_DIGEST_LETTERS = 12

PictureMark = dict[str, str | float]
"""What tells a picture from all others: its `name`, the `opacity` it was drawn with, and the `sha256` of its file."""


def picture_name(file: str) -> str:
    """Name the picture of a photo: as much of its own name as a file's name can hold, and what is of its path alone.

    Args:
        file: The photo's file, as it stands in the table: its SHA-256 tells photos of one name in several folders.

    Example:
        >>> picture_name("eyes/left.png"), picture_name("more/left.png"), len(picture_name("x" * 300))
        ('left_c4d3e7bbdc05.jpg', 'left_24a231960d89.jpg', 255)
    """
    tail = f"_{hashlib.sha256(os.fsencode(file)).hexdigest()[:_DIGEST_LETTERS]}.jpg"
    stem = Path(file).stem.lstrip(".")  # a picture is never hidden
    return f"{os.fsencode(stem)[: _MAX_NAME_BYTES - len(tail)].decode(errors='ignore')}{tail}"


def save_picture(folder: Path, answer: Prediction, opacity: float) -> PictureMark | None:
    """Draw a photo with the attention over it, as `NAME_0123456789ab.jpg`; nothing for one without a grade.

    Args:
        folder: Where to.
        answer: The prediction.
        opacity: How strongly colours cover the photo, from 0 to 1.

    Returns:
        What tells the picture from others; None where there is none.

    Raises:
        InputError: If it cannot be written.
    """
    picture = answer.picture(opacity=opacity)
    if picture is None:
        return None
    path, encoded = folder / picture_name(answer.file), picture.jpeg()
    write_bytes(path, encoded)
    return _mark(path, opacity, hashlib.sha256(encoded).hexdigest())


def find_picture(folder: Path, file: str, opacity: float) -> PictureMark:
    """What a picture of a photo would be known by if it were the file that stands there: others may have written it.

    Args:
        folder: Where it may stand.
        file: The photo's file, as it stands in the table.
        opacity: How it would have been drawn.
    """
    path = folder / picture_name(file)
    return _mark(path, opacity, _content(path))


def _mark(path: Path, opacity: float, sha256: str) -> PictureMark:
    return {"name": path.name, "opacity": opacity, "sha256": sha256}


def _content(path: Path) -> str:
    """The SHA-256 of a file; empty where it cannot be read."""
    try:
        return sha256_of(path)
    except InputError:
        return ""


def remove_picture(folder: Path, mark: PictureMark) -> bool:
    """Remove a picture, if it is there and nobody has written another one in its place; tell whether it was.

    Raises:
        InputError: If it cannot be removed.
    """
    path = folder / str(mark["name"])
    if _content(path) != mark["sha256"]:
        return False
    try:
        path.unlink()
    except OSError as error:
        raise InputError(
            f"cannot remove {path}, the picture of a photo that has no answer any more: {error.strerror or error}; "
            "remove it and run the command again"
        ) from error
    return True
