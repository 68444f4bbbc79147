"""The commands that judge a model: calibrate, evaluate, compare."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.commands.flags import (
    FILE_OR_FOLDER,
    GRADES_EXAMPLE,
    Command,
    Computing,
    PreparedFolder,
    check_title,
    command_line,
    read_pairs,
)
from biranet.config import CalibrationConfig, Device, EvaluationConfig, ReportConfig
from biranet.errors import InputError
from biranet.grades import DISCLAIMER
from biranet.words import counted

if TYPE_CHECKING:
    from biranet.inference.worst_photos import DrawLesions
    from biranet.learning.predictor import LoadedPredictor

ReportFolder = Annotated[Path, arg(metavar="REPORT")]


@dataclass(frozen=True)
class Calibrate(Command):
    """Fit a model's temperature, thresholds and prediction sets, and write them into its checkpoint.

    Training does so by itself where the split has a calibration part. All front ends answer by what is fitted here.
    """

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """Model to calibrate, such as RUN/best.safetensors; what was fitted before is forgotten."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder the model was trained on, whose calibration part is used."""
    predictions: Annotated[tuple[Path, ...], arg(metavar=FILE_OR_FOLDER)] = ()
    """Tables of out-of-fold predictions of photos in PREPARED to fit on instead, such as those of every fold."""
    config: OmitArgPrefixes[CalibrationConfig] = field(default_factory=CalibrationConfig)
    computing: OmitArgPrefixes[Computing] = field(default_factory=Computing)

    def run(self) -> int:
        """Fit the rules and show them."""
        from biranet.decisions.predictions import read_predictions
        from biranet.learning.calibrate import calibrate_on_part, calibrate_on_predictions
        from biranet.learning.checkpoint_file import info_of, write_info
        from biranet.learning.tensors import open_checkpoint
        from biranet.manifest import read_manifest
        from biranet.outputs import write_lock

        computing = self.computing.resolve()
        table = read_manifest(self.prepared)
        # Not only the file: a training in its folder would replace it.
        with write_lock(Path(os.path.realpath(self.checkpoint)).parent, folder=True):
            if self.predictions:
                predictions = read_predictions(*self.predictions)
                with open_checkpoint(self.checkpoint) as stored:
                    info = info_of(self.checkpoint, stored)
                    info = calibrate_on_predictions(info, self.prepared, table, predictions, self.config)
                    write_info(stored, self.checkpoint, info)
            else:
                from biranet.learning.checkpoint import save_checkpoint
                from biranet.learning.torch_predictor import load_predictor

                predictor = load_predictor(self.checkpoint, computing.device)
                info = calibrate_on_part(predictor, self.prepared, table, self.config, workers=computing.workers)
                save_checkpoint(self.checkpoint, predictor.model, info)
        rules = info.rules
        print(f"Fitted on {rules.fitted_on}\n  temperature {rules.temperature:.3f}, decoder {rules.decoder}")
        for point in rules.operating_points:
            print(f"  {point.name:16} refers where p2 + p3 + p4 >= {point.threshold:.3f}")
        print("".join(f"{doubt}\n" for doubt in rules.doubts), end="")
        print(f"Written into {self.checkpoint}")
        return 0

    def next_step(self) -> str:
        """Measure the model on photos that had no say in its rules, or use it."""
        if self.predictions:
            return command_line("grade", "NEW_PHOTOS", "--checkpoint", self.checkpoint)
        return command_line("evaluate", self.checkpoint, self.prepared, "--out", self.checkpoint.parent / "report")


