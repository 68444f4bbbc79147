"""The photos of one part of the split that a checkpoint was trained on."""

from pathlib import Path

import pandas as pd

from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint import CheckpointInfo
from biranet.manifest import graded_photos, training_set_digest


def photos_of_part(
    table: pd.DataFrame, part: str, *, checkpoint: Path, card: CheckpointInfo, prepared: Path
) -> pd.DataFrame:
    """Choose the graded photos of one part.

    Args:
        table: The manifest of `prepared`.
        part: `train`, `validation`, `calibration`, `test`, or `all`.
        checkpoint: The model's file, for the error.
        card: Names the column with the split, and what the model has seen.
        prepared: The prepared folder, for the error.

    Returns:
        Rows of the manifest, numbered anew; at least one.

    Raises:
        InputError: If the manifest does not have the split, or the part is empty.
        RefusedError: If the split is not the one the model was trained on.
    """
    photos = graded_photos(table)
    if part == "all":
        if photos.empty:
            raise InputError(f"{prepared} has no graded photos; give grades with: biranet prepare … --labels FILE")
        return photos.reset_index(drop=True)
    if card.split_column not in photos:
        raise InputError(
            f"{checkpoint} was trained on the split {card.split_column!r}, which {prepared} does not have, so "
            "nobody knows which of its photos the model has seen; for photos of other patients use --split all"
        )
    if card.training_set_digest not in ("", training_set_digest(photos, card.split_column)):
        raise RefusedError(
            f"the split {card.split_column!r} of {prepared} is not the one {checkpoint} was trained on, so its "
            f"part {part!r} may hold photos the model has seen; train again, or use --split all for other patients"
        )
    parts = photos[card.split_column]
    chosen = photos[parts == part]
    if chosen.empty:
        counts = parts[parts != ""].value_counts()
        known = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none; run biranet split"
        raise InputError(f"{prepared} has no graded photos in the part {part!r}; its parts are: {known}")
    return chosen.reset_index(drop=True)
