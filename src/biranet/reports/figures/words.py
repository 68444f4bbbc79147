"""Numbers as a paper writes them."""

from biranet.reports.pages.listing import Number
from biranet.reports.pages.page import decimal


def in_text(number: Number, digits: int = 2) -> str:
    """Write a value with its interval.

    Args:
        number: The number.
        digits: Decimals.

    Returns:
        `0.93 (0.90–0.95)`; the value alone where there is no interval, `–` where there is no value.

    Example:
        >>> from biranet.reports.pages.listing import Numbers
        >>> metrics = {"aca": 0.5, "accuracy": 0.25, "ci": {"aca": [0.4, 0.6]}, "undefined": {}}
        >>> in_text(Numbers(metrics)("aca")), in_text(Numbers(metrics)("accuracy"))
        ('0.50 (0.40–0.60)', '0.25')
    """
    value = decimal(number.value, digits)
    if number.value is None or not number.interval:
        return value
    low, high = (decimal(end, digits) for end in number.interval)
    # Beside a minus sign a dash reads as another one.
    return f"{value} ({low} to {high})" if number.interval[0] < 0 else f"{value} ({low}–{high})"
