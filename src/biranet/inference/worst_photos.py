"""Photos with their attention maps for the report, the worst mistakes first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.decisions.columns import PROBABILITIES, probabilities
from biranet.learning.predictor import Predictor
from biranet.learning.stored_photos import read_stored, stored_photos
from biranet.photos.overlay import draw_attention
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
    answers["confidence"] = probabilities(predictions)[range(len(answers)), answers["predicted_grade"]]
    right = answers[answers["grade"] == answers["predicted_grade"]].sort_values(
        ["grade", "confidence"], ascending=[True, False], kind="stable"
    )
    return [*wrong, *right.drop_duplicates("grade").index.tolist()]


def draw_panels(predictor: Predictor, prepared: Path, predictions: pd.DataFrame) -> Iterator[Panel]:
    """Draw the chosen photos with the attention of each stream.

    Args:
        predictor: The model.
        prepared: The prepared folder.
        predictions: What the model predicted, with the manifest's column `prepared`.

    Yields:
        One panel per chosen photo.
    """
    chosen = predictions.iloc[choose_rows(predictions)].reset_index(drop=True)
    photos = zip(*stored_photos(prepared, chosen), strict=True)
    for stored, (_, row) in zip(photos, chosen.iterrows(), strict=True):
        photo = read_stored(stored, predictor.info.image_size)
        attention = predictor.predict(photo[None]).attention[0]
        yield Panel(
            caption=row["file"],
            photo=photo,
            attention=draw_attention(photo, attention),
            truth=int(row["grade"]),
            predicted=int(row["predicted_grade"]),
            answer=_answer(row),
        )


def _answer(row: "pd.Series[Any]") -> str:
    confidence = f"probability {row[PROBABILITIES[row['predicted_grade']]]:.2f}"
    if "decision" not in row:
        return confidence
    return f"{confidence}, decision: {row['decision']}, set of grades: {row['lowest_grade']} to {row['highest_grade']}"
