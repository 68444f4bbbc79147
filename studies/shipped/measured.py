"""How answers that nothing in them had seen are measured, and what is kept of that."""

from pathlib import Path

import pandas as pd

from biranet.config import ReportConfig
from biranet.files import write_bytes
from biranet.learning.run_folder import software_versions
from biranet.reports.notes import Note
from biranet.reports.report import write_report
from biranet.reports.table_provenance import Provenance

STRETCHES_NAME = "stretches"
"""Folder of the results for what was measured by stretches of the numbering, by the names that folds of visits have."""

OTHER_FOLDS = "Grades and decisions of a fold come from rules that were fitted on the answers for the other folds."
"""How answers are decided where each fold has its own rules."""


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
