"""Letters in pictures: the font that comes with Pillow, and texts made to fit."""

import unicodedata

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def load_font(size_px: float) -> Font:
    """Load the font that comes with Pillow."""
    return ImageFont.load_default(size_px)


def shorten(text: str, font: Font, width_px: int, *, from_end: bool = False) -> str:
    """Shorten a text to a width, in letters that the font has: accents are lost, the rest is `?`.

    Args:
        text: The text.
        font: In which it will be drawn.
        width_px: How wide it may be.
        from_end: Keep the end of a text that is too long, not its beginning.

    Example:
        >>> shorten("Jürgen 眼", load_font(10), 100), shorten("left eye.jpg", load_font(10), 50, from_end=True)
        ('Jurgen ?', '...eye.jpg')
    """
    letters = [letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)]
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in letters)
    shown = plain
    # No letter is narrower than a pixel.
    for kept in range(min(len(plain), width_px), 0, -1):
        if len(shown) <= width_px and font.getlength(shown) <= width_px:
            break
        shown = f"...{plain[-kept:]}" if from_end else f"{plain[:kept]}..."
    return shown
