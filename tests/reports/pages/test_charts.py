"""Charts show the table: lines lie where written-out sums put them."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from answered_table import answered
from biranet.reports.curves import FEW_IN_BIN
from biranet.reports.pages.charts import (
    Chart,
    decision_counts,
    history_charts,
    reliability_chart,
)
from biranet.reports.pages.drawing import Axes, ticks


def corners(chart: Chart, line: int) -> npt.NDArray[np.float64]:
    """Values at the corners of a line, read back from its drawing."""
    return values(chart, [point.split() for point in re.split("[ML]", chart.lines[line].path)[1:]])


def values(chart: Chart, places: Sequence[Sequence[float | str]]) -> npt.NDArray[np.float64]:
    """Values at places of the drawing."""
    at, px = chart.axes, np.array(places, float)
    unit = (px - [at.left, at.bottom]) / [at.width, -at.height]
    low, high = np.array([at.x_range, at.y_range]).T
    return low + unit * (high - low)


def test_reliability_before_and_after() -> None:
    calibrated = reliability_chart(answered(temperature=1.5))
    raw = reliability_chart(answered(temperature=1.0))
    assert calibrated is not None and calibrated.before is not None and raw is not None
    assert [line.name for line in calibrated.chart.lines] == ["after calibration", "before calibration"]
    assert [line.name for line in raw.chart.lines] == ["as predicted"]
    assert raw.before is None
    # What the temperature did is undone: both tables had the same probabilities before it.
    np.testing.assert_allclose(calibrated.before.confidence, raw.bins.confidence)
    expected = np.stack([raw.bins.confidence, raw.bins.right_fraction], axis=1)
    np.testing.assert_allclose(values(raw.chart, [mark[:2] for mark in raw.chart.lines[0].marks]), expected, atol=2e-4)
    many = raw.bins.photos >= FEW_IN_BIN
    assert many.any() and not many.all()
    np.testing.assert_allclose(corners(raw.chart, 0), expected[many], atol=2e-4)
    # Bars are as high as photos are many, and stand on one ground.
    heights = np.array([height for *_, height in raw.bars])
    np.testing.assert_allclose(heights / heights.max(), raw.bins.photos / raw.bins.photos.max(), atol=2e-3)
    np.testing.assert_allclose([y + height for _, y, _, height in raw.bars], 444, atol=0.1)


def test_without_probabilities_there_is_no_diagram() -> None:
    assert reliability_chart(answered()[["file", "group", "grade", "predicted_grade"]]) is None


def test_decisions_are_counted_by_truth() -> None:
    table = answered()
    crossed = pd.crosstab(table["decision"], table["grade"] >= 2)
    expected = [crossed.loc[word].tolist() for word in ("do not refer", "ask a human", "refer")]
    assert decision_counts(table).tolist() == expected


def test_history_has_a_chart_of_each_kind() -> None:
    rows = [
        {"epoch": 1, "lr": 0.1, "train_loss": 0.3, "train_kappa": -0.1, "validation_kappa": None},
        {"epoch": 2, "lr": 0.1, "train_loss": 0.2, "train_kappa": 0.6, "validation_kappa": 0.5},
        {"epoch": 3, "lr": 0.1, "train_loss": 0.1, "train_kappa": 0.7, "validation_kappa": 0.4},
    ]
    charts = history_charts(rows)
    assert [line.name for line in charts["kappa"].lines] == ["validation kappa", "train kappa"]
    np.testing.assert_allclose(corners(charts["kappa"], 0), [[2, 0.5], [3, 0.4]], atol=5e-3)
    np.testing.assert_allclose(corners(charts["kappa"], 1), [[1, -0.1], [2, 0.6], [3, 0.7]], atol=5e-3)
    np.testing.assert_allclose(corners(charts["loss"], 0), [[1, 0.3], [2, 0.2], [3, 0.1]], atol=2e-3)
    assert charts["loss"].x_ticks == [1, 2, 3]
    assert history_charts([]) == {}
    assert list(history_charts(rows[:1])) == ["loss", "kappa"]
    assert list(history_charts([{"epoch": 1, "validation_kappa": None}])) == []


@given(st.floats(-5, 5), st.floats(0.001, 50))
def test_ticks_are_round_and_inside(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-6 <= tick <= low + width + 1e-6 for tick in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    assert round(10 ** (np.log10(steps[0]) % 1), 6) in (1, 2, 5, 10)


def test_axes_turn_values_into_places() -> None:
    axes = Axes(10, 20, 200, 100, x_range=(1, 5), y_range=(-1, 1))
    assert (axes.x(1), axes.x(5), axes.y(-1), axes.y(1)) == (10, 210, 120, 20)
    assert axes.path([(3, 0), (5, 1)]) == "M110 70L210 20"
