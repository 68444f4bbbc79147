"""The drawings of the benchmarks' page, as SVG; the same figures give the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

OURS, OTHERS = "#1f77b4", "#9aa0a6"


def draw_bars(values: Mapping[str, float], label: str, ours: Sequence[str] = ()) -> Figure:
    """Draw one bar a value, in their order from above, with its number.

    Args:
        values: By name.
        label: What they are.
        ours: Names of those that stand out.
    """
    figure = Figure(figsize=(7, 0.7 + 0.34 * len(values)), layout="constrained")
    axes = figure.add_subplot(xlabel=label)
    bars = axes.barh(list(values), list(values.values()), color=[OURS if name in ours else OTHERS for name in values])
    axes.bar_label(bars, fmt="%g", padding=3)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_lines(lines: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str) -> Figure:
    """Draw lines through points on logarithmic axes.

    Args:
        lines: Points (x, y) of each line, by its name.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
    """
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, xscale="log", yscale="log")
    for (name, points), color in zip(lines.items(), (OURS, OTHERS), strict=True):
        axes.plot(*zip(*points, strict=True), "o-", color=color, label=name)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def draw_shares(rows: Mapping[str, Mapping[str, tuple[float, Sequence[float]]]], label: str) -> Figure:
    """Draw shares with their intervals, one row a kind, several marks a row.

    Args:
        rows: For each kind its shares in [0, 1] with the ends of their intervals, by the name of the mark.
        label: What they are.
    """
    figure = Figure(figsize=(7, 1 + 0.27 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel=label, xlim=(-2, 102))
    names = list(next(iter(rows.values())))
    for place, (name, color) in enumerate(zip(names, (OURS, "#e08214"), strict=False)):
        shares = [100 * row[name][0] for row in rows.values()]
        ends = [[100 * end for end in row[name][1]] for row in rows.values()]
        errors = [[max(0, s - low) for s, (low, _) in zip(shares, ends, strict=True)]]
        errors.append([max(0, high - s) for s, (_, high) in zip(shares, ends, strict=True)])
        heights = [row + 0.3 * (place - 0.5) for row in range(len(rows))]
        axes.errorbar(shares, heights, xerr=errors, fmt="o", markersize=4, color=color, capsize=2, label=name)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


def save_chart(figure: Figure, path: Path) -> None:
    """Write a drawing as SVG, its words as text."""
    with mpl.rc_context({"svg.hashsalt": "biranet", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
