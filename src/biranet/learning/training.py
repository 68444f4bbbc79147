"""What a training works with, from its photos to its optimizer, put together."""

import dataclasses
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from biranet.config import ModelConfig, TrainConfig
from biranet.files import printable
from biranet.learning.backbone import check_backbone
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.data import BalancedBatchSampler, BatchLoader, PreparedPhotos, check_image_size, load_batches
from biranet.learning.doubts import uniform_loss
from biranet.learning.flip import with_test_time_flip
from biranet.learning.history_writer import HistoryWriter
from biranet.learning.loss import make_loss
from biranet.learning.model import build_model
from biranet.learning.normalization import backbone_normalization
from biranet.learning.record import describe_training
from biranet.learning.resume_fingerprint import ResumeFingerprint
from biranet.learning.run_folder import (
    STATE_NAME,
    ensure_split,
    open_run,
    read_split_photos,
    resume_fingerprint,
    software_versions,
    split_column,
)
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.start import Start, check_start, load_start
from biranet.learning.state import Progress, load_state, save_state
from biranet.learning.time_left import StepTimes
from biranet.learning.torch_predictor import TorchPredictor
from biranet.manifest import training_set_digest
from biranet.photos.prepare import read_preparation


@dataclass(frozen=True)
class TrainingPlan:
    """What a training is to be.

    Attributes:
        prepared: The prepared folder.
        run: Folder for the run.
        config: All settings.
        start: The checkpoint from whose weights to start; those of `config.model` where there is none.
        resume: Whether to go on from the state in `run`.
        build: Builds the model that `config.model` describes.
    """

    prepared: Path
    run: Path
    config: TrainConfig
    start: Start | None = None
    resume: bool = False
    build: Callable[[ModelConfig], nn.Module] = build_model


@dataclass
class Training:
    """A training: what it learns from, and all that moves in it.

    Attributes:
        accelerator: Gives the device, the arithmetic, and the processes that train together.
        prepared: The prepared folder.
        run: The run folder.
        config: All settings.
        train_photos: Rows of the manifest that it learns from.
        validation_photos: Rows of the manifest that choose the epoch; perhaps none.
        model: The network.
        optimizer: Over its weights that are not frozen.
        wrapped_model: `model`, as `accelerator` has it compute.
        wrapped_optimizer: `optimizer`, as `accelerator` has it step.
        schedule: The learning rate over time.
        loss: Takes logits (B, 5) and grades (B,).
        sampler: Samples the batches of an epoch.
        loader: Loads them.
        predictor: Predicts by `model` as it is; its `info` is what checkpoints say of themselves.
        fingerprint: What must be the same for the training to go on.
        progress: How far it has come.
        history: What people watch; the main process has it.
        step_times: How long its steps take here.
    """

    accelerator: Accelerator
    prepared: Path
    run: Path
    config: TrainConfig
    train_photos: pd.DataFrame
    validation_photos: pd.DataFrame
    model: nn.Module
    optimizer: torch.optim.Optimizer
    wrapped_model: nn.Module
    wrapped_optimizer: Any
    schedule: Schedule
    loss: nn.Module
    sampler: BalancedBatchSampler
    loader: BatchLoader
    predictor: TorchPredictor
    fingerprint: ResumeFingerprint
    progress: Progress
    history: HistoryWriter | None
    step_times: StepTimes = field(default_factory=StepTimes)

    @cached_property
    def shown_photos(self) -> PreparedPhotos:
        """Photos whose attention the run shows."""
        shown = self.train_photos if self.validation_photos.empty else self.validation_photos
        return PreparedPhotos(self.prepared, shown, self.config.data.image_size)

    @cached_property
    def uniform_loss(self) -> float:
        """What the loss is for a model that has learned nothing."""
        return uniform_loss(self.loss)

    @property
    def resume_command(self) -> str:
        """What to type to go on with it."""
        return f"biranet train --resume --out {shlex.quote(str(self.run))}"

    def log(self, text: str, end: str = "\n") -> None:
        """Print in the main process."""
        self.accelerator.print(text, end=end)

    def save_state(self) -> None:
        """Save all that it needs to go on."""
        if self.accelerator.is_main_process:
            path, schedule = self.run / STATE_NAME, self.schedule.state_dict()
            save_state(path, self.model, self.optimizer, schedule, self.progress, self.fingerprint)


