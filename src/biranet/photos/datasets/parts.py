"""The parts of a published split, as names of files and folders speak of them."""

import posixpath
import re
from collections.abc import Callable

_PART = re.compile(
    r"(?<![A-Za-z])(?:(?P<train>(?i:train|training))|(?P<validation>(?i:val|valid|validation))|"
    r"(?P<test>(?i:test|testing|evaluation)))(?![a-z])"
)


def part_named(text: str) -> str:
    """Find the part of a split that the name of a file or folder speaks of.

    Args:
        text: A name, or a path, of which the innermost part counts.

    Returns:
        `train`, `validation`, `test` or nothing.

    Example:
        >>> part_named("a. IDRiD_Disease Grading_Training Labels"), part_named("testLabels15"), part_named("latest")
        ('train', 'test', '')
    """
    named = list(_PART.finditer(text))
    return named[-1].lastgroup or "" if named else ""


def among_part(split: str) -> Callable[[str], bool]:
    """Leave out photos whose folders speak of another part: some sets give the same names to photos of two parts."""
    return lambda file: part_named(posixpath.dirname(file)) in ("", split) if split else True
