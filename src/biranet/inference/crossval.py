"""Cross-validation: each photo is answered for by a model that has not seen its patient, and one model learns from all.

Rules that decide on a fold are fitted on the answers for the other folds, so no photo is kept back for them; those of
the model that learns from all photos are fitted on all answers. So the figures say what to expect of that model. In the
folder:

    crossval.json       what it was begun with
    photos/             the prepared photos, divided into folds; the images are links
    fold_0 … fold_4     a run each: it learns from the other folds; what its training said is in fold_0.txt …
    answers/            its answers for the photos of its fold, a file each, written last; those of its linear probe
    report/             the report on all answers, and folds.csv
    final/              the run that learns from all photos
    model.safetensors   its model, with its rules
"""

import dataclasses
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from biranet.config import ComputeConfig, ReportConfig, SplitConfig, TrainConfig
from biranet.decisions.predictions import read_predictions
from biranet.errors import BiranetError, InputError, InterruptedRunError, RefusedError
from biranet.evaluation.subgroups import check_columns
from biranet.files import read_json, sha256_of
from biranet.inference.crossval_folds import FoldAssignment, assign_folds
from biranet.inference.crossval_inputs import INPUTS_NAME, check_same_inputs, settings_of
from biranet.inference.crossval_report import FoldModel, PooledAnswers, write_pooled_report
from biranet.inference.crossval_time import CrossvalTimer
from biranet.inference.evaluate import predict_by_probe
from biranet.inference.prepared_view import link_prepared
from biranet.inference.provenance import count_learned_before
from biranet.inference.readings_of_test_part import record_reading
from biranet.learning.calibrate import calibrate_on_predictions
from biranet.learning.checkpoint_file import info_of, read_info_and_sha256, write_info
from biranet.learning.predict import for_readers, photos_of_part, predict_photos
from biranet.learning.probe_beside import train_probe_beside
from biranet.learning.run_folder import BEST_NAME, LAST_NAME
from biranet.learning.start import Start
from biranet.learning.tensors import open_checkpoint
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan
from biranet.manifest import FOLD_PREFIX, OFFICIAL_SPLIT, graded_photos, read_manifest
from biranet.photos.audit import audit
from biranet.photos.findings import describe_warnings, refuse_leaks
from biranet.reports.notes import Note
from biranet.reports.report import PAGE_NAME
from biranet.reports.table_provenance import METRICS_NAME
from biranet.tables import write_table
from biranet.words import counted

FOLDS = 5
"""How many folds there are where nobody says it."""

READING_COLUMN = "all of a cross-validation"
"""What a cross-validation is written down as, where readings of a test part name the column of the split."""

MODEL_NAME = "model.safetensors"
REPORT_NAME = "report"


class FoldPlan(NamedTuple):
    """How photos are to be divided for a cross-validation.

    Attributes:
        folds: Into how many folds; those that the manifest is divided into when None, or 5.
        validation: Share of the photos to learn from that chooses the epoch.
    """

    folds: int | None = None
    validation: float = 0.0


@dataclass(frozen=True)
class CrossValidation:
    """A cross-validation that goes on in its folder.

    Attributes:
        prepared: The prepared folder.
        out: The folder.
        division: The photos, divided.
        config: The settings of all trainings.
        start: What they start from.
        report: Title and subgroups of the report.
    """

    prepared: Path
    out: Path
    division: FoldAssignment
    config: TrainConfig
    start: Start | None
    report: ReportConfig

    @property
    def photos(self) -> Path:
        """The prepared folder with the folds, whose images are links."""
        return self.out / "photos"

    def answers(self, fold: int) -> Path:
        """The file with the answers for the photos of a fold."""
        return self.out / "answers" / f"{FOLD_PREFIX}{fold}.csv"

    def probe_answers(self, fold: int) -> Path:
        """The file with the answers of the fold's linear probe, where one could be fitted."""
        return self.out / "answers" / f"probe_{fold}.csv"

    def model(self, name: str) -> Path:
        """The checkpoint that a run has as its result."""
        best = self.out / name / BEST_NAME
        return best if best.exists() else self.out / name / LAST_NAME

    def pooled(self, models: Sequence[FoldModel], before: int) -> PooledAnswers:
        """All answers, once there are those for the last fold.

        Args:
            models: Those that gave them.
            before: How often these photos had been cross-validated with other settings.
        """
        folds = range(len(self.division.columns))
        answers = [read_predictions(self.answers(fold)) for fold in folds]
        probes = [read_predictions(file) for file in map(self.probe_answers, folds) if file.exists()]
        return PooledAnswers(answers, models, probes if len(probes) == len(answers) else (), before)