def prepare_training(accelerator: Accelerator, plan: TrainingPlan) -> Training:
    """Put a training together, from its start or from its last save, and begin its folder.

    Raises:
        InputError: If something given is wrong.
        RefusedError: If the split puts one patient, or one photo, into two parts.
    """
    prepared, run, config, start = plan.prepared, plan.run, plan.config, plan.start
    # What is wrong with the settings shows before a split is written.
    check_image_size(prepared, config.data.image_size)
    check_backbone(config.model.backbone, config.data.image_size)
    torch.manual_seed(config.seed)
    model = _build_started(plan).to(accelerator.device)
    table = _read_photos(accelerator, prepared, config)
    train_photos, validation_photos = (
        table[table[split_column(config)] == part].reset_index(drop=True) for part in ("train", "validation")
    )
    photos = PreparedPhotos(prepared, train_photos, config.data.image_size, config.data.augmentation)
    photos.photo(0)  # a damaged folder shows here, before the run is begun
    optimizer = make_optimizer(model, config.optimizer)
    sampler = BalancedBatchSampler(
        photos.grades, config.data, config.seed, accelerator.process_index, accelerator.num_processes
    )
    schedule = Schedule(optimizer, config.optimizer, config.epochs * len(sampler))
    if accelerator.is_main_process:
        open_run(run, prepared, config, table, resume=plan.resume, start=start and start.path)
    accelerator.wait_for_everyone()
    progress, here = Progress(), resume_fingerprint(prepared, config, table)
    if start is not None:
        here["start_sha256"] = start.sha256
    if plan.resume:
        progress, schedule_state = load_state(run / STATE_NAME, model, optimizer, here)
        schedule.load_state_dict(schedule_state)
    wrapped_model, wrapped_optimizer = accelerator.prepare(model, optimizer)
    record = describe_training(
        config,
        train_photos,
        validation_photos,
        precision=accelerator.mixed_precision,
        device=accelerator.device.type,
    )
    info = dataclasses.replace(_describe(prepared, config, table, start), training=record)
    return Training(
        accelerator=accelerator,
        prepared=prepared,
        run=run,
        config=config,
        train_photos=train_photos,
        validation_photos=validation_photos,
        model=model,
        optimizer=optimizer,
        wrapped_model=wrapped_model,
        wrapped_optimizer=wrapped_optimizer,
        schedule=schedule,
        loss=make_loss(config.optimizer),
        sampler=sampler,
        loader=load_batches(photos, sampler, config.data.workers),
        predictor=TorchPredictor(model, info, accelerator.device),
        fingerprint=here,
        progress=progress,
        history=HistoryWriter(run, progress.epoch) if accelerator.is_main_process else None,
    )


def _read_photos(accelerator: Accelerator, prepared: Path, config: TrainConfig) -> pd.DataFrame:
    """Read the graded photos with their split, which the main process makes where there is none."""
    if accelerator.is_main_process and (notice := ensure_split(prepared, config)):
        accelerator.print(notice)
    accelerator.wait_for_everyone()
    table, warnings = read_split_photos(prepared, config)
    if warnings:
        accelerator.print(warnings)
    return table


def _build_started(plan: TrainingPlan) -> nn.Module:
    """Build the model with the weights it starts from: those of its configuration, or of a checkpoint."""
    config = plan.config.model
    if plan.start is None:
        return with_test_time_flip(plan.build(config), config)
    check_start(plan.start, config)
    bare = dataclasses.replace(config, pretrained=False, backbone_weights=None)
    model = with_test_time_flip(plan.build(bare), config)
    load_start(plan.start, model, config)
    return model


def _describe(prepared: Path, config: TrainConfig, table: pd.DataFrame, start: Start | None) -> CheckpointInfo:
    """Describe the model that is trained, before its first epoch."""
    normalization = backbone_normalization(config.model.backbone) if start is None else start.info.normalization
    weights = config.model.backbone_weights
    column = split_column(config)
    return CheckpointInfo(
        model=dataclasses.replace(config.model, backbone_weights=weights and Path(weights.name)),
        image_size=config.data.image_size,
        mean=normalization.mean,
        std=normalization.std,
        preparation=read_preparation(prepared),
        split_column=column,
        training_set_digest=training_set_digest(table, column),
        trained_on=printable(", ".join(sorted(set(table.loc[table[column] == "train", "source"])))),
        started_from=start and start.origin,
        seed=config.seed,
        software=software_versions(),
    )
