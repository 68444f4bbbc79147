"""Charts show the table: lines lie where scikit-learn and written-out sums put them, labels stay on the drawing."""

import re
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from biranet.decisions.rules import OperatingPoint, Rules, decide, decision_columns
from biranet.reports.pages.charts import (
    MIN_COVERED_PHOTOS,
    Chart,
    decision_counts,
    history_charts,
    reliability_chart,
    risk_chart,
    roc_chart,
)
from biranet.reports.pages.drawing import Axes, ticks

GRADES = np.arange(5)


def answered(photos: int = 150, temperature: float = 1.5) -> pd.DataFrame:
    random = np.random.default_rng(8)
    truth = random.integers(0, 5, photos)
    raw = np.exp(-1.5 * (truth[:, None] + random.normal(0, 0.9, (photos, 1)) - GRADES) ** 2)
    raw /= raw.sum(axis=1, keepdims=True)
    points = {"sensitivity_90": 0.3, "specificity_90": 0.8, "a_name_of_another_program": 0.5}
    rules = Rules(
        temperature=temperature,
        operating_points=tuple(OperatingPoint(name, threshold) for name, threshold in points.items()),
        set_threshold=0.7,
    )
    answers = decide(raw, rules)
    columns = {f"p{grade}": answers.probabilities[:, grade] for grade in GRADES}
    table = pd.DataFrame({**columns, "predicted_grade": answers.grades, **decision_columns(answers, rules)})
    return table.assign(file=np.arange(photos).astype(str), group=np.arange(photos).astype(str), grade=truth)


def corners(chart: Chart, line: int) -> npt.NDArray[np.float64]:
    """Values at the corners of a line, read back from its drawing."""
    at = chart.axes
    px = np.array([point.split() for point in chart.lines[line].path[1:].split("L")], float)
    unit = (px - [at.left, at.bottom]) / [at.width, -at.height]
    low, high = np.array([at.x_range, at.y_range]).T
    return low + unit * (high - low)


def far(points: npt.NDArray[np.float64], line: npt.NDArray[np.float64]) -> float:
    start, step = line[:-1], np.diff(line, axis=0)
    along = np.clip(((points[:, None] - start) * step).sum(axis=2) / np.maximum((step**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.hypot(*(points[:, None] - start - along[..., None] * step).T).min(axis=0).max())


def test_roc_curves_and_points() -> None:
    table = answered()
    chart = roc_chart(table)
    assert chart is not None
    p = table[[f"p{grade}" for grade in GRADES]].to_numpy()
    for line, lowest in enumerate((2, 1)):
        x, y, _ = roc_curve(table["grade"] >= lowest, p[:, lowest:].sum(axis=1), drop_intermediate=False)
        expected = np.stack([x, y], axis=1)
        assert far(expected, corners(chart, line)) < 1e-3
        assert far(corners(chart, line), expected) < 1e-3
    # Points of thresholds lie on the curve; that of the grade may lie beside it.
    named = {point.name: (point.x, point.y) for point in chart.points}
    assert len(named) == 4
    on_curve = np.array([place for name, place in named.items() if name != "by the predicted grade"])
    assert far(on_curve, corners(chart, 0)) < 1e-3
    said, truth = table["predicted_grade"] >= 2, table["grade"] >= 2
    assert named["by the predicted grade"] == (said[~truth].mean(), said[truth].mean())


@pytest.mark.parametrize("photos", [150, 12])
def test_labels_stay_apart_and_on_the_drawing(photos: int) -> None:
    table = answered(photos).assign(**{f"refer_{number}": number % 2 for number in range(20)})
    for chart in (roc_chart(table), risk_chart(table)):
        assert chart is not None
        words = {point.label: point.numbers or point.name for point in chart.points}
        words |= {point.label: point.numbers for point in chart.points if point.numbers}
        boxes = sorted((y, x, len(text)) for (x, y), text in words.items())
        assert all(chart.axes.top < y < chart.axes.bottom for y, _, _ in boxes)
        for (y, x, length), (below, beside, other) in combinations(boxes, 2):
            assert below - y > 8 or x + 7 * length < beside or beside + 7 * other < x
    roc = roc_chart(table)
    assert roc is not None
    assert all(x + 7 * len(point.numbers) < 412 for point in roc.points for x, _ in [point.label])


def test_points_are_numbered_from_left_to_right_and_coinciding_ones_together() -> None:
    same = answered().assign(refer_again=lambda table: table["refer_specificity_90"])
    chart = roc_chart(same)
    assert chart is not None
    places = [(point.x, point.y) for point in chart.points]
    assert places == sorted(places)
    numbered = [int(number) for point in chart.points for number in re.findall(r"\d+", point.numbers)]
    assert numbered == sorted(numbered)
    first, second = (n for n, point in enumerate(chart.points) if "again" in point.name or "specificity" in point.name)
    assert (first + 1, places[first]) == (second, places[second])
    assert chart.points[first].numbers == "" and chart.points[second].numbers == f"{first + 1}, {second + 1}"
    # With all at one place there is one label with all numbers.
    nobody = roc_chart(answered().assign(predicted_grade=0, refer_a_name_of_another_program=0, refer_sensitivity_90=0))
    assert nobody is not None
    assert [point.numbers for point in nobody.points][:3] == ["", "", "1–3"]


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
    np.testing.assert_allclose(corners(raw.chart, 0), expected, atol=2e-4)
    # Bars are as high as photos are many, and stand on one ground.
    heights = np.array([height for *_, height in raw.bars])
    np.testing.assert_allclose(heights / heights.max(), raw.bins.photos / raw.bins.photos.max(), atol=2e-3)
    np.testing.assert_allclose([y + height for _, y, _, height in raw.bars], 444, atol=0.1)


def test_risk_against_coverage() -> None:
    table = answered()
    chart = risk_chart(table)
    assert chart is not None
    score = table[["p2", "p3", "p4"]].sum(axis=1).to_numpy()
    sure, truth = np.maximum(score, 1 - score), (table["grade"] >= 2).to_numpy()
    wrong = (table["predicted_grade"] >= 2).to_numpy() != truth
    levels = [level for level in np.sort(sure)[::-1] if np.sum(sure >= level) >= MIN_COVERED_PHOTOS]
    expected = np.array([[np.mean(sure >= level), np.mean(wrong[sure >= level])] for level in levels])
    assert far(expected, corners(chart, 0)) < 1.5e-3
    assert far(corners(chart, 0), expected) < 1.5e-3
    decided = (table["decision"] != "ask a human").to_numpy()
    referred = (table["decision"] == "refer").to_numpy()
    assert {point.name: (point.x, point.y) for point in chart.points} == {
        "all photos, by the predicted grade": (1, wrong.mean()),
        "the decisions of the rule": (decided.mean(), (referred != truth)[decided].mean()),
    }


def test_a_rule_that_decides_nothing_has_no_point() -> None:
    chart = risk_chart(answered().assign(decision="ask a human"))
    assert chart is not None
    assert len(chart.points) == 1


def test_what_a_table_does_not_hold_is_not_drawn() -> None:
    table = answered()
    bare = table[["file", "group", "grade", "predicted_grade"]]
    assert roc_chart(bare) is None and reliability_chart(bare) is None and risk_chart(bare) is None
    assert roc_chart(table.assign(grade=0)) is None
    mild = roc_chart(table.assign(grade=table["grade"].clip(upper=1)))
    assert mild is not None
    assert [line.name for line in mild.lines] == ["any retinopathy (grade 1 and above)"]
    assert mild.points == ()
    one = risk_chart(table.head(1))
    assert one is not None and len(corners(one, 0)) == 1


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
