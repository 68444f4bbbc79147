"""What a figure is made of: strokes, areas, dots and words on a sheet, in points (1/72 inch), y downwards.

Nothing here knows of a file format: `svg.py` and `pdf.py` write the same marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from biranet.reports.figures.font import text_width

Color = Literal["ink", "soft", "line", "paper", "on_blue", "blue", "amber", "green", "purple"]

COLORS = MappingProxyType(
    {
        "ink": "#1a1a1a",
        "soft": "#56606e",
        "line": "#dfe3e8",
        "paper": "#ffffff",
        "on_blue": "#ffffff",
        "blue": "#0067a5",
        "amber": "#c25700",
        "green": "#00785a",
        "purple": "#8f4d8f",
    }
)
"""The colours of all figures. Blue and amber stay apart for every kind of colour blindness and in grey; what colours
tell, dashes, shapes and words tell too."""

SERIES: tuple[Color, ...] = ("blue", "amber", "green", "purple", "ink", "soft")
"""The colours of lines, the most important first."""

DASHES: tuple[tuple[float, ...], ...] = (
    *((), (8, 3), (1.2, 2.4)),
    *((8, 2.4, 1.2, 2.4), (3.5, 2.5), (8, 2, 1.2, 2, 1.2, 2)),
)
"""The dashes of lines, likewise: solid, long, dotted, dash and dot, short, dash and two dots."""

Shape = Literal["circle", "square", "diamond", "up", "down", "cross"]

SHAPES: tuple[Shape, ...] = ("circle", "square", "diamond", "up", "down", "cross")
"""The dots of figures, likewise."""

WIDTH = 252.0
"""Width of a figure: 3.5 inches, 89 mm, one column of most journals."""

LABEL_SIZE, TICK_SIZE = 7.5, 7.0
"""Sizes of words: no journal asks for more than 7 pt in a figure, or takes less than 5."""


@dataclass(frozen=True)
class Stroke:
    """A line through points, or the outline of an area.

    Attributes:
        points: Its corners (x, y).
        color: Its colour.
        width: Its width.
        dash: Lengths of dashes and gaps; without any, one line.
    """

    points: Sequence[tuple[float, float]]
    color: Color = "ink"
    width: float = 1.2
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Area:
    """A filled polygon without an outline.

    Attributes:
        points: Its corners (x, y).
        color: Its colour.
        opacity: In (0, 1].
    """

    points: Sequence[tuple[float, float]]
    color: Color = "blue"
    opacity: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A small mark about a place.

    Attributes:
        x: Its centre.
        y: Its centre.
        size: Half of its width.
        shape: Its shape.
        color: That of its outline.
        fill: That of its inside.
    """

    x: float
    y: float
    size: float = 2.4
    shape: Shape = "circle"
    color: Color = "ink"
    fill: Color = "paper"


@dataclass(frozen=True)
class Text:
    """A line of text.

    Attributes:
        x: Its beginning, middle or end, as `anchor` says.
        y: Its base line.
        text: What it says.
        size: Size of its letters.
        anchor: What stands at `x`.
        color: Its colour.
        rotated: Whether it runs upwards.
        fallback: What stands there where the font of the figures lacks letters of the text, as it does of names in
            scripts that run from right to left.
    """

    x: float
    y: float
    text: str
    size: float = TICK_SIZE
    anchor: Literal["start", "middle", "end"] = "start"
    color: Color = "ink"
    rotated: bool = False
    fallback: str = ""


Mark = Stroke | Area | Dot | Text


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: Its name, without a suffix.
        title: What it shows, in a few words.
        caption: What a reader must know to read it, in sentences; it goes below the figure.
        alt_text: What it shows, for those who do not see it: the numbers that stand nowhere else, or the caption.
        height: Its height; it is `WIDTH` wide.
        marks: What it is made of, the lowest first.
    """

    name: str
    title: str
    caption: str
    alt_text: str
    height: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class LegendEntry:
    """One line of a figure's legend.

    Attributes:
        text: What it says.
        color: That of the line or the dot.
        dash: That of the line.
        shape: The dot, in place of a line.
        fill: The inside of the dot.
        band: Whether a band lies about the line.
        fallback: As in `Text`.
    """

    text: str
    color: Color = "ink"
    dash: tuple[float, ...] = ()
    shape: Shape | None = None
    fill: Color = "paper"
    band: bool = False
    fallback: str = ""


LEGEND_LINE = 10.5
"""Height of one line of a legend."""


def draw_legend(entries: Sequence[LegendEntry], top: float, left: float = 8.0) -> tuple[list[Mark], float]:
    """Lay out a legend below a plot, in two columns; an entry that is too long for one has both.

    Args:
        entries: What stands in it.
        top: Where it begins.
        left: Its left edge.

    Returns:
        Its marks, and where it ends.
    """
    marks: list[Mark] = []
    half = (WIDTH - left) / 2
    x, y, before_wide = left, top - LEGEND_LINE / 2, False
    for number, entry in enumerate(entries):
        wide = text_width(entry.text, TICK_SIZE) + 27 > half
        # Beside the one before, where both have room in half of the width.
        if number and x == left and not wide and not before_wide:
            x += half
        else:
            x, y = left, y + LEGEND_LINE
        before_wide = wide
        if entry.band:
            marks.append(Area([(x, y - 3), (x + 18, y - 3), (x + 18, y + 3), (x, y + 3)], entry.color, BAND))
        if entry.shape:
            marks.append(Dot(x + 9, y, shape=entry.shape, color=entry.color, fill=entry.fill))
        else:
            marks.append(Stroke([(x, y), (x + 18, y)], entry.color, 1.2, entry.dash))
        marks.append(Text(x + 23, y + 2.5, entry.text, fallback=entry.fallback))
    return marks, y + LEGEND_LINE / 2


BAND = 0.18
"""Opacity of bands."""
