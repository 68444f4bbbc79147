"""Numbers as a paper writes them."""

from biranet.reports.pages.listing import Number
from biranet.reports.pages.page import decimal, signed

DIGITS, DIFFERENCE_DIGITS = 2, 3
"""Decimals of values, and of differences, which are small."""


def in_text(number: Number, digits: int | None = None) -> str:
    """Write a value with its interval.

    Args:
        number: The number.
        digits: Decimals; `DIGITS`, or `DIFFERENCE_DIGITS` of a difference, when not given.

    Returns:
        `0.93 (0.90–0.95)`, a difference `+0.073 (+0.010 to +0.136)`; the value alone where there is no interval, `–`
        where there is no value.

    Example:
        >>> from biranet.reports.pages.listing import Numbers
        >>> metrics = {"aca": 0.5, "accuracy": 0.25, "ci": {"aca": [0.4, 0.6]}, "undefined": {}}
        >>> in_text(Numbers(metrics)("aca")), in_text(Numbers(metrics)("accuracy"))
        ('0.50 (0.40–0.60)', '0.25')
    """
    write = signed if number.signed else decimal
    digits = digits or (DIFFERENCE_DIGITS if number.signed else DIGITS)
    value = write(number.value, digits)
    if number.value is None or not number.interval:
        return value
    low, high = (write(end, digits) for end in number.interval)
    # Beside a sign a dash reads as another one.
    apart = " to " if number.signed or number.interval[0] < 0 else "–"
    return f"{value} ({low}{apart}{high})"
