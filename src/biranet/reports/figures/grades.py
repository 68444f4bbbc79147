"""Figures of grades: the confusion matrix, and parts of the photos side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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
    Stroke,
    Text,
)
from biranet.reports.figures.font import text_width
from biranet.reports.figures.plot import figure, shorten
from biranet.reports.pages.drawing import Axes, ticks
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import decimal, percent, thousands
from biranet.reports.pages.tables import ROWS_OF, head_of

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
            f"Of {thousands(sum(row))} {'photo' if sum(row) == 1 else 'photos'} with true grade {truth}: "
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


_ROW = 13.0
_MAX_NAME_WIDTH, _COUNT_WIDTH, _PANEL_GAP = 88.0, 34.0, 20.0


def draw_forest(name: str, column: str, parts: Sequence[Mapping[str, Any]], numbers: Numbers) -> Figure:
    """Draw two measures of each subgroup of a column, and of all photos, with their intervals.

    Args:
        name: Name of the figure.
        column: The column.
        parts: The subgroups, as in `metrics.json`.
        numbers: The numbers of all photos.
    """
    keys = ROWS_OF["pair" if all(key in parts[0] for key in ROWS_OF["pair"]) else "pair_of_grades"]
    rows = [("all photos", sum(part["n"] for part in parts), numbers, "")]
    rows += [(part["value"], part["n"], Numbers(part), f"value {place}") for place, part in enumerate(parts, 1)]
    names = min(_MAX_NAME_WIDTH, max(text_width(text, LABEL_SIZE) for text in (column, *(value for value, *_ in rows))))
    counts, panels = 4 + names + _COUNT_WIDTH, 4 + names + _COUNT_WIDTH + 14
    top = 24.0
    bottom = top + len(rows) * _ROW + 2
    marks: list[Mark] = [
        Text(4, top - 6, shorten(column, names, LABEL_SIZE), LABEL_SIZE, fallback="value"),
        Text(counts, top - 6, "photos", LABEL_SIZE, "end"),
    ]
    for row, (value, count, _, fallback) in enumerate(rows):
        y = top + (row + 0.5) * _ROW
        marks.append(Text(4, y + 2.5, shorten(value, names), fallback=fallback))
        marks.append(Text(counts, y + 2.5, thousands(count), anchor="end"))
    width = (WIDTH - panels - _PANEL_GAP - 8) / 2
    for place, key in enumerate(keys):
        left = panels + place * (width + _PANEL_GAP)
        marks += _draw_panel(left, width, top, bottom, [of_row(key) for _, _, of_row, _ in rows])
    return figure(
        name,
        f"Subgroups by {column}",
        f"{numbers(keys[0]).meaning.name} and {_lower(numbers(keys[1]).meaning.name)} of all photos and of the "
        f"subgroups by {column}, with {100 * LEVEL:.0f} % intervals; dotted: the value of all photos. What is not "
        "defined, or has no interval, is left out. Full names and all values: the table of subgroups.",
        bottom + 20,
        marks,
    )


def _lower(name: str) -> str:
    return f"{name[0].lower()}{name[1:]}"


def _draw_panel(left: float, width: float, top: float, bottom: float, shown: Sequence[Number]) -> list[Mark]:
    """One measure: a dot and a line a row."""
    ends = [end for each in shown if each.value is not None for end in (each.value, *(each.interval or ()))]
    lowest = min([0.8, *ends])
    low = lowest if lowest < 0 else math.floor(lowest * 5 + 1e-9) / 5
    axes = Axes(left, top, width, bottom - top, (low, 1.0))
    marks: list[Mark] = []
    places = ticks(low, 1.0, 3)
    digits = 1 if all(abs(tick * 10 - round(tick * 10)) < 1e-9 for tick in places) else 2
    for tick in places:
        marks.append(Stroke([(axes.x(tick), top), (axes.x(tick), bottom)], "line", 0.5))
        marks.append(Text(axes.x(tick), bottom + 9, decimal(tick, digits), anchor="middle"))
    marks.append(Stroke([(left, bottom), (left + width, bottom)], "soft", 0.8))
    head = head_of(shown[0].meaning)
    middle = min(left + width / 2, WIDTH - 1 - text_width(head, TICK_SIZE) / 2)
    marks.append(Text(middle, top - 6, head, TICK_SIZE, "middle"))
    whole = shown[0].value
    if whole is not None:
        marks.append(Stroke([(axes.x(whole), top), (axes.x(whole), bottom)], "soft", 0.8, (1, 2)))
    for row, number in enumerate(shown):
        y = top + (row + 0.5) * _ROW
        if number.value is None:
            continue
        if number.interval:
            first, last = (max(low, end) for end in number.interval)
            marks.append(Stroke([(axes.x(first), y), (axes.x(last), y)], "blue", 1.2))
        all_photos = row == 0
        dot = Dot(axes.x(number.value), y, 2.2, "square", "blue", "blue")
        marks.append(replace(dot, shape="diamond", fill="paper") if all_photos else dot)
    return marks
