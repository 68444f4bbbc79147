"""Measuring a checkpoint: its predictions on one part of the split, and the report on them."""

from pathlib import Path
from typing import Any

from biranet.config import ReportConfig
from biranet.decisions.predictions import probabilities
from biranet.decisions.rules import describe_decoder
from biranet.evaluation.subgroups import check_columns
from biranet.inference.archives import is_archive, prepare_archive
from biranet.inference.models import find_checkpoint
from biranet.inference.panels import draw_panels
from biranet.inference.provenance import describe_origin, load_named, warnings
from biranet.inference.readings import record_reading
from biranet.learning.parts import photos_of_part
from biranet.learning.predict import check_preparation, choose_device, predict_photos
from biranet.learning.record import read_history
from biranet.manifest import read_manifest
from biranet.outputs import output
from biranet.reports.notes import Note
from biranet.reports.report import REPORT, write_report


def evaluate_checkpoint(
    checkpoint: Path | str,
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
        checkpoint: The model: its file, or the name of one that ships.
        prepared: Prepared folder with graded photos; or the `.npz` of RetinaMNIST, see `biranet.inference.archives`.
        out: Folder for the report.
        part: Part of the split the checkpoint was trained on, or of the archive, or `all`.
        config: How to measure.
        workers: Processes that load photos.
        no_cuda: Compute on the CPU even where there is a GPU.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If the checkpoint or the folder cannot be used, or the part is empty.
        RefusedError: If the photos were prepared otherwise than the model's training photos, or the split has changed.
    """
    checkpoint = find_checkpoint(checkpoint)
    with output(out, REPORT, (checkpoint, prepared)) as place:
        return _evaluate(checkpoint, prepared, place, part, config, workers, no_cuda=no_cuda)


def _evaluate(
    checkpoint: Path, prepared: Path, out: Path, part: str, config: ReportConfig, workers: int, *, no_cuda: bool
) -> dict[str, Any]:
    model, card, digest = load_named(checkpoint)
    archive = is_archive(prepared)
    if archive:
        prepared, part = prepare_archive(prepared, out, part, checkpoint=checkpoint, card=card, workers=workers)
    manifest = read_manifest(prepared)
    check_preparation(prepared, card)
    check_columns(manifest, config.by)
    photos = photos_of_part(manifest, part, checkpoint=checkpoint, card=card, prepared=prepared)
    device = choose_device(no_cuda)
    predictions = predict_photos(model, card, prepared, photos, device=device, workers=workers, origin=str(checkpoint))
    notes = list(warnings(card, manifest, photos))
    if card.rules.grade_thresholds is not None:
        most_probable = probabilities(predictions).argmax(axis=1)
        others = int((predictions["predicted_grade"] != most_probable).sum())
        notes.append(Note("decoder", describe_decoder(card.rules, others, len(predictions))))
    if card.split_column in photos and (photos[card.split_column] == "test").any():
        readings = record_reading(prepared, card.split_column, checkpoint, digest)
        notes.append(Note("test_readings", readings.sentence()))
        notes += [Note.of("archive_readings")] * archive
    return write_report(
        out,
        predictions,
        title=f"Evaluation of {card.model.model}",
        config=config,
        panels=list(draw_panels(model, card, prepared, predictions, device)),
        facts=describe_origin(checkpoint, digest, card, prepared, manifest, part),
        history=read_history(checkpoint.parent),
        notes=notes,
    )
