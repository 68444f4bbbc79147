"""Training, as one visible loop.

Same seed, same machine, same bits: samples and augmentation depend on seed, epoch and position, and dropout is seeded
anew at every step. So the state of a training is its weights, its optimizer and its counters, and a run that was
stopped anywhere and resumed ends exactly like one that was not.

A run folder holds: `config.json`, `state.safetensors` (to resume), `best.safetensors`, `last.safetensors`,
`epoch_005.safetensors`, …, `history.jsonl` and `tensorboard/`.
"""

import dataclasses
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from biranet.config import ModelConfig, TrainConfig
from biranet.confusion import confusion_matrix
from biranet.console import progress_bar
from biranet.errors import InputError, InterruptedRunError
from biranet.learning.complete import complete_run
from biranet.learning.data import Batch
from biranet.learning.epoch_end import kappa_or_zero, notify_on_epoch, save_epoch, validate
from biranet.learning.epoch_result import OnEpoch
from biranet.learning.model import build_model
from biranet.learning.normalization import normalize
from biranet.learning.probe import fit_probe
from biranet.learning.run_folder import RUN, STATE_NAME
from biranet.learning.saves import Saves
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.start import read_start
from biranet.learning.state import Progress
from biranet.learning.time_left import (
    LONGEST_STEP_SECONDS,
    SETTLED_SECONDS,
    describe_epochs_left,
    describe_time_left,
    may_be_long,
)
from biranet.learning.torch_predictor import choose_device
from biranet.learning.training import Training, TrainingPlan, prepare_training
from biranet.learning.trial_step import time_trial_step
from biranet.learning.workers import worker_errors
from biranet.outputs import claim_output
from biranet.photos.parallel import check_main_guard
from biranet.setting_names import setting
from biranet.signals import stop_signals
from biranet.words import counted

AfterBatch = Callable[[Progress], None]


def train(  # noqa: PLR0913 - keywords, one a thing to have a say in
    prepared: Path | str,
    run: Path | str,
    config: TrainConfig,
    *,
    resume: bool = False,
    start: Path | str | None = None,
    on_epoch: OnEpoch = lambda result: None,
    build: Callable[[ModelConfig], nn.Module] = build_model,
    after_batch: AfterBatch = lambda progress: None,
) -> Progress:
    """Train a model on prepared photos, as `biranet train` does.

    The command also fits a linear probe on the same photos, which every report of the run then shows beside the model.
    From Python that is a call of its own: `train(prepared, f"{run}/probe", dataclasses.replace(config,
    model=dataclasses.replace(config.model, model="probe")))`.

    Args:
        prepared: The prepared folder, as `biranet prepare` makes it. Where its manifest has no split yet, one is made
            and written into it.
        run: Folder for the run; it must not hold another one, unless `resume`.
        config: All settings.
        resume: Go on from the state in `run`, which must have been made with the same settings and photos.
        start: Model of the same architecture and backbone, from whose weights to start: a checkpoint's file, or the
            name of a model that ships; its rules are not taken over. The weights of `config.model` when not given.
        on_epoch: Called with an `EpochResult` after each epoch, once that is validated and saved; of several processes
            the main one calls it. Where it returns True the training ends as by an early stop, calibration included.
            What it raises ends the training as well and comes out as it is; `resume` goes on after that epoch.
        build: Builds the model that `config.model` describes; another function trains a model of your own, which
            `load` reads when it is given that function too.
        after_batch: Called after every batch, with how far the training has come; it must not change it.

    Returns:
        How far it came, with the best validation kappa.

    Raises:
        InputError: If something given is wrong, or the loss is no longer a finite number.
        RefusedError: If the split puts one patient, or one photo, into two parts.
        InterruptedRunError: If SIGINT, SIGTERM or SIGHUP came; the state was saved.

    Example:
        >>> import biranet
        >>> biranet.train("nowhere", "run", biranet.TrainConfig(epochs=1), on_epoch=lambda result: result.epoch == 3)
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: nowhere holds no manifest.csv; make it from your photographs with: biranet prepare \
PHOTOS nowhere
    """
    for name, function in (("on_epoch", on_epoch), ("build", build), ("after_batch", after_batch)):
        if not callable(function):
            raise InputError(f"{name} must be a function, not {function!r:.80}")
    if (weights := config.model.backbone_weights) is not None:
        model = dataclasses.replace(config.model, backbone_weights=find_checkpoint(weights))
        config = dataclasses.replace(config, model=model)
    started = None if start is None else read_start(start)
    return run_training(TrainingPlan(Path(prepared), Path(run), config, started, resume, build), on_epoch, after_batch)


