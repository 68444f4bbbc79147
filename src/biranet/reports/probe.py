"""What a report shows beside the model: a linear probe on the same photos, and how the model differs from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import EvaluationConfig
from biranet.decisions.predictions import read_predictions, write_predictions
from biranet.evaluation.intervals import measure_with_intervals, paired_differences
from biranet.reports.pages.differences import Difference, list_differences, select_main
from biranet.reports.pages.tables import ROWS_OF

PROBE_PREDICTIONS_NAME = "control.csv"


def measure_probe(
    out: Path, table: pd.DataFrame, control: pd.DataFrame | None, config: EvaluationConfig
) -> dict[str, Any]:
    """Write the predictions of the control into the folder of a report, and measure the model beside it.

    Args:
        out: The folder; an earlier control's predictions in it are replaced, or go.
        table: Predictions of the model.
        control: Those of the control, of the same photos in the same order; None where there is no control.
        config: How to measure.

    Returns:
        Under `control` the `measures` of the control, as `measure_with_intervals` answers, and `differences`: the model
        minus the control, by key of the measure. Empty without a control.

    Raises:
        InputError: If the control's table is refused.
    """
    path = out / PROBE_PREDICTIONS_NAME
    if control is None:
        path.unlink(missing_ok=True)
        return {}
    write_predictions(path, control)
    control = read_predictions(path)
    differences = paired_differences([control, table], config)[0]
    return {"control": {"measures": measure_with_intervals(control, config), "differences": differences}}


def list_probe_differences(metrics: Mapping[str, Any]) -> list[Difference]:
    """Put the main measures of the control, the model's and their differences side by side.

    Args:
        metrics: The content of `metrics.json`.

    Returns:
        One item a measure, `first` being the control; empty without a control.
    """
    control = metrics.get("control")
    if control is None:
        return []
    return select_main(list_differences(control["differences"], control["measures"], metrics))


def describe_probe_differences(metrics: Mapping[str, Any]) -> list[str]:
    """Say for a terminal how the model differs from the control; no line without a control."""
    lines = []
    for row in list_probe_differences(metrics):
        if row.key in ROWS_OF["pair"]:
            interval = f" [{row.ci[0]:+.3f}, {row.ci[1]:+.3f}]" if row.ci else ""
            lines.append(
                f"  {row.meaning.name:32} {row.first:.3f} by a linear probe; the model's minus it: "
                f"{row.difference:+.3f}{interval}"
            )
    return lines