@dataclass(frozen=True)
class Evaluate(Command):
    """Measure a model on photos it has not learned from, or measure anyone's table of predictions."""

    checkpoint: Annotated[Positional[Path | None], arg(metavar="CHECKPOINT")] = None
    """Model to measure: a file such as RUN/best.safetensors, one that `biranet export` wrote, or the name of one that
    ships."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder with graded photos; or the file of RetinaMNIST, retinamnist.npz, as it was published."""
    predictions: Annotated[tuple[Path, ...], arg(metavar=FILE_OR_FOLDER)] = ()
    """Tables of predictions to measure instead of a model, or folders that `biranet grade --ray` wrote; several, such
    as those of all folds, are pooled."""
    grades: Annotated[str, arg(metavar="VALUE=GRADE,…")] = ""
    """Which grade each value of the tables is, where they are on another scale or in words that are not known; nothing
    else is a true grade then."""
    calibration: Annotated[tuple[Path, ...], arg(metavar=FILE_OR_FOLDER)] = ()
    """Tables of predictions of other patients, to fit temperature, operating points and prediction sets for
    --predictions on; grades are scored as given."""
    cost_of_missed: float | None = None
    """With --calibration: how many needless referrals weigh as much as one referable photo that is missed; 5 when not
    given."""
    out: ReportFolder = Path("report")
    """Folder for report.html, metrics.json, predictions.csv, and figures, tables and methods for a paper."""
    split: Literal["train", "validation", "calibration", "test", "all"] = "test"
    """Part of the split to measure on."""
    lesions: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """What looks for lesions in --photos, where CHECKPOINT has no lesion branch of its own or another one shall: a
    model that has one, such as idrid_lite0_lesions, or RUN/lesions.safetensors of train-lesions."""
    photos: Annotated[Path | None, arg(metavar="PHOTOS")] = None
    """The folder of photographs that PREPARED was made of: outlines of lesions in the worst mistakes of report.html are
    drawn on these, not on the prepared images."""
    config: OmitArgPrefixes[ReportConfig] = field(default_factory=ReportConfig)
    computing: OmitArgPrefixes[Computing] = field(default_factory=Computing)

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
        for flag, value in (("--lesions", self.lesions), ("--photos", self.photos)):
            if value is not None and self.predictions:
                raise InputError(f"{flag} belongs to a CHECKPOINT with a PREPARED folder; a table has no photos")
        if self.lesions is not None and self.photos is None:
            raise InputError("--lesions FILE looks for lesions in photos as they were taken; give --photos PHOTOS too")
        computing = self.computing.resolve()
        config = dataclasses.replace(self.config, title=check_title(self.config.title))
        from biranet.reports.probe import describe_probe_differences

        if self.checkpoint is not None:
            from biranet.inference.evaluate import evaluate_checkpoint

            metrics = evaluate_checkpoint(
                self.checkpoint,
                self.prepared,
                self.out,
                part=self.split,
                config=config,
                computing=computing,
                lesion_drawer=self._lesion_drawer(computing.device),
            )
        else:
            from biranet.reports.fact_kinds import GradesFact
            from biranet.reports.facts import GRADES_FACT
            from biranet.reports.tables import CalibrationSet, measure_tables
            from biranet.scale import Scale

            metrics = measure_tables(
                self.predictions,
                self.out,
                config=config,
                calibration=CalibrationSet(self.calibration, self.cost_of_missed),
                scale=Scale(read_pairs(self.grades, "--grades", GRADES_EXAMPLE), flags=("--grades",)),
                facts={GRADES_FACT: GradesFact(self.grades)} if self.grades else {},
            )
        print("\n".join([*main_figures(metrics), *describe_probe_differences(metrics), *metrics["notes"]]))
        print(f"Report: {self.out / 'report.html'}\n{DISCLAIMER}")
        return 0

    def _lesion_drawer(self, device: Device) -> "Callable[[LoadedPredictor], DrawLesions] | None":
        if self.photos is None:
            return None
        if not self.photos.is_dir():
            raise InputError(f"--photos {self.photos} is no folder; name the one that was prepared")
        from biranet.inference.lesion_panels import draw_lesion_panel
        from biranet.inference.lesion_reader import GradingFinder, LesionReader, load_lesions

        photos, reader = self.photos, None if self.lesions is None else load_lesions(self.lesions, device)
        return lambda predictor: partial(
            draw_lesion_panel, (reader or LesionReader(GradingFinder(predictor))).find, photos
        )

    def next_step(self) -> str:
        """Use the model, or compare the table with another."""
        if self.checkpoint is not None:
            return command_line("grade", "NEW_PHOTOS", "--checkpoint", self.checkpoint)
        return command_line("compare", self.out / "predictions.csv", "OTHER.csv")


@dataclass(frozen=True)
class Compare(Command):
    """Compare predictions of the same photos, photo by photo: differences with intervals, and the published table."""

    predictions: Annotated[Positional[tuple[Path, ...]], arg(metavar="PREDICTIONS")]
    """Two or more tables of predictions, or folders that `biranet grade --ray` wrote; the first is what the others are
    compared with."""
    out: ReportFolder = Path("comparison")
    """Folder for comparison.html and comparison.json, and figures, tables and methods for a paper."""
    names: Annotated[tuple[str, ...], arg(metavar="NAME")] = ()
    """Names of the models, one for each table, in their order; taken from the paths when not given."""
    title: str = ""
    """Title of the comparison; the names of the models when not given."""
    config: OmitArgPrefixes[EvaluationConfig] = field(default_factory=EvaluationConfig)

    def run(self) -> int:
        """Write the comparison and print its main figures."""
        from biranet.outputs import claim_output
        from biranet.reports.compare import COMPARISON, describe_comparison, write_comparison
        from biranet.version import how_measured

        title = check_title(self.title)
        with claim_output(self.out, COMPARISON, self.predictions) as out:
            comparison = write_comparison(
                out, self.predictions, self.config, names=self.names, title=title, facts=how_measured()
            )
        print(describe_comparison(comparison))
        print(f"Comparison: {self.out / 'comparison.html'}\n{DISCLAIMER}")
        return 0

    def next_step(self) -> str:
        """Use the better model."""
        return command_line("grade", "NEW_PHOTOS", "--checkpoint", "BETTER.safetensors")


def main_figures(metrics: dict[str, Any]) -> list[str]:
    """The main figures, one a line."""
    from biranet.evaluation.measures import HEADLINE_KEYS
    from biranet.reports.pages.listing import Numbers

    lines = [counted(metrics["n"], "photo")]
    for number in map(Numbers(metrics), HEADLINE_KEYS):
        text = f"not defined: {number.reason}" if number.value is None else f"{number.value:.3f}"
        ends = number.interval
        lines.append(f"  {number.meaning.name:32} {text}{f'  [{ends[0]:.3f}, {ends[1]:.3f}]' if ends else ''}")
    return lines
