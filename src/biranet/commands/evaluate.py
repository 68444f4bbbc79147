"""The commands that judge a model: calibrate, evaluate, compare."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.commands.flags import GRADES_EXAMPLE, PreparedFolder, check_counts, read_pairs
from biranet.config import CalibrationConfig, EvaluationConfig, ReportConfig
from biranet.errors import InputError
from biranet.grades import DISCLAIMER

ReportFolder = Annotated[Path, arg(metavar="REPORT")]


@dataclass(frozen=True)
class Calibrate:
    """Fit a model's temperature, thresholds and prediction sets, and write them into its checkpoint.

    Training does so by itself where the split has a calibration part. All front ends answer by what is fitted here.
    """

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """Model to calibrate, such as RUN/best.safetensors; what was fitted before is forgotten."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder the model was trained on, whose calibration part is used."""
    predictions: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Tables of out-of-fold predictions of photos in PREPARED to fit on instead, such as those of every fold."""
    config: OmitArgPrefixes[CalibrationConfig] = field(default_factory=CalibrationConfig)
    workers: int = 2
    """Processes that load photos."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU."""

    def run(self) -> int:
        """Fit the rules and show them."""
        from biranet.decisions.predictions import read_predictions
        from biranet.learning.calibrate import calibrate_on_part, calibrate_on_predictions
        from biranet.learning.predict import choose_device
        from biranet.manifest import read_manifest
        from biranet.outputs import alone

        check_counts(workers=(self.workers, 0))
        table = read_manifest(self.prepared)
        # Not only the file: a training in its folder would replace it.
        with alone(Path(os.path.realpath(self.checkpoint)).parent, folder=True):
            if self.predictions:
                predictions = read_predictions(*self.predictions)
                rules = calibrate_on_predictions(self.checkpoint, self.prepared, table, predictions, self.config)
            else:
                rules = calibrate_on_part(
                    self.checkpoint,
                    self.prepared,
                    table,
                    self.config,
                    device=choose_device(self.no_cuda),
                    workers=self.workers,
                )
        print(f"Fitted on {rules.fitted_on}\n  temperature {rules.temperature:.3f}, decoder {rules.decoder}")
        for point in rules.operating_points:
            print(f"  {point.name:16} refers where p2 + p3 + p4 >= {point.threshold:.3f}")
        print("".join(f"{doubt}\n" for doubt in rules.doubts), end="")
        print(f"Written into {self.checkpoint}")
        return 0


