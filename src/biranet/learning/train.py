"""Training, as one visible loop.

Same seed, same machine, same bits: draws and augmentation depend on seed, epoch and position, and dropout is seeded
anew at every step. So the state of a training is its weights, its optimizer and its counters, and a run that was
stopped anywhere and resumed ends exactly like one that was not.

A run folder holds: `config.json`, `state.safetensors` (to resume), `best.safetensors`, `last.safetensors`,
`epoch_005.safetensors`, …, `history.jsonl` and `tensorboard/`.
"""

import dataclasses
import math
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from biranet.config import ModelConfig, TrainConfig
from biranet.confusion import confusion_matrix, quadratic_weighted_kappa
from biranet.console import progress_bar
from biranet.decisions.rules import Rules
from biranet.errors import InputError, InterruptedRunError, RefusedError
from biranet.files import printable
from biranet.learning.backbone import check_backbone
from biranet.learning.calibrate import CALIBRATION, calibrate_on_part
from biranet.learning.checkpoint import CheckpointInfo, load_checkpoint, read_card, save_checkpoint
from biranet.learning.data import PreparedPhotos, TrainingBatches, load_batches
from biranet.learning.doubts import loss_of_equal_probabilities, training_doubts
from biranet.learning.flip import with_test_time_flip
from biranet.learning.loss import make_loss
from biranet.learning.model import build_model
from biranet.learning.predict import card_photos, predict_photos
from biranet.learning.record import Record
from biranet.learning.run import (
    BEST_NAME,
    LAST_NAME,
    RUN,
    STATE_NAME,
    conditions,
    ensure_split,
    epoch_name,
    open_run,
    read_split_photos,
    software_versions,
    split_column,
)
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.state import Progress, load_state, save_state
from biranet.learning.transforms import backbone_normalization
from biranet.learning.workers import living_workers
from biranet.manifest import graded_photos, read_manifest, training_set_digest
from biranet.outputs import output
from biranet.photos.parallel import refuse_missing_guard
from biranet.photos.prepare import read_preparation
from biranet.signals import stop_signals


def train(
    prepared: Path,
    run: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    build: Callable[[ModelConfig], nn.Module] = build_model,
) -> Progress:
    """Train a model on prepared photos.

    Args:
        prepared: The prepared folder. Where its manifest has no split yet, one is made and written into it.
        run: Folder for the run; it must not hold another one, unless `resume`.
        config: All settings.
        resume: Go on from the state in `run`, which must have been made with the same settings and photos.
        build: Builds the model that `config.model` describes; another function trains a model of your own, which only
            `load_checkpoint` with that function can read.

    Returns:
        How far it came, with the best validation kappa.

    Raises:
        InputError: If something given is wrong, or the loss is no longer a finite number.
        RefusedError: If the split puts one patient, or one photo, into two parts.
        InterruptedRunError: If SIGINT, SIGTERM or SIGHUP came; the state was saved.
    """
    if config.data.workers:
        refuse_missing_guard()
    accelerator = Accelerator(cpu=config.no_cuda, mixed_precision=_precision(config))
    # The main process writes; the others wait.
    with output(run, RUN) if accelerator.is_main_process else nullcontext():
        return _train(accelerator, prepared, run, config, resume=resume, build=build)


