"""Where the figures of a report come from: which photos had a say in the model, and how all of it was made."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from biranet.decisions.rules import Rules
from biranet.learning.checkpoint_info import CheckpointInfo, StartedFrom, short_hash
from biranet.learning.predictor import LoadedPredictor
from biranet.learning.shipped_models import is_shipped, read_model_card
from biranet.learning.split import describe_split
from biranet.manifest import (
    GROUP_FROM,
    GUESSED_FROM,
    OWN_GROUP,
    SPLITS,
    STATUSES,
    graded_photos,
    training_set_digest,
)
from biranet.photos.audit import CONFLICTING_GRADES, COPIES, audit
from biranet.photos.copies import connected_components, near_identical_pairs
from biranet.photos.findings import Finding
from biranet.public_paths import public_name
from biranet.reports.fact_kinds import (
    AuditFact,
    DecoderFact,
    EpochFact,
    LeftOutFact,
    ModelFact,
    PatientsFact,
    PhotosFact,
    RulesFact,
    SplitFact,
    StartFact,
    TrainedOnFact,
    TrainingFact,
)
from biranet.reports.facts import (
    AUDIT_FACT,
    CHECKPOINT_FACT,
    DECODER_FACT,
    DIVIDED_PATIENTS_FACT,
    EPOCH_FACT,
    LEFT_OUT_FACT,
    MODEL_FACT,
    PATIENTS_FACT,
    PHOTOS_FACT,
    RULES_FACT,
    SPLIT_FACT,
    STARTED_FROM_FACT,
    THRESHOLDS_FACT,
    TRAINED_ON_FACT,
    TRAINED_WITH_FACT,
    TRAINING_FACT,
    Fact,
    HashedFile,
)
from biranet.reports.notes import Note
from biranet.training_record import TrainingRecord
from biranet.version import how_measured


def provenance_notes(info: CheckpointInfo, manifest: pd.DataFrame, photos: pd.DataFrame) -> Iterator[Note]:
    """Say what a reader must know before the first figure: which of the photos had a say in the model, and its doubts.

    Args:
        info: Of the model that is measured.
        manifest: All photos of the prepared folder.
        photos: Those that are measured.

    Yields:
        A note on each thing that makes the figures too good, or leaves that unknown.
    """
    counts = {
        **_count_learned(info, manifest, photos),
        **(count_learned_before(info.started_from, photos, info.training_set_digest) if info.started_from else {}),
        "rules_fitted_on": photos["sha256"].map(short_hash).isin(info.calibration_photo_hashes).sum(),
    }
    yield from (Note.of(kind, photos=count) for kind, count in counts.items() if count)
    yield from doubts_of_patients(photos)
    yield from (Note.of("training_doubt", doubt=doubt) for doubt in info.doubts)
    if info.rules == Rules():
        yield Note.of("not_calibrated")
    yield from (Note.of("rules_doubt", doubt=doubt) for doubt in info.rules.doubts)


def doubts_of_patients(photos: pd.DataFrame) -> Iterator[Note]:
    """Say of how many photos the patient is a guess, or unknown."""
    patients = describe_patients(photos)
    counts = {"groups_guessed": patients.guessed, "groups_unknown": patients.unknown}
    yield from (Note.of(kind, photos=count) for kind, count in counts.items() if count)


def doubts_of_copies(findings: Sequence[Finding], photos: pd.DataFrame) -> Iterator[Note]:
    """Say how many photos count with a copy of theirs, and how many have one with another grade.

    Args:
        findings: What an audit has found among all photos.
        photos: Those that are measured.
    """
    measured = set(photos["file"])
    copies: set[str] = set()
    conflicts: set[str] = set()
    for finding in findings:
        cases = [measured.intersection(case) for case in finding.cases]
        if finding.kind in COPIES:
            copies.update(*(files for files in cases if len(files) > 1))
        elif finding.kind == CONFLICTING_GRADES:
            conflicts.update(*cases)
    counts = {"copies": len(copies), "grades_conflict": len(conflicts)}
    yield from (Note.of(kind, photos=count) for kind, count in counts.items() if count)


def describe_patients(photos: pd.DataFrame) -> PatientsFact:
    """Say how the patients of photos are known, as data; all of them where an older manifest does not tell."""
    origins = photos.get(GROUP_FROM, pd.Series("", photos.index))
    return PatientsFact(
        len(photos),
        int((origins == OWN_GROUP).sum()),
        int(origins.isin(GUESSED_FROM).sum()),
        tuple(source for source in GUESSED_FROM if (origins == source).any()),
    )


def count_learned_before(start: StartedFrom, photos: pd.DataFrame, digest: str = "") -> dict[str, int]:
    """Count the photos that the checkpoint a training started from had learned from, by kind of note.

    Args:
        start: What is known of it.
        photos: Those that are measured.
        digest: The `training_set_digest` of the training itself, which holds none of them.
    """
    unknown = set(start.training_set_digests) - {digest}
    copies = 0
    if start.fingerprints and "fingerprint" in photos:
        copies = _count_copies(start.fingerprints, photos["fingerprint"].tolist())
    return {"start_learned_from": copies, "start_learned_from_unknown": len(photos) if unknown else 0}


def _count_learned(info: CheckpointInfo, manifest: pd.DataFrame, photos: pd.DataFrame) -> dict[str, int]:
    """How many of the measured photos the model has learned from or was chosen by, by kind of note."""
    column = info.split_column
    if column in manifest and info.training_set_digest == training_set_digest(manifest, column):
        chosen_by = 0 if info.validation_kappa is None else (photos[column] == "validation").sum()
        return {"learned_from": (photos[column] == "train").sum(), "epoch_chosen_on": chosen_by}
    if info.training_set_fingerprints and "fingerprint" in photos:
        copies = _count_copies(info.training_set_fingerprints, photos["fingerprint"].tolist())
        return {"learned_from_copies": copies}
    return {"learned_from_unknown": len(photos)} if info.training_set_digest else {}


def _count_copies(training: Sequence[str], measured: Sequence[str]) -> int:
    """How many of the measured photos are near-identical to one learned from, directly or through others."""
    sets = connected_components(len(training) + len(measured), near_identical_pairs([*training, *measured]))
    return int(np.isin(sets[len(training) :], sets[: len(training)]).sum())


class MeasuredPhotos(NamedTuple):
    """The photos that are measured, and those they are of.

    Attributes:
        prepared: The prepared folder.
        manifest: All photos of it.
        photos: Those that are measured.
        part: Which these are: a part of the split, or `all`.
    """

    prepared: Path
    manifest: pd.DataFrame
    photos: pd.DataFrame
    part: str


def audit_for(info: CheckpointInfo, manifest: pd.DataFrame) -> list[Finding]:
    """Audit a manifest by the division that a model was trained by, where it has that."""
    return audit(manifest, [info.split_column] if info.split_column in manifest else [])


def describe_origin(
    checkpoint: Path, predictor: LoadedPredictor, measured: MeasuredPhotos, findings: Sequence[Finding]
) -> dict[str, Fact]:
    """Say how the figures came about.

    Args:
        checkpoint: The model's file.
        predictor: What was loaded from it.
        measured: What was measured.
        findings: What `audit_for` has found there.

    Returns:
        What stands under "How this was measured", by name.
    """
    info, (prepared, manifest, photos, part) = predictor.info, measured
    column, rules = info.split_column, info.rules
    has_split = column in manifest
    whole = part == "all"
    training = info.training
    if training is None and is_shipped(checkpoint):
        training = read_model_card(checkpoint.stem).training
    origin: dict[str, Fact] = {
        MODEL_FACT: describe_model(info),
        CHECKPOINT_FACT: HashedFile(public_name(checkpoint), predictor.sha256),
        EPOCH_FACT: describe_epoch(info),
        **describe_training([info], training),
        PHOTOS_FACT: PhotosFact(public_name(prepared), part, "" if whole else column),
        PATIENTS_FACT: describe_patients(photos),
        **({DIVIDED_PATIENTS_FACT: describe_patients(graded_photos(manifest))} if has_split else {}),
        **describe_left_out(manifest),
        SPLIT_FACT: _describe_division(info, manifest) if has_split else "none of these photos is known to have a part",
        AUDIT_FACT: describe_findings(findings),
        DECODER_FACT: DecoderFact(rules.decoder, rules.grade_thresholds or ()),
        RULES_FACT: _describe_rules(info, manifest),
        THRESHOLDS_FACT: {point.name: point.threshold for point in rules.operating_points} or "none",
        TRAINED_WITH_FACT: describe_software(info),
    }
    return {**origin, **how_measured(predictor.package)}


def describe_model(info: CheckpointInfo) -> ModelFact:
    """Say what the network is, as data."""
    its, network_px = info.model, info.network_px if info.lesions else None
    return ModelFact(its.model, its.backbone, info.image_size, its.test_time_flip, network_px)


def describe_epoch(info: CheckpointInfo) -> EpochFact:
    """Say which epoch a network is of, as data."""
    chosen_by = "" if info.validation_kappa is None else "quadratic_weighted_kappa"
    return EpochFact(info.epoch, info.validation_kappa, chosen_by)


def describe_training(
    infos: Sequence[CheckpointInfo], record: TrainingRecord | None, *, other_folds: bool = False
) -> dict[str, Fact]:
    """Say what models have learned from and how, as far as it is known.

    Args:
        infos: Of one model, or of those of all folds.
        record: How the first of them was trained.
        other_folds: Whether each has learned from other folds than it answered for.
    """
    info = infos[0]
    facts: dict[str, Fact] = {TRAINED_ON_FACT: TrainedOnFact(info.trained_on, info.seed, other_folds)}
    if (start := info.started_from) is not None:
        facts[STARTED_FROM_FACT] = StartFact(start.file, start.sha256, start.trained_on)
    runs = tuple(each.training.run for each in infos if each.training) or ((record.run,) if record else ())
    if record is not None and len(runs) == len(infos):
        facts[TRAINING_FACT] = TrainingFact(info.model.freeze, record.settings, runs)
    return facts


def describe_left_out(manifest: pd.DataFrame) -> dict[str, Fact]:
    """Say how many photos of a prepared folder have no part in figures; nothing where all have one."""
    counts = manifest["status"].value_counts()
    reasons = {status: int(counts[status]) for status in STATUSES if status != "ok" and status in counts}
    if ungraded := int(((manifest["status"] == "ok") & manifest["grade"].isna()).sum()):
        reasons["ungraded"] = ungraded
    return {LEFT_OUT_FACT: LeftOutFact(len(manifest), reasons)} if reasons else {}


def _describe_rules(info: CheckpointInfo, manifest: pd.DataFrame) -> RulesFact:
    hashes = set(info.calibration_photo_hashes)
    photos = graded_photos(manifest)
    column = photos.get(info.split_column, pd.Series("", photos.index))
    kept_back = photos.loc[column == "calibration", "sha256"].map(short_hash)
    return RulesFact(
        info.rules.fitted_on or None,
        info.rules.temperature,
        photos=len(info.calibration_photo_hashes) or None,
        calibration_part=bool(hashes) and hashes == set(kept_back),
    )


def _describe_division(info: CheckpointInfo, manifest: pd.DataFrame) -> SplitFact:
    column = info.split_column
    counts = graded_photos(manifest)[column].value_counts()
    parts = {part: int(counts[part]) for part in SPLITS if part in counts}
    trained_by = info.training_set_digest == training_set_digest(manifest, column)
    return SplitFact(describe_split(manifest, column), parts, trained_by)


def describe_findings(findings: Sequence[Finding]) -> AuditFact:
    """Say what an audit has found."""
    lines = tuple(f"{finding.kind}: {finding.sentence}." for finding in findings)
    return AuditFact(lines, leaks=any(finding.refuses for finding in findings))


def describe_software(info: CheckpointInfo) -> str:
    """Say what a model was trained with."""
    return ", ".join(f"{name} {version}" for name, version in info.software.items())
