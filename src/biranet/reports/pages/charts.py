"""The charts of the report: from a predictions table to what `charts.html.jinja` draws, in px and words.

Each function returns None where the table does not hold what the chart shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import (
    POINT_PREFIX,
    any_dr_score,
    has_decisions,
    has_probabilities,
    point_columns,
    probabilities,
    referable_score,
)
from biranet.decisions.rules import raw_probabilities
from biranet.evaluation.measures import point_name
from biranet.grades import DECISIONS, REFERABLE_GRADE
from biranet.reports.curves import Reliability, reliability, risk_coverage, roc_points, simplify_line
from biranet.reports.pages.drawing import Axes, ticks

MIN_COVERED_PHOTOS = 20
"""The risk-coverage curve is drawn from this many photos on: among the first few, one mistake is half of them."""


CHARACTER_PX = (9, 16)
"""Room that a digit takes on the ROC curve, with some air: width and height."""


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: What it shows.
        path: The `d` of its SVG path.
        marks: Where single values are marked, (x, y, radius) in px.
        key: That of the number in `metrics.json` that sums the line up.
    """

    name: str
    path: str
    marks: Sequence[tuple[float, float, float]] = ()
    key: str = ""


@dataclass(frozen=True)
class Point:
    """One marked point of a chart with its label.

    Attributes:
        name: What it is.
        x: Value on the horizontal axis.
        y: Value on the vertical axis.
        label: Where its label begins on the drawing, (x, y) in px.
        numbers: What stands there in place of the name: its number in a list of names, with those of the points beside
            it; empty where another point's label has its number.
    """

    name: str
    x: float
    y: float
    label: tuple[float, float]
    numbers: str = ""


@dataclass(frozen=True)
class Chart:
    """Axes and what lies on them.

    Attributes:
        axes: The axes.
        lines: The lines, the most important first.
        points: Marked points.
        x_ticks: Values marked on the horizontal axis.
        y_ticks: Values marked on the vertical axis.
    """

    axes: Axes
    lines: Sequence[Line]
    points: Sequence[Point] = ()
    x_ticks: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)
    y_ticks: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)


def roc_chart(table: pd.DataFrame) -> Chart | None:
    """Draw the ROC curves of referable photos and of any retinopathy, with the operating points.

    Args:
        table: A predictions table.

    Returns:
        The curves that are defined, the referable one first; None without probabilities, or where no curve is defined.
        The points belong to the referable curve: each operating point as the table's columns say, and the referral by
        predicted grade. They are in order from left to right, and numbered so.
    """
    if not has_probabilities(table):
        return None
    axes = Axes(54, 12, 348, 350)
    truth = table["grade"].to_numpy()
    kinds = {
        "referable": ("referable (grade 2 and above)", truth >= REFERABLE_GRADE, referable_score(probabilities(table))),
        "any_dr": ("any retinopathy (grade 1 and above)", truth >= 1, any_dr_score(probabilities(table))),
    }
    lines = [
        Line(name, axes.path(simplify_line(roc_points(positive, score))), key=f"{kind}_auc")
        for kind, (name, positive, score) in kinds.items()
        if positive.any() and not positive.all()
    ]
    referable = truth >= REFERABLE_GRADE
    if not lines or referable.all() or not referable.any():
        return Chart(axes, lines) if lines else None
    referred = {point_name(name.removeprefix(POINT_PREFIX)): table[name] == 1 for name in point_columns(table)}
    referred["by the predicted grade"] = table["predicted_grade"] >= REFERABLE_GRADE
    places = sorted(
        (float(who[~referable].mean()), float(who[referable].mean()), name) for name, who in referred.items()
    )
    return Chart(axes, lines, _numbered(axes, places))


def _numbered(axes: Axes, places: Sequence[tuple[float, float, str]]) -> list[Point]:
    """Number points (x, y, name), sorted; those whose labels would lie on each other share one."""
    groups = [[number] for number in range(len(places))]
    while True:
        labels = [_label(axes, places[group[-1]], _numbers(group)) for group in groups]
        for after, (before, label) in enumerate(pairwise(labels), 1):
            width = CHARACTER_PX[0] * (len(_numbers(groups[after - 1])) + 1)
            if label[0] < before[0] + width and abs(label[1] - before[1]) < CHARACTER_PX[1]:
                groups[after - 1 : after + 1] = [groups[after - 1] + groups[after]]
                break
        else:
            break
    return [
        Point(places[number][2], *places[number][:2], label, _numbers(group) if number == group[-1] else "")
        for group, label in zip(groups, labels, strict=True)
        for number in group
    ]


def _numbers(group: Sequence[int]) -> str:
    first, last = group[0] + 1, group[-1] + 1
    return str(first) if first == last else f"{first}{', ' if last == first + 1 else '–'}{last}"


def _label(axes: Axes, place: tuple[float, float, str], numbers: str) -> tuple[float, float]:
    """Below and to the right of a point, where the curve is not; but for the corners, inside of the plot."""
    x, y = axes.x(place[0]), axes.y(place[1])
    return min(x + 7, axes.right - CHARACTER_PX[0] * len(numbers)), y + 17 if y + 20 < axes.bottom else y - 9


@dataclass(frozen=True)
class ReliabilityChart:
    """The reliability diagram, with a strip of bars below that shows where the photos are.

    Attributes:
        chart: The diagram; its first line is what is used, a second one what it was before calibration.
        bins: The bins behind the first line.
        before: Those behind the second, or None.
        bars: (x, y, width, height) in px of one bar for each bin of the first line.
    """

    chart: Chart
    bins: Reliability
    before: Reliability | None
    bars: Sequence[tuple[float, float, float, float]]