def run_training(
    plan: TrainingPlan,
    on_epoch: OnEpoch = lambda result: None,
    after_batch: AfterBatch = lambda progress: None,
) -> Progress:
    """Train as `train` does, what to start from being loaded."""
    config = plan.config
    if config.data.workers:
        check_main_guard()
    choose_device(config.device)  # one that is not there is refused
    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=_precision(config))
    torch.backends.cudnn.deterministic = True
    # The main process writes; the others wait.
    with claim_output(plan.run, RUN) if accelerator.is_main_process else nullcontext():
        training = prepare_training(accelerator, plan)
        if config.model.model == "probe":
            train_probe(training, on_epoch)
        else:
            train_epochs(training, on_epoch, after_batch)
        complete_run(training, plan.build)
    return training.progress


def train_or_resume(plan: TrainingPlan, after_batch: AfterBatch = lambda progress: None) -> Progress:
    """Train as `train` does; where the run was stopped, from there, and where it is finished, not at all."""
    resume = (plan.run / STATE_NAME).exists()
    return run_training(dataclasses.replace(plan, resume=resume), after_batch=after_batch)


def train_epochs(training: Training, on_epoch: OnEpoch, after_batch: AfterBatch) -> None:
    """Train, validate and save, epoch by epoch, to the last one, an early stop, a wish of `on_epoch` or a signal."""
    config, progress, log = training.config, training.progress, training.log
    log(
        f"Training {config.model.model} on {counted(len(training.train_photos), 'photo')} "
        f"({len(training.validation_photos)} for validation) on {training.accelerator.device}, "
        f"{training.accelerator.mixed_precision.replace('no', 'fp32')}; run folder: {training.run}"
    )
    if (start := training.predictor.info.started_from) is not None:
        log(f"It starts from the weights of {start}")
    log(f"Watch it: tensorboard --logdir {shlex.quote(str(training.run))}")
    if training.validation_photos.empty:
        log("There is no validation part: no epoch is chosen, the last one is the result.")
    _warn_if_long(training)
    training.save_state()
    advice = f"the last save stands. Go on, perhaps with fewer {setting('workers')}: {training.resume_command}"
    with stop_signals() as signals:
        for epoch in range(progress.epoch, config.epochs):
            if early_stop_reached(progress, config.early_stop):
                log(f"Stopped early: no better validation kappa in {counted(config.early_stop, 'epoch')}.")
                break
            started, whole = time.monotonic(), progress.batch == 0
            with worker_errors(advice):
                train_epoch(training, epoch, signals, after_batch)
                result = validate(training, epoch, started)
                save_epoch(training, result)
            log(
                f"{result.describe()}{describe_epochs_left(result.seconds, config.epochs - epoch - 1) if whole else ''}"
            )
            if notify_on_epoch(training, result, on_epoch):
                log(f"Stopped after epoch {epoch + 1}, as on_epoch asked.")
                break
            if _stop_requested(signals, training.accelerator) and epoch + 1 < config.epochs:
                raise InterruptedRunError(
                    f"stopped after epoch {epoch + 1} of {config.epochs}; everything is saved. "
                    f"Go on with: {training.resume_command}"
                )


def train_probe(training: Training, on_epoch: OnEpoch) -> None:
    """Fit a linear probe, which takes one pass over the photos, and save it as the first and only epoch.

    Raises:
        InterruptedRunError: If a signal came; the run begins anew.
    """
    config, progress = training.config, training.progress
    if progress.epoch:
        return
    training.log(
        f"Fitting a linear probe on {counted(len(training.train_photos), 'photo')}; run folder: {training.run}"
    )
    training.save_state()
    started = time.monotonic()
    with stop_signals() as signals, worker_errors(f"run the command again, perhaps with fewer {setting('workers')}"):

        def stop_where_asked() -> None:
            if _stop_requested(signals, training.accelerator):
                raise InterruptedRunError(f"stopped before the probe was fitted. Go on with: {training.resume_command}")

        logits = fit_probe(
            training.predictor, training.prepared, training.train_photos, config.data, config.seed, stop_where_asked
        )
        grades = torch.from_numpy(training.train_photos["grade"].to_numpy(np.int64))
        loss = training.loss(logits.float(), grades).item() * len(grades)
        progress.add_batch(loss, confusion_matrix(grades.numpy(), logits.argmax(dim=1).numpy()))
        result = validate(training, 0, started)
        save_epoch(training, result)
    training.log(result.describe())
    notify_on_epoch(training, result, on_epoch)


