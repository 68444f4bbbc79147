"""Figures of referral: ROC, precision against recall, net benefit, risk against coverage."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import (
    POINT_PREFIX,
    any_dr_score,
    has_decisions,
    point_columns,
    probabilities,
    referable_score,
)
from biranet.evaluation.bands import CurveBand, Curves
from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.measures import point_name
from biranet.grades import DECISIONS, REFERABLE_GRADE
from biranet.reports.curves import risk_coverage, roc_points, simplify_line
from biranet.reports.figures.drawing import DASHES, SERIES, SHAPES, Color, Figure, LegendEntry, Mark, Stroke
from biranet.reports.figures.plot import (
    BELOW,
    SQUARE,
    draw_band,
    draw_curve,
    draw_dots,
    draw_frame,
    figure_with_legend,
    plot_axes,
    shorten,
)
from biranet.reports.figures.words import in_text
from biranet.reports.pages.drawing import ticks
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import decimal, percent

MIN_COVERED_PHOTOS = 20
"""The risk-coverage curve is drawn from this many photos on: among the first few, one mistake is half of them."""

BANDS = f"Bands: {100 * LEVEL:.0f} % intervals at each place, by a bootstrap over patients."

_HEIGHT = 150.0


def draw_roc(table: pd.DataFrame, curves: Curves, numbers: Numbers) -> Figure | None:
    """Draw the ROC curves of referable photos and of any retinopathy, with bands and with what each rule does.

    Args:
        table: A predictions table.
        curves: Its curves.
        numbers: Its numbers.

    Returns:
        The figure; None where neither curve is defined. The dots belong to the curve of referable photos.
    """
    truth, shares = table["grade"].to_numpy(), probabilities(table)
    kinds: tuple[tuple[str, str, Color, CurveBand | None, npt.NDArray[np.bool_], npt.NDArray[np.float64]], ...] = (
        ("referable", "referable", "blue", curves.referable_roc, truth >= REFERABLE_GRADE, referable_score(shares)),
        ("any_dr", "any retinopathy", "amber", curves.any_dr_roc, truth >= 1, any_dr_score(shares)),
    )
    axes = plot_axes(SQUARE)
    bands: list[Mark] = []
    lines: list[Mark] = []
    legend: list[LegendEntry] = []
    for number, (name, words, color, band, positive, score) in enumerate(kinds):
        if band is not None:
            bands += draw_band(axes, band, color)
            # The first is the most important one, so it is drawn last.
            lines = draw_curve(axes, simplify_line(roc_points(positive, score)), color, DASHES[number]) + lines
            text = f"{words}: AUC {in_text(numbers(f'{name}_auc'))}"
            legend.append(LegendEntry(text, color, DASHES[number], band=True))
    if not legend:
        return None
    points = []
    rules = _rules(table) if curves.referable_roc is not None else []
    for number, (words, x, y) in enumerate(rules):
        shape = SHAPES[number % len(SHAPES)]
        points.append((axes.x(x), axes.y(y), shape))
        legend.append(LegendEntry(words, shape=shape, fallback=f"rule {number + 1}"))
    return figure_with_legend(
        "roc",
        "ROC curve",
        "Receiver operating characteristic of the scores for referable retinopathy (grade 2 and above) and for any "
        f"retinopathy (grade 1 and above), with areas under the curves. {BANDS} Dotted: guessing. Dots: what each way "
        "of referring does to these photos, on the curve of referable ones; where several do the same, one dot lies "
        "inside another.",
        legend,
        axes.bottom + BELOW,
        draw_frame(axes, "1 − specificity", "sensitivity"),
        [Stroke([(axes.left, axes.bottom), (axes.right, axes.top)], "soft", 0.8, (1, 2))],
        bands,
        lines,
        draw_dots(points),
        alt_text="Sensitivity against 1 − specificity. "
        + " ".join(
            f"Referred {words}: sensitivity {decimal(y)} at 1 − specificity {decimal(x)}." for words, x, y in rules
        ),
    )


def draw_roc_of_models(tables: Mapping[str, pd.DataFrame], numbers: Mapping[str, Numbers]) -> Figure | None:
    """Draw the ROC curves of several models on the same photos.

    Args:
        tables: Predictions tables by the names of the models.
        numbers: Their numbers, likewise.

    Returns:
        The figure; None where no model has probabilities, or photos are all referable, or none is.
    """
    axes = plot_axes(SQUARE)
    lines: list[Mark] = []
    legend: list[LegendEntry] = []
    for index, (name, table) in enumerate(tables.items()):
        auc = numbers[name].get("referable_auc")
        if auc is None or auc.value is None:
            continue
        color, dash = SERIES[index % len(SERIES)], DASHES[index % len(DASHES)]
        corners = roc_points((table["grade"] >= REFERABLE_GRADE).to_numpy(), referable_score(probabilities(table)))
        lines = draw_curve(axes, simplify_line(corners), color, dash) + lines
        text = f"{shorten(name, 110)}: AUC {in_text(auc)}"
        legend.append(LegendEntry(text, color, dash, fallback=f"model {index + 1}: AUC {in_text(auc)}"))
    if not legend:
        return None
    return figure_with_legend(
        "roc_of_models",
        "ROC curves of the models",
        "Receiver operating characteristic of each model's score for referable retinopathy (grade 2 and above) on the "
        f"same photos, with areas under the curves and their {100 * LEVEL:.0f} % intervals. Dotted: guessing.",
        legend,
        axes.bottom + BELOW,
        draw_frame(axes, "1 − specificity", "sensitivity"),
        [Stroke([(axes.left, axes.bottom), (axes.right, axes.top)], "soft", 0.8, (1, 2))],
        lines,
    )


def _rules(table: pd.DataFrame) -> list[tuple[str, float, float]]:
    """The ways of referring: name, share of needless referrals, sensitivity; from left to right."""
    referable = (table["grade"] >= REFERABLE_GRADE).to_numpy()
    rules = {point_name(name.removeprefix(POINT_PREFIX)): table[name] == 1 for name in point_columns(table)}
    rules["by the predicted grade"] = table["predicted_grade"] >= REFERABLE_GRADE
    points = [(float(who[~referable].mean()), float(who[referable].mean()), name) for name, who in rules.items()]
    return [(name, x, y) for x, y, name in sorted(points)]


def draw_precision_recall(curves: Curves, numbers: Numbers) -> Figure | None:
    """Draw precision against recall, with its band and the precision of guessing; None where it is not defined."""
    band = curves.precision_recall
    if band is None:
        return None
    axes = plot_axes(SQUARE)
    guess = [(0.0, curves.prevalence), (1.0, curves.prevalence)]
    legend = [
        LegendEntry(f"referable: AUPRC {in_text(numbers('referable_auprc'))}", "blue", band=True),
        LegendEntry(f"share of referable photos: {curves.prevalence:.2f}", "soft", (1, 2)),
    ]
    return figure_with_legend(
        "precision_recall",
        "Precision-recall curve",
        "Precision (positive predictive value) against recall (sensitivity) of the score for referable retinopathy "
        f"(grade 2 and above), among these photos. {BANDS} Dotted: the share of referable photos, which is the "
        "precision of guessing.",
        legend,
        axes.bottom + BELOW,
        draw_frame(axes, "recall (sensitivity)", "precision"),
        draw_band(axes, band),
        draw_curve(axes, guess, "soft", (1, 2), 0.8),
        draw_curve(axes, np.stack([band.x, band.value], axis=1)),
    )


def draw_net_benefit(curves: Curves) -> Figure:
    """Draw the net benefit of referring by the score, of referring everybody, and of referring nobody."""
    band = curves.net_benefit
    high = max(float(np.nanmax(band.high)) if (~np.isnan(band.high)).any() else 0, float(band.value.max()), 0.05) * 1.05
    axes = plot_axes(_HEIGHT, x_range=(0, 0.6), y_range=(-0.15 * high, high))
    refer_all = np.stack([band.x, curves.refer_all], axis=1)
    legend = [
        LegendEntry("by the score", "blue", band=True),
        LegendEntry("refer all", "amber", DASHES[1]),
        LegendEntry("refer none", "soft", DASHES[2]),
    ]
    return figure_with_legend(
        "decision_curve",
        "Decision curve",
        "Net benefit, per photo, of referring from a threshold of the score for referable retinopathy on, against that "
        "threshold: the share of photos rightly referred less that of needless referrals weighed by the odds of the "
        f"threshold; the share of referable photos is that of these photos. {BANDS}",
        legend,
        axes.bottom + BELOW,
        draw_frame(
            axes,
            "threshold probability",
            "net benefit",
            x_ticks=(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
            y_ticks=ticks(*axes.y_range),
            digits=(1, 1 if high > 0.5 else 2),
        ),
        draw_band(axes, band),
        draw_curve(axes, [(0, 0), (0.6, 0)], "soft", DASHES[2]),
        draw_curve(axes, refer_all, "amber", DASHES[1]),
        draw_curve(axes, np.stack([band.x, band.value], axis=1)),
    )


def draw_risk_coverage(table: pd.DataFrame, number: Number) -> Figure:
    """Draw how many referrals are wrong among the surest photos, against how many photos are decided.

    Args:
        table: A predictions table with probabilities.
        number: The area under the curve.
    """
    referable = table["grade"].to_numpy() >= REFERABLE_GRADE
    referred = table["predicted_grade"].to_numpy() >= REFERABLE_GRADE
    coverage, risk = risk_coverage(referable_score(probabilities(table)), referred, referable)
    shown = coverage >= min(MIN_COVERED_PHOTOS, len(table)) / len(table)
    curve = np.stack([coverage, risk], axis=1)[shown]
    points = [(1.0, float(risk[-1]), "all photos, by the predicted grade")]
    if has_decisions(table):
        decided = (table["decision"] != DECISIONS[1]).to_numpy()
        if decided.any():
            wrong = ((table["decision"] == DECISIONS[2]).to_numpy() != referable)[decided]
            points.append((float(decided.mean()), float(wrong.mean()), "the decisions of the rule"))
    high = 1.1 * max(0.05, float(curve[:, 1].max()), *(y for _, y, _ in points))
    axes = plot_axes(_HEIGHT, y_range=(0, high))
    legend = [LegendEntry(f"by confidence: area {in_text(number, 3)}", "blue")]
    legend += [LegendEntry(name, shape=shape) for (_, _, name), shape in zip(points, SHAPES[::2], strict=False)]
    line = simplify_line(curve / [1, high]) * [1, high]
    dots = draw_dots([(axes.x(x), axes.y(y), shape) for (x, y, _), shape in zip(points, SHAPES[::2], strict=False)])
    return figure_with_legend(
        "risk_coverage",
        "Risk against coverage",
        "Share of wrong referrals (by the predicted grade) among the photos that are decided, if those were decided "
        f"that the model is surest of; from {MIN_COVERED_PHOTOS} photos on.",
        legend,
        axes.bottom + BELOW,
        draw_frame(
            axes,
            "share of photos decided, the surest first",
            "share of these wrong",
            y_ticks=ticks(0, high),
            digits=(1, 2),
        ),
        draw_curve(axes, line),
        dots,
        alt_text="Share of wrong referrals among the photos decided, against the share of photos decided, the surest "
        "first. "
        + " ".join(
            f"{name.capitalize()}: {percent(x)} of the photos decided, {decimal(100 * y, 1)} % of these wrongly."
            for x, y, name in points
        ),
    )
