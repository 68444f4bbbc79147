"""Grading with a trained model: one batched iterator and one decoder, for every table and every front end."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from biranet.errors import InputError, RefusedError
from biranet.evaluation.predictions import COLUMNS
from biranet.grades import GRADES
from biranet.learning.checkpoint import Card
from biranet.learning.data import Batch, InOrder, PreparedPhotos, load_batches
from biranet.learning.transforms import Normalisation
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


def decode(probabilities: NDArray[np.float32], decoder: str) -> NDArray[np.int64]:
    """Turn probabilities into grades, by the rule a checkpoint names.

    Args:
        probabilities: (…, 5).
        decoder: `argmax`: the most probable grade, the lower one of equals.

    Returns:
        Grades 0 to 4, (…).

    Raises:
        InputError: If there is no such decoder.

    Example:
        >>> decode(np.array([[0.1, 0.2, 0.4, 0.2, 0.1]], dtype=np.float32), "argmax")
        array([2])
    """
    if decoder != "argmax":
        raise InputError(f"the checkpoint asks for the decoder {decoder!r}, which this biranet does not have")
    return np.asarray(probabilities.argmax(axis=-1), dtype=np.int64)


@torch.inference_mode()
def predict_batch(model: nn.Module, batch: Batch, device: torch.device) -> Predicted:
    """Grade one batch of images.

    Args:
        model: Returns `Output`; in evaluation mode, on `device`.
        batch: Images with their rows.
        device: Where the model is.

    Raises:
        InputError: If an answer is NaN, which argmax would take for grade 0.
    """
    output = model(batch.images.to(device, non_blocking=True))
    probabilities = output.logits.float().softmax(dim=1).cpu().numpy()
    if not np.isfinite(probabilities).all():
        raise InputError(
            "the model's answers are not finite numbers: its training has diverged; train again with a lower --lr"
        )
    return Predicted(batch.rows.numpy(), probabilities, output.attention.float().cpu().numpy())


def check_preparation(prepared: Path, card: Card) -> None:
    """Refuse photos that were prepared otherwise than the model's training photos.

    Raises:
        RefusedError: If they were.
    """
    found = read_preparation(prepared)
    if found != card.preparation:
        raise RefusedError(
            f"{prepared} was prepared with {found}, but the checkpoint was trained on photos prepared with "
            f"{card.preparation}; prepare them again with --size {card.preparation.size_px}"
        )


def predict_photos(
    model: nn.Module,
    card: Card,
    photos: PreparedPhotos,
    table: pd.DataFrame,
    *,
    device: torch.device,
    batch_size: int = 32,
    workers: int = 2,
) -> pd.DataFrame:
    """Grade prepared photos.

    Args:
        model: On `device`.
        card: Names the decoder.
        photos: The photos of `table`, in its order.
        table: Rows of a manifest.
        device: Where the model is.
        batch_size: Photos at a time.
        workers: Processes that load photos.

    Returns:
        The predictions table: `file, group, grade, predicted_grade, p0 … p4`, then the manifest's further columns.
    """
    model.eval()
    probabilities = np.zeros((len(table), len(GRADES)), dtype=np.float32)
    loader = load_batches(photos, InOrder(len(table), batch_size), workers)
    for batch in tqdm(loader, desc="grading", unit="batch", disable=None, leave=False):
        answer = predict_batch(model, batch, device)
        probabilities[answer.rows] = answer.probabilities
    columns = {f"p{grade}": probabilities[:, grade] for grade in GRADES}
    answers = table.assign(predicted_grade=decode(probabilities, card.decoder), **columns)
    return answers[[*COLUMNS, *(name for name in table.columns if name not in COLUMNS)]].reset_index(drop=True)


def card_photos(card: Card, prepared: Path, table: pd.DataFrame) -> PreparedPhotos:
    """The photos of a table as the images a checkpoint expects."""
    return PreparedPhotos(prepared, table, card.image_size, Normalisation(card.mean, card.std))
