"""How a training is done, written down for its checkpoint."""

import pandas as pd

from biranet.config import ModelConfig, TrainConfig
from biranet.files import printable
from biranet.learning.checkpoint_file import read_info
from biranet.learning.tensors import is_written_here
from biranet.training_record import IMAGENET, RANDOM, TrainingRecord, TrainingRun, TrainingSettings


def describe_training(
    config: TrainConfig, train_photos: pd.DataFrame, validation_photos: pd.DataFrame, *, precision: str, device: str
) -> TrainingRecord:
    """Describe a training before its first epoch.

    Args:
        config: All settings.
        train_photos: Rows of the manifest that it learns from.
        validation_photos: Rows of the manifest that choose the epoch.
        precision: Arithmetic of the network, as accelerate names it: `no` or `bf16`.
        device: Kind of the device that computes.
    """
    data = config.data
    settings = TrainingSettings(
        optimizer=config.optimizer,
        backbone_start=_backbone_start(config.model),
        batch_size=data.batch_size,
        augmentation=data.augmentation,
        balance=data.balance,
        class_weights=data.class_weights,
        draws_per_epoch=data.draws_per_epoch,
        epochs=config.epochs,
        early_stop=config.early_stop,
        precision="bf16" if precision == "bf16" else "fp32",
        device=device,
    )
    patients = int(train_photos["group"].nunique())
    return TrainingRecord(settings, TrainingRun(len(train_photos), patients, len(validation_photos)))


def _backbone_start(model: ModelConfig) -> str:
    """Say where the weights of a backbone come from, also where they come by way of a checkpoint that kept them."""
    path = model.backbone_weights
    if path is None:
        return IMAGENET if model.pretrained else RANDOM
    if path.suffix == ".safetensors" and is_written_here(path):
        its = read_info(path)
        return its.training.settings.backbone_start if its.training else _backbone_start(its.model)
    return printable(path.name)
