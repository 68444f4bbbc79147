"""Figures as PDF: one page, lines as lines and words as words, the font in the file, no date and no machine."""

import io
from collections.abc import Iterable
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.pdfgen.canvas import Canvas

from biranet.console import escape_control
from biranet.reports.figures.drawing import COLORS, WIDTH, Area, Dot, Figure, Mark, Stroke, Text
from biranet.reports.figures.font import NAME, load_font, with_fallback
from biranet.reports.figures.svg import outline

CREATOR = "a figure of biranet's"
"""Stands in every file as the program that made it."""


def as_pdf_file(figure: Figure) -> bytes:
    """Write a figure as a file of its own."""
    load_font()
    file = io.BytesIO()
    # Invariant: without the time, so the same figure is the same bytes.
    canvas = Canvas(file, pagesize=(WIDTH, figure.height), invariant=True, initialFontName=NAME)  # type: ignore[arg-type]
    canvas.setTitle(figure.title)
    canvas.setCreator(CREATOR)
    canvas.setLineJoin(1)
    for mark in figure.marks:
        canvas.saveState()
        _draw(canvas, mark, figure.height)
        canvas.restoreState()
    canvas.save()
    return file.getvalue()


def _draw(canvas: Any, mark: Mark, height: float) -> None:
    match mark:
        case Text():
            _draw_text(canvas, mark, height)
        case Stroke():
            canvas.setStrokeColor(HexColor(COLORS[mark.color]))
            canvas.setLineWidth(mark.width)
            canvas.setDash(mark.dash or [])
            canvas.drawPath(_path(canvas, mark.points, height), stroke=1, fill=0)
        case Area():
            canvas.setFillColor(HexColor(COLORS[mark.color]), alpha=mark.opacity)
            canvas.drawPath(_path(canvas, mark.points, height), stroke=0, fill=1)
        case Dot():
            canvas.setFillColor(HexColor(COLORS[mark.fill]))
            canvas.setStrokeColor(HexColor(COLORS[mark.color]))
            canvas.setLineWidth(0.9)
            corners = outline(mark.shape, mark.x, mark.y, mark.size)
            canvas.drawPath(_path(canvas, [*corners, corners[0]], height), stroke=1, fill=1)


def _draw_text(canvas: Any, words: Text, height: float) -> None:
    text = with_fallback(escape_control(words.text), words.fallback)
    canvas.setFont(NAME, words.size)
    canvas.setFillColor(HexColor(COLORS[words.color]))
    canvas.translate(words.x, height - words.y)
    canvas.rotate(90 if words.rotated else 0)
    write = {"start": canvas.drawString, "middle": canvas.drawCentredString, "end": canvas.drawRightString}
    write[words.anchor](0, 0, text)


def _path(canvas: Any, points: Iterable[tuple[float, float]], height: float) -> Any:
    path = canvas.beginPath()
    for number, (x, y) in enumerate(points):
        (path.lineTo if number else path.moveTo)(x, height - y)
    return path
