"""Letters in pictures: the font that comes with Pillow, and texts made to fit."""

import unicodedata
from typing import Literal

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def load_font(size_px: float) -> Font:
    """Load the font that comes with Pillow."""
    return ImageFont.load_default(size_px)


def shorten(text: str, font: Font, width_px: int, keep: Literal["start", "end", "ends"] = "start") -> str:
    """Shorten a text to a width, in letters that the font has: accents are lost, the rest is `?`.

    Args:
        text: The text.
        font: In which it will be drawn.
        width_px: How wide it may be.
        keep: What to keep of a text that is too long: its start, its end, or both.

    Example:
        >>> shorten("Jürgen 眼", load_font(10), 100), shorten("left eye.jpg", load_font(10), 50, "end")
        ('Jurgen ?', '...eye.jpg')
        >>> shorten("2026/clinic/left.jpg", load_font(10), 60, "ends")
        '2026...t.jpg'
    """
    letters = [letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)]
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in letters)
    shown = plain
    # No letter is narrower than a pixel.
    for kept in range(min(len(plain), width_px), 0, -1):
        if len(shown) <= width_px and font.getlength(shown) <= width_px:
            break
        first = {"start": kept, "end": 0, "ends": (kept + 1) // 2}[keep]
        shown = f"{plain[:first]}...{plain[len(plain) - kept + first :]}"
    return shown
