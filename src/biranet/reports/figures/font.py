"""The font of the figures: which letters it has, and how wide they are.

`arimo.ttf` is Arimo, which has the widths of Arial, without what a figure has no use for: letters beyond Latin, Greek
and Cyrillic, hinting, and tables of layout; its licence is in `arimo_license.txt`. It was made by:

    pyftsubset Arimo-Regular.ttf --no-hinting --layout-features='' --no-glyph-names --notdef-outline
      --unicodes=20-7E,A0-24F,370-3FF,400-45F,490-491,1E00-1EFF,2010-2015,2018-201E,2020-2022,2026,2030,20AC,2190-2193,\
2212,2260,2264,2265,25A1
"""

import functools
from pathlib import Path
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

NAME = "Arimo"
_UNKNOWN = "\N{WHITE SQUARE}"


@functools.cache
def load_font() -> Any:
    """Read the font and have reportlab know it by its `NAME`; its `face.charToGlyph` has the letters by number."""
    font = TTFont(NAME, str(Path(__file__).with_name("arimo.ttf")))
    pdfmetrics.registerFont(font)
    return font


def has_glyphs(text: str) -> bool:
    """Whether the font has all letters of a text."""
    return all(ord(letter) in load_font().face.charToGlyph for letter in text)


def with_fallback(text: str, fallback: str = "") -> str:
    """Write a text in letters that the font has.

    Args:
        text: The text.
        fallback: What stands for it where letters are missing.

    Returns:
        The text, or `fallback`; without either, the text with a square in place of each missing letter.

    Example:
        >>> with_fallback("Müller"), with_fallback("眼科", "value 3"), with_fallback("a眼")
        ('Müller', 'value 3', 'a□')
    """
    if has_glyphs(text):
        return text
    return fallback or "".join(letter if has_glyphs(letter) else _UNKNOWN for letter in text)


def text_width(text: str, size: float) -> float:
    """Measure how wide a text is.

    Args:
        text: The text.
        size: Size of its letters.

    Example:
        >>> text_width("0", 10) * 2 == text_width("00", 10)
        True
    """
    return float(load_font().stringWidth(text, size))
