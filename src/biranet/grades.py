"""The five-grade International Clinical Diabetic Retinopathy scale, and the words around it."""

import re

from biranet.errors import InputError
from biranet.words import is_empty

GRADE_NAMES = ("no DR", "mild", "moderate", "severe", "proliferative")
"""Names of the grades 0 to 4."""

GRADES = tuple(range(len(GRADE_NAMES)))
"""All grades, in order: (0, 1, 2, 3, 4)."""

GRADE_COUNT = len(GRADES)
"""K in shapes: five."""

REFERABLE_GRADE = 2
"""The lowest grade that is referred to an ophthalmologist (moderate DR)."""

DECISIONS = ("do not refer", "ask a human", "refer")
"""What can be decided about a photo, the gravest last."""

_WRITTEN = re.compile(rf"\+?0*([{GRADES[0]}-{GRADES[-1]}])(\.0*)?", re.ASCII)

DISCLAIMER = "Research software, not a medical device: do not base a diagnosis or a treatment on it."
"""Stands on every page and at the end of every command that prints grades."""


def parse_grade(text: str) -> int | None:
    """Read one grade as people write it in tables.

    Args:
        text: A grade 0 to 4 (`3`, `3.0` as spreadsheets write it, spaces around it), or nothing for a photo that was
            not graded: also `NA`, `NaN`, `None`, `NULL` and the like, see `biranet.words.is_empty`.

    Returns:
        The grade, or None where `text` is empty.

    Raises:
        InputError: If `text` is anything else.

    Example:
        >>> parse_grade(" 3.0 "), parse_grade(""), parse_grade("NA")
        (3, None, None)
    """
    if is_empty(text):
        return None
    text = text.strip()
    written = _WRITTEN.fullmatch(text)
    if not written:
        raise InputError(f"{text!r} is not a grade from {GRADES[0]} to {GRADES[-1]}")
    return int(written[1])
