"""Figures of the score for referral: whether it can be believed, and how it lies by true grade."""

import itertools
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.decisions.columns import probabilities, referable_score
from biranet.evaluation.bands import SCORE_BINS, Curves
from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.measures import point_name
from biranet.grades import GRADE_NAMES, GRADES, REFERABLE_GRADE
from biranet.reports.curves import FEW_IN_BIN, join_bins
from biranet.reports.facts import Thresholds, threshold_text
from biranet.reports.figures.drawing import (
    DASHES,
    LABEL_SIZE,
    Area,
    Color,
    Dot,
    Figure,
    LegendEntry,
    Mark,
    Stroke,
    Text,
)
from biranet.reports.figures.plot import BELOW, SQUARE, draw_bars, draw_curve, draw_frame, figure_with_legend, plot_axes
from biranet.reports.pages.drawing import Axes, ticks
from biranet.reports.pages.page import decimal, percent, thousands

Values = npt.NDArray[np.float64]

_HISTOGRAM = np.linspace(0, 1, 21)
_DENSITY = np.linspace(0, 1, 41)

FEW_DOTS = 30
"""A grade of fewer photos is drawn as single dots."""


def draw_reliability(table: pd.DataFrame, curves: Curves) -> Figure:
    """Draw how often photos are referable, by their score, above a histogram of the scores.

    Args:
        table: A predictions table with probabilities.
        curves: Its curves.
    """
    band = curves.reliability.band
    axes = plot_axes(SQUARE * 0.8)
    bars_axes = plot_axes(42, top=axes.bottom + 10)
    bars: list[Mark] = []
    for x, low, high in zip(band.x, band.low, band.high, strict=True):
        if not np.isnan(low):
            bars.append(Stroke([(axes.x(x), axes.y(low)), (axes.x(x), axes.y(high))], "blue", 1.0))
    photos = curves.reliability.photos
    many = photos >= FEW_IN_BIN
    sizes = 1.4 + 2.8 * np.sqrt(photos / photos.max())
    dots: list[Mark] = [
        Dot(axes.x(x), axes.y(y), round(float(size), 2), color="blue", fill="blue" if enough else "paper")
        for x, y, size, enough in zip(band.x, band.value, sizes, many, strict=True)
    ]
    bins = np.minimum(band.x * SCORE_BINS, SCORE_BINS - 1).astype(np.int64)
    joined = [draw_curve(axes, line, width=0.7) for line in join_bins(bins, photos, band.x, band.value)]
    score = referable_score(probabilities(table))
    referable = (table["grade"] >= REFERABLE_GRADE).to_numpy()
    other_counts, referable_counts = (
        np.histogram(np.clip(score[who], 0, 1), _HISTOGRAM)[0].astype(np.float64) for who in (~referable, referable)
    )
    tallest = float((other_counts + referable_counts).max())
    bars_axes = Axes(bars_axes.left, bars_axes.top, bars_axes.width, bars_axes.height, (0, 1), (0, tallest))
    legend = [
        LegendEntry(f"a bin, with its {100 * LEVEL:.0f} % interval", "blue", shape="circle", fill="blue"),
        LegendEntry(f"fewer than {FEW_IN_BIN} photos", "blue", shape="circle"),
        LegendEntry("referable", "amber", shape="square", fill="amber"),
        LegendEntry("not referable", "soft", shape="square", fill="soft"),
    ]
    whole = [tick for tick in ticks(0, tallest, 2) if tick == int(tick)]
    return figure_with_legend(
        "reliability",
        "Reliability of the score for referral",
        "Above: share of referable photos (grade 2 and above) against the mean score (p2 + p3 + p4) of photos in bins "
        f"of a tenth; larger dots stand for more photos, a line joins bins of at least {FEW_IN_BIN}; bars are "
        f"{100 * LEVEL:.0f} % intervals; on the dotted diagonal a score of 0.8 is right in 80 of 100 photos. Below: "
        "the scores, in photos.",
        legend,
        bars_axes.bottom + BELOW,
        draw_frame(axes, "", "share that is referable"),
        [Stroke([(axes.left, axes.bottom), (axes.right, axes.top)], "soft", 0.8, (1, 2))],
        bars,
        list(itertools.chain.from_iterable(joined)),
        dots,
        draw_frame(bars_axes, "score for referral (p2 + p3 + p4)", "photos", y_ticks=whole, digits=(1, 0)),
        draw_bars(bars_axes, _HISTOGRAM, other_counts, "soft"),
        draw_bars(bars_axes, _HISTOGRAM, referable_counts, "amber", other_counts),
        alt_text="How often photos are referable, against their score. "
        + " ".join(
            f"{count} at a score of {decimal(x, 2)}: {percent(share)}."
            for count, x, share in zip(curves.reliability.photos.tolist(), band.x, band.value, strict=True)
        ),
    )


