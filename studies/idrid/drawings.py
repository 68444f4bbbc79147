"""The drawings of the study's page: differences of kappa with their intervals, and how validation went."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from biranet.files import atomic_write
from studies.idrid.analysis import External, Results, curves, grouped, of_kappa
from studies.idrid.grid import BASE, LOSS_TITLES
from studies.idrid.sentences import name_of
from studies.idrid.variants import VARIANTS

LINES = {"ce": "--", "grading": "-"}
COLORS = {"plain": "#777777", "ranet": "#1f77b4", "biranet": "#d62728"}


def draw_differences(differences: pd.DataFrame, external: External | None, path: Path) -> None:
    """Draw every difference of kappa with its interval, one row each; the external one beside it.

    Args:
        differences: The rows of differences.csv.
        external: The external test.
        path: An SVG file; the same tables give the same bytes.
    """
    rows = of_kappa(differences).reset_index(drop=True)
    elsewhere = of_kappa(external.differences) if external else rows.iloc[:0]
    pairs = ["first", "first_loss", "other", "other_loss"]
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel="difference of kappa, and its interval")
    both = (("this data set", rows, "o", -0.13), ("another clinic", rows[pairs].merge(elsewhere, on=pairs), "s", 0.13))
    for label, table, marker, aside in both:
        heights = table[pairs].merge(rows[pairs].reset_index(), on=pairs)["index"] + aside
        ends = [table["difference"] - table["low"], table["high"] - table["difference"]]
        color = "#1f77b4" if marker == "o" else "#e08214"
        if len(table):
            axes.errorbar(table["difference"], heights, xerr=ends, fmt=marker, color=color, capsize=2, label=label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [_comparison(row) for _, row in rows.iterrows()])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper right", ncols=2, fontsize="small", frameon=False)
    save_drawing(figure, path)


def _comparison(row: pd.Series) -> str:
    """What a row of differences.csv compares, in few words."""
    other = VARIANTS[row["other"]].title
    if row["question"] == "method":
        return f"{name_of(row['other'], row['other_loss'])} minus {name_of(row['first'], row['first_loss'])}"
    if row["question"] == "ablation":
        return f"{other}: minus {VARIANTS[BASE[0]].title}"
    if row["question"] == "loss":
        return f"{other}: {LOSS_TITLES[row['other_loss']]} minus {LOSS_TITLES[row['first_loss']]}"
    return f"{LOSS_TITLES[row['other_loss']]}: {other} minus {VARIANTS[row['first']].title}"


def draw_curves(results: Results, path: Path) -> None:
    """Draw the mean validation kappa after each epoch, one line for each architecture and loss.

    Args:
        results: The tables.
        path: An SVG file; the same tables give the same bytes.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="validation kappa, mean over folds and seeds")
    for (variant, loss), rows in grouped(curves(results), "variant", "loss"):
        mean = rows.groupby("epoch")["validation_kappa"].mean()
        axes.plot(mean.index, mean, LINES[loss], color=COLORS[variant], label=name_of(variant, loss))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    save_drawing(figure, path)


def save_drawing(figure: Figure, path: Path) -> None:
    """Write a drawing; the same drawing gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "biranet"}), atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."), metadata={"Date": None})
