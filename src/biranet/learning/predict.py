"""From prepared photos to a predictions table: which photos a model may be asked about, and its answers for them."""

import multiprocessing
from collections.abc import Collection
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from biranet.console import progress_bar
from biranet.decisions.columns import DECISION_COLUMNS, PREDICTION_COLUMNS, PROBABILITIES, point_columns
from biranet.decisions.rules import Rules, decide, decision_columns
from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.predictor import Predictor
from biranet.learning.stored_photos import read_stored, stored_photos
from biranet.manifest import (
    OFFICIAL_SPLIT,
    ROW_SHA256,
    fold_columns,
    graded_photos,
    select_part,
    training_set_digest,
)
from biranet.photos.parallel import map_in_processes
from biranet.photos.prepare import read_preparation
from biranet.photos.quality import QUALITY_COLUMNS
from biranet.photos.store import MEASURED_COLUMNS

_FOR_PROGRAMS = frozenset(
    {"prepared", "status", "reason", *MEASURED_COLUMNS, ROW_SHA256} - {"width_px", "height_px", *QUALITY_COLUMNS}
)
"""Columns of the manifest by which programs find files and know them again; whoever needs them has the manifest."""


def check_preparation(prepared: Path, info: CheckpointInfo) -> None:
    """Refuse photos that were prepared otherwise than the model's training photos.

    Raises:
        RefusedError: If they were.
    """
    if difference := read_preparation(prepared).describe_difference(info.preparation):
        raise RefusedError(
            f"{prepared} holds {difference}, which the checkpoint was trained on; give a folder of such, or prepare "
            f"them again, into another folder, with --size {info.preparation.size_px}"
        )


def photos_of_part(
    table: pd.DataFrame, part: str, predictor: Predictor, prepared: Path, *, otherwise: str = "use --split all"
) -> pd.DataFrame:
    """Select the graded photos of one part of the split that a model was trained on.

    Args:
        table: The manifest of `prepared`.
        part: `train`, `validation`, `calibration`, `test`, or `all`.
        predictor: Its description names the column with the split, and the photos that it learned from.
        prepared: The prepared folder, for the errors.
        otherwise: What to do for photos of other patients, for the errors too.

    Returns:
        Rows of the manifest, numbered anew; at least one.

    Raises:
        InputError: If the manifest does not have the split, or the part is empty.
        RefusedError: If the split is not the one the model was trained on.
    """
    photos, column = graded_photos(table), predictor.info.split_column
    if part != "all" and column not in photos:
        raise InputError(
            f"{predictor.origin} was trained on the split {column!r}, which {prepared} does not have, so "
            f"nobody knows which of its photos the model has seen; for photos of other patients {otherwise}"
        )
    if part != "all" and predictor.info.training_set_digest not in ("", training_set_digest(photos, column)):
        raise RefusedError(
            f"the split {column!r} of {prepared} is not the one {predictor.origin} was trained on, so its "
            f"part {part!r} may hold photos the model has seen; train again; for photos of other patients {otherwise}"
        )
    return select_part(photos, part, column, prepared)


def predict_photos(
    predictor: Predictor,
    prepared: Path,
    table: pd.DataFrame,
    rules: Rules | None = None,
    *,
    batch_size: int = 32,
    workers: int = 2,
) -> pd.DataFrame:
    """Predict prepared photos.

    Args:
        predictor: The model.
        prepared: The prepared folder.
        table: Rows of its manifest.
        rules: What makes grades and decisions of its probabilities; the rules in its description when not given.
        batch_size: Photos at a time.
        workers: Processes that load photos.

    Returns:
        The predictions table: `file, group, grade, predicted_grade, p0 … p4`, the answer columns where rules were
        fitted (see `biranet.decisions.rules`), then the manifest's further columns.
    """
    rules = predictor.info.rules if rules is None else rules
    # The workers are the parallelism.
    cv2.setNumThreads(1)
    photos = map_in_processes(
        partial(read_stored, image_size=predictor.info.image_size),
        zip(*stored_photos(prepared, table), strict=True),
        workers,
        in_order=True,
        context=multiprocessing.get_context(),
    )
    batches = []
    with closing(photos):
        for _ in progress_bar(range(0, len(table), batch_size), desc="grading", unit="batch", leave=False):
            batches.append(predictor.predict(np.stack(list(islice(photos, batch_size)))).probabilities)
    answers = decide(np.concatenate(batches), rules)
    shares = dict(zip(PROBABILITIES, answers.probabilities.T, strict=True))
    columns = {"predicted_grade": answers.grades, **shares, **decision_columns(answers, rules)}
    # A column of the labels that is called like an answer is none, and would be taken for one.
    foreign = [name for name in (*DECISION_COLUMNS, *point_columns(table)) if name in table]
    predictions = table.drop(columns=foreign).assign(**columns)
    return predictions[list(dict.fromkeys([*PREDICTION_COLUMNS, *columns, *predictions.columns]))].reset_index(
        drop=True
    )


def for_readers(predictions: pd.DataFrame, by: Collection[str] = ()) -> pd.DataFrame:
    """Leave out of predictions what is for programs alone, so that they can stand in the supplement of a paper.

    What is left of the manifest: patient, eye, source, part, size and quality of the photo, the columns of the labels,
    and last the hash of the photo's file, by which nothing is ever fitted on the photos that it is measured on.

    Args:
        predictions: What `predict_photos` answers.
        by: Columns that stay all the same.

    Returns:
        The table without columns for programs, those of folds, and those of the manifest in which nothing stands.

    Example:
        >>> table = pd.DataFrame({"file": ["a"], "sha256": ["0b"], "prepared": ["images/a.jpg"], "eye": ["left"]})
        >>> list(for_readers(table)), list(for_readers(table, by=["prepared"]))
        (['file', 'eye', 'sha256'], ['file', 'prepared', 'eye', 'sha256'])
    """
    empty = [
        name for name in ("source", "split", OFFICIAL_SPLIT) if name in predictions and (predictions[name] == "").all()
    ]
    dropped = {*_FOR_PROGRAMS, *fold_columns(predictions), *empty} - {*by}
    kept = [name for name in predictions.columns if name not in dropped]
    return predictions[[*(name for name in kept if name != "sha256"), *(name for name in kept if name == "sha256")]]
