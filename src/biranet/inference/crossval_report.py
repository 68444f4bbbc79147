"""The report of a cross-validation: all answers in one table, what must be known of them, and each fold's figures."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from biranet.config import CalibrationConfig, ReportConfig
from biranet.decisions.cross_fit import decide_by_fold, fit_by_fold
from biranet.decisions.fit import why_too_few
from biranet.decisions.rules import Rules
from biranet.errors import InputError
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.intervals import measure_some
from biranet.evaluation.subgroups import MAX_VALUES
from biranet.inference.crossval_folds import FoldAssignment
from biranet.inference.provenance import (
    count_learned_before,
    describe_findings,
    describe_left_out,
    describe_model,
    describe_patients,
    describe_software,
    describe_training,
    doubts_of_copies,
    doubts_of_patients,
)
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.manifest import graded_photos
from biranet.photos.audit import audit
from biranet.photos.findings import Finding
from biranet.public_paths import public_name
from biranet.reports.fact_kinds import DecoderFact, PhotosFact, RulesFact
from biranet.reports.facts import (
    AUDIT_FACT,
    DECODER_FACT,
    DIVISION_FACT,
    FOLDS_FACT,
    MODEL_FACT,
    PATIENTS_FACT,
    PHOTOS_FACT,
    RULES_FACT,
    THRESHOLDS_FACT,
    TRAINED_WITH_FACT,
    Fact,
    HashedFile,
)
from biranet.reports.fold_facts import DivisionFact, FoldDecoderFact, FoldFigure, FoldRulesFact
from biranet.reports.notes import Note
from biranet.reports.pages.tables import ROWS_OF
from biranet.reports.report import ReportExtras, write_report
from biranet.reports.table_provenance import Provenance
from biranet.tables import write_table
from biranet.version import how_measured

FOLD = "fold"
"""Column of the table that says which model has answered: the one that had not learned from this fold."""

FOLDS_NAME = "folds.csv"
"""The table with the figures of each fold."""

FOLD_KEYS = ROWS_OF["cards"]
"""What is measured of each fold."""


class FoldModel(NamedTuple):
    """A checkpoint that gave answers: its file, what it says of itself, and the SHA-256 of what was loaded."""

    path: Path
    info: CheckpointInfo
    sha256: str


class PooledAnswers(NamedTuple):
    """The answers for all folds, and what gave them.

    Attributes:
        answers: Predictions tables of the folds, before any rule, with the column `fold`.
        models: The models that gave them.
        probe: Answers of the linear probe of each fold, likewise; none where not all folds have one.
        before: How often these photos had been cross-validated with other settings.
    """

    answers: Sequence[pd.DataFrame]
    models: Sequence[FoldModel]
    probe: Sequence[pd.DataFrame] = ()
    before: int = 0


def write_pooled_report(
    out: Path,
    prepared: Path,
    division: FoldAssignment,
    pooled: PooledAnswers,
    config: CalibrationConfig,
    report: ReportConfig = ReportConfig(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Decide on the photos of each fold by rules of the others, and write the report on all of them.

    Args:
        out: Folder for the report.
        prepared: The prepared folder.
        division: Its photos, divided.
        pooled: The answers for them.
        config: Decoder and cost.
        report: Title, what was cross-validated when empty; and columns that make subgroups beside the folds.

    Returns:
        The content of `metrics.json`.
    """
    answers, models, probe, before = pooled
    infos = [model.info for model in models]
    table, rules, undecided = _decide(answers, config)
    order = {file: row for row, file in enumerate(division.table["file"])}
    table = _in_order(table, order)
    folds = _measure_folds(table)
    by = report.by and (*report.by, *([FOLD] if len(answers) <= MAX_VALUES else []))
    checkpoints = [HashedFile(public_name(model.path), model.sha256) for model in models]
    findings = audit(division.table, division.columns)
    notes = [*_notes(division, infos, undecided, findings)]
    notes += [Note.of("cross_validated_before", times=before)] * bool(before)
    facts = _facts(prepared, division, infos, checkpoints, folds, findings) | _describe_rules(rules, config)
    metrics = write_report(
        out,
        table,
        title=report.title or f"Cross-validation of {infos[0].model.model} in {len(answers)} folds",
        config=dataclasses.replace(report, by=by),
        provenance=Provenance(tuple(notes), facts),
        extras=ReportExtras(probe=_in_order(_decide(probe, config)[0], order) if probe else None),
    )
    write_table(out / FOLDS_NAME, folds)
    return metrics


