"""All figures of a report."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from biranet.decisions.columns import has_probabilities
from biranet.evaluation.bands import Curves
from biranet.reports.facts import Thresholds
from biranet.reports.figures.drawing import Figure
from biranet.reports.figures.grades import draw_confusion, draw_forest
from biranet.reports.figures.referral import draw_net_benefit, draw_precision_recall, draw_risk_coverage, draw_roc
from biranet.reports.figures.scores import draw_reliability, draw_scores
from biranet.reports.pages.listing import Numbers

FOREST_PREFIX = "subgroups_"

FIGURE_NAMES = (
    *("confusion_matrix", "roc", "precision_recall", "reliability", "scores_by_grade", "decision_curve"),
    *("risk_coverage", "roc_of_models"),
)
"""All figures, but for those of subgroups, which are named by their columns."""


def draw_figures(
    table: pd.DataFrame, metrics: Mapping[str, Any], curves: Curves | None, thresholds: Thresholds
) -> dict[str, Figure]:
    """Draw all figures that a table gives ground for.

    Args:
        table: A predictions table.
        metrics: The content of its `metrics.json`.
        curves: Its curves.
        thresholds: Of its operating points, by name, where they are known.

    Returns:
        The figures by name.
    """
    drawn = [each for each in _draw(table, metrics, curves, thresholds) if each is not None]
    return {each.name: each for each in drawn}


def _draw(
    table: pd.DataFrame, metrics: Mapping[str, Any], curves: Curves | None, thresholds: Thresholds
) -> Iterator[Figure | None]:
    numbers = Numbers(metrics)
    yield draw_confusion(metrics["confusion_matrix"])
    if curves is not None and has_probabilities(table):
        yield draw_roc(table, curves, numbers)
        yield draw_precision_recall(curves, numbers)
        yield draw_reliability(table, curves)
        yield draw_scores(table, thresholds)
        yield draw_net_benefit(curves)
        yield draw_risk_coverage(table, numbers("area_under_risk_coverage"))
    for name, column in forest_names(metrics).items():
        parts = [part for part in metrics["subgroups"] if part["column"] == column]
        yield draw_forest(name, column, parts, numbers)


def forest_names(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Name the figure of each column that makes subgroups: by its plain letters, numbered where that is not enough.

    Example:
        >>> forest_names({"subgroups": [{"column": "Camera / model"}, {"column": "眼"}]})
        {'subgroups_camera_model': 'Camera / model', 'subgroups_2': '眼'}
    """
    names: dict[str, str] = {}
    for number, column in enumerate(dict.fromkeys(part["column"] for part in metrics["subgroups"]), 1):
        plain = "_".join(re.findall(r"[a-z0-9]+", str(column).lower()))[:40]
        name = f"{FOREST_PREFIX}{plain}" if plain else f"{FOREST_PREFIX}{number}"
        names[name if name not in names else f"{name}_{number}"] = column
    return names
