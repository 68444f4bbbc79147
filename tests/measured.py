"""What is measured of a predictions table, without its intervals and without their time."""

from typing import Any

import pandas as pd

from biranet.config import EvaluationConfig
from biranet.evaluation.group_sums import sum_by_group
from biranet.evaluation.groups import arrange_groups
from biranet.evaluation.metrics import add_reasons, assemble_metrics, validated_confusion_matrix


def measure(table: pd.DataFrame, config: EvaluationConfig | None = None) -> dict[str, Any]:
    """The content of `metrics.json` as `measure_with_intervals` has it, but for `ci`."""
    validated_confusion_matrix(table)
    group_sums = sum_by_group(table, arrange_groups([table]), config or EvaluationConfig())
    return _without_intervals(assemble_metrics(group_sums, add_reasons(group_sums, group_sums.value(), {})))


def _without_intervals(metrics: Any) -> Any:
    if not isinstance(metrics, dict):
        return metrics
    return {key: _without_intervals(value) for key, value in metrics.items() if key != "ci"}
