"""The font of the figures: which letters it has, and how wide they are.

`arimo.ttf` is Arimo, which has the widths of Arial, without what a figure has no use for: letters beyond Latin, Greek
and Cyrillic, hinting, and tables of layout. It is small enough to go into every PDF as it is, so a figure takes
milliseconds to write; its licence is in `arimo_license.txt`. It was made by:

    pyftsubset Arimo-Regular.ttf --no-hinting --layout-features='' --no-glyph-names --notdef-outline
      --unicodes=20-7E,A0-24F,370-3FF,400-45F,490-491,1E00-1EFF,2010-2015,2018-201E,2020-2022,2026,2030,20AC,2190-2193,\
2212,2260,2264,2265,25A1
"""

import functools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_UNKNOWN = "\N{WHITE SQUARE}"


@dataclass(frozen=True)
class Font:
    """What a PDF must know of a font.

    Attributes:
        data: Its file.
        units: Units of the em square.
        glyphs: By letter, the number of its glyph.
        widths: By number of a glyph, its width in units.
        box: Lowest x and y, highest x and y of all glyphs, in units.
        ascent: Height above the base line, in units.
        descent: Depth below it, a negative number.
    """

    data: bytes
    units: int
    glyphs: Mapping[str, int]
    widths: tuple[int, ...]
    box: tuple[int, int, int, int]
    ascent: int
    descent: int


@functools.cache
def load_font() -> Font:
    """Read the font; the layout of its tables is that of OpenType."""
    data = Path(__file__).with_name("arimo.ttf").read_bytes()
    tables = {}
    for number in range(struct.unpack_from(">H", data, 4)[0]):
        tag, _, start, _ = struct.unpack_from(">4sIII", data, 12 + 16 * number)
        tables[tag.decode()] = start
    head, hhea, cmap = tables["head"], tables["hhea"], tables["cmap"]
    ascent, descent = struct.unpack_from(">hh", data, hhea + 4)
    long = struct.unpack_from(">H", data, hhea + 34)[0]
    count = struct.unpack_from(">H", data, tables["maxp"] + 4)[0]
    widths = [struct.unpack_from(">H", data, tables["hmtx"] + 4 * min(glyph, long - 1))[0] for glyph in range(count)]
    return Font(
        data,
        struct.unpack_from(">H", data, head + 18)[0],
        _read_cmap(data, cmap),
        tuple(widths),
        struct.unpack_from(">4h", data, head + 36),
        ascent,
        descent,
    )


def has_letters(text: str) -> bool:
    """Whether the font has all letters of a text."""
    return all(letter in load_font().glyphs for letter in text)


def as_drawable(text: str, instead: str = "") -> str:
    """Write a text in letters that the font has.

    Args:
        text: The text.
        instead: What stands for it where letters are missing.

    Returns:
        The text, or `instead`; without either, the text with a square in place of each missing letter.

    Example:
        >>> as_drawable("Müller"), as_drawable("眼科", "value 3"), as_drawable("a眼")
        ('Müller', 'value 3', 'a□')
    """
    if has_letters(text):
        return text
    return instead or "".join(letter if letter in load_font().glyphs else _UNKNOWN for letter in text)


def text_width(text: str, size: float) -> float:
    """Measure how wide a text is; a letter that the font lacks counts as an em.

    Args:
        text: The text.
        size: Size of its letters.

    Example:
        >>> text_width("0", 10) * 2 == text_width("00", 10)
        True
    """
    font = load_font()
    known = (font.glyphs.get(letter) for letter in text)
    return size * sum(font.units if glyph is None else font.widths[glyph] for glyph in known) / font.units


def _read_cmap(data: bytes, cmap: int) -> dict[str, int]:
    """Which glyph each letter has, from the table of format 4."""
    for number in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        start = cmap + struct.unpack_from(">I", data, cmap + 8 + 8 * number)[0]
        if struct.unpack_from(">H", data, start)[0] == 4:
            break
    count = struct.unpack_from(">H", data, start + 6)[0] // 2
    ends, firsts, deltas, offsets = (
        struct.unpack_from(f">{count}H", data, start + place)
        for place in (14, 16 + 2 * count, 16 + 4 * count, 16 + 6 * count)
    )
    glyphs = {}
    for segment in range(count):
        for code in range(firsts[segment], min(ends[segment], 0xFFFE) + 1):
            glyph = code
            if offsets[segment]:
                at = start + 16 + 6 * count + 2 * segment + offsets[segment] + 2 * (code - firsts[segment])
                glyph = struct.unpack_from(">H", data, at)[0]
            if glyph or not offsets[segment]:
                glyphs[chr(code)] = (glyph + deltas[segment]) % 65536
    return {letter: glyph for letter, glyph in glyphs.items() if glyph}
