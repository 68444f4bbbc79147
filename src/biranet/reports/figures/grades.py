"""Figures of grades: the confusion matrix, and parts of the photos side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from biranet.evaluation.interval_methods import LEVEL
from biranet.grades import GRADE_COUNT, GRADE_NAMES, GRADES, REFERABLE_GRADE
from biranet.reports.figures.drawing import (
    LABEL_SIZE,
    TICK_SIZE,
    WIDTH,
    Area,
    Color,
    Dot,
    Figure,
    Mark,
    Shape,
    Stroke,
    Text,
)
from biranet.reports.figures.font import text_width
from biranet.reports.figures.plot import figure, shorten
from biranet.reports.figures.words import in_text
from biranet.reports.pages.drawing import Axes, ticks
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import decimal, percent, thousands
from biranet.reports.pages.tables import ROWS_OF, head_of
from biranet.words import counted

_CELL, _LEFT, _TOP = 34.0, 74.0, 27.0


def draw_confusion(matrix: Sequence[Sequence[int]]) -> Figure:
    """Draw the confusion matrix: counts, and shares of the row.

    Args:
        matrix: (5, 5) rows of true and columns of predicted grades.
    """
    marks: list[Mark] = []
    middle = _LEFT + GRADE_COUNT * _CELL / 2
    marks.append(Text(middle, 8, "predicted grade", LABEL_SIZE, "middle"))
    marks.append(Text(9, _TOP + GRADE_COUNT * _CELL / 2, "true grade", LABEL_SIZE, "middle", rotated=True))
    for truth in GRADES:
        x, y = _LEFT + (truth + 0.5) * _CELL, _TOP + truth * _CELL
        marks.append(Text(x, _TOP - 6, str(truth), LABEL_SIZE, "middle"))
        marks.append(Text(_LEFT - 6, y + 15, f"{truth} {GRADE_NAMES[truth]}", LABEL_SIZE, "end"))
        marks.append(Text(_LEFT - 6, y + 24, f"n = {thousands(sum(matrix[truth]))}", 6.5, "end", "soft"))
        for grade in GRADES:
            marks += _draw_cell(matrix[truth][grade], sum(matrix[truth]), truth, grade)
    edge, start, end = REFERABLE_GRADE * _CELL, 0.0, GRADE_COUNT * _CELL
    for line in (((start, edge), (end, edge)), ((edge, start), (edge, end))):
        marks.append(Stroke([(_LEFT + x, _TOP + y) for x, y in line], "amber", 1.2, (4, 2.5)))
    return figure(
        "confusion_matrix",
        "Confusion matrix",
        "Photos by true and predicted grade, with their share of all photos of the true grade. Dashed lines part "
        f"referable grades ({REFERABLE_GRADE} and above) from the others.",
        _TOP + GRADE_COUNT * _CELL + 6,
        marks,
        alt_text=" ".join(
            f"Of {counted(sum(row), 'photo')} with true grade {truth}: "
            + ", ".join(f"{count} predicted as {grade}" for grade, count in enumerate(row))
            + "."
            for truth, row in enumerate(matrix)
        ),
    )


def _draw_cell(count: int, of_row: int, truth: int, grade: int) -> list[Mark]:
    share = count / of_row if of_row else 0.0
    x, y = _LEFT + grade * _CELL + 0.8, _TOP + truth * _CELL + 0.8
    side = _CELL - 1.6
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    marks: list[Mark] = [Area(corners, "blue", round(0.05 + 0.95 * share, 3))]
    if truth == grade:
        marks.append(Stroke([*corners, corners[0]], "ink", 0.8))
    color: Color = "on_blue" if share > 0.8 else "ink"  # on a half-filled cell ink has the better contrast
    middle = x + side / 2
    if count:
        size = min(8.5, 44 / len(str(count)))
        marks.append(Text(middle, y + 16, str(count), size, "middle", color))
        marks.append(Text(middle, y + 25, percent(share).replace("\N{NO-BREAK SPACE}", " "), 6, "middle", color))
    elif of_row:
        marks.append(Text(middle, y + 19, "0", 6.5, "middle", "soft"))
    return marks


_ROW, _HEAD, _FOOT = 13.0, 24.0, 22.0
_MAX_NAME_WIDTH, _COUNT_WIDTH = 88.0, 34.0


class _ForestRow(NamedTuple):
    """One line of a forest plot."""

    name: str
    photos: int
    numbers: Numbers
    fallback: str


def draw_forest(name: str, column: str, parts: Sequence[Mapping[str, Any]], numbers: Numbers) -> Figure:
    """Draw a measure of grades and one of referral for all photos and for the values of a column.

    Args:
        name: Name of the figure.
        column: The column.
        parts: The subgroups, as in `metrics.json`.
        numbers: The numbers of all photos.
    """
    keys = ROWS_OF["pair" if all(key in parts[0] for key in ROWS_OF["pair"]) else "pair_of_grades"]
    rows = [_ForestRow("all photos", sum(part["n"] for part in parts), numbers, "")]
    rows += [_ForestRow(part["value"], part["n"], Numbers(part), f"value {at}") for at, part in enumerate(parts, 1)]
    height = _HEAD + len(rows) * _ROW + _FOOT
    marks: list[Mark] = []
    for index, key in enumerate(keys):
        marks += _draw_panel(column, rows, key, index * height)
    return figure(
        name,
        f"Subgroups by {column}",
        f"{numbers(keys[0]).meaning.name} and {_lower(numbers(keys[1]).meaning.name)} of all photos and of the "
        f"subgroups by {column}, with {100 * LEVEL:.0f} % intervals; dotted: the value of all photos. What is not "
        "defined, or has no interval, is left out. Full names and further measures: the table of subgroups.",
        len(keys) * height,
        marks,
        alt_text=f"Subgroups by {column}. " + " ".join(f"{row.name}: {_said_of(row, keys)}." for row in rows),
    )


def _said_of(row: _ForestRow, keys: Sequence[str]) -> str:
    return ", ".join(f"{_lower(row.numbers(key).meaning.name)} {in_text(row.numbers(key))}" for key in keys)


def _lower(name: str) -> str:
    return f"{name[0].lower()}{name[1:]}"


def _draw_panel(column: str, rows: Sequence[_ForestRow], key: str, above: float) -> list[Mark]:
    """One measure: a row each with its name, its photos, a dot and a line, and the value in words."""
    shown = [row.numbers(key) for row in rows]
    names = min(_MAX_NAME_WIDTH, max(text_width(text, LABEL_SIZE) for text in (column, *(row.name for row in rows))))
    counts, top = 4 + names + _COUNT_WIDTH, above + _HEAD
    values = WIDTH - 4 - max(text_width(in_text(number), TICK_SIZE) for number in shown)
    axes = _forest_axes(shown, counts + 14, min(values - 10, WIDTH - 40), top, len(rows) * _ROW + 2)
    head = head_of(shown[0].meaning)
    marks: list[Mark] = [
        Text(4, top - 6, shorten(column, names, LABEL_SIZE), LABEL_SIZE, fallback="value"),
        Text(counts, top - 6, "photos", LABEL_SIZE, "end"),
        Text(WIDTH - 4, top - 6, f"{head} ({100 * LEVEL:.0f} % interval)", LABEL_SIZE, "end"),
        *_draw_scale(axes),
    ]
    if shown[0].value is not None:
        whole = axes.x(shown[0].value)
        marks.append(Stroke([(whole, top), (whole, axes.bottom)], "soft", 0.8, (1, 2)))
    for index, (row, number) in enumerate(zip(rows, shown, strict=True)):
        y = top + (index + 0.5) * _ROW
        marks.append(Text(4, y + 2.5, shorten(row.name, names), fallback=row.fallback))
        marks.append(Text(counts, y + 2.5, thousands(row.photos), anchor="end"))
        marks.append(Text(WIDTH - 4, y + 2.5, in_text(number), anchor="end"))
        marks += _draw_estimate(axes, number, y, of_all=index == 0)
    return marks


def _forest_axes(shown: Sequence[Number], left: float, right: float, top: float, height: float) -> Axes:
    ends = [end for each in shown if each.value is not None for end in (each.value, *(each.interval or ()))]
    lowest = min([0.8, *ends])
    low = lowest if lowest < 0 else math.floor(lowest * 5 + 1e-9) / 5
    return Axes(left, top, right - left, height, (low, 1.0))


def _draw_scale(axes: Axes) -> list[Mark]:
    marks: list[Mark] = []
    tick_values = ticks(*axes.x_range, 3)
    digits = 1 if all(abs(tick * 10 - round(tick * 10)) < 1e-9 for tick in tick_values) else 2
    for tick in tick_values:
        marks.append(Stroke([(axes.x(tick), axes.top), (axes.x(tick), axes.bottom)], "line", 0.5))
        marks.append(Text(axes.x(tick), axes.bottom + 9, decimal(tick, digits), anchor="middle"))
    return [*marks, Stroke([(axes.left, axes.bottom), (axes.right, axes.bottom)], "soft", 0.8)]


def _draw_estimate(axes: Axes, number: Number, y: float, *, of_all: bool) -> list[Mark]:
    """The dot of a value, and the line of its interval; nothing where there is no value."""
    if number.value is None:
        return []
    marks: list[Mark] = []
    if number.interval:
        first, last = (max(axes.x_range[0], end) for end in number.interval)
        marks.append(Stroke([(axes.x(first), y), (axes.x(last), y)], "blue", 1.2))
    shape, fill = ("diamond", "paper") if of_all else ("square", "blue")
    return [*marks, Dot(axes.x(number.value), y, 2.2, cast(Shape, shape), "blue", cast(Color, fill))]
