"""The report on a predictions table: the table, its measures as JSON, and one page that opens without a network."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from biranet.evaluation.intervals import LEVEL, RESAMPLES, bootstrap_intervals
from biranet.evaluation.metrics import measure
from biranet.evaluation.predictions import read_predictions, write_predictions
from biranet.files import write_bytes, write_json
from biranet.grades import GRADE_NAMES, GRADES, REFERABLE_GRADE

Pixels = npt.NDArray[np.uint8]

PANEL_SIZE_PX = 320
"""Longer side of a picture on the page: sharp on a phone's screen, and some 15 kB each."""

MEANINGS = {
    "quadratic_weighted_kappa": (
        "Quadratic weighted kappa",
        "Agreement with the true grades beyond chance. An error of two grades costs four times an error of one. "
        "1 is perfect, 0 is no better than chance.",
    ),
    "aca": (
        "Average classification accuracy",
        "The recall of each grade, averaged, so that a rare grade counts as much as a common one.",
    ),
    "accuracy": ("Accuracy", "Share of photos with exactly the right grade. Micro-F1 is the same number."),
    "macro_f1": ("Macro-F1, mean of F1", "F1 balances precision and recall; here that of each grade, averaged."),
    "macro_f1_of_means": (
        "Macro-F1, F1 of means",
        "The other definition in use: 2PR / (P + R) of the mean precision P and the mean recall R.",
    ),
    "referable_auc": (
        "Referable AUC",
        "Chance that a referable photo gets a higher score (p2 + p3 + p4) than one that is not. 0.5 is guessing.",
    ),
    "referable_sensitivity": (
        "Referable sensitivity",
        "Of the photos to refer (grade 2 and above), the share predicted as grade 2 or above.",
    ),
    "referable_specificity": (
        "Referable specificity",
        "Of the photos not to refer (grades 0 and 1), the share predicted as grade 0 or 1.",
    ),
}
"""What stands on the page, by key in `metrics.json`: a name and one plain sentence."""

HEADLINES = ("quadratic_weighted_kappa", "aca", "referable_sensitivity", "referable_specificity")
"""The measures that stand large at the top of the page."""


@dataclass(frozen=True)
class Panel:
    """One photo for the page, with what the model looked at.

    Args:
        caption: Usually the name of the photo's file.
        photo: Pixels (H, W, 3), uint8, RGB.
        attention: One picture like `photo` for each stream: the photo with the stream's attention laid over it.
        truth: True grade, or None where it is not known.
        predicted: Predicted grade.
    """

    caption: str
    photo: Pixels
    attention: Sequence[Pixels]
    truth: int | None
    predicted: int

    def __post_init__(self) -> None:
        for picture in (self.photo, *self.attention):
            if picture.dtype != np.uint8 or picture.shape != self.photo.shape or picture.shape[2:] != (3,):
                raise ValueError(f"{self.caption}: photo and attention must all be uint8 pixels of one shape (H, W, 3)")


def write_report(
    out: Path,
    predictions: pd.DataFrame,
    *,
    title: str,
    panels: Sequence[Panel] = (),
    facts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write `predictions.csv`, `metrics.json` and `report.html` into a folder.

    Args:
        out: The folder; made where missing. Files of these names are replaced, each whole or not at all.
        predictions: A table that `check_predictions` accepts.
        title: Heading of the page.
        panels: Photos to show.
        facts: What was measured and how (checkpoint, part of the split, versions), by its name.

    Returns:
        The content of `metrics.json`: that of `measure`, and `ci` with [low, high] or None by measure, and `ci_method`.

    Raises:
        InputError: If the table is refused or a file cannot be written.
    """
    write_predictions(out / "predictions.csv", predictions)
    # Measured is what stands in the file, so that whoever measures the file again finds the same digits.
    table = read_predictions(out / "predictions.csv")
    groups = table["group"].nunique()
    metrics = {
        **measure(table),
        "ci": bootstrap_intervals(table),
        "ci_method": f"{100 * LEVEL:.0f} % percentile bootstrap over {groups:,} groups, {RESAMPLES:,} resamples; "
        "none where all resamples give the same value",
    }
    write_json(out / "metrics.json", metrics)
    page = _page(table, metrics, title=title, panels=panels, facts=facts or {}, groups=groups)
    write_bytes(out / "report.html", page.encode())
    return metrics


def _page(
    table: pd.DataFrame,
    metrics: dict[str, Any],
    *,
    title: str,
    panels: Sequence[Panel],
    facts: Mapping[str, str],
    groups: int,
) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "picture": data_uri, "thousands": "{:,}".format}
    matrix = np.array(metrics["confusion_matrix"])
    off = (table["predicted_grade"] - table["grade"]).abs()
    return environment.get_template("report.html.jinja").render(
        title=title,
        metrics=metrics,
        meanings=MEANINGS,
        headlines=HEADLINES,
        grades=GRADES,
        names=GRADE_NAMES,
        referable=REFERABLE_GRADE,
        level=LEVEL,
        matrix=matrix.tolist(),
        true_counts=matrix.sum(axis=1).tolist(),
        predicted_counts=matrix.sum(axis=0).tolist(),
        counted={
            "referable_sensitivity": _counted(matrix[REFERABLE_GRADE:, REFERABLE_GRADE:], matrix[REFERABLE_GRADE:]),
            "referable_specificity": _counted(matrix[:REFERABLE_GRADE, :REFERABLE_GRADE], matrix[:REFERABLE_GRADE]),
        },
        groups=groups,
        right=int((off == 0).sum()),
        close=int((off <= 1).sum()),
        panels=panels,
        facts=facts,
    )


def _counted(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> str:
    return f"{part.sum():,} of {whole.sum():,} photos"


def percent(share: float) -> str:
    """Write a share in whole per cent; what is not all or nothing is not rounded to it.

    Args:
        share: In [0, 1].

    Returns:
        The text, with a space that does not break.

    Example:
        >>> [percent(share).replace(chr(160), " ") for share in (0.0, 0.001, 0.634, 0.999, 1.0)]
        ['0 %', '<1 %', '63 %', '>99 %', '100 %']
    """
    rounded = round(100 * share)
    if share > 0 and rounded == 0:
        return "<1\N{NO-BREAK SPACE}%"
    if share < 1 and rounded == 100:
        return ">99\N{NO-BREAK SPACE}%"
    return f"{rounded}\N{NO-BREAK SPACE}%"


def data_uri(pixels: Pixels) -> str:
    """Put a picture into a page as JPEG, at most `PANEL_SIZE_PX` wide and high.

    Args:
        pixels: (H, W, 3), uint8, RGB.

    Returns:
        A `data:` address.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((PANEL_SIZE_PX, PANEL_SIZE_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
