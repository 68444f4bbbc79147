"""How a model was trained, as its checkpoint keeps it and its reports tell it."""

from dataclasses import dataclass
from typing import Literal

from biranet.config import OptimizerConfig
from biranet.validated import STRICT

IMAGENET, RANDOM = "imagenet", "random"
"""Where the weights of a backbone came from, if it was no file."""


@dataclass(frozen=True)
class TrainingSettings:
    """What was the same in every run of a training.

    Attributes:
        optimizer: Optimizer, learning rate, schedule and loss.
        backbone_start: Weights that the backbone started from: `IMAGENET`, `RANDOM`, or the name of their file.
        batch_size: Photos per step.
        augmentation: Name of the random changes of a photo.
        balance: Whether photos were drawn so that every grade was seen about equally often, or by `class_weights`.
        epochs: Epochs, at most.
        early_stop: Epochs without a better validation kappa after which the training would stop; 0: none.
        precision: Arithmetic of the network.
        device: Kind of the device that computed: `cpu`, `cuda` or `mps`.
        class_weights: Relative chance of one photo of grade 0 1 2 3 4 to be drawn; None: by how rare its grade is.
        draws_per_epoch: Photos drawn in an epoch; None: as many as were learned from.

    Example:
        >>> TrainingSettings(OptimizerConfig(), IMAGENET, 30, "fundus", True, 10, 10, "fp32", "cpu").epochs
        10
    """

    __pydantic_config__ = STRICT

    optimizer: OptimizerConfig
    backbone_start: str
    batch_size: int
    augmentation: Literal["none", "flips", "fundus"]
    balance: bool
    epochs: int
    early_stop: int
    precision: Literal["fp32", "bf16"]
    device: str
    class_weights: tuple[float, float, float, float, float] | None = None
    draws_per_epoch: int | None = None


@dataclass(frozen=True)
class TrainingRun:
    """What a run learned from, and how long.

    Attributes:
        photos: Photos learned from.
        patients: Their patients, or groups.
        validation_photos: Photos that the epoch was chosen on; 0 where none was.
        epochs: Epochs that were run; None while they are.
        best_epoch: The epoch with the best validation kappa; None where there is no such part, or it is not over.

    Example:
        >>> TrainingRun(photos=80, patients=55, validation_photos=0).epochs is None
        True
    """

    __pydantic_config__ = STRICT

    photos: int
    patients: int
    validation_photos: int
    epochs: int | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """How one model was trained.

    Attributes:
        settings: What a recipe and the machine say.
        run: What it learned from, and how long.
    """

    __pydantic_config__ = STRICT

    settings: TrainingSettings
    run: TrainingRun
