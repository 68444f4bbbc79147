"""The drawings of the study: differences of kappa with their intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from studies.claims.arms import ARMS, UNTUNED, Head
from studies.claims.sums import KEYS
from studies.idrid.drawings import save_drawing
from studies.idrid.grid import LOSS_TITLES

KAPPA = KEYS[0]
TUNED_COLOR, UNTUNED_COLOR = "#1f77b4", "#d62728"


def name_of(arm: str) -> str:
    """What an arm is called, with its loss where there may be another."""
    its = ARMS[arm]
    return f"{its.title}, {LOSS_TITLES[its.loss]}" if isinstance(its, Head) else its.title


def pair_of(each: dict[str, Any]) -> str:
    """What is compared: `BiRA-Net, cross-entropy, minus Linear probe`."""
    return f"{name_of(each['other'])}, minus {name_of(each['first'])}"


def draw(found: dict[str, Any], folder: Path) -> None:
    """Draw all differences of kappa, and those from controls that are tuned and from the same tuned badly.

    Args:
        found: What run.py measured.
        folder: Where to; the same figures give the same bytes.
    """
    rows = [(pair_of(each).replace(", minus ", "\nminus "), each[KAPPA], TUNED_COLOR) for each in found["comparisons"]]
    _draw_rows(rows, "difference of kappa", folder / "differences.svg")
    rows = [
        (name_of(each["first"]), each[KAPPA], UNTUNED_COLOR if each["first"] in UNTUNED else TUNED_COLOR)
        for each in found["controls"]
    ]
    _draw_rows(rows, "kappa of BiRA-Net minus that of the control", folder / "controls.svg")


def _draw_rows(rows: Sequence[tuple[str, dict[str, Any], str]], title: str, path: Path) -> None:
    figure = Figure(figsize=(9, 1.0 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{title}, with 95 % intervals")
    for place, (_, told, color) in enumerate(rows):
        reach = told["ci"][1] - told["value"]
        axes.errorbar(told["value"], place, xerr=reach, fmt="o", color=color, capsize=2)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8)
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    save_drawing(figure, path)
