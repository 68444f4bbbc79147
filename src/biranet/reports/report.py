"""The report on a predictions table: the table, its measures as JSON, and one page that opens without a network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from biranet.config import ReportConfig
from biranet.decisions.columns import PREDICTION_COLUMNS, has_decisions, has_probabilities, probabilities
from biranet.decisions.fit import COVERAGE
from biranet.decisions.predictions import read_predictions, write_predictions
from biranet.evaluation.bands import Curves, measure_curves
from biranet.evaluation.interval_methods import LEVEL, MIN_GROUPS_SIMULATED
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.measures import point_name
from biranet.evaluation.patients import measure_patients
from biranet.evaluation.subgroups import FEW_PHOTOS, measure_subgroups
from biranet.files import sha256_of, write_bytes, write_json
from biranet.grades import DECISIONS, GRADES, REFERABLE_GRADE
from biranet.outputs import folder_kind, holds_keys
from biranet.reports.curves import FEW_IN_BIN
from biranet.reports.facts import PROBE_FACT, TABLE_FACT, HashedFile
from biranet.reports.figures.all import draw_figures, forest_names
from biranet.reports.figures.referral import MIN_COVERED_PHOTOS
from biranet.reports.figures.svg import as_svg_element
from biranet.reports.notes import Note
from biranet.reports.pages.charts import decision_counts, history_charts, reliability_chart
from biranet.reports.pages.facts import list_facts, list_tables
from biranet.reports.pages.listing import Numbers
from biranet.reports.pages.page import is_page, render_page
from biranet.reports.paper.folder import PAPER_PARTS, write_paper
from biranet.reports.paper.known import known_thresholds
from biranet.reports.paper.methods import write_methods
from biranet.reports.paper.tables import list_tables as list_paper_tables
from biranet.reports.probe import PROBE_PREDICTIONS_NAME, beside_probe, list_probe_differences, measure_probe
from biranet.reports.table_provenance import METRICS_NAME, PREDICTIONS_NAME, Provenance
from biranet.tables import read_header

Pixels = npt.NDArray[np.uint8]

LESIONS_SIZE_PX = 1024
"""Sides of pictures with outlines of lesions at most."""

MAX_MISTAKES = 10
"""Mistakes that are shown: as pictures, or by their names where there are none."""


class Overlay(NamedTuple):
    """A photo with something drawn over it.

    Attributes:
        label: What, and on which scale, such as `attention of stream A, 0 to 1`.
        pixels: (H, W, 3), uint8, RGB.
        told: What else there is to see, for those who do not see it, in a clause.
        legend: What colours mean: each as `#rrggbb`, and in words.
    """

    label: str
    pixels: Pixels
    told: str = ""
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Panel:
    """One photo for the page, with what the model looked at.

    Args:
        caption: Usually the name of the photo's file.
        photo: Pixels (H, W, 3), uint8, RGB.
        maps: The photo with each map of what the model looked at, as large as `photo`.
        truth: True grade, or None where it is not known.
        predicted: Predicted grade.
        answer: What else was said of it, such as score, probability, decision and set of grades.
        lesions: The photo with the outlines of its lesions, of any size; None where nobody looked for any.
    """

    caption: str
    photo: Pixels
    maps: Sequence[Overlay]
    truth: int | None
    predicted: int
    answer: str = ""
    lesions: Overlay | None = None

    def __post_init__(self) -> None:
        for picture in (self.photo, *(each.pixels for each in self.maps)):
            if picture.dtype != np.uint8 or picture.shape != self.photo.shape or picture.shape[2:] != (3,):
                raise ValueError(f"{self.caption}: photo and maps must all be uint8 pixels of one shape (H, W, 3)")

    @property
    def wrong(self) -> bool:
        """Whether the predicted grade is known to be wrong."""
        return self.truth is not None and self.truth != self.predicted


@dataclass(frozen=True)
class ReportExtras:
    """What a report shows beside the figures of its table.

    Attributes:
        panels: Photos, the worst mistakes first.
        history: What was measured after each epoch of the training, as in `history.jsonl`.
        probe: Predictions of a linear probe for the same photos in the same order, or None.
    """

    panels: Sequence[Panel] = ()
    history: Sequence[Mapping[str, Any]] = ()
    probe: pd.DataFrame | None = None


PAGE_NAME = "report.html"
ARCHIVE_NAME = "prepared_archive"
"""Folder in a report's, for the prepared photos of a published archive that was measured; not `prepared`, which may be
the user's own."""