def _train(
    accelerator: Accelerator,
    prepared: Path,
    run: Path,
    config: TrainConfig,
    *,
    resume: bool,
    build: Callable[[ModelConfig], nn.Module],
) -> Progress:
    device, say = accelerator.device, accelerator.print
    torch.backends.cudnn.deterministic = True

    # The photos, and the folder for what is learned from them.
    if accelerator.is_main_process and (made := ensure_split(prepared, config)):
        say(made)
    accelerator.wait_for_everyone()
    table, warnings = read_split_photos(prepared, config)
    if warnings:
        say(warnings)
    part = table[split_column(config)]
    learning, choosing = (table[part == name].reset_index(drop=True) for name in ("train", "validation"))
    size = config.data.image_size
    check_backbone(config.model.backbone, size)
    normalization, weights = backbone_normalization(config.model.backbone), config.model.backbone_weights
    photos = PreparedPhotos(prepared, learning, size, normalization, config.data.augmentation)
    photos.photo(0)  # a wrong size or a damaged folder shows here, before anything is written

    # The model and what moves it.
    torch.manual_seed(config.seed)
    model = with_test_time_flip(build(config.model), config.model).to(device)
    optimizer = make_optimizer(model, config.optimizer)
    batches = TrainingBatches(
        photos.grades, config.data, config.seed, accelerator.process_index, accelerator.num_processes
    )
    schedule = Schedule(optimizer, config.optimizer, config.epochs * len(batches))
    loss_function = make_loss(config.optimizer)
    loss_of_nothing = loss_of_equal_probabilities(loss_function)
    if accelerator.is_main_process:
        open_run(run, prepared, config, table, resume=resume)
    accelerator.wait_for_everyone()
    progress, hangs_on = Progress(), conditions(prepared, config, table)
    if resume:
        progress, schedule_state = load_state(run / STATE_NAME, model, optimizer, hangs_on)
        schedule.load_state_dict(schedule_state)
    network, stepper = accelerator.prepare(model, optimizer)
    loader = load_batches(photos, batches, config.data.workers)
    record = Record(run, progress.epoch) if accelerator.is_main_process else None
    card = CheckpointInfo(
        model=dataclasses.replace(config.model, backbone_weights=weights and Path(weights.name)),
        image_size=size,
        mean=normalization.mean,
        std=normalization.std,
        preparation=read_preparation(prepared),
        split_column=split_column(config),
        training_set_digest=training_set_digest(table, split_column(config)),
        trained_on=printable(", ".join(sorted(set(learning["source"])))),
        seed=config.seed,
        software=software_versions(),
    )

    # Whose attention the run shows.
    shown = card_photos(card, prepared, choosing) if len(choosing) else photos

    def save() -> None:
        if accelerator.is_main_process:
            save_state(run / STATE_NAME, model, optimizer, schedule.state_dict(), progress, hangs_on)

    say(
        f"Training {config.model.model} on {len(learning)} photos ({len(choosing)} for validation) on {device}, "
        f"{accelerator.mixed_precision.replace('no', 'fp32')}; run folder: {run}"
    )
    if choosing.empty:
        say("There is no validation part: no epoch is chosen, the last one is the result.")
    save()
    go_on = f"biranet train --resume --out {shlex.quote(str(run))}"
    with (
        stop_signals() as stopped,
        living_workers(f"the last save stands. Go on, perhaps with fewer --workers: {go_on}"),
    ):
        for epoch in range(progress.epoch, config.epochs):
            if early_stop_reached(progress, config.early_stop):
                say(f"Stopped early: no better validation kappa in {config.early_stop} epochs.")
                break
            started = saved = time.monotonic()
            network.train()
            batches.epoch, batches.first = epoch, progress.batch
            bar = progress_bar(
                total=len(batches),
                initial=progress.batch,
                desc=f"epoch {epoch + 1}/{config.epochs}",
                shown=accelerator.is_main_process,
                leave=False,
            )
            for batch in loader:
                step = epoch * len(batches) + progress.batch
                schedule.before_step(step)
                _seed_dropout(config.seed, step, accelerator.process_index)
                grades = batch.grades.to(device, non_blocking=True)
                output = network(batch.images.to(device, non_blocking=True))
                try:
                    loss = loss_function(output.logits, grades)
                except FloatingPointError as error:
                    names = ", ".join(learning["file"].iloc[batch.rows.numpy()])
                    raise InputError(
                        f"epoch {epoch + 1}, batch {progress.batch + 1}: {error}, so training stopped; the batch was: "
                        f"{names}. Look at these photos, or lower --lr; {run} holds the state of the last save"
                    ) from error
                accelerator.backward(loss)
                if config.optimizer.clip_norm is not None:
                    accelerator.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm)
                stepper.step()
                stepper.zero_grad()

                _count(progress, loss, output.logits, grades, accelerator)
                bar.update()
                bar.set_postfix(loss=f"{progress.mean_loss:.4f}", kappa=f"{_kappa(progress.confusion):.3f}")
                if _any(stopped, accelerator):
                    save()
                    bar.close()
                    raise InterruptedRunError(
                        f"stopped in epoch {epoch + 1} of {config.epochs}, after batch {progress.batch} of "
                        f"{len(batches)}; everything is saved. Go on with: {go_on}"
                    )
                if time.monotonic() - saved > 60 * config.save_minutes:
                    save()
                    saved = time.monotonic()
            bar.close()

            row: dict[str, Any] = {
                "epoch": epoch + 1,
                "lr": schedule.lr,
                "train_loss": progress.mean_loss,
                "train_kappa": _kappa(progress.confusion),
                "validation_kappa": None,
            }
            better = False
            if len(choosing):
                answers = predict_photos(model, card, prepared, choosing, device=device, workers=config.data.workers)
                kappa = _kappa(confusion_matrix(answers["grade"], answers["predicted_grade"]))
                # The processes must not disagree on when to stop, not even by a rounding.
                kappa = broadcast_object_list([kappa])[0]
                better = progress.best_kappa is None or kappa > progress.best_kappa
                row["validation_kappa"] = kappa
                schedule.after_epoch(kappa)
                if better:
                    progress.best_kappa, progress.best_epoch = kappa, epoch + 1
            row["seconds"] = round(time.monotonic() - started, 2)
            doubts = tuple(training_doubts(row["train_loss"], loss_of_nothing, row["validation_kappa"]))
            progress.start_epoch(epoch + 1)

            if record is not None:
                # The state comes last: a kill before it repeats the epoch, to the same bits.
                card = dataclasses.replace(
                    card, epoch=epoch + 1, validation_kappa=row["validation_kappa"], doubts=doubts
                )
                save_checkpoint(run / LAST_NAME, model, card)
                if better:
                    save_checkpoint(run / BEST_NAME, model, card)
                if (epoch + 1) % config.save_epoch == 0:
                    save_checkpoint(run / epoch_name(epoch + 1), model, card)
                record.add_epoch(row)
                record.add_attention(model, shown, device, epoch + 1)
            save()
            say(_line(row, better=better))
            if _any(stopped, accelerator) and epoch + 1 < config.epochs:
                raise InterruptedRunError(
                    f"stopped after epoch {epoch + 1} of {config.epochs}; everything is saved. Go on with: {go_on}"
                )
    result = LAST_NAME if progress.best_kappa is None else BEST_NAME
    if record is not None:
        say(_calibrate(run / result, prepared, config, device, build))
        card = read_card(run / result)
        say("".join(f"{doubt}\n" for doubt in (*card.doubts, *card.rules.doubts)), end="")
    accelerator.wait_for_everyone()
    if progress.best_kappa is None:
        say(f"Done. The model is {run / result}")
    else:
        say(
            f"Done. The best model is {run / result}: validation kappa {progress.best_kappa:.3f} "
            f"after epoch {progress.best_epoch}"
        )
    return progress