@dataclass(frozen=True)
class Evaluate:
    """Measure a model on photos it has not learned from, or measure anyone's table of predictions."""

    checkpoint: Annotated[Positional[Path | None], arg(metavar="CHECKPOINT")] = None
    """Model to measure: a file such as RUN/best.safetensors, or the name of a model that ships."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder with graded photos; or the file of RetinaMNIST, retinamnist.npz, as it was published."""
    predictions: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Tables of predictions to measure instead of a model; several, such as those of all folds, are pooled."""
    grades: Annotated[str, arg(metavar="VALUE=GRADE,…")] = ""
    """Which grade each value of the tables is, where they are on another scale or in words that are not known; nothing
    else is a true grade then."""
    calibration: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Tables of predictions of other patients, to fit temperature, operating points and prediction sets for
    --predictions on; grades are scored as given."""
    cost_of_missed: float | None = None
    """With --calibration: how many needless referrals weigh as much as one referable photo that is missed; 5 when not
    given."""
    out: ReportFolder = Path("report")
    """Folder for report.html, metrics.json and predictions.csv."""
    split: Literal["train", "validation", "calibration", "test", "all"] = "test"
    """Part of the split to measure on."""
    config: OmitArgPrefixes[ReportConfig] = field(default_factory=ReportConfig)
    workers: int = 2
    """Processes that load photos."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU."""

    def run(self) -> int:
        """Write the report and print its main figures."""
        if (self.checkpoint is None) == (not self.predictions):
            raise InputError("give either a CHECKPOINT with a PREPARED folder, or --predictions FILE")
        if self.calibration and not self.predictions:
            raise InputError("--calibration belongs to --predictions; a checkpoint is calibrated by: biranet calibrate")
        if self.cost_of_missed is not None and not self.calibration:
            raise InputError("--cost-of-missed belongs to --calibration; for a checkpoint give it to biranet calibrate")
        if self.grades and not self.predictions:
            raise InputError(
                "--grades belongs to --predictions; say it to biranet prepare for the photos of a checkpoint"
            )
        check_counts(workers=(self.workers, 0))
        from biranet.outputs import output
        from biranet.reports.report import REPORT

        if self.checkpoint is not None:
            from biranet.inference.evaluate import evaluate_checkpoint

            metrics = evaluate_checkpoint(
                self.checkpoint,
                self.prepared,
                self.out,
                part=self.split,
                config=self.config,
                workers=self.workers,
                no_cuda=self.no_cuda,
            )
        else:
            with output(self.out, REPORT, self.predictions + self.calibration) as out:
                metrics = self._measure_predictions(out)
        print("\n".join([*_summary(metrics), *metrics["notes"]]))
        print(f"Report: {self.out / 'report.html'}\n{DISCLAIMER}")
        return 0

    def _measure_predictions(self, out: Path) -> dict[str, Any]:
        from biranet.decisions.fit import fit_rules, refuse_shared
        from biranet.decisions.predictions import pool_predictions, read_predictions
        from biranet.decisions.rules import apply_rules
        from biranet.reports.facts import Fact
        from biranet.reports.notes import Note
        from biranet.reports.report import write_report
        from biranet.reports.table_provenance import THRESHOLDS_FACT, check_unchanged, describe_tables
        from biranet.scale import Scale
        from biranet.version import how_measured

        if (self.out / "predictions.csv").resolve() in (path.resolve() for path in self.predictions + self.calibration):
            raise InputError(
                f"the report would replace {self.out / 'predictions.csv'}, which it is to read; "
                "choose another folder with --out"
            )
        scale = Scale(read_pairs(self.grades, "--grades", GRADES_EXAMPLE), flags=("--grades",))
        tables, notes = describe_tables(self.predictions, new_rules=bool(self.calibration))
        pooled = pool_predictions(*self.predictions, scale=scale)
        check_unchanged(self.predictions, tables)
        table = pooled.table
        further_facts: dict[str, Fact] = {"Grades": f"by --grades {self.grades}"} if self.grades else {}
        notes += [Note("left_out", sentence) for sentence in pooled.notes()]
        if self.calibration:
            calibration = read_predictions(*self.calibration, scale=scale)
            origins = _names(self.calibration), _names(self.predictions)
            refuse_shared(calibration, table, calibration_origin=origins[0], measured_origin=origins[1])
            cost = CalibrationConfig().cost_of_missed if self.cost_of_missed is None else self.cost_of_missed
            rules = fit_rules(calibration, cost_of_missed=cost, keep_grades=True, origin=origins[0])
            table = apply_rules(table, rules, origin=origins[1])
            further_facts |= {
                "Rules": f"fitted on {rules.fitted_on} of {origins[0]}, temperature {rules.temperature:.3f}; "
                "grades are scored as given",
                THRESHOLDS_FACT: {point.name: point.threshold for point in rules.operating_points} or "none",
            }
            notes += [Note("calibration_doubt", doubt) for doubt in rules.doubts]
        measured = _names(self.predictions) if len(self.predictions) == 1 else "several tables, pooled"
        return write_report(
            out,
            table,
            title=f"Evaluation of {measured}",
            config=self.config,
            facts={**further_facts, **how_measured()},
            notes=notes,
            tables=tables,
        )


@dataclass(frozen=True)
class Compare:
    """Compare predictions of the same photos, photo by photo: differences with intervals, and the published table."""

    predictions: Annotated[Positional[tuple[Path, ...]], arg(metavar="PREDICTIONS")]
    """Two or more tables of predictions; the first is what the others are compared with."""
    out: ReportFolder = Path("comparison")
    """Folder for comparison.html and comparison.json."""
    config: OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)

    def run(self) -> int:
        """Write the comparison and print its main figures."""
        from biranet.outputs import output
        from biranet.reports.compare import COMPARISON, describe_comparison, write_comparison
        from biranet.version import how_measured

        with output(self.out, COMPARISON, self.predictions) as out:
            comparison = write_comparison(out, self.predictions, self.config, facts=how_measured())
        print(describe_comparison(comparison))
        print(f"Comparison: {self.out / 'comparison.html'}\n{DISCLAIMER}")
        return 0


def _names(paths: Sequence[Path]) -> str:
    from biranet.places import public_names

    return ", ".join(public_names(paths))


FIRST_FIGURES = (
    *("quadratic_weighted_kappa", "aca", "accuracy", "macro_f1"),
    *("referable_auc", "referable_sensitivity", "referable_specificity"),
)
"""The figures people ask for first."""


def _summary(metrics: dict[str, Any]) -> list[str]:
    """The first figures, one a line."""
    from biranet.evaluation.meanings import MEANINGS

    lines = [f"{metrics['n']:,} photo{'s' * (metrics['n'] != 1)}"]
    for key in FIRST_FIGURES:
        value, interval = metrics[key], metrics["ci"][key]
        text = f"not defined: {metrics['undefined'][key]}" if value is None else f"{value:.3f}"
        lines.append(
            f"  {MEANINGS[key].name:32} {text}{f'  [{interval[0]:.3f}, {interval[1]:.3f}]' if interval else ''}"
        )
    return lines
