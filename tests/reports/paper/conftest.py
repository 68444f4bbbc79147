"""The report that a paper takes from."""

from pathlib import Path
from typing import Any

import pytest

from biranet.config import ReportConfig
from biranet.decisions.rules import apply_rules
from biranet.reports.notes import Note
from biranet.reports.report import write_report
from biranet.reports.table_provenance import Provenance
from paper_report import FACTS, RULES, predictions


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("report")
    notes = [Note("method", "The test part was read *twice*.")]
    config = ReportConfig(by=("camera",))
    table = apply_rules(predictions(), RULES)
    return out, write_report(
        out, table, title="On _our_ camera", config=config, provenance=Provenance((*notes,), FACTS)
    )
