"""Photos with the maps of what a model made of them for the report, the worst mistakes first."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.decisions.columns import PROBABILITIES, probabilities, referable_score
from biranet.inference.lesion_panels import draw_own_lesions
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.predictor import Predicted, Predictor
from biranet.learning.stored_photos import read_stored, stored_photos
from biranet.learning.transforms import Pixels
from biranet.photos.cut import Cut
from biranet.photos.overlay import attention_maps, draw_map, evidence_map
from biranet.reports.report import Overlay, Panel, worst_mistakes

DrawLesions = Callable[["pd.Series[Any]"], Overlay]
"""Draws the lesions of a photo, given its row of the manifest."""


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


def draw_panels(
    predictor: Predictor, prepared: Path, predictions: pd.DataFrame, draw_lesions: DrawLesions | None = None
) -> Iterator[Panel]:
    """Draw the chosen photos with the attention of each stream, the evidence and, where asked for, their lesions.

    Args:
        predictor: The model.
        prepared: The prepared folder.
        predictions: What the model predicted, with the manifest's column `prepared`.
        draw_lesions: What draws the lesions of a photo; when not given, those that the model itself found, if any, are
            drawn on what it saw.

    Yields:
        One panel per chosen photo.
    """
    chosen = predictions.iloc[choose_rows(predictions)].reset_index(drop=True)
    photos = zip(*stored_photos(prepared, chosen), strict=True)
    for stored, (_, row) in zip(photos, chosen.iterrows(), strict=True):
        photo = read_stored(stored, predictor.info.image_size)
        predicted = predictor.predict(photo[None])
        yield Panel(
            caption=row["file"],
            photo=photo,
            maps=_draw_maps(photo, predicted),
            truth=int(row["grade"]),
            predicted=int(row["predicted_grade"]),
            answer=_answer(row),
            lesions=draw_lesions(row) if draw_lesions else _draw_own(photo, predicted, predictor.info, row),
        )


def _draw_own(photo: Pixels, predicted: Predicted, info: CheckpointInfo, row: "pd.Series[Any]") -> Overlay | None:
    if info.lesions is None or predicted.lesions is None:
        return None
    return draw_own_lesions(photo, predicted.lesions[0], info.lesions.thresholds, row)


def _draw_maps(photo: Pixels, predicted: Predicted) -> list[Overlay]:
    maps = attention_maps(predicted.attention[0])
    if predicted.evidence is not None:
        maps.append(evidence_map(predicted.evidence[0]))
    return [
        Overlay(
            f"{each.name}, {each.low:g} to {each.high:g}",
            draw_map(photo, Cut.whole(len(photo)), each),
            f"its values go from {each.values.min():.2f} to {each.values.max():.2f}",
        )
        for each in maps
    ]


def _answer(row: "pd.Series[Any]") -> str:
    score = float(referable_score(row[list(PROBABILITIES)].to_numpy(float)))
    confidence = f"referral score {score:.2f}, probability {row[PROBABILITIES[row['predicted_grade']]]:.2f}"
    if "decision" not in row:
        return confidence
    return f"{confidence}, decision: {row['decision']}, set of grades: {row['lowest_grade']} to {row['highest_grade']}"
