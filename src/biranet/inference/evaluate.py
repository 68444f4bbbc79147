"""Measuring a checkpoint: its predictions on one part of the split, and the report on them."""

import importlib.metadata
from pathlib import Path
from typing import Any

from biranet.errors import InputError, RefusedError
from biranet.evaluation.report import write_report
from biranet.inference.panels import draw_panels
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.predict import card_photos, check_preparation, choose_device, predict_photos
from biranet.manifest import graded_photos, learned_digest, read_manifest


def evaluate_checkpoint(
    checkpoint: Path, prepared: Path, out: Path, *, part: str = "test", workers: int = 2, no_cuda: bool = False
) -> dict[str, Any]:
    """Grade one part of the prepared photos and write the report.

    Args:
        checkpoint: The model.
        prepared: Prepared folder with graded photos.
        out: Folder for the report.
        part: Part of the split the checkpoint was trained on, or `all`.
        workers: Processes that load photos.
        no_cuda: Compute on the CPU even where there is a GPU.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If the checkpoint or the folder cannot be used, or the part is empty.
        RefusedError: If the photos were prepared otherwise than the model's training photos, or the split has changed.
    """
    model, card = load_checkpoint(checkpoint)
    table = graded_photos(read_manifest(prepared))
    check_preparation(prepared, card)
    if part != "all":
        if card.split_column not in table:
            raise InputError(
                f"{checkpoint} was trained on the split {card.split_column!r}, which {prepared} does not have, so "
                "nobody knows which of its photos the model has seen; for photos of other patients use --split all"
            )
        if card.learned_digest not in ("", learned_digest(table, card.split_column)):
            raise RefusedError(
                f"the split {card.split_column!r} of {prepared} is not the one {checkpoint} was trained on, so its "
                f"part {part!r} may hold photos the model has seen; train again, or use --split all for other patients"
            )
        parts = table[card.split_column]
        counts = parts[parts != ""].value_counts()
        table = table[parts == part]
        if table.empty:
            known = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none; run biranet split"
            raise InputError(f"{prepared} has no graded photos in the part {part!r}; its parts are: {known}")
    elif table.empty:
        raise InputError(f"{prepared} has no graded photos; give grades with: biranet prepare … --labels FILE")
    table = table.reset_index(drop=True)
    device = choose_device(no_cuda)
    model.to(device)
    predictions = predict_photos(model, card, card_photos(card, prepared, table), table, device=device, workers=workers)
    chosen = "" if card.validation_kappa is None else f", validation kappa {card.validation_kappa:.3f}"
    facts = {
        "Model": f"{card.model.model}, trunk {card.model.trunk}, {card.image_size} px",
        "Checkpoint": f"{checkpoint}, epoch {card.epoch}{chosen}",
        "Trained on": card.trained_on,
        "Photos": f"{prepared}, {'all' if part == 'all' else f'part {part} of the column {card.split_column!r}'}",
        "Decoder": card.decoder,
        "Software": f"biranet {importlib.metadata.version('biranet')}",
    }
    panels = list(draw_panels(model, card, prepared, predictions, device))
    return write_report(out, predictions, title=f"Evaluation of {card.model.model}", panels=panels, facts=facts)