def describe_folds(folds: pd.DataFrame) -> list[FoldFigure]:
    """Say for each measure what it is on average over the folds, and from where to where it goes.

    Args:
        folds: A row a fold, with columns named in `FOLD_KEYS`.

    Returns:
        A figure a measure; none of those that no fold has.

    Example:
        >>> print(describe_folds(pd.DataFrame({"fold": ["0", "1"], "aca": [0.5, 0.75]}))[0])
        Average classification accuracy: mean 0.625, from 0.500 to 0.750
    """
    figures = []
    for key in FOLD_KEYS:
        values = folds[key].dropna().to_numpy(float) if key in folds else np.array([])
        if len(values):
            mean, low, high = (float(each) for each in (values.mean(), values.min(), values.max()))
            figures.append(FoldFigure(key, meaning_of(key).name, mean, low, high, len(values), len(folds)))
    return figures


def _decide(answers: Sequence[pd.DataFrame], config: CalibrationConfig) -> tuple[pd.DataFrame, Sequence[Rules], str]:
    """Decide on all photos, by rules of each fold; where none can be fitted, say why."""
    try:
        rules = fit_by_fold(answers, config)
    except InputError as error:
        others = (pd.concat([each for each in answers if each is not table]) for table in answers)
        return pd.concat(answers, ignore_index=True), (), next(filter(None, map(why_too_few, others)), str(error))
    return decide_by_fold(answers, rules), rules, ""


def _describe_rules(rules: Sequence[Rules], config: CalibrationConfig) -> dict[str, Fact]:
    """Say by which rules was decided; where none were fitted, the most probable grade is the grade."""
    if not rules:
        return {DECODER_FACT: DecoderFact(Rules().decoder), RULES_FACT: RulesFact(None, Rules().temperature)}
    thresholds: dict[str, tuple[float, ...]] = {}
    if all(each.operating_points for each in rules):
        for number, point in enumerate(rules[0].operating_points):
            thresholds[point.name] = tuple(each.operating_points[number].threshold for each in rules)
    ends = tuple(each.grade_thresholds for each in rules if each.grade_thresholds is not None)
    return {
        DECODER_FACT: FoldDecoderFact(config.decoder, ends) if len(ends) == len(rules) else DecoderFact(config.decoder),
        RULES_FACT: FoldRulesFact(tuple(each.temperature for each in rules)),
        THRESHOLDS_FACT: thresholds or "none",
    }


def _in_order(table: pd.DataFrame, order: Mapping[str, int]) -> pd.DataFrame:
    return table.iloc[table["file"].map(order).argsort()].reset_index(drop=True)


def _measure_folds(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for fold, part in table.groupby(FOLD, sort=False):
        measured = measure_some(part.reset_index(drop=True), FOLD_KEYS)
        values = {key: np.nan if measured[key] is None else measured[key] for key in FOLD_KEYS}
        rows.append({FOLD: fold, "photos": measured["n"], "groups": measured["groups"], **values})
    return pd.DataFrame(rows).sort_values(FOLD, key=lambda column: column.astype(int))


def _notes(
    division: FoldAssignment, infos: Sequence[CheckpointInfo], undecided: str, findings: Sequence[Finding]
) -> Iterator[Note]:
    yield Note.of("cross_validated", folds=len(infos))
    yield Note.of("rules_not_fitted", why=undecided) if undecided else Note.of("rules_cross_fitted")
    for grade, count, patients in division.grades_missing_from_training():
        yield Note.of("grade_not_learned", grade=grade, photos=count, patients=patients)
    if left_out := len(division.left_out()):
        yield Note.of("published_parts_left_out", photos=left_out)
    photos = graded_photos(division.table)
    if (start := infos[0].started_from) is not None:
        counts = count_learned_before(start, photos)
        yield from (Note.of(kind, photos=count) for kind, count in counts.items() if count)
    yield from doubts_of_patients(photos)
    yield from doubts_of_copies(findings, photos)
    for doubt in dict.fromkeys(doubt for info in infos for doubt in info.doubts):
        folds = tuple(column for column, info in zip(division.columns, infos, strict=True) if doubt in info.doubts)
        yield Note("training_doubt", Note.of("training_doubt", doubt=doubt).text, folds)


def _facts(
    prepared: Path,
    division: FoldAssignment,
    infos: Sequence[CheckpointInfo],
    checkpoints: Sequence[HashedFile],
    folds: pd.DataFrame,
    findings: Sequence[Finding],
) -> dict[str, Fact]:
    info, patients = infos[0], describe_patients(graded_photos(division.table))
    return {
        MODEL_FACT: describe_model(info),
        DIVISION_FACT: DivisionFact(len(infos), division.seed, patients.unit),
        FOLDS_FACT: describe_folds(folds),
        "Checkpoints": list(checkpoints),
        **describe_training(infos, info.training, other_folds=True),
        PHOTOS_FACT: PhotosFact(public_name(prepared), "each fold"),
        PATIENTS_FACT: patients,
        **describe_left_out(division.table),
        AUDIT_FACT: describe_findings(findings),
        TRAINED_WITH_FACT: describe_software(info),
        **how_measured(),
    }