def early_stop_reached(progress: Progress, early_stop: int) -> bool:
    """Say whether this many epochs have passed since the best one; never where there is no best one or no limit."""
    return early_stop > 0 and progress.best_epoch > 0 and progress.epoch - progress.best_epoch >= early_stop


def _calibrate(
    checkpoint: Path,
    prepared: Path,
    config: TrainConfig,
    device: torch.device,
    build: Callable[[ModelConfig], nn.Module],
) -> str:
    """Fit the rules of the resulting model where there are photos for it, and tell of it."""
    if load_checkpoint(checkpoint, build)[1].rules != Rules():
        return "The model was calibrated before and keeps its rules."
    table = read_manifest(prepared)
    if not (graded_photos(table)[split_column(config)] == CALIBRATION).any():
        return "There is no calibration part, so no temperature, thresholds or prediction sets: see biranet calibrate."
    try:
        rules = calibrate_on_part(
            checkpoint, prepared, table, config.calibration, device=device, workers=config.data.workers, build=build
        )
    except (InputError, RefusedError) as error:  # what has been learned is worth more than its rules
        return f"The model could not be calibrated: {error}"
    return f"Calibrated on {rules.fitted_on}: temperature {rules.temperature:.2f}"


def _precision(config: TrainConfig) -> str:
    if config.precision == "bf16":
        return "bf16"
    on_gpu = torch.cuda.is_available() and not config.no_cuda
    # Older GPUs emulate bf16, more slowly than they compute fp32.
    native = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if config.precision == "auto" and native else "no"


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Seed torch by the step, so that dropout needs no state of its own."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0] >> 1))


def _count(progress: Progress, loss: Tensor, logits: Tensor, grades: Tensor, accelerator: Accelerator) -> None:
    """Count a finished batch of all processes."""
    matrix = confusion_matrix(grades.cpu().numpy(), logits.argmax(dim=1).cpu().numpy())
    sums = torch.tensor([loss.item() * len(grades), *matrix.flatten().tolist()], dtype=torch.float64)
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
    progress.add_batch(sums[0].item(), sums[1:].reshape(matrix.shape).numpy().astype(np.int64))


def _any(stopped: list[int], accelerator: Accelerator) -> bool:
    """Whether a signal reached any of the processes."""
    if accelerator.num_processes == 1:
        return bool(stopped)
    return bool(accelerator.reduce(torch.tensor(len(stopped), device=accelerator.device), "sum").item())


def _kappa(matrix: Any) -> float:
    """Quadratic weighted kappa; 0 where it is not defined, because nothing has been told apart."""
    kappa = float(quadratic_weighted_kappa(np.asarray(matrix)))
    return 0.0 if math.isnan(kappa) else kappa


def _line(row: dict[str, Any], *, better: bool) -> str:
    validation = "" if row["validation_kappa"] is None else f"  validation kappa {row['validation_kappa']:.3f}"
    return (
        f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f}{validation}{' (best)' if better else ''}"
        f"  {row['seconds']:.0f} s"
    )
