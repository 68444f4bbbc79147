"""The state of a training: written whole at any batch, read back to the same bits, under the same conditions only."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from biranet.errors import InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.resume_fingerprint import ResumeFingerprint, describe_differences
from biranet.learning.tensors import open_tensors, write_tensors
from biranet.validated import STRICT
from biranet.words import counted

FORMAT = "biranet-training-state"
VERSION = 3

_MAX_COUNT = 10**12
"""More than any training counts, and few enough for int64."""


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: Epochs finished; also the number of the one that goes on.
        batch: Batches finished in the epoch that goes on.
        loss_sum: Sum of the loss over the photos of these batches.
        confusion: Grades against predictions of these batches, 5 by 5.
        best_kappa: Best validation kappa so far; None before the first.
        best_epoch: The epoch, from 1, after which it was reached.

    Example:
        >>> import biranet
        >>> biranet.Progress(epoch=3, best_kappa=0.61, best_epoch=2).mean_loss  # of the epoch that has just begun
        0.0
    """

    __pydantic_config__ = STRICT

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    confusion: list[list[int]] = field(default_factory=lambda: [[0] * GRADE_COUNT for _ in range(GRADE_COUNT)])
    best_kappa: float | None = None
    best_epoch: int = 0

    def __post_init__(self) -> None:
        counts = [self.epoch, self.batch, self.best_epoch, *(count for row in self.confusion for count in row)]
        if [len(row) for row in self.confusion] != [GRADE_COUNT] * GRADE_COUNT:
            raise InputError("grades against predictions must be 5 by 5")
        if not all(0 <= count <= _MAX_COUNT for count in counts):
            raise InputError(f"epochs, batches and photos must be counted from 0 to {_MAX_COUNT:g}")
        if not 0 <= self.loss_sum < math.inf:
            raise InputError(f"the loss must be a number of at least 0, not {self.loss_sum}")
        if self.best_kappa is not None and not -1 <= self.best_kappa <= 1:
            raise InputError(f"kappa must lie between -1 and 1, not {self.best_kappa}")

    def __repr__(self) -> str:
        best = ""
        if self.best_kappa is not None:
            best = f", best validation kappa {self.best_kappa:.3f} after epoch {self.best_epoch}"
        return f"Progress({counted(self.epoch, 'epoch')}{best})"

    @property
    def mean_loss(self) -> float:
        """Mean loss over the photos of the epoch so far."""
        return self.loss_sum / max(1, int(np.sum(self.confusion)))

    def add_batch(self, loss_sum: float, confusion: NDArray[np.int64]) -> None:
        """Count a finished batch.

        Args:
            loss_sum: Sum of the loss over its photos.
            confusion: Grades against predictions, (5, 5).
        """
        self.batch += 1
        self.loss_sum += loss_sum
        self.confusion = (np.array(self.confusion) + confusion).tolist()

    def start_epoch(self, epoch: int) -> None:
        """Begin an epoch with empty sums."""
        fresh = Progress(epoch=epoch, best_kappa=self.best_kappa, best_epoch=self.best_epoch)
        self.__dict__.update(fresh.__dict__)


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: dict[str, Any],
    progress: Progress,
    fingerprint: ResumeFingerprint,
) -> None:
    """Write everything that a training needs to go on, whole or not at all.

    Args:
        path: A `.safetensors` file.
        model: Its weights and buffers are written.
        optimizer: Its tensors and settings are written.
        schedule: State of the learning rate, plain values.
        progress: Where the training stands.
        fingerprint: What it hangs on.
    """
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, values in state["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "groups": state["param_groups"],
        "schedule": schedule,
        "progress": asdict(progress),
        "conditions": dict(fingerprint),
    }
    write_tensors(path, tensors, header)


def load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: ResumeFingerprint
) -> tuple[Progress, dict[str, Any]]:
    """Read a state back into a model and its optimizer.

    Args:
        path: What `save_state` wrote.
        model: A model of the same architecture.
        optimizer: An optimizer of the same kind over its parameters.
        fingerprint: With which the training shall go on.

    Returns:
        Where the training stands, and the state of the learning rate.

    Raises:
        InputError: If the file is missing, of another version, not as it was written, belongs to another model, or was
            written under other conditions.
    """
    with open_tensors(path, "a training state") as stored:
        header = stored.header
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise InputError(f"{path} is not a training state of this version of biranet; start the training anew")
        with _refusing_incomplete(path):
            written = dict(header["conditions"])
            schedule = dict(header["schedule"])
            progress = TypeAdapter(Progress).validate_python(header["progress"])
            groups = list(header["groups"])
        # Ours as they would come back from a file.
        if others := describe_differences(json.loads(json.dumps(dict(fingerprint))), written, "in the run"):
            raise InputError(f"{path} was written under other conditions: {others}; train anew")
        tensors = stored.tensors()
    values: dict[int, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    with _refusing_incomplete(path):
        for name, tensor in tensors.items():
            kind, rest = name.split(".", 1)
            if kind == "model":
                weights[rest] = tensor
            elif kind != "optimizer":
                raise ValueError(f"{name} belongs to nothing")
            else:
                number, key = rest.split(".", 1)
                values.setdefault(int(number), {})[key] = tensor
    try:
        optimizer_state = {"state": values, "param_groups": _param_groups_here(groups, optimizer)}
        _check_shapes(values, optimizer)
        model.load_state_dict(weights)
        optimizer.load_state_dict(optimizer_state)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path} belongs to another model or optimizer; start the training anew") from error
    return progress, schedule


@contextmanager
def _refusing_incomplete(path: Path) -> Iterator[None]:
    """Say in one sentence that a state lacks something, whatever it is."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold all that a training goes on from; start the training anew") from error


def _param_groups_here(written: list[Any], optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The groups of an optimizer with the rates that were written; all else hangs on the settings.

    Raises:
        ValueError: If it is not, or a rate is not from 0 to the one that the training begins with.
    """
    groups = []
    ours = json.loads(json.dumps(optimizer.state_dict()["param_groups"]))
    for stored, here in zip(written, ours, strict=True):
        rate = stored["lr"]
        if not 0 <= rate <= here["lr"]:
            raise ValueError(f"the rate is {rate}")
        if any(stored[name] != here[name] for name in stored.keys() & here.keys() - {"lr"}):
            raise ValueError("the optimizer has other settings")
        groups.append(here | {"lr": rate})
    return groups


def _check_shapes(values: Mapping[int, Mapping[str, Tensor]], optimizer: torch.optim.Optimizer) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, kept in values.items():
        if any(tensor.ndim and tensor.shape != weights[number].shape for tensor in kept.values()):
            raise ValueError(f"what is kept of weight {number} does not fit it")
