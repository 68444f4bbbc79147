"""Measuring a checkpoint: its predictions on one part of the split, and the report on them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import ReportConfig
from biranet.evaluation.report import write_report
from biranet.evaluation.rules import Rules
from biranet.evaluation.subgroups import check_columns
from biranet.inference.panels import draw_panels
from biranet.inference.readings import record_reading
from biranet.learning.checkpoint import Card, load_checkpoint
from biranet.learning.parts import photos_of_part
from biranet.learning.predict import card_photos, check_preparation, choose_device, predict_photos
from biranet.learning.record import read_history
from biranet.learning.split import describe_split
from biranet.manifest import learned_digest, read_manifest
from biranet.photos.audit import audit
from biranet.version import how_measured


def evaluate_checkpoint(
    checkpoint: Path,
    prepared: Path,
    out: Path,
    *,
    part: str = "test",
    config: ReportConfig = ReportConfig(),  # noqa: B008 (frozen)
    workers: int = 2,
    no_cuda: bool = False,
) -> dict[str, Any]:
    """Grade one part of the prepared photos and write the report.

    Reading a test part is written down in the prepared folder, and the report says how often it was read before.

    Args:
        checkpoint: The model.
        prepared: Prepared folder with graded photos.
        out: Folder for the report.
        part: Part of the split the checkpoint was trained on, or `all`.
        config: How to measure.
        workers: Processes that load photos.
        no_cuda: Compute on the CPU even where there is a GPU.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If the checkpoint or the folder cannot be used, or the part is empty.
        RefusedError: If the photos were prepared otherwise than the model's training photos, or the split has changed.
    """
    model, card = load_checkpoint(checkpoint)
    manifest = read_manifest(prepared)
    check_preparation(prepared, card)
    check_columns(manifest, config.by)
    photos = photos_of_part(manifest, part, checkpoint=checkpoint, card=card, prepared=prepared)
    device = choose_device(no_cuda)
    model.to(device)
    predictions = predict_photos(
        model, card, card_photos(card, prepared, photos), photos, device=device, workers=workers
    )
    notes = list(_notes(card, manifest, photos, part))
    if card.split_column in photos and (photos[card.split_column] == "test").any():
        notes.append(record_reading(prepared, card.split_column, checkpoint).sentence())
    return write_report(
        out,
        predictions,
        title=f"Evaluation of {card.model.model}",
        config=config,
        panels=list(draw_panels(model, card, prepared, predictions, device)),
        facts=_facts(checkpoint, card, prepared, manifest, part),
        history=read_history(checkpoint.parent),
        notes=notes,
    )


def _notes(card: Card, manifest: pd.DataFrame, photos: pd.DataFrame, part: str) -> Iterator[str]:
    """What a reader must know before the first figure."""
    if part in ("train", "all") and card.split_column in manifest:
        learned = int((photos[card.split_column] == "train").sum())
        if learned and card.learned_digest == learned_digest(manifest, card.split_column):
            yield f"The model has learned from {learned} of these photos: the figures say nothing of new patients."
    if part == "validation" and card.validation_kappa is not None:
        yield (
            f"These photos chose the epoch ({card.epoch}) of this model, so the figures are too good; "
            "the test part has had no say in it."
        )
    if part == "calibration" and card.rules != Rules():
        yield "Temperature, thresholds and prediction sets were fitted on these photos, so their figures are too good."
    if card.rules == Rules():
        yield (
            "The model was not calibrated: its probabilities are as it gave them, and it refers by its grade alone. "
            "Fit its rules with: biranet calibrate"
        )


def _facts(checkpoint: Path, card: Card, prepared: Path, manifest: pd.DataFrame, part: str) -> dict[str, Any]:
    """How the figures came about, by name; a list where there are several sentences."""
    column, rules = card.split_column, card.rules
    has_split = column in manifest
    chosen = (
        "the last one; there was no validation part to choose by"
        if card.validation_kappa is None
        else f"chosen on the validation part, where its kappa of {card.validation_kappa:.3f} is therefore too good"
    )
    findings = audit(manifest, [column] if has_split else [])
    return {
        "Model": f"{card.model.model}, trunk {card.model.trunk}, images of {card.image_size} px",
        "Checkpoint": f"{checkpoint}, sha256 {hashlib.sha256(checkpoint.read_bytes()).hexdigest()}",
        "Epoch": f"{card.epoch}, {chosen}",
        "Trained on": f"{card.trained_on}, seed {card.seed}",
        "Photos": f"{prepared}, {'all' if part == 'all' else f'part {part} of the column {column!r}'}",
        "Split": describe_split(manifest, column) if has_split else "none of these photos is known to have a part",
        "Audit": [f"{finding.kind}: {finding.sentence}." for finding in findings] or "nothing was found",
        "Decoder": rules.decoder
        + (
            f", thresholds {', '.join(f'{end:.3f}' for end in rules.grade_thresholds)}"
            if rules.grade_thresholds
            else ""
        ),
        "Rules": f"fitted on {rules.fitted_on}, temperature {rules.temperature:.3f}"
        if rules.fitted_on
        else "none fitted",
        "Thresholds": [f"{point.name}: {point.threshold:.4f}" for point in rules.operating_points] or "none",
        "Trained with": ", ".join(f"{name} {version}" for name, version in card.software.items()),
        **how_measured(),
    }