def train_epoch(training: Training, epoch: int, signals: list[int], after_batch: AfterBatch) -> None:
    """Train on the batches that are left of an epoch, counted from 0.

    Raises:
        InterruptedRunError: If a signal came; the state was saved.
    """
    config, progress, sampler = training.config, training.progress, training.sampler
    training.wrapped_model.train()
    sampler.epoch, sampler.first = epoch, progress.batch
    saves = Saves(training.save_state, config.save_minutes)
    bar = progress_bar(
        total=len(sampler),
        initial=progress.batch,
        desc=f"epoch {epoch + 1}/{config.epochs}",
        shown=training.accelerator.is_main_process,
        leave=False,
    )
    started = time.monotonic()
    with bar:
        for batch in training.loader:
            train_batch(training, epoch, batch)
            after_batch(progress)
            bar.update()
            bar.set_postfix(loss=f"{progress.mean_loss:.4f}", kappa=f"{kappa_or_zero(progress.confusion):.3f}")
            if (seconds := training.step_times.add(time.monotonic() - started)) is not None:
                bar.clear()  # a bar and a line would share one of the terminal
                _tell_time_left(training, epoch, seconds)
            saves.after_step(
                _stop_requested(signals, training.accelerator),
                f"in epoch {epoch + 1} of {config.epochs}, after batch {progress.batch} of {len(sampler)}",
                training.resume_command,
            )
            started = time.monotonic()


def _warn_if_long(training: Training) -> None:
    """Say before the first step that a training will not end today, where it will not."""
    training.wrapped_model.train()
    steps_left, seconds = _steps_left(training, training.progress.epoch), LONGEST_STEP_SECONDS
    # In the first step much is done for the first time, so it counts only where it is slow.
    for trial in range(2):
        if may_be_long(steps_left, seconds) and (trial == 0 or seconds < SETTLED_SECONDS):
            seconds = time_trial_step(training)
    if may_be_long(steps_left, seconds):
        training.log(describe_time_left(seconds, steps_left, training.config, training.accelerator.device.type))
        training.step_times.told = True


def _steps_left(training: Training, epoch: int) -> int:
    return (training.config.epochs - epoch) * len(training.sampler) - training.progress.batch


def _tell_time_left(training: Training, epoch: int, step_seconds: float) -> None:
    """Say how long the training will still take, once that is known."""
    left, device = _steps_left(training, epoch), training.accelerator.device.type
    sentence = describe_time_left(step_seconds, left, training.config, device)
    training.log(f"{sentence}\n" if sentence else "", end="")


def train_batch(training: Training, epoch: int, batch: Batch) -> None:
    """Take one step on one batch.

    Raises:
        InputError: If the loss is not a finite number.
    """
    config, accelerator, progress = training.config, training.accelerator, training.progress
    step = epoch * len(training.sampler) + progress.batch
    training.schedule.before_step(step)
    _seed_dropout(config.seed, step, accelerator.process_index)
    pixels = batch.pixels.to(accelerator.device, non_blocking=True)
    grades = batch.grades.to(accelerator.device, non_blocking=True)
    output = training.wrapped_model(normalize(pixels, training.predictor.info.normalization))
    try:
        loss = training.loss(output.logits, grades)
    except FloatingPointError as error:
        names = ", ".join(training.train_photos["file"].iloc[batch.rows.numpy()])
        raise InputError(
            f"epoch {epoch + 1}, batch {progress.batch + 1}: {error}, so training stopped; the batch was: {names}. "
            f"Look at these photos, or lower {setting('lr')}; {training.run} holds the state of the last save"
        ) from error
    accelerator.backward(loss)
    if config.optimizer.clip_norm is not None:
        accelerator.clip_grad_norm_(training.wrapped_model.parameters(), config.optimizer.clip_norm)
    training.wrapped_optimizer.step()
    training.wrapped_optimizer.zero_grad()
    _update_progress(progress, loss, output.logits, grades, accelerator)


def early_stop_reached(progress: Progress, early_stop: int) -> bool:
    """Say whether this many epochs have passed since the best one; never where there is no best one or no limit."""
    return early_stop > 0 and progress.best_epoch > 0 and progress.epoch - progress.best_epoch >= early_stop


def _precision(config: TrainConfig) -> str:
    if config.precision == "bf16":
        return "bf16"
    on_gpu = torch.cuda.is_available() and config.device in ("auto", "cuda")
    # Older GPUs emulate bf16, more slowly than they compute fp32.
    native = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if config.precision == "auto" and native else "no"


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Seed torch by the step, so that dropout needs no state of its own."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0] >> 1))


def _update_progress(
    progress: Progress, loss: Tensor, logits: Tensor, grades: Tensor, accelerator: Accelerator
) -> None:
    """Add a finished batch of all processes."""
    matrix = confusion_matrix(grades.cpu().numpy(), logits.argmax(dim=1).cpu().numpy())
    sums = torch.tensor([loss.item() * len(grades), *matrix.flatten().tolist()], dtype=torch.float64)
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
    progress.add_batch(sums[0].item(), sums[1:].reshape(matrix.shape).numpy().astype(np.int64))


def _stop_requested(signals: list[int], accelerator: Accelerator) -> bool:
    """Say whether a signal reached any of the processes."""
    if accelerator.num_processes == 1:
        return bool(signals)
    return bool(accelerator.reduce(torch.tensor(len(signals), device=accelerator.device), "sum").item())
