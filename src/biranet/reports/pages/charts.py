"""The charts of the report: from a predictions table to what `charts.html.jinja` draws, in px and words.

Each function returns None where the table does not hold what the chart shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import has_probabilities, probabilities
from biranet.decisions.rules import raw_probabilities
from biranet.evaluation.measures.probabilities import BINS
from biranet.grades import DECISIONS, REFERABLE_GRADE
from biranet.reports.curves import Reliability, join_bins, reliability
from biranet.reports.pages.drawing import Axes, ticks


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: What it shows.
        path: The `d` of its SVG path.
        marks: Where single values are marked, (x, y, radius) in px.
    """

    name: str
    path: str
    marks: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Chart:
    """Axes and what lies on them.

    Attributes:
        axes: The axes.
        lines: The lines, the most important first.
        x_ticks: Values marked on the horizontal axis.
        y_ticks: Values marked on the vertical axis.
    """

    axes: Axes
    lines: Sequence[Line]
    x_ticks: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)
    y_ticks: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)


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
    numbers = np.rint(bins.low * BINS).astype(np.int64)
    joined = join_bins(numbers, bins.photos, bins.confidence, bins.right_fraction)
    return Line(name, "".join(axes.path(line.tolist()) for line in joined), marks)


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