def is_finished(out: Path) -> bool:
    """Whether nothing is left to do in the folder of a cross-validation."""
    return (out / MODEL_NAME).exists() and (out / REPORT_NAME / PAGE_NAME).exists()


def cross_validate(
    prepared: Path,
    out: Path,
    config: TrainConfig,
    plan: FoldPlan = FoldPlan(),  # noqa: B008 (immutable)
    *,
    start: Start | None = None,
    report: ReportConfig = ReportConfig(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Train and answer fold by fold, write the report on all answers, and train a model on all photos.

    What is finished is not done again, and what was stopped goes on from where it was.

    Args:
        prepared: The prepared folder.
        out: Folder for all of it.
        config: The settings of all trainings; its seed divides the photos too.
        plan: How the photos are divided.
        start: What the trainings start from.
        report: Title of the report, and the columns that make subgroups in it.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If something given is wrong.
        RefusedError: If copies or patients stand in two folds, or the model to start from has learned from the photos.
        InterruptedRunError: If a signal came; the same call goes on.
    """
    log = partial(print, file=sys.stdout, flush=True)  # what it is now: trainings print into a file
    table = read_manifest(prepared)
    check_columns(table, report.by)
    folds = FOLDS if plan.folds is None else plan.folds
    shares = SplitConfig(validation=plan.validation, calibration=0, test=0, folds=folds, seed=config.seed)
    division = assign_folds(table, prepared, shares, plan.folds)
    findings = audit(division.table, division.columns)
    refuse_leaks(findings)
    if start is not None:
        _check_start_unseen(start, division)
    inputs = settings_of(config, start, validation=plan.validation)
    check_same_inputs(out, {**inputs, "folds": len(division.columns), "photos_sha256": division.digest})
    if is_finished(out):
        metrics: dict[str, Any] = read_json(out / REPORT_NAME / METRICS_NAME)
        return metrics
    if warnings := describe_warnings(findings, prepared):
        log(warnings)
    if (table["split"] != table[OFFICIAL_SPLIT]).any():
        log(f"{prepared} has a split; it stays there, and has no say here: all parts of it are divided into folds")
    for grade, count, patients in division.grades_missing_from_training():
        log(Note.of("grade_not_learned", grade=grade, photos=count, patients=patients).text)
    return _go_through(CrossValidation(prepared, out, division, config, start, report), log)


def _go_through(work: CrossValidation, log: Callable[[str], Any]) -> dict[str, Any]:
    """Do what is left to do of a cross-validation, and return the content of `metrics.json`."""
    link_prepared(work.prepared, work.photos, work.division.table)
    folds = range(len(work.division.columns))
    log(f"Watch it: tensorboard --logdir {shlex.quote(str(work.out))}")
    remaining = CrossvalTimer(len(folds), _steps_per_epoch(work), work.config, log)
    try:
        models = [_answer_fold(work, fold, remaining) for fold in folds]
        inputs = work.out / INPUTS_NAME
        readings = record_reading(work.prepared, READING_COLUMN, inputs, sha256_of(inputs))
        pooled, folder = work.pooled(models, readings.by_others), work.out / REPORT_NAME
        metrics = write_pooled_report(
            folder, work.prepared, work.division, pooled, work.config.calibration, work.report
        )
        _train_final(work, pd.concat(pooled.answers, ignore_index=True), remaining)
    except (InterruptedRunError, KeyboardInterrupt) as error:
        raise InterruptedRunError(
            f"stopped ({remaining.current}); all is saved in {work.out}. Go on with the very same command"
        ) from error
    return metrics


def _steps_per_epoch(work: CrossValidation) -> int:
    """How many steps an epoch of a fold has, on average."""
    data, photos = work.config.data, graded_photos(work.division.table)
    train_photos = sum(int((photos[column] == "train").sum()) for column in work.division.columns)
    return math.ceil((data.draws_per_epoch or train_photos / len(work.division.columns)) / data.batch_size)


def _check_start_unseen(start: Start, division: FoldAssignment) -> None:
    photos = graded_photos(division.table)
    count = count_learned_before(start.origin, photos)["start_learned_from"]
    if count:
        raise RefusedError(
            f"--from {start.path}: this model has learned from {count} of the {len(photos)} photos, so figures on them "
            "would say nothing of new patients; leave --from out, or take photos of other patients"
        )


def _train(plan: TrainingPlan, remaining: CrossvalTimer) -> None:
    """Train in a run folder, what the training says going to a file beside it."""
    with plan.run.with_suffix(".txt").open("a", buffering=1, encoding="utf-8") as log, redirect_stdout(log):
        try:
            train_or_resume(plan, remaining.after_batch)
        except InputError as error:
            raise InputError(f"{remaining.current}: {error}") from error


def _answer_fold(work: CrossValidation, fold: int, remaining: CrossvalTimer) -> FoldModel:
    """Answer for the photos of a fold by a model of the others, unless that was done, and return the model."""
    column, done = work.division.columns[fold], work.answers(fold).exists()
    with remaining.training(f"Fold {fold + 1} of {len(work.division.columns)}", done=done):
        if done:
            path = work.model(column)
            model = FoldModel(path, *read_info_and_sha256(path))
        else:
            model = _train_and_answer(work, fold, remaining)
    return model


def _train_and_answer(work: CrossValidation, fold: int, remaining: CrossvalTimer) -> FoldModel:
    """Train on the other folds, and answer for the photos of this one."""
    column, config = work.division.columns[fold], dataclasses.replace(work.config, fold=fold)
    parts = graded_photos(work.division.table)[column].value_counts()
    remaining.log(
        f"{remaining.current}: {counted(parts.get('train', 0), 'photo')} to learn from, "
        f"{parts.get('validation', 0)} to choose the epoch, {parts['test']} to answer for"
    )
    plan = TrainingPlan(work.photos, work.out / column, config, work.start)
    _train(plan, remaining)
    path, computing = work.model(column), ComputeConfig(config.data.workers, config.device)
    predictor = load_predictor(path, config.device)
    photos = photos_of_part(work.division.table, "test", predictor, work.photos)
    probe_line = train_probe_beside(plan)
    if probe_line:
        remaining.log(probe_line)
    tables = {
        work.probe_answers(fold): predict_by_probe(path, predictor.info, work.photos, photos, computing),
        work.answers(fold): predict_photos(predictor, work.photos, photos, workers=config.data.workers),
    }
    for file, table in tables.items():
        if table is not None:
            write_table(file, for_readers(table).drop(columns="split", errors="ignore").assign(fold=str(fold)))
    return FoldModel(path, predictor.info, predictor.sha256)


def _train_final(work: CrossValidation, answers: pd.DataFrame, remaining: CrossvalTimer) -> None:
    """Train on all photos, and fit the rules of the model on the answers of the folds."""
    model = work.out / MODEL_NAME
    with remaining.training("The model of all photos", done=model.exists()) as to_do:
        if not to_do:
            return
        remaining.log(f"{remaining.current}: its rules are fitted on the answers of the folds")
        _train(TrainingPlan(work.photos, work.out / "final", work.config, work.start), remaining)
        with open_checkpoint(trained := work.model("final")) as stored:
            info = info_of(trained, stored)
            try:
                info = calibrate_on_predictions(
                    info, work.photos, work.division.table, answers, work.config.calibration
                )
            except BiranetError as error:  # what has been learned is worth more than its rules
                remaining.log(f"The model could not be calibrated: {error}")
            write_info(stored, model, info)
