"""Where the figures of a report come from: which photos had a say in the model, and how all of it was made."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from biranet.decisions.rules import Rules
from biranet.learning.checkpoint_info import CheckpointInfo, StartedFrom, short_hash
from biranet.learning.split import describe_split
from biranet.manifest import GROUP_FROM, GUESSED_FROM, OWN_GROUP, training_set_digest
from biranet.photos.audit import audit
from biranet.photos.copies import connected_components, near_identical_pairs
from biranet.photos.findings import Finding
from biranet.public_paths import public_name
from biranet.reports.facts import (
    AUDIT_FACT,
    CHECKPOINT_FACT,
    DECODER_FACT,
    EPOCH_FACT,
    MODEL_FACT,
    PHOTOS_FACT,
    RULES_FACT,
    SPLIT_FACT,
    STARTED_FROM_FACT,
    THRESHOLDS_FACT,
    TRAINED_ON_FACT,
    TRAINED_WITH_FACT,
    Fact,
    HashedFile,
    ModelFact,
    RulesFact,
    TrainedOnFact,
)
from biranet.reports.notes import Note
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
    group_from = photos.get(GROUP_FROM, pd.Series(dtype=object))
    counts = {"groups_guessed": group_from.isin(GUESSED_FROM).sum(), "groups_unknown": (group_from == OWN_GROUP).sum()}
    yield from (Note.of(kind, photos=count) for kind, count in counts.items() if count)


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


def _count_copies(learned: Sequence[str], measured: Sequence[str]) -> int:
    """How many of the measured photos are near-identical to one learned from, directly or through others."""
    sets = connected_components(len(learned) + len(measured), near_identical_pairs([*learned, *measured]))
    return int(np.isin(sets[len(learned) :], sets[: len(learned)]).sum())


def describe_origin(
    checkpoint: Path, digest: str, info: CheckpointInfo, prepared: Path, manifest: pd.DataFrame, part: str
) -> dict[str, Fact]:
    """Say how the figures came about.

    Args:
        checkpoint: The model's file.
        digest: SHA-256 of the bytes it was loaded from.
        info: Its description.
        prepared: The prepared folder.
        manifest: Its photos.
        part: What was measured: a part of the split, or `all`.

    Returns:
        What stands under "How this was measured", by name.
    """
    column, rules = info.split_column, info.rules
    has_split = column in manifest
    chosen = "no epoch was chosen, as there was no validation part"
    if info.validation_kappa is not None:
        chosen = (
            f"validation kappa (of the most probable grades) {info.validation_kappa:.3f}; epochs were chosen by it, so "
            "it is too good"
        )
    findings = audit(manifest, [column] if has_split else [])
    ends = ", ".join(f"{end:.3f}" for end in rules.grade_thresholds or ())
    origin: dict[str, Fact] = {
        MODEL_FACT: describe_model(info),
        CHECKPOINT_FACT: HashedFile(public_name(checkpoint), digest),
        EPOCH_FACT: f"{info.epoch}, {chosen}",
        TRAINED_ON_FACT: TrainedOnFact(info.trained_on, info.seed),
        **({} if info.started_from is None else {STARTED_FROM_FACT: str(info.started_from)}),
        PHOTOS_FACT: f"{public_name(prepared)}, {'all' if part == 'all' else f'part {part} of the column {column!r}'}",
        SPLIT_FACT: describe_split(manifest, column) if has_split else "none of these photos is known to have a part",
        AUDIT_FACT: describe_findings(findings),
        DECODER_FACT: f"{rules.decoder}, thresholds {ends}" if ends else rules.decoder,
        RULES_FACT: RulesFact(rules.fitted_on or None, rules.temperature),
        THRESHOLDS_FACT: {point.name: point.threshold for point in rules.operating_points} or "none",
        TRAINED_WITH_FACT: describe_software(info),
    }
    return {**origin, **how_measured()}


def describe_model(info: CheckpointInfo) -> ModelFact:
    """Say what the network is, as data."""
    return ModelFact(info.model.model, info.model.backbone, info.image_size, info.model.test_time_flip)


def describe_findings(findings: Sequence[Finding]) -> str | list[str]:
    """Say what an audit has found."""
    return [f"{finding.kind}: {finding.sentence}." for finding in findings] or "nothing was found"


def describe_software(info: CheckpointInfo) -> str:
    """Say what a model was trained with."""
    return ", ".join(f"{name} {version}" for name, version in info.software.items())
