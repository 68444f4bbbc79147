"""Photos worth looking at, with what the model looked at, for the report."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from biranet.decisions.predictions import PROBABILITIES, probabilities
from biranet.learning.checkpoint import CheckpointInfo
from biranet.learning.data import Draw
from biranet.learning.predict import card_photos, predict_batch
from biranet.photos.overlay import overlay_attention
from biranet.reports.report import Panel, worst_mistakes


def choose_rows(predictions: pd.DataFrame) -> list[int]:
    """Choose the worst mistakes, then the surest right answer of each grade.

    Args:
        predictions: A predictions table with probabilities.

    Returns:
        Positions in the table.
    """
    wrong = worst_mistakes(predictions).index.tolist()
    answers = predictions[["grade", "predicted_grade"]].reset_index(drop=True)
    answers["sureness"] = probabilities(predictions)[range(len(answers)), answers["predicted_grade"]]
    right = answers[answers["grade"] == answers["predicted_grade"]].sort_values(
        ["grade", "sureness"], ascending=[True, False], kind="stable"
    )
    return [*wrong, *right.drop_duplicates("grade").index.tolist()]


def draw_panels(
    model: nn.Module, card: CheckpointInfo, prepared: Path, predictions: pd.DataFrame, device: torch.device
) -> Iterator[Panel]:
    """Draw the chosen photos with the attention of each stream.

    Args:
        model: On `device`.
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
            answer=_answer(row),
        )


def _answer(row: "pd.Series[Any]") -> str:
    sureness = f"probability {row[PROBABILITIES[row['predicted_grade']]]:.2f}"
    if "decision" not in row:
        return sureness
    return f"{sureness}, decision: {row['decision']}, set of grades: {row['lowest_grade']} to {row['highest_grade']}"
