"""The result of an epoch, for `history.jsonl` and for `on_epoch`, which may log it or stop the training."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from biranet.decisions.columns import PROBABILITIES
from biranet.errors import InputError

SMALLEST_FLOAT32 = float(np.finfo(np.float32).tiny)
"""What a probability that float32 has no number for counts as in a loss."""


@dataclass(frozen=True, eq=False)
class EpochResult:
    """What an epoch of `biranet.train` brought.

    Attributes:
        epoch: Its number, from 1.
        lr: Learning rate of its last step.
        train_loss: Mean loss over the photos drawn in it, as they were augmented.
        train_kappa: Quadratic weighted kappa over them.
        validation_loss: Mean loss over the validation part, by the loss of the training; None where there is no such
            part, like the next two.
        validation_kappa: Quadratic weighted kappa on it.
        best_kappa: The highest validation kappa so far.
        best_epoch: The epoch that had it; 0 where there is none.
        seconds: How long the epoch took, or what was left of it where the training was resumed.
        run: The run folder, which holds the epoch already.
        predictions: The predictions table of the validation part, as `biranet.measure` takes it; None without one.

    Example:
        >>> from pathlib import Path
        >>> result = EpochResult(3, 0.001, 0.71, 0.6, 0.83, 0.55, 0.58, 2, 41.5, Path("runs/first"))
        >>> result.metrics  # as loggers take them
        {'lr': 0.001, 'train_loss': 0.71, 'train_kappa': 0.6, 'validation_loss': 0.83, 'validation_kappa': 0.55, \
'seconds': 41.5}
    """

    epoch: int
    lr: float
    train_loss: float
    train_kappa: float
    validation_loss: float | None
    validation_kappa: float | None
    best_kappa: float | None
    best_epoch: int
    seconds: float
    run: Path
    predictions: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def row(self) -> dict[str, float | None]:
        """The epoch as a row of the history."""
        names = ("epoch", "lr", "train_loss", "train_kappa", "validation_loss", "validation_kappa", "seconds")
        return {name: getattr(self, name) for name in names}

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured, by name, as loggers take it; without what is None, and the number of the epoch."""
        return {name: value for name, value in self.row.items() if value is not None and name != "epoch"}

    @property
    def is_best(self) -> bool:
        """Whether it has the highest validation kappa so far."""
        return self.best_epoch == self.epoch

    def describe(self) -> str:
        """Tell of it in a line."""
        validation = "" if self.validation_kappa is None else f"  validation kappa {self.validation_kappa:.3f}"
        best = " (best)" if self.is_best else ""
        return f"epoch {self.epoch:3d}  loss {self.train_loss:.4f}{validation}{best}  {self.seconds:.0f} s"


OnEpoch = Callable[[EpochResult], bool | None]
"""Hears of each epoch; True ends the training."""


def is_stop_request(answer: object) -> bool:
    """Say whether what `on_epoch` returned ends the training.

    Raises:
        InputError: If it is neither True nor False nor None.

    Example:
        >>> is_stop_request(True), is_stop_request(None)
        (True, False)
    """
    if answer is None or isinstance(answer, bool | np.bool_):
        return bool(answer)
    raise InputError(
        f"on_epoch must return True, which ends the training, or False or None, not {answer!r:.80}; "
        "the epoch is saved, so resume=True goes on after it"
    )


def loss_of_predictions(loss: nn.Module, predictions: pd.DataFrame) -> float:
    """Compute a loss from probabilities: their logarithms are logits, but for a constant that no softmax sees.

    Args:
        loss: Takes logits (B, 5) and grades (B,).
        predictions: A predictions table whose probabilities are those of the network.

    Returns:
        The mean over the photos.

    Example:
        >>> table = pd.DataFrame([[0, 0.5, 0.2, 0.1, 0.1, 0.1]], columns=["grade", "p0", "p1", "p2", "p3", "p4"])
        >>> round(loss_of_predictions(nn.CrossEntropyLoss(), table), 4)  # -log 0.5
        0.6931
    """
    probabilities = predictions[list(PROBABILITIES)].to_numpy(np.float64)
    logits = torch.from_numpy(np.log(np.maximum(probabilities, SMALLEST_FLOAT32)))
    return float(loss(logits, torch.tensor(predictions["grade"].to_numpy(np.int64))))