_FIXED_COLUMN_COUNT = 4
"""So many columns of predictions are there in every report, in their order."""


def _is_predictions(path: Path) -> bool:
    return read_header(path)[:_FIXED_COLUMN_COUNT] == PREDICTION_COLUMNS[:_FIXED_COLUMN_COUNT]


REPORT = folder_kind(
    "a report",
    {
        PREDICTIONS_NAME: _is_predictions,
        PROBE_PREDICTIONS_NAME: _is_predictions,
        METRICS_NAME: lambda path: holds_keys(path, "ci", "undefined", "facts"),
        PAGE_NAME: is_page,
        ARCHIVE_NAME: Path.is_dir,
    },
    PAPER_PARTS,
)
"""What `write_report` writes, and whatever of it a kill has left."""


def write_report(
    out: Path,
    predictions: pd.DataFrame,
    *,
    title: str,
    config: ReportConfig | None = None,
    provenance: Provenance = Provenance(),  # noqa: B008 (frozen)
    extras: ReportExtras = ReportExtras(),
) -> dict[str, Any]:
    """Write `predictions.csv`, `metrics.json`, `report.html`, and what a paper takes from them, into a folder.

    Args:
        out: The folder; made where missing. Files of ours are replaced, each whole or not at all.
        predictions: A table that `check_predictions` accepts.
        title: Heading of the page.
        config: How to measure; the defaults where None.
        provenance: Where the predictions come from; notes that the table gives reason for, and its hash, are added.
        extras: What else to show.

    Returns:
        The content of `metrics.json`: that of `measure_with_intervals`, `patients`, `subgroups`, `notes`, `facts` and
        `provenance`; with a probe `control`.

    Raises:
        InputError: If the table is refused, a subgroup's column is not there, or a file cannot be written.
    """
    config = config or ReportConfig()
    write_predictions(out / PREDICTIONS_NAME, predictions)
    # Measured is what stands in the file, so that whoever measures the file again finds the same digits.
    table = read_predictions(out / PREDICTIONS_NAME)
    measured = measure_with_intervals(table, config)
    measured |= measure_probe(out, table, extras.probe, config)
    names = {TABLE_FACT: PREDICTIONS_NAME, **({PROBE_FACT: PROBE_PREDICTIONS_NAME} if "control" in measured else {})}
    provenance = replace(
        provenance,
        notes=(*provenance.notes, *_table_notes(table, measured, provenance.notes)),
        facts={**provenance.facts, **{fact: HashedFile(name, sha256_of(out / name)) for fact, name in names.items()}},
    )
    metrics = {
        **measured,
        "patients": measure_patients(table, config),
        "subgroups": measure_subgroups(table, config),
        **provenance.as_json(),
    }
    write_json(out / METRICS_NAME, metrics)
    values = {
        "title": title,
        "metrics": metrics,
        "panels": extras.panels,
        "lesions_px": LESIONS_SIZE_PX,
        "history": extras.history,
        **_provenance_values(provenance),
        **_write_paper(out, title, table, metrics, provenance, measure_curves(table, config)),
        **_number_values(metrics),
        **_chart_values(table, metrics, extras.history),
    }
    page = render_page("report.html.jinja", values)
    write_bytes(out / PAGE_NAME, page.encode())
    return metrics


def _write_paper(
    out: Path,
    title: str,
    table: pd.DataFrame,
    metrics: Mapping[str, Any],
    provenance: Provenance,
    curves: Curves | None,
) -> dict[str, Any]:
    """Write what a paper takes from a report, and return what the page shows of it."""
    thresholds = known_thresholds(provenance)
    figures = draw_figures(table, metrics, curves, thresholds)
    paper = list(list_paper_tables(metrics, thresholds))
    text = write_methods(title, table, metrics, provenance, figures.values(), paper)
    write_paper(out, figures.values(), paper, text)
    elements = {name: Markup(as_svg_element(figure)) for name, figure in figures.items()}
    return {
        "figures": elements,
        "forests": {column: elements[name] for name, column in forest_names(metrics).items()},
        "roc": elements.get("roc"),
        "risk": elements.get("risk_coverage"),
        "thresholds": thresholds,
    }


