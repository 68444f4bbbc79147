"""The pictures of `biranet grade`: what they are called, and how they are written."""

import os
from pathlib import Path

from biranet.files import write_bytes
from biranet.inference.prediction import Prediction

_MAX_NAME_BYTES = 255


def picture_name(number: int, file: str) -> str:
    """Name the picture of a photo: its number, and as much of its own name as a file's name can hold.

    Args:
        number: Position of the photo in the table, from 0: names may come twice.
        file: The photo's file.

    Example:
        >>> picture_name(7, "eyes/left.png"), len(picture_name(7, "x" * 300))
        ('00007_left.jpg', 255)
    """
    head, tail = f"{number:05d}_", ".jpg"
    left = _MAX_NAME_BYTES - len(head + tail)
    return f"{head}{os.fsencode(Path(file).stem)[:left].decode(errors='ignore')}{tail}"


def save_picture(folder: Path, number: int, answer: Prediction, opacity: float) -> None:
    """Draw a photo with the attention over it, and write that as `00000_NAME.jpg`; nothing for one without a grade.

    Args:
        folder: Where to.
        number: Position of the photo in the table, from 0.
        answer: The prediction.
        opacity: How strongly colours cover the photo, from 0 to 1.

    Raises:
        InputError: If it cannot be written.
    """
    picture = answer.picture(opacity=opacity)
    if picture is not None:
        write_bytes(folder / picture_name(number, answer.file), picture.jpeg())
