"""Write the card of the model that ships: its words from `card.toml`, its figures from `results/`.

biranet evaluate idrid_lite0 EXTERNAL --split all --out report
python studies/shipped/card.py --external report/metrics.json

EXTERNAL: prepared photographs of another clinic. Of the report only the numbers are kept, as results/external.json.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biranet.errors import BiranetError
from biranet.files import read_json, write_bytes, write_json
from biranet.inference.models import DEFAULT, SHIPPED

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

MEASURED = {
    "cross_validated": "five-fold cross-validation by visit on the {n} photographs it has learned from (each graded by "
    "a model that had not seen its visit, by rules fitted on the other folds; the settings were chosen on the same "
    "photographs, which flatters the figures a little)",
    "external": "external: {n} photographs of another clinic and camera, read once, after everything was fixed",
}
"""What was measured, by the name of its file, in the order of the card."""

FIGURES = (
    *("quadratic_weighted_kappa", "referable_auc", "aca", "accuracy", "macro_f1", "macro_f1_of_means"),
    *(f"recall_per_grade.{grade}" for grade in range(5)),
    *("referable_sensitivity", "referable_specificity"),
    *("operating_points.sensitivity_90.sensitivity", "operating_points.sensitivity_90.specificity"),
    *("operating_points.specificity_90.sensitivity", "operating_points.specificity_90.specificity"),
    *("decisions.asked_fraction", "decisions.missed_fraction", "decisions.needless_fraction"),
    *("prediction_sets.coverage", "prediction_sets.mean_size", "expected_calibration_error"),
)
"""Which figures the card shows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--external", metavar="FILE", type=Path, help="metrics.json of the report on other photographs")
    given = parser.parse_args(arguments)
    try:
        if given.external is not None:
            # The facts name files and folders of whoever measured.
            metrics = {name: value for name, value in read_json(given.external).items() if name != "facts"}
            write_json(RESULTS / "external.json", metrics)
        write_card(RESULTS, SHIPPED)
    except BiranetError as error:
        print(f"studies/shipped/card.py: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def write_card(results: Path, shipped: Path) -> None:
    """Write the card.

    Args:
        results: Folder with the figures.
        shipped: Folder of the model.
    """
    words = (HERE / "card.toml").read_text(encoding="utf-8")
    files = {name: results / f"{name}.json" for name in MEASURED}
    measured = [_measured(MEASURED[name], read_json(path)) for name, path in files.items() if path.exists()]
    write_bytes(shipped / f"{DEFAULT}.toml", "\n".join([words, *measured]).encode())


def _measured(how: str, metrics: dict[str, Any]) -> str:
    lines = ["[[metrics]]", f'how = "{how.format(n=metrics["n"])}"', "[metrics.figures]"]
    for key in FIGURES:
        value, interval = _look_up(metrics, key)
        if interval is not None:  # a number without one is not for a card
            lines.append(f'"{key}" = {{ value = {value:.4f}, ci = [{interval[0]:.4f}, {interval[1]:.4f}] }}')
    return "\n".join([*lines, ""])


def _look_up(metrics: dict[str, Any], key: str) -> tuple[float, tuple[float, float] | None]:
    """Find a number of metrics.json and its interval, which stands under `ci` of the innermost object that has one."""
    parts = key.split(".")
    depth = max(depth for depth in range(len(parts)) if "ci" in _follow(metrics, parts[:depth]))
    return _follow(metrics, parts), _follow(metrics, [*parts[:depth], "ci", *parts[depth:]])


def _follow(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


if __name__ == "__main__":
    sys.exit(main())
