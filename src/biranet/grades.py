"""The five-grade International Clinical Diabetic Retinopathy scale, and the words around it."""

from biranet.errors import InputError

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

DISCLAIMER = "Research software, not a medical device: do not base a diagnosis or a treatment on it."
"""Stands on every page and at the end of every command that prints grades."""


def parse_grade(text: str) -> int | None:
    """Read one grade as people write it in tables.

    Args:
        text: A grade 0 to 4 (`3`, `3.0`, spaces around it), or nothing for a photo that was not graded.

    Returns:
        The grade, or None where `text` is empty.

    Raises:
        InputError: If `text` is anything else.

    Example:
        >>> parse_grade(" 3.0 "), parse_grade("")
        (3, None)
    """
    text = text.strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number not in GRADES:
        raise InputError(f"{text!r} is not a grade from {GRADES[0]} to {GRADES[-1]}")
    return int(number)
