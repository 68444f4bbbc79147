"""How answers that nothing in them had seen are measured, and what is kept of that."""

from pathlib import Path

import pandas as pd

from biranet.config import CalibrationConfig, ReportConfig
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.decisions.predictions import read_predictions
from biranet.evaluation.intervals import paired_differences
from biranet.files import write_bytes, write_json
from biranet.learning.run_folder import software_versions
from biranet.reports.notes import Note
from biranet.reports.report import write_report
from biranet.reports.table_provenance import Provenance

STRETCHES_NAME = "stretches"
"""Folder of the results for what was measured by stretches of the numbering, by the names that folds of visits have."""

OTHER_FOLDS = "Grades and decisions of a fold come from rules that were fitted on the answers for the other folds."
"""How answers are decided where each fold has its own rules."""

ANSWERS_NAME, MEASURED_NAME, FROM_VISITS_NAME = "out_of_fold.csv", "cross_validated.json", "from_visits.json"


def by_fold(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Part a table of predictions by its folds."""
    return [its.reset_index(drop=True) for _, its in table.groupby("fold")]


def decide_answers(results: Path, config: CalibrationConfig) -> pd.DataFrame:
    """Decide on the answers that are kept in a folder of results, each fold by rules fitted on the others."""
    return decide_cross_fitted(by_fold(read_predictions(results / ANSWERS_NAME)), config)


def compare_with_visits(results: Path, config: CalibrationConfig, software: str) -> None:
    """Write how what was measured by stretches differs from what was by folds of visits, paired by photo.

    Args:
        results: Folder with the answers of both.
        config: How rules are fitted.
        software: What computed the answers by stretches.
    """
    tables = [decide_answers(folder, config) for folder in (results, results / STRETCHES_NAME)]
    [differences] = paired_differences(tables)
    write_json(results / STRETCHES_NAME / FROM_VISITS_NAME, {"software": software, "differences": differences})


def measure_answers(decided: pd.DataFrame, report: Path, kept: Path, *, title: str, method: str, on: str) -> None:
    """Write the report on answers, and keep its figures.

    Args:
        decided: The answers, with decisions.
        report: Folder of the report.
        kept: Where its metrics.json goes to.
        title: What was measured.
        method: What rules were fitted on.
        on: What it was measured on.
    """
    provenance = Provenance((Note("method", method),), {"Measured on": on, **software_versions()})
    write_report(report, decided, title=title, config=ReportConfig(), provenance=provenance)
    write_bytes(kept, (report / "metrics.json").read_bytes())