def _table_notes(table: pd.DataFrame, measured: Mapping[str, Any], notes: Sequence[Note]) -> Iterator[Note]:
    """What the table itself shows that a reader must know first, beside what is said already."""
    photos, groups = len(table), table["group"].nunique()
    patients_told = any(note.kind == "groups_unknown" and not note.files for note in notes)
    if 1 < photos == groups and not patients_told:
        yield Note.of("no_groups")
    present = sorted(set(table["grade"]))
    if absent := [str(grade) for grade in GRADES if grade not in present]:
        others = f"the other {len(present)}" if len(present) > 1 else "the only one there is"
        yield Note.of("absent_grades", absent=" or ".join(absent), others=others)
    referable = table["grade"] >= REFERABLE_GRADE
    patients = [table.loc[chosen, "group"].nunique() for chosen in (referable, ~referable)]
    if min(patients) < MIN_GROUPS_SIMULATED:
        yield Note.of("few_groups", referable=patients[0], others=patients[1], fewest=MIN_GROUPS_SIMULATED)
    ends = measured["ci"]["quadratic_weighted_kappa"]
    if ends and ends[0] <= 0:
        yield Note.of("no_agreement")
    yield from beside_probe(measured)


def worst_mistakes(table: pd.DataFrame) -> pd.DataFrame:
    """Choose the mistakes that are most grades off, of equal ones those with the most probable wrong grade.

    Args:
        table: A predictions table.

    Returns:
        At most `MAX_MISTAKES` rows, indexed by their places in the table: `file`, `grade`, `predicted_grade`; with
        answers `decision`, `lowest_grade` and `highest_grade`; with probabilities `confidence`: that of the predicted
        grade.

    Example:
        >>> grades = pd.DataFrame({"file": ["a", "b", "c"], "grade": [0, 2, 4], "predicted_grade": [0, 1, 1]})
        >>> worst_mistakes(grades)["file"].tolist()
        ['c', 'b']
    """
    columns = ["file", "grade", "predicted_grade"]
    if has_decisions(table):
        columns += ["decision", "lowest_grade", "highest_grade"]
    rows = table[columns].reset_index(drop=True)
    rows["off"] = (rows["grade"] - rows["predicted_grade"]).abs()
    order = ["off"]
    if has_probabilities(table):
        rows["confidence"] = probabilities(table)[np.arange(len(table)), rows["predicted_grade"]]
        order, columns = ["off", "confidence"], [*columns, "confidence"]
    worst = rows[rows["off"] > 0].sort_values(order, ascending=False, kind="stable")
    return worst.head(MAX_MISTAKES)[columns]


def _provenance_values(provenance: Provenance) -> dict[str, Any]:
    return {
        "notes": provenance.notes,
        "facts": list_facts(provenance.facts),
        "tables": list_tables(provenance.tables),
    }


def _number_values(metrics: Mapping[str, Any]) -> dict[str, Any]:
    numbers, patients = Numbers(metrics), metrics["patients"]
    measured = patients["reason"] is None
    combined = {"Worst eye": patients["worst_eye"], "Mean": patients["mean"]} if measured else {}
    return {
        "point_name": point_name,
        "numbers": numbers,
        "listed": numbers.by_heading(),
        "probe": list_probe_differences(metrics),
        "patient_numbers": [(head, Numbers(part)) for head, part in combined.items()],
        "level": LEVEL,
        "coverage": COVERAGE,
        "few": FEW_PHOTOS,
        "few_in_bin": FEW_IN_BIN,
        "first_shown": MIN_COVERED_PHOTOS,
    }


def _chart_values(
    table: pd.DataFrame, metrics: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    matrix = np.array(metrics["confusion_matrix"])
    off = (table["predicted_grade"] - table["grade"]).abs()
    temperatures = sorted(set(table["temperature"])) if "temperature" in table else []
    validated = [row for row in history if row.get("validation_kappa") is not None]
    return {
        "true_counts": matrix.sum(axis=1).tolist(),
        "predicted_counts": matrix.sum(axis=0).tolist(),
        "right": int((off == 0).sum()),
        "close": int((off <= 1).sum()),
        "probabilities": has_probabilities(table),
        "answers": has_decisions(table),
        "reliability": reliability_chart(table),
        "decisions": list(zip(DECISIONS, decision_counts(table).tolist(), strict=True)) if metrics["decisions"] else [],
        "temperatures": ", ".join(f"{each:.2f}" for each in temperatures),
        "history_charts": history_charts(history),
        "subgroups": {
            column: [(part, Numbers(part)) for part in metrics["subgroups"] if part["column"] == column]
            for column in dict.fromkeys(part["column"] for part in metrics["subgroups"])
        },
        "best": max(validated, key=lambda row: row["validation_kappa"], default=None),
        "history_columns": [name for name in dict.fromkeys(key for row in history for key in row) if name != "epoch"],
        "mistakes": worst_mistakes(table).to_dict("records"),
    }
