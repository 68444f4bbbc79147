"""Photos worth looking at, with what the model looked at, for the report."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from biranet.evaluation.report import Panel
from biranet.grades import GRADES
from biranet.learning.checkpoint import Card
from biranet.learning.data import Draw
from biranet.learning.predict import card_photos, predict_batch
from biranet.photos.overlay import overlay_attention

MISTAKES_SHOWN = 10


def choose_rows(predictions: pd.DataFrame) -> list[int]:
    """Choose the worst mistakes, then the surest right answer of each grade.

    Args:
        predictions: A predictions table with probabilities.

    Returns:
        Positions in the table.
    """
    table = predictions.reset_index(drop=True)
    off = (table["predicted_grade"] - table["grade"]).abs()
    sureness = table[[f"p{grade}" for grade in GRADES]].max(axis=1)
    order = table.assign(off=off, sureness=sureness).sort_values(["off", "sureness"], ascending=False, kind="stable")
    wrong = order[order["off"] > 0].index[:MISTAKES_SHOWN].tolist()
    right = order[order["off"] == 0].drop_duplicates("grade").sort_values("grade").index.tolist()
    return [*wrong, *right]


def draw_panels(
    model: nn.Module, card: Card, prepared: Path, predictions: pd.DataFrame, device: torch.device
) -> Iterator[Panel]:
    """Draw the chosen photos with the attention of each stream.

    Args:
        model: In evaluation mode, on `device`.
        card: Its description.
        prepared: The prepared folder.
        predictions: What the model predicted, with the manifest's column `prepared`.
        device: Where the model is.

    Yields:
        One panel per chosen photo.
    """
    chosen = predictions.iloc[choose_rows(predictions)].reset_index(drop=True)
    photos = card_photos(card, prepared, chosen)
    for place, row in chosen.iterrows():
        answer = predict_batch(model, photos.collate([photos[Draw(int(str(place)))]]), device)
        photo = photos.photo(int(str(place)))
        yield Panel(
            caption=row["file"],
            photo=photo,
            attention=[overlay_attention(photo, mask) for mask in answer.attention[0]],
            truth=int(row["grade"]),
            predicted=int(row["predicted_grade"]),
        )
