"""Words of a paper: text that Markdown shows as it is, lists, and small numbers in words."""

import re
from collections.abc import Sequence

from biranet.console import escape_control

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|@$~^&])")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def as_markdown(text: str) -> str:
    r"""Write a text so that Markdown shows it as it is.

    Example:
        >>> print(as_markdown("a_b [@c]"))
        a\_b \[\@c\]
    """
    return _SPECIAL.sub(r"\\\1", " ".join(escape_control(text).split()))


def enumerate_words(words: Sequence[str]) -> str:
    """Write a list as a sentence does.

    Example:
        >>> enumerate_words(["a"]), enumerate_words(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def number_word(count: int) -> str:
    """Write a count as a sentence does, in words up to ten.

    Example:
        >>> number_word(5), number_word(12)
        ('five', '12')
    """
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def span(values: Sequence[float | int], form: str = "{:,}") -> str:
    """Write from where to where values go; one where they are all the same.

    Example:
        >>> span([62, 65]), span([7, 7])
        ('62 to 65', '7')
    """
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def capitalized(text: str) -> str:
    """Begin a sentence with a capital letter."""
    return f"{text[0].upper()}{text[1:]}"
