"""Axes with their ticks, and curves and bands on them."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from biranet.evaluation.bands import CurveBand
from biranet.reports.figures.drawing import (
    BAND,
    LABEL_SIZE,
    TICK_SIZE,
    WIDTH,
    Area,
    Color,
    Dot,
    Figure,
    LegendEntry,
    Mark,
    Shape,
    Stroke,
    Text,
    draw_legend,
)
from biranet.reports.figures.font import text_width
from biranet.reports.pages.drawing import Axes
from biranet.reports.pages.page import decimal

Values = npt.NDArray[np.float64]
Points = Sequence[tuple[float, float]]

TENTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

LEFT, RIGHT, TOP = 36.0, 8.0, 7.0
"""Room left, right and above of a plot."""

BELOW = 26.0
"""Room below it, for ticks and a label."""

SQUARE = WIDTH - LEFT - RIGHT
"""Side of a square plot that fills the figure."""


def plot_axes(
    height: float,
    *,
    top: float = TOP,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
) -> Axes:
    """Axes as wide as a figure allows."""
    return Axes(LEFT, top, SQUARE, height, x_range, y_range)


def draw_frame(
    axes: Axes,
    x_label: str,
    y_label: str,
    *,
    x_ticks: Sequence[float] = TENTHS,
    y_ticks: Sequence[float] = TENTHS,
    digits: tuple[int, int] = (1, 1),
) -> list[Mark]:
    """Draw axes.

    Args:
        axes: The axes.
        x_label: What the horizontal axis shows; empty where another one below says it.
        y_label: What the vertical axis shows.
        x_ticks: Values that are marked.
        y_ticks: Values that are marked.
        digits: Decimals of both.
    """
    lines = [[(axes.x(tick), axes.top), (axes.x(tick), axes.bottom)] for tick in x_ticks]
    lines += [[(axes.left, axes.y(tick)), (axes.right, axes.y(tick))] for tick in y_ticks]
    marks: list[Mark] = [Stroke(line, "line", 0.5) for line in lines]
    for tick in x_ticks if x_label else ():
        marks.append(Text(axes.x(tick), axes.bottom + 9, decimal(tick, digits[0]), anchor="middle"))
    for tick in y_ticks:
        marks.append(Text(axes.left - 4, axes.y(tick) + 2.5, decimal(tick, digits[1]), anchor="end"))
    corners = [(axes.left, axes.top), (axes.left, axes.bottom), (axes.right, axes.bottom)]
    marks.append(Stroke(corners, "soft", 0.8))
    middle = axes.top + axes.height / 2
    if x_label:
        marks.append(Text(axes.left + axes.width / 2, axes.bottom + 20, x_label, LABEL_SIZE, "middle"))
    marks.append(Text(9, middle, y_label, LABEL_SIZE, "middle", rotated=True))
    return marks


def draw_curve(
    axes: Axes,
    points: Iterable[Sequence[float]],
    color: Color = "blue",
    dash: tuple[float, ...] = (),
    width: float = 1.2,
) -> list[Mark]:
    """Draw a line through values; what lies below or above the axes is cut off."""
    return [
        Stroke([(axes.x(x), axes.y(y)) for x, y in part], color, width, dash) for part in _cut(points, *axes.y_range)
    ]


def draw_band(axes: Axes, band: CurveBand, color: Color = "blue") -> list[Mark]:
    """Fill a band, where it is known; a break where it is not."""
    low, high = np.clip(band.low, *axes.y_range), np.clip(band.high, *axes.y_range)
    defined = np.flatnonzero(~np.isnan(band.low))
    parts = np.split(defined, np.flatnonzero(np.diff(defined) > 1) + 1)
    marks: list[Mark] = []
    for part in parts:
        if len(part) > 1:
            upper = [(axes.x(band.x[index]), axes.y(high[index])) for index in part]
            lower = [(axes.x(band.x[index]), axes.y(low[index])) for index in part[::-1]]
            marks.append(Area([*upper, *lower], color, BAND))
    return marks


def draw_bars(axes: Axes, edges: Values, heights: Values, color: Color, floor: Values | None = None) -> list[Mark]:
    """Draw bars between edges, from the floor of each, or the axis, on."""
    floor = np.zeros(len(heights)) if floor is None else floor
    marks: list[Mark] = []
    for index in np.flatnonzero(heights).tolist():
        left, right = axes.x(edges[index]) + 0.4, axes.x(edges[index + 1]) - 0.4
        low, high = axes.y(floor[index]), axes.y(floor[index] + heights[index])
        marks.append(Area([(left, low), (left, high), (right, high), (right, low)], color))
    return marks


def draw_dots(points: Sequence[tuple[float, float, Shape]]) -> list[Dot]:
    """Draw a dot at each place of the sheet; of those that would hide each other, each lies inside the one before."""
    dots: list[Dot] = []
    for together in _near_each_other(points):
        step = min(_DOT_STEP, _LARGEST_DOT / len(together))
        dots += [
            Dot(x, y, Dot.size + step * (len(together) - 1 - number), shape)
            for number, (x, y, shape) in enumerate(together)
        ]
    return sorted(dots, key=lambda dot: -dot.size)


_DOT_STEP, _LARGEST_DOT = 1.5, 4.5
"""So much wider is each of such dots than the next one inside, and at most the outermost than a single one."""


def _near_each_other(points: Sequence[tuple[float, float, Shape]]) -> list[list[tuple[float, float, Shape]]]:
    """Put places together whose dots would touch, directly or through others."""
    clusters: list[list[tuple[float, float, Shape]]] = []
    for point in points:
        near = [each for each in clusters if any(math.dist(point[:2], other[:2]) < 2 * Dot.size for other in each)]
        clusters = [each for each in clusters if each not in near]
        clusters.append([*itertools.chain.from_iterable(near), point])
    return clusters


def figure(name: str, title: str, caption: str, height: float, *layers: Sequence[Mark], alt_text: str = "") -> Figure:
    """Put a figure together from layers of marks, the lowest first; without another text its caption is read aloud."""
    return Figure(name, title, caption, alt_text or caption, height, tuple(mark for layer in layers for mark in layer))


def figure_with_legend(
    name: str,
    title: str,
    caption: str,
    legend: Sequence[LegendEntry],
    top: float,
    *layers: Sequence[Mark],
    alt_text: str = "",
) -> Figure:
    """Put a figure together likewise, with a legend below it that begins at `top`."""
    marks, bottom = draw_legend(legend, top)
    return figure(name, title, caption, bottom + 3, *layers, marks, alt_text=alt_text)


def shorten(text: str, width: float, size: float = TICK_SIZE) -> str:
    """Shorten a text to a width.

    Example:
        >>> shorten("a very long name", 40), shorten("short", 40)
        ('a very lon…', 'short')
    """
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _cut(points: Iterable[Sequence[float]], low: float, high: float) -> list[Points]:
    """Cut a line into the parts whose values lie between two bounds."""
    parts: list[list[tuple[float, float]]] = [[]]
    before: tuple[float, float] | None = None
    for x, y in points:
        here = (float(x), float(y))
        inside = low <= here[1] <= high
        if before is not None and inside != (low <= before[1] <= high):
            bound = low if min(here[1], before[1]) < low else high
            share = (bound - before[1]) / (here[1] - before[1])
            parts[-1].append((before[0] + share * (here[0] - before[0]), bound))
            if not inside:
                parts.append([])
        if inside:
            parts[-1].append(here)
        before = here
    return [part for part in parts if len(part) > 1]