def draw_scores(table: pd.DataFrame, thresholds: Thresholds) -> Figure:
    """Draw the scores of the photos of each true grade, and the thresholds of the operating points.

    Args:
        table: A predictions table with probabilities.
        thresholds: By name of an operating point; none where they are not known.
    """
    grade, score = table["grade"].to_numpy(), np.clip(referable_score(probabilities(table)), 0, 1)
    axes = plot_axes(SQUARE * 0.8, x_range=(-0.5, 4.5))
    shapes: list[Mark] = []
    for each in GRADES:
        color: Color = "amber" if each >= REFERABLE_GRADE else "soft"
        shapes += _draw_grade(axes, each, np.sort(score[grade == each]), color)
        for row, text in enumerate((f"{each}", GRADE_NAMES[each], f"n = {thousands(int((grade == each).sum()))}")):
            shapes.append(Text(axes.x(each), axes.bottom + 9 + 8.5 * row, text, anchor="middle"))
    lines: list[Mark] = []
    legend = [
        LegendEntry("not referable", "soft", shape="square", fill="soft"),
        LegendEntry("referable", "amber", shape="square", fill="amber"),
    ]
    for number, (point, threshold) in enumerate(thresholds.items()):
        of_folds = threshold if isinstance(threshold, Sequence) else (threshold,)
        if 0 <= (middle := median(of_folds)) <= 1:
            dash = DASHES[number % len(DASHES)]
            lines.append(Stroke([(axes.left, axes.y(middle)), (axes.right, axes.y(middle))], "blue", 0.9, dash))
            at = threshold_text(threshold, 2)
            legend.append(LegendEntry(f"{point_name(point)}: {at}", "blue", dash, fallback=f"threshold {at}"))
    bottom = axes.bottom + 9 + 2 * 8.5 + 12
    note = "Lines: thresholds from which on a photo is referred." if lines else "No thresholds are known."
    if any(isinstance(threshold, Sequence) for threshold in thresholds.values()):
        note = (
            "Each fold had thresholds of its own, from which on its photos were referred. Lines: their medians; beside "
            "the names: from the lowest to the highest."
        )
    return figure_with_legend(
        "scores_by_grade",
        "Score for referral by true grade",
        "Score for referral (p2 + p3 + p4) of the photos of each true grade: how many have it (width), median (line) "
        f"and quartiles (bar); single photos where a grade has fewer than {FEW_DOTS}. {note}",
        legend,
        bottom + 5,
        draw_frame(axes, "", "score for referral (p2 + p3 + p4)", x_ticks=()),
        shapes,
        [Text(axes.left + axes.width / 2, bottom, "true grade", LABEL_SIZE, "middle")],
        lines,
    )


def _draw_grade(axes: Axes, grade: int, scores: Values, color: Color) -> list[Mark]:
    """The scores of one grade: a shape as wide as many photos have a score, or a dot a photo."""
    middle, half = axes.x(grade), 0.42 * axes.width / len(GRADES)
    if not scores.size:
        return []
    if len(scores) < FEW_DOTS:
        aside = (np.arange(len(scores)) % 5 - 2) * half / 4
        return [
            Dot(middle + float(shift), axes.y(value), 1.5, color=color, fill=color)
            for value, shift in zip(scores.tolist(), aside, strict=True)
        ]
    counts = np.histogram(scores, _DENSITY)[0]
    # Smoothed by its neighbours, as single bins jump.
    padded = np.pad(counts, 1, mode="edge")
    density = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    widths = half * density / density.max()
    centers = (_DENSITY[:-1] + _DENSITY[1:]) / 2
    heights = [axes.y(0), *(axes.y(float(center)) for center in centers), axes.y(1)]
    sides = [widths[0], *widths, widths[-1]]
    right = [(middle + float(side), y) for side, y in zip(sides, heights, strict=True)]
    left = [(middle - float(side), y) for side, y in zip(sides, heights, strict=True)]
    low, median, high = (float(each) for each in np.quantile(scores, [0.25, 0.5, 0.75]))
    bar = [
        (middle - 1.2, axes.y(low)),
        (middle - 1.2, axes.y(high)),
        (middle + 1.2, axes.y(high)),
        (middle + 1.2, axes.y(low)),
    ]
    return [
        Area([*right, *left[::-1]], color, 0.45),
        Area(bar, "ink"),
        Stroke([(middle - 6, axes.y(median)), (middle + 6, axes.y(median))], "ink", 1.4),
    ]
