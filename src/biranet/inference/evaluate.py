"""Measuring a checkpoint: its predictions on one part of the split, and the report on them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import ComputeConfig, Device, ReportConfig
from biranet.decisions.columns import probabilities
from biranet.decisions.rules import Rules, describe_decoder
from biranet.evaluation.subgroups import check_columns
from biranet.inference.engines import load_engine
from biranet.inference.medmnist import is_archive, prepare_archive
from biranet.inference.provenance import MeasuredPhotos, audit_for, describe_origin, doubts_of_copies, provenance_notes
from biranet.inference.readings_of_test_part import record_reading
from biranet.inference.worst_photos import DrawLesions, draw_panels
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.history import read_history
from biranet.learning.predict import check_preparation, for_readers, photos_of_part, predict_photos
from biranet.learning.predictor import LoadedPredictor
from biranet.learning.run_folder import BEST_NAME, LAST_NAME, PROBE_FOLDER
from biranet.learning.shipped_models import find_checkpoint
from biranet.manifest import read_manifest
from biranet.outputs import claim_output
from biranet.reports.notes import Note
from biranet.reports.report import REPORT, ReportExtras, write_report
from biranet.reports.table_provenance import Provenance


def evaluate_checkpoint(  # noqa: PLR0913 - keywords, one a thing to have a say in
    checkpoint: Path | str,
    prepared: Path,
    out: Path,
    *,
    part: str = "test",
    config: ReportConfig = ReportConfig(),  # noqa: B008 (frozen)
    computing: ComputeConfig = ComputeConfig(),  # noqa: B008 (frozen)
    lesion_drawer: Callable[[LoadedPredictor], DrawLesions] | None = None,
) -> dict[str, Any]:
    """Grade one part of the prepared photos and write the report.

    Reading a test part is written down in the prepared folder, and the report says how often it was read before.

    Args:
        checkpoint: The model: its file, a checkpoint or an exported one, or the name of one that ships.
        prepared: Prepared folder with graded photos; or the `.npz` of RetinaMNIST, see `biranet.inference.medmnist`.
        out: Folder for the report.
        part: Part of the split the checkpoint was trained on, or of the archive, or `all`.
        config: How to measure, and the title; that of the model when empty.
        computing: Where to compute, and what loads the photos.
        lesion_drawer: Gives what draws the lesions of the worst mistakes into the report, for the model; when not
            given, a model that has a lesion branch outlines what it found on what it saw.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If the checkpoint or the folder cannot be used, or the part is empty.
        RefusedError: If the photos were prepared otherwise than the model's training photos, or the split has changed.
    """
    checkpoint = find_checkpoint(checkpoint)
    with claim_output(out, REPORT, (checkpoint, prepared)) as folder:
        predictor = load_engine(checkpoint, device=computing.device)
        info, archive = predictor.info, is_archive(prepared)
        if archive:
            prepared, part = prepare_archive(prepared, folder, part, predictor, workers=computing.workers)
        manifest = read_manifest(prepared)
        check_preparation(prepared, info)
        check_columns(manifest, config.by)
        photos = photos_of_part(manifest, part, predictor, prepared)
        predictions = predict_photos(predictor, prepared, photos, workers=computing.workers)
        # What cannot be drawn is said before a reading of the test part is recorded.
        draw_lesions = lesion_drawer and lesion_drawer(predictor)
        panels = list(draw_panels(predictor, prepared, predictions, draw_lesions))
        findings = audit_for(info, manifest)
        notes = [*provenance_notes(info, manifest, photos), *doubts_of_copies(findings, photos)]
        notes += _describe_grades(info.rules, predictions)
        if info.split_column in photos and (photos[info.split_column] == "test").any():
            readings = record_reading(prepared, info.split_column, checkpoint, predictor.sha256)
            notes.append(Note("test_readings", readings.sentence()))
            notes += [Note.of("archive_readings")] * archive
        measured = MeasuredPhotos(prepared, manifest, photos, part)
        facts = describe_origin(checkpoint, predictor, measured, findings)
        return write_report(
            folder,
            for_readers(predictions, config.by),
            title=config.title or f"Evaluation of {info.model.model}",
            config=config,
            provenance=Provenance(tuple(notes), facts),
            extras=ReportExtras(
                panels,
                read_history(checkpoint.parent),
                predict_by_probe(checkpoint, info, prepared, photos, computing),
            ),
        )


def predict_by_probe(
    checkpoint: Path, info: CheckpointInfo, prepared: Path, photos: pd.DataFrame, computing: ComputeConfig
) -> pd.DataFrame | None:
    """Predict photos by the linear probe beside a checkpoint.

    Args:
        checkpoint: The checkpoint.
        info: Its description.
        prepared: The prepared folder.
        photos: Rows of its manifest.
        computing: Where to compute, and what loads the photos.

    Returns:
        The predictions table; None where there is no probe.
    """
    probe = load_probe_beside(checkpoint, info, computing.device)
    if probe is None:
        return None
    return for_readers(predict_photos(probe, prepared, photos, workers=computing.workers))


def load_probe_beside(checkpoint: Path, info: CheckpointInfo, device: Device) -> LoadedPredictor | None:
    """Load the probe of the run that a checkpoint is from.

    Args:
        checkpoint: A checkpoint in a run folder, or anywhere.
        info: Its description.
        device: Where to compute.

    Returns:
        The probe, ready to predict; None where there is none that has learned from the same photos.

    Raises:
        InputError: If its checkpoint cannot be used.
    """
    for name in (BEST_NAME, LAST_NAME):
        path = checkpoint.parent / PROBE_FOLDER / name
        if path.exists():
            probe = load_engine(path, device=device)
            same = ("split_column", "training_set_digest", "preparation")
            return probe if all(getattr(probe.info, each) == getattr(info, each) for each in same) else None
    return None


def _describe_grades(rules: Rules, predictions: pd.DataFrame) -> Iterator[Note]:
    """Say how many grades are not the most probable ones, where the rules decode otherwise."""
    if rules.grade_thresholds is not None:
        most_probable = probabilities(predictions).argmax(axis=1)
        others = int((predictions["predicted_grade"] != most_probable).sum())
        yield Note("decoder", describe_decoder(rules, others, len(predictions)))
