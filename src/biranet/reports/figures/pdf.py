"""Figures as PDF: one page, lines as lines and words as words, the font in the file, no date and no machine.

PDF 1.4 as in ISO 32000-1; a page of lines and words needs a handful of its objects, and no library of ours writes any.
"""

import functools
import zlib
from collections.abc import Iterable, Sequence

from biranet.console import escaped
from biranet.reports.figures.drawing import COLORS, WIDTH, Area, Color, Dot, Figure, Mark, Stroke, Words
from biranet.reports.figures.font import as_drawable, load_font
from biranet.reports.figures.svg import outline

MARK = b"% a figure of biranet's\n"
"""Stands at the beginning of every file."""

_NAME = "BIRANE+Arimo"
_HEADER = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + MARK


def as_pdf_file(figure: Figure) -> bytes:
    """Write a figure as a file of its own."""
    drawn: set[str] = set()
    opacities: list[float] = []
    content = "\n".join(line for mark in figure.marks for line in _draw(mark, figure.height, drawn, opacities))
    states = " ".join(f"/A{number} << /ca {opacity:.3g} >>" for number, opacity in enumerate(opacities))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {figure.height:g}] /Contents 4 0 R /Resources "
        f"<< /Font << /F 5 0 R >> /ExtGState << {states} >> >> >>".encode(),
        _stream(content.encode()),
        *_font_objects("".join(sorted(drawn))),
        f"<< /Title {_text_string(figure.title)} /Producer (biranet) >>".encode(),
    ]
    return _assemble(objects)


def _assemble(objects: Sequence[bytes]) -> bytes:
    """Number the objects, and end with the table of where they stand; the last one is the document's information."""
    parts, places, length = [_HEADER], [], len(_HEADER)
    for number, content in enumerate(objects, 1):
        part = b"%d 0 obj\n%s\nendobj\n" % (number, content)
        places.append(length)
        parts.append(part)
        length += len(part)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{length}\n%%EOF\n"
    )
    return b"".join([*parts, end.encode()])


def _draw(mark: Mark, height: float, drawn: set[str], opacities: list[float]) -> Iterable[str]:
    """The operators of one mark; letters and opacities that it uses are added to those of the page."""
    if isinstance(mark, Words):
        yield from _draw_words(mark, height, drawn)
    elif isinstance(mark, Stroke):
        dash = " ".join(f"{each:g}" for each in mark.dash)
        yield f"{_paint(mark.color)} RG {mark.width:g} w 1 j [{dash}] 0 d {_path(mark.points, height)} S"
    elif isinstance(mark, Area):
        if mark.opacity not in opacities:
            opacities.append(mark.opacity)
        state = f"/A{opacities.index(mark.opacity)} gs"
        yield f"q {state} {_paint(mark.color)} rg {_path(mark.points, height)} f Q"
    elif isinstance(mark, Dot):
        corners = outline(mark.shape, mark.x, mark.y, mark.size)
        paint = f"{_paint(mark.fill)} rg {_paint(mark.color)} RG"
        yield f"{paint} 0.9 w [] 0 d {_path(corners, height)} b"


def _draw_words(words: Words, height: float, drawn: set[str]) -> Iterable[str]:
    font, text = load_font(), as_drawable(escaped(words.text), words.instead)
    drawn |= set(text)
    glyphs = [font.glyphs[letter] for letter in text]
    length = words.size * sum(font.widths[glyph] for glyph in glyphs) / font.units
    before = {"start": 0.0, "middle": length / 2, "end": length}[words.anchor]
    x, y = words.x, height - words.y
    place = f"0 1 -1 0 {x:.2f} {y - before:.2f}" if words.upwards else f"1 0 0 1 {x - before:.2f} {y:.2f}"
    codes = "".join(f"{glyph:04x}" for glyph in glyphs)
    yield f"BT /F {words.size:g} Tf {_paint(words.color)} rg {place} Tm <{codes}> Tj ET"


def _paint(color: Color) -> str:
    return " ".join(f"{int(COLORS[color][place : place + 2], 16) / 255:.3f}" for place in (1, 3, 5))


def _path(points: Iterable[tuple[float, float]], height: float) -> str:
    first, *others = (f"{x:.2f} {height - y:.2f}" for x, y in points)
    return " ".join([f"{first} m", *(f"{each} l" for each in others)])


def _font_objects(letters: str) -> list[bytes]:
    """Objects 5 to 9: the font, by glyph numbers, and which letters its glyphs are, so that text can be copied."""
    font = load_font()
    per_mille = 1000 / font.units
    pairs = [(font.glyphs[letter], letter) for letter in letters]
    widths = " ".join(f"{glyph} [{font.widths[glyph] * per_mille:.0f}]" for glyph, _ in sorted(pairs))
    box = " ".join(f"{each * per_mille:.0f}" for each in font.box)
    ascent, descent = font.ascent * per_mille, font.descent * per_mille
    return [
        f"<< /Type /Font /Subtype /Type0 /BaseFont /{_NAME} /Encoding /Identity-H /DescendantFonts [6 0 R] "
        "/ToUnicode 9 0 R >>".encode(),
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{_NAME} /CIDSystemInfo << /Registry (Adobe) "
        f"/Ordering (Identity) /Supplement 0 >> /FontDescriptor 7 0 R /W [{widths}] /CIDToGIDMap /Identity >>".encode(),
        f"<< /Type /FontDescriptor /FontName /{_NAME} /Flags 4 /FontBBox [{box}] /ItalicAngle 0 /Ascent {ascent:.0f} "
        f"/Descent {descent:.0f} /CapHeight 716 /StemV 88 /FontFile2 8 0 R >>".encode(),
        _font_file(),
        _stream(_to_unicode(pairs).encode()),
    ]


@functools.cache
def _font_file() -> bytes:
    data = load_font().data
    return _stream(data, f"/Length1 {len(data)} ")


def _to_unicode(pairs: Sequence[tuple[int, str]]) -> str:
    lines = [f"<{glyph:04x}> <{letter.encode('utf-16-be').hex()}>" for glyph, letter in pairs]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    mapped = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo << /Registry (Adobe) "
        "/Ordering (UCS) /Supplement 0 >> def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n{mapped}\nendcmap\n"
        "CMapName currentdict /CMap defineresource pop\nend\nend"
    )


def _text_string(text: str) -> str:
    return f"<{(chr(0xFEFF) + text).encode('utf-16-be', 'replace').hex()}>"


def _stream(data: bytes, more: str = "") -> bytes:
    packed = zlib.compress(data, 9)
    return f"<< /Length {len(packed)} {more}/Filter /FlateDecode >>\nstream\n".encode() + packed + b"\nendstream"
