"""Figures as SVG: text stays text, and the same figure is the same bytes."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from biranet.console import escape_control
from biranet.reports.figures.drawing import COLORS, WIDTH, Area, Color, Dot, Figure, Mark, Shape, Stroke, Text

FILE_MARKER = "<!-- a figure of biranet's -->"
"""Stands at the beginning of every file."""

_FONTS = "Arimo, Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Fonts of one width, most of which any machine has one of."""


def as_svg_file(figure: Figure) -> bytes:
    """Write a figure as a file of its own, in millimetres."""
    body = _write(figure, lambda color: COLORS[color])
    size = f'width="{WIDTH / 72 * 25.4:.2f}mm" height="{figure.height / 72 * 25.4:.2f}mm"'
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n{FILE_MARKER}\n'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_view(figure)} font-family="{_FONTS}">'
    return f"{head}{svg}\n{body}</svg>\n".encode()


def as_svg_element(figure: Figure) -> str:
    """Write a figure as a part of a page, in the page's colours."""
    name = f"figure-{figure.name}"
    body = _write(figure, lambda color: f"var(--{color.replace('_', '-')})", name)
    named = f'aria-labelledby="{name}-title {name}-text" style="font-family:{_FONTS}"'
    return f'<svg class="chart" role="img" {named} {_view(figure)}>\n{body}</svg>'


def outline(shape: Shape, x: float, y: float, size: float) -> list[tuple[float, float]]:
    """The corners of a dot; a circle has one every 15 degrees."""
    if shape == "circle":
        turns = [math.radians(15 * number) for number in range(24)]
        return [(x + size * math.cos(turn), y + size * math.sin(turn)) for turn in turns]
    s = size
    corners = {
        "square": [(-s, -s), (s, -s), (s, s), (-s, s)],
        "diamond": [(0, -1.35 * s), (1.35 * s, 0), (0, 1.35 * s), (-1.35 * s, 0)],
        "up": [(0, -1.2 * s), (1.15 * s, s), (-1.15 * s, s)],
        "down": [(0, 1.2 * s), (1.15 * s, -s), (-1.15 * s, -s)],
        "cross": [
            *((-s, -s / 3), (-s / 3, -s / 3), (-s / 3, -s), (s / 3, -s), (s / 3, -s / 3), (s, -s / 3)),
            *((s, s / 3), (s / 3, s / 3), (s / 3, s), (-s / 3, s), (-s / 3, s / 3), (-s, s / 3)),
        ],
    }[shape]
    return [(x + dx, y + dy) for dx, dy in corners]


def _view(figure: Figure) -> str:
    return f'viewBox="0 0 {WIDTH:g} {figure.height:g}"'


def _write(figure: Figure, paint: Callable[[Color], str], name: str = "figure") -> str:
    title = f'<title id="{name}-title">{_text(figure.title)}</title>'
    described = f'<desc id="{name}-text">{_text(figure.alt_text)}</desc>'
    # Neighbours of one style share it, which halves the file.
    styled = itertools.groupby(figure.marks, lambda mark: (type(mark), _style(mark, paint)))
    groups = (_group(kind, style, list(marks)) for (kind, style), marks in styled)
    return "\n".join([title, described, *groups, ""])


def _style(mark: Mark, paint: Callable[[Color], str]) -> str:
    match mark:
        case Stroke():
            dash = f";stroke-dasharray:{' '.join(f'{each:g}' for each in mark.dash)}" if mark.dash else ""
            return f"fill:none;stroke:{paint(mark.color)};stroke-width:{mark.width:g};stroke-linejoin:round{dash}"
        case Area():
            opacity = f";fill-opacity:{mark.opacity:.3g}" if mark.opacity < 1 else ""
            return f"fill:{paint(mark.color)}{opacity}"
        case Dot():
            return f"fill:{paint(mark.fill)};stroke:{paint(mark.color)};stroke-width:0.9"
        case Text():
            return f"font-size:{mark.size:g}px;fill:{paint(mark.color)};text-anchor:{mark.anchor}"


def _group(kind: type[Mark], style: str, marks: Sequence[Mark]) -> str:
    """Write marks of one kind and one style; lines and areas become one path."""
    if kind is Text:
        words = "".join(_words(mark) for mark in marks if isinstance(mark, Text))
        return f'<g style="{style}">{words}</g>'
    paths = []
    for mark in marks:
        if isinstance(mark, Stroke):
            paths.append(_path(mark.points))
        elif isinstance(mark, Area):
            paths.append(f"{_path(mark.points)}Z")
        elif isinstance(mark, Dot) and mark.shape == "circle":
            arc = f"a{mark.size:g} {mark.size:g} 0 1 0"
            paths.append(f"M{mark.x - mark.size:.1f} {mark.y:.1f}{arc} {2 * mark.size:g} 0{arc} -{2 * mark.size:g} 0Z")
        elif isinstance(mark, Dot):
            paths.append(f"{_path(outline(mark.shape, mark.x, mark.y, mark.size))}Z")
    return f'<path d="{"".join(paths)}" style="{style}"/>'


def _words(words: Text) -> str:
    turn = f' transform="rotate(-90 {words.x:.1f} {words.y:.1f})"' if words.rotated else ""
    return f'<text x="{words.x:.1f}" y="{words.y:.1f}"{turn}>{_text(words.text)}</text>'


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{round(x, 1):g} {round(y, 1):g}" for x, y in points)


def _text(text: str) -> str:
    return escape(escape_control(text))
