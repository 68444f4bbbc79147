"""Grading with a trained model: one batched iterator and one set of rules, for every table and every front end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from biranet.console import progress_bar
from biranet.decisions.predictions import ANSWER_COLUMNS, COLUMNS, PROBABILITIES, point_columns
from biranet.decisions.rules import answer, answer_columns
from biranet.errors import InputError, RefusedError
from biranet.grades import GRADE_COUNT
from biranet.learning.checkpoint import CheckpointInfo
from biranet.learning.data import Batch, InOrder, PreparedPhotos, load_batches
from biranet.learning.transforms import Normalization
from biranet.learning.workers import living_workers
from biranet.photos.prepare import read_preparation


class Predicted(NamedTuple):
    """The model's answers for one batch.

    Attributes:
        rows: Positions of the photos in their table, (B,).
        probabilities: Of the five grades, (B, 5), float32, summing to 1.
        attention: (B, streams, h, w), float32 in [0, 1].
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    attention: NDArray[np.float32]


def choose_device(no_cuda: bool = False) -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and not no_cuda else "cpu")


class _Answering:
    """A model that answers: by how many threads it is asked, and which of its parts were in training mode before."""

    def __init__(self) -> None:
        self.asked = 0
        self.learning: list[nn.Module] = []


_answering: WeakKeyDictionary[nn.Module, _Answering] = WeakKeyDictionary()
_answering_lock = threading.Lock()


@contextmanager
def answering(model: nn.Module) -> Iterator[None]:
    """Have a model in evaluation mode, as its answers are meant, and give each part of it its mode back afterwards.

    Threads may share a model: the first to ask sets the mode, and the last to have its answer gives it back.
    """
    with _answering_lock:
        state = _answering.setdefault(model, _Answering())
        if not state.asked:
            state.learning = [part for part in model.modules() if part.training]
            model.eval()
        state.asked += 1
    try:
        yield
    finally:
        with _answering_lock:
            state.asked -= 1
            if not state.asked:
                del _answering[model]  # it holds the model through its parts
                for part in state.learning:
                    part.training = True


@torch.inference_mode()
def predict_batch(model: nn.Module, batch: Batch, device: torch.device, *, origin: str = "the model") -> Predicted:
    """Grade one batch of images.

    Args:
        model: Returns `Output`; on `device`. It answers in evaluation mode, whatever mode it is in.
        batch: Images with their rows.
        device: Where the model is.
        origin: Where the model comes from, such as its checkpoint, for the error.

    Raises:
        InputError: If an answer is NaN, which argmax would take for grade 0.
    """
    with answering(model):
        output = model(batch.images.to(device, non_blocking=True))
    probabilities = output.logits.float().softmax(dim=1).cpu().numpy()
    attention = output.attention.float().cpu().numpy()
    if not (np.isfinite(probabilities).all() and np.isfinite(attention).all()):
        raise InputError(
            f"the answers of {origin} are not finite numbers: its training has diverged; train again with a lower --lr"
        )
    return Predicted(batch.rows.numpy(), probabilities, attention)


def check_preparation(prepared: Path, card: CheckpointInfo) -> None:
    """Refuse photos that were prepared otherwise than the model's training photos.

    Raises:
        RefusedError: If they were.
    """
    if unlike := read_preparation(prepared).unlike(card.preparation):
        raise RefusedError(
            f"{prepared} holds {unlike}, which the checkpoint was trained on; give a folder of such, or prepare them "
            f"again, into another folder, with --size {card.preparation.size_px}"
        )


def predict_photos(
    model: nn.Module,
    card: CheckpointInfo,
    prepared: Path,
    table: pd.DataFrame,
    *,
    device: torch.device,
    batch_size: int = 32,
    workers: int = 2,
    origin: str = "the model",
) -> pd.DataFrame:
    """Grade prepared photos.

    Args:
        model: Returns `Output`; it is moved to `device` and left there.
        card: Holds the rules, and what the images must be like.
        prepared: The prepared folder.
        table: Rows of its manifest.
        device: Where to compute.
        batch_size: Photos at a time.
        workers: Processes that load photos.
        origin: As for `predict_batch`.

    Returns:
        The predictions table: `file, group, grade, predicted_grade, p0 … p4`, the answer columns where rules were
        fitted (see `biranet.decisions.rules`), then the manifest's further columns.
    """
    model.to(device)
    probabilities = np.zeros((len(table), GRADE_COUNT), dtype=np.float32)
    loader = load_batches(card_photos(card, prepared, table), InOrder(len(table), batch_size), workers)
    with living_workers("run the command again, perhaps with fewer --workers"):
        for batch in progress_bar(loader, desc="grading", unit="batch", leave=False):
            predicted = predict_batch(model, batch, device, origin=origin)
            probabilities[predicted.rows] = predicted.probabilities
    answers = answer(probabilities, card.rules)
    shares = dict(zip(PROBABILITIES, answers.probabilities.T, strict=True))
    said = {"predicted_grade": answers.grades, **shares, **answer_columns(answers, card.rules)}
    # A column of the labels that is called like an answer is none, and would be taken for one.
    foreign = [name for name in (*ANSWER_COLUMNS, *point_columns(table)) if name in table]
    predictions = table.drop(columns=foreign).assign(**said)
    return predictions[list(dict.fromkeys([*COLUMNS, *said, *predictions.columns]))].reset_index(drop=True)


def card_photos(card: CheckpointInfo, prepared: Path, table: pd.DataFrame) -> PreparedPhotos:
    """The photos of a table as the images a checkpoint expects."""
    return PreparedPhotos(prepared, table, card.image_size, Normalization(card.mean, card.std))
