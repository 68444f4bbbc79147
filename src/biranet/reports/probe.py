"""What a report shows beside the model: a linear probe on the same photos, and how the model differs from it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import EvaluationConfig
from biranet.decisions.predictions import read_predictions, write_predictions
from biranet.evaluation.intervals import measure_with_intervals, paired_differences
from biranet.reports.notes import Note
from biranet.reports.pages.differences import Difference, list_differences, select_main
from biranet.reports.pages.page import decimal, interval
from biranet.reports.pages.tables import ROWS_OF

PROBE_PREDICTIONS_NAME = "control.csv"


def measure_probe(
    out: Path, table: pd.DataFrame, probe: pd.DataFrame | None, config: EvaluationConfig
) -> dict[str, Any]:
    """Write the predictions of the probe into the folder of a report, and measure the model beside it.

    Args:
        out: The folder; an earlier probe's predictions in it are replaced, or go.
        table: Predictions of the model.
        probe: Those of the probe, of the same photos in the same order; None where there is no probe.
        config: How to measure.

    Returns:
        Under `control` the `measures` of the probe, as `measure_with_intervals` answers, and `differences`: the model
        minus the probe, by key of the measure. Empty without a probe.

    Raises:
        InputError: If the probe's table is refused.
    """
    path = out / PROBE_PREDICTIONS_NAME
    if probe is None:
        path.unlink(missing_ok=True)
        return {}
    write_predictions(path, probe)
    probe = read_predictions(path)
    differences = paired_differences([probe, table], config)[0]
    return {"control": {"measures": measure_with_intervals(probe, config), "differences": differences}}


def list_probe_differences(metrics: Mapping[str, Any]) -> list[Difference]:
    """Put the main measures of the probe, the model's and their differences side by side.

    Args:
        metrics: The content of `metrics.json`.

    Returns:
        One item a measure, `first` being the probe; empty without a probe.
    """
    probe = metrics.get("control")
    if probe is None:
        return []
    return select_main(list_differences(probe["differences"], probe["measures"], metrics))


_VERDICTS = {
    "better": "The model agrees better with the reference grades than a linear layer does.",
    "worse": "The model agrees worse with the reference grades than a linear layer does.",
}
_NO_VERDICT = "Nothing here shows that the model agrees better with the reference grades than a linear layer does."


def beside_probe(metrics: Mapping[str, Any]) -> Iterator[Note]:
    """Say what must be known of a model beside its linear probe; no note without one, or without a kappa of both."""
    rows = [row for row in list_probe_differences(metrics) if row.key in ROWS_OF["pair"]]
    if rows:
        probe = " and ".join(f"a {_lower(row.meaning.name)} of {decimal(row.first, 2)}" for row in rows)
        differences = " and ".join(f"{decimal(row.difference, 2)}{_ends(row)}" for row in rows)
        verdict = _VERDICTS.get(rows[0].verdict, _NO_VERDICT)
        yield Note.of("beside_probe", probe=probe, differences=differences, verdict=verdict)


def _lower(name: str) -> str:
    return f"{name[0].lower()}{name[1:]}"


def _ends(row: Difference) -> str:
    return f" ({interval(row.ci, 2)})" if row.ci else ""


def describe_probe_differences(metrics: Mapping[str, Any]) -> list[str]:
    """Say for a terminal how the model differs from the probe; no line without a probe."""
    lines = []
    for row in list_probe_differences(metrics):
        if row.key in ROWS_OF["pair"]:
            interval = f" [{row.ci[0]:+.3f}, {row.ci[1]:+.3f}]" if row.ci else ""
            lines.append(
                f"  {row.meaning.name:32} {row.first:.3f} by a linear probe; the model's minus it: "
                f"{row.difference:+.3f}{interval}"
            )
    return lines