def reliability_chart(table: pd.DataFrame) -> ReliabilityChart | None:
    """Draw how often the most probable grade is right, by how probable it is said to be.

    Args:
        table: A predictions table.

    Returns:
        The diagram, with the probabilities before calibration where a temperature was applied; None without
        probabilities.
    """
    if not has_probabilities(table):
        return None
    axes, strip = Axes(54, 12, 348, 350), Axes(54, 400, 348, 44)
    grade = table["grade"].to_numpy()
    bins = reliability(probabilities(table), grade)
    calibrated = "temperature" in table and bool((table["temperature"] != 1).any())
    before = reliability(raw_probabilities(table), grade) if calibrated else None
    named = {"after calibration" if calibrated else "as predicted": bins, "before calibration": before}
    lines = [_reliability_line(axes, name, each) for name, each in named.items() if each is not None]
    tallest = bins.photos.max()
    bars = [
        (
            strip.x(low) + 1,
            strip.y(photos / tallest),
            round(strip.x(high) - strip.x(low) - 2, 1),
            round(strip.bottom - strip.y(photos / tallest), 1),
        )
        for low, high, photos in zip(bins.low, bins.high, bins.photos, strict=True)
    ]
    return ReliabilityChart(Chart(axes, lines), bins, before, bars)


def _reliability_line(axes: Axes, name: str, bins: Reliability) -> Line:
    radius = 2.5 + 5.5 * np.sqrt(bins.photos / bins.photos.max())
    corners = list(zip(bins.confidence.tolist(), bins.right_fraction.tolist(), strict=True))
    marks = [(axes.x(x), axes.y(y), round(float(size), 1)) for (x, y), size in zip(corners, radius, strict=True)]
    return Line(name, axes.path(corners), marks)


def risk_chart(table: pd.DataFrame) -> Chart | None:
    """Draw how many referrals are wrong among the surest photos, against how many photos are decided.

    Args:
        table: A predictions table.

    Returns:
        The curve, from `MIN_COVERED_PHOTOS` photos on; the points are all photos by their predicted grade and, where
        the table has decisions, what the rule decides. None without probabilities.
    """
    if not has_probabilities(table):
        return None
    referable = table["grade"].to_numpy() >= REFERABLE_GRADE
    referred = table["predicted_grade"].to_numpy() >= REFERABLE_GRADE
    coverage, risk = risk_coverage(referable_score(probabilities(table)), referred, referable)
    shown = coverage >= min(MIN_COVERED_PHOTOS, len(table)) / len(table)
    curve = np.stack([coverage, risk], axis=1)[shown]
    places = [(1.0, float(risk[-1]), "all photos, by the predicted grade")]
    if has_decisions(table):
        decided = (table["decision"] != DECISIONS[1]).to_numpy()
        if decided.any():
            wrong = ((table["decision"] == DECISIONS[2]).to_numpy() != referable)[decided]
            places.append((float(decided.mean()), float(wrong.mean()), "the decisions of the rule"))
    # Room above for the labels: the curve mostly rises to the right, so they stand in the upper left corner.
    high = 1.3 * max(0.05, float(curve[:, 1].max()), *(y for _, y, _ in places))
    axes = Axes(54, 12, 348, 260, y_range=(0, high))
    line = Line("share of wrong referrals", axes.path(simplify_line(curve / [1, high]) * [1, high]))
    places.sort(key=lambda place: -place[1])
    points = [Point(name, x, y, (axes.x(0.68), axes.top + 22 + 22 * row)) for row, (x, y, name) in enumerate(places)]
    return Chart(axes, [line], points, y_ticks=ticks(0, high))


def history_charts(history: Sequence[Mapping[str, Any]]) -> dict[str, Chart]:
    """Draw what was measured after each epoch of the training.

    Args:
        history: One row an epoch: `epoch`, and numbers or None by name; those that end in `_loss` or `_kappa` are
            drawn.

    Returns:
        A chart for `loss` and one for `kappa`, where there are such numbers.
    """
    charts = {}
    for kind in ("loss", "kappa"):
        names = [name for name in dict.fromkeys(key for row in history for key in row) if name.endswith(f"_{kind}")]
        # The validation curve is what is decided by, so it comes first.
        names.sort(key=lambda name: not name.startswith("validation"))
        curves = {
            name: [(float(row["epoch"]), float(row[name])) for row in history if row.get(name) is not None]
            for name in names
        }
        curves = {name: corners for name, corners in curves.items() if corners}
        if not curves:
            continue
        values = [y for corners in curves.values() for _, y in corners]
        epochs = [x for corners in curves.values() for x, _ in corners]
        low, high = min(0.0, *values), max(values) if kind == "loss" else 1.0
        x_range = (min(epochs), max(max(epochs), min(epochs) + 1))
        axes = Axes(54, 12, 348, 200, x_range=x_range, y_range=(low, max(high * 1.05, low + 1e-6)))
        lines = [
            Line(name.replace("_", " "), axes.path(corners), [(axes.x(x), axes.y(y), 2.5) for x, y in corners])
            for name, corners in curves.items()
        ]
        whole = [tick for tick in ticks(*x_range) if tick == int(tick)]
        charts[kind] = Chart(axes, lines, x_ticks=whole, y_ticks=ticks(*axes.y_range))
    return charts


def decision_counts(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Count the photos with each decision.

    Args:
        table: A predictions table with decisions.

    Returns:
        (3, 2): rows as in `DECISIONS`; photos that are not referable, and those that are.
    """
    referable = (table["grade"] >= REFERABLE_GRADE).to_numpy()
    return np.stack([np.bincount(referable[(table["decision"] == word).to_numpy()], minlength=2) for word in DECISIONS])
