"""The commands that measure: evaluate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from biranet.commands.flags import PreparedFolder, check_counts
from biranet.errors import InputError
from biranet.grades import DISCLAIMER


@dataclass(frozen=True)
class Evaluate:
    """Measure a model on photos it has not learned from, or measure anyone's table of predictions."""

    checkpoint: Annotated[Positional[Path | None], arg(metavar="CHECKPOINT")] = None
    """Model to measure, such as RUN/best.safetensors."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder with graded photos."""
    predictions: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Tables of predictions to measure instead of a model; several, such as those of all folds, are pooled."""
    out: Annotated[Path, arg(metavar="REPORT")] = Path("report")
    """Folder for report.html, metrics.json and predictions.csv."""
    split: Literal["train", "validation", "calibration", "test", "all"] = "test"
    """Part of the split to measure on."""
    workers: int = 2
    """Processes that load photos."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU."""

    def run(self) -> int:
        """Write the report and print its main figures."""
        from biranet.evaluation.predictions import read_predictions
        from biranet.evaluation.report import write_report

        if (self.checkpoint is None) == (not self.predictions):
            raise InputError("give either a CHECKPOINT with a PREPARED folder, or --predictions FILE")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"--out {self.out} is a file; name a folder for the report")
        check_counts(workers=(self.workers, 0))
        if self.checkpoint is not None:
            from biranet.inference.evaluate import evaluate_checkpoint

            metrics = evaluate_checkpoint(
                self.checkpoint, self.prepared, self.out, part=self.split, workers=self.workers, no_cuda=self.no_cuda
            )
        else:
            names = ", ".join(map(str, self.predictions))
            metrics = write_report(
                self.out, read_predictions(*self.predictions), title="Evaluation", facts={"Predictions": names}
            )
        print(_summary(metrics))
        print(f"Report: {self.out / 'report.html'}\n{DISCLAIMER}")
        return 0


def _summary(metrics: dict[str, Any]) -> str:
    """The figures people ask for first, one a line."""
    names = {
        "quadratic_weighted_kappa": "quadratic weighted kappa",
        "aca": "average classification accuracy",
        "accuracy": "accuracy (= micro-F1)",
        "macro_f1": "macro-F1",
        "referable_auc": "referable AUC",
        "referable_sensitivity": "referable sensitivity",
        "referable_specificity": "referable specificity",
    }
    lines = [f"{metrics['n']} photos"]
    for key, name in names.items():
        value = metrics[key]
        text = f"not defined: {metrics['undefined'][key]}" if value is None else f"{value:.3f}"
        interval = metrics.get("ci", {}).get(key)
        lines.append(f"  {name:32} {text}{f'  [{interval[0]:.3f}, {interval[1]:.3f}]' if interval else ''}")
    return "\n".join(lines)
