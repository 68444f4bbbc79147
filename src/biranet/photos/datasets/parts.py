"""What names of files, folders and columns call the parts of a split."""

import posixpath
import re
from collections.abc import Callable, Iterable

from biranet.errors import InputError
from biranet.manifest import SPLITS
from biranet.words import is_empty

SPLIT_NAMES = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
"""What labels and class folders call the parts, in lower case, and how the manifest does."""

_LONGER_WORDS = {"train": ("training",), "validation": (), "test": ("testing", "evaluation")}
"""What longer names say as well, by the parts that are published."""


def _part_pattern(part: str, longer_words: Iterable[str]) -> str:
    words = [word for word, meaning in SPLIT_NAMES.items() if meaning == part]
    return f"(?P<{part}>(?i:{'|'.join((*words, *longer_words))}))"


_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(_part_pattern(*each) for each in _LONGER_WORDS.items())})(?![a-z])")


def find_part(text: str) -> str:
    """Find the part of a split that the name of a file or folder contains.

    Args:
        text: A name, or a path, of which the innermost part counts.

    Returns:
        `train`, `validation`, `test` or nothing.

    Example:
        >>> find_part("a. IDRiD_Disease Grading_Training Labels"), find_part("testLabels15"), find_part("latest")
        ('train', 'test', '')
    """
    words = list(_WORD.finditer(text))
    return words[-1].lastgroup or "" if words else ""


def parse_part(text: str) -> str:
    """Parse what a column says of the part of a split; nothing where it holds a word for nothing.

    Raises:
        InputError: If it says something else.

    Example:
        >>> parse_part("Valid"), parse_part("n/a")
        ('validation', '')
    """
    if is_empty(text):
        return ""
    if text.lower() not in SPLIT_NAMES:
        raise InputError(f"{text!r} is not one of {', '.join(SPLITS)}; rename the column if it means something else")
    return SPLIT_NAMES[text.lower()]


def accept_part(split: str) -> Callable[[str], bool]:
    """Make an `accept` of `PhotoFolder.find` that leaves out photos in folders of another part.

    Some sets give the same names to photos of two parts.
    """
    return lambda file: find_part(posixpath.dirname(file)) in ("", split) if split else True
