"""The report of a cross-validation: all answers in one table, what must be known of them, and each fold's figures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from biranet.config import CalibrationConfig, ReportConfig
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.errors import InputError
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.intervals import measure_some
from biranet.evaluation.subgroups import MAX_VALUES, default_columns
from biranet.inference.crossval_folds import FoldAssignment
from biranet.inference.provenance import (
    count_learned_before,
    describe_findings,
    describe_model,
    describe_software,
    doubts_of_patients,
)
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.manifest import graded_photos
from biranet.photos.audit import audit
from biranet.public_paths import public_name
from biranet.reports.facts import (
    AUDIT_FACT,
    MODEL_FACT,
    PHOTOS_FACT,
    STARTED_FROM_FACT,
    TRAINED_ON_FACT,
    TRAINED_WITH_FACT,
    Fact,
    HashedFile,
    TrainedOnFact,
)
from biranet.reports.notes import Note
from biranet.reports.pages.tables import ROWS_OF
from biranet.reports.report import Supplement, write_report
from biranet.reports.table_provenance import Provenance
from biranet.tables import write_table
from biranet.version import how_measured

FOLD = "fold"
"""Column of the table that says which model has answered: the one that had not learned from this fold."""

FOLDS_NAME, FOLDS_FACT = "folds.csv", "Folds"
"""The table with the figures of each fold, and the fact that sums them up."""

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
    """

    answers: Sequence[pd.DataFrame]
    models: Sequence[FoldModel]
    probe: Sequence[pd.DataFrame] = ()


def write_pooled_report(
    out: Path,
    prepared: Path,
    division: FoldAssignment,
    pooled: PooledAnswers,
    config: CalibrationConfig,
    *,
    before: int = 0,
) -> dict[str, Any]:
    """Decide on the photos of each fold by rules of the others, and write the report on all of them.

    Args:
        out: Folder for the report.
        prepared: The prepared folder.
        division: Its photos, divided.
        pooled: The answers for them.
        config: Decoder and cost.
        before: How often these photos had been cross-validated with other settings.

    Returns:
        The content of `metrics.json`.
    """
    answers, models, probe = pooled
    infos = [model.info for model in models]
    table, undecided = _decide(answers, config)
    order = {file: row for row, file in enumerate(division.table["file"])}
    table = _in_order(table, order)
    folds = _measure_folds(table)
    by = default_columns(table)
    by = by if len(answers) > MAX_VALUES else [*(name for name in by if name != FOLD), FOLD]
    checkpoints = [HashedFile(public_name(model.path), model.sha256) for model in models]
    notes = [*_notes(division, infos, undecided), *[Note.of("cross_validated_before", times=before)] * bool(before)]
    metrics = write_report(
        out,
        table,
        title=f"Cross-validation of {infos[0].model.model} in {len(answers)} folds",
        config=ReportConfig(by=tuple(by)),
        provenance=Provenance(tuple(notes), _facts(prepared, division, infos, checkpoints, folds)),
        supplement=Supplement(probe=_in_order(_decide(probe, config)[0], order) if probe else None),
    )
    write_table(out / FOLDS_NAME, folds)
    return metrics


def describe_folds(folds: pd.DataFrame) -> list[str]:
    """Say for each measure what it is on average over the folds, and from where to where it goes.

    Args:
        folds: A row a fold, with columns named in `FOLD_KEYS`.

    Returns:
        A line a measure; none of those that no fold has.

    Example:
        >>> describe_folds(pd.DataFrame({"fold": ["0", "1"], "aca": [0.5, 0.75]}))
        ['Average classification accuracy: mean 0.625, from 0.500 to 0.750']
    """
    lines = []
    for key in FOLD_KEYS:
        values = folds[key].dropna().to_numpy(float) if key in folds else np.array([])
        if len(values):
            left = f", of the {len(values)} folds that have it" if len(values) < len(folds) else ""
            lines.append(
                f"{meaning_of(key).name}: mean {values.mean():.3f}, from {values.min():.3f} to {values.max():.3f}{left}"
            )
    return lines


def _decide(answers: Sequence[pd.DataFrame], config: CalibrationConfig) -> tuple[pd.DataFrame, str]:
    """Decide on all photos; where no rules can be fitted, say why."""
    try:
        return decide_cross_fitted(answers, config), ""
    except InputError as error:
        return pd.concat(answers, ignore_index=True), str(error)


def _in_order(table: pd.DataFrame, order: Mapping[str, int]) -> pd.DataFrame:
    return table.iloc[table["file"].map(order).argsort()].reset_index(drop=True)


def _measure_folds(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for fold, part in table.groupby(FOLD, sort=False):
        measured = measure_some(part.reset_index(drop=True), FOLD_KEYS)
        values = {key: np.nan if measured[key] is None else measured[key] for key in FOLD_KEYS}
        rows.append({FOLD: fold, "photos": measured["n"], "groups": measured["groups"], **values})
    return pd.DataFrame(rows).sort_values(FOLD, key=lambda column: column.astype(int))


def _notes(division: FoldAssignment, infos: Sequence[CheckpointInfo], undecided: str) -> Iterator[Note]:
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
    for doubt in dict.fromkeys(doubt for info in infos for doubt in info.doubts):
        folds = tuple(column for column, info in zip(division.columns, infos, strict=True) if doubt in info.doubts)
        yield Note("training_doubt", Note.of("training_doubt", doubt=doubt).text, folds)


def _facts(
    prepared: Path,
    division: FoldAssignment,
    infos: Sequence[CheckpointInfo],
    checkpoints: Sequence[HashedFile],
    folds: pd.DataFrame,
) -> dict[str, Fact]:
    findings = audit(division.table, division.columns)
    info = infos[0]
    divided = "as the manifest was" if division.seed is None else f"by patient, with seed {division.seed}"
    return {
        MODEL_FACT: describe_model(info),
        "Division": f"{len(infos)} folds, divided {divided}",
        FOLDS_FACT: describe_folds(folds),
        "Checkpoints": list(checkpoints),
        TRAINED_ON_FACT: TrainedOnFact(info.trained_on, info.seed, other_folds=True),
        **({} if info.started_from is None else {STARTED_FROM_FACT: str(info.started_from)}),
        PHOTOS_FACT: f"{public_name(prepared)}, each answered for once",
        AUDIT_FACT: describe_findings(findings),
        TRAINED_WITH_FACT: describe_software(info),
        **how_measured(),
    }
