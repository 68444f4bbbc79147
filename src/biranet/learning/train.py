"""Training, as one visible loop.

Same seed, same machine, same bits: draws and augmentation depend on seed, epoch and position, and dropout is seeded anew
at every step. So the state of a training is its weights, its optimiser and two counters, and a run that was stopped
anywhere and resumed ends exactly like one that was not.

A run folder holds: `config.json`, `state.safetensors` (to resume), `best.safetensors`, `last.safetensors`,
`epoch_005.safetensors`, …, `history.jsonl` and `tensorboard/`.
"""

import dataclasses
import hashlib
import importlib.metadata
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn
from tqdm import tqdm

from biranet.config import OptimiserConfig, SplitConfig, TrainConfig
from biranet.errors import InputError, InterruptedRunError
from biranet.evaluation.metrics import confusion_matrix, quadratic_weighted_kappa
from biranet.files import read_json, write_json
from biranet.learning.checkpoint import Card, save_checkpoint
from biranet.learning.data import InOrder, PreparedPhotos, TrainingBatches, load_batches
from biranet.learning.loss import CrossEntropy, GradingLoss
from biranet.learning.model import build_model
from biranet.learning.predict import predict_photos
from biranet.learning.record import Record
from biranet.learning.split import check_split, describe_split, split_photos
from biranet.learning.state import Progress, load_state, save_state
from biranet.learning.transforms import trunk_normalisation
from biranet.manifest import FOLD_PREFIX, graded_photos, read_manifest, write_manifest
from biranet.photos.prepare import read_preparation

CONFIG_NAME = "config.json"
STATE_NAME = "state.safetensors"
BEST_NAME = "best.safetensors"
LAST_NAME = "last.safetensors"
WARM_UP_FRACTION = 0.1


def train(prepared: Path, run: Path, config: TrainConfig, *, resume: bool = False) -> Progress:
    """Train a model on prepared photos.

    Args:
        prepared: The prepared folder. Where its manifest has no split yet, one is made and written into it.
        run: Folder for the run; it must not hold another one, unless `resume`.
        config: All settings.
        resume: Go on from the state in `run`, which must have been made with the same settings and photos.

    Returns:
        How far it came, with the best validation kappa.

    Raises:
        InputError: If something given is wrong, or the loss is no longer a finite number.
        RefusedError: If the split puts one patient, or one photo, into two parts.
        InterruptedRunError: If SIGINT or SIGTERM came; the state was saved.
    """
    precision = _precision(config)
    accelerator = Accelerator(cpu=config.no_cuda, mixed_precision=precision)
    say = accelerator.print
    torch.backends.cudnn.deterministic = True

    column = "split" if config.fold is None else f"{FOLD_PREFIX}{config.fold}"
    table = _split_table(prepared, column, config, accelerator)
    learning, choosing = (table[table[column] == part].reset_index(drop=True) for part in ("train", "validation"))
    _open_run(run, prepared, config, table, column, resume, accelerator)

    normalisation = trunk_normalisation(config.model.trunk)
    size = config.data.image_size
    photos = PreparedPhotos(prepared, learning, size, normalisation, config.data.augmentation)
    choosing_photos = PreparedPhotos(prepared, choosing, size, normalisation)
    photos.photo(0)  # says at once what is wrong with size or folder
    batches = TrainingBatches(
        photos.grades, config.data, config.seed, accelerator.process_index, accelerator.num_processes
    )
    loader = load_batches(photos, batches, config.data.workers)

    torch.manual_seed(config.seed)
    model = build_model(config.model).to(accelerator.device)
    optimiser = _optimiser(model, config.optimiser)
    schedule = Schedule(optimiser, config.optimiser, config.epochs * len(batches))
    progress = Progress()
    if resume:
        progress, schedule_state = load_state(run / STATE_NAME, model, optimiser)
        schedule.load_state_dict(schedule_state)
    network, stepper = accelerator.prepare(model, optimiser)
    loss_function = GradingLoss(config.optimiser.loss_scale) if config.optimiser.loss == "grading" else CrossEntropy()
    card = Card(
        model=config.model,
        image_size=size,
        mean=normalisation.mean,
        std=normalisation.std,
        preparation=read_preparation(prepared),
        split_column=column,
        trained_on=", ".join(sorted(set(learning["source"]))),
        software=software_versions(),
    )
    record = Record(run, progress.epoch) if accelerator.is_main_process else None

    def save() -> None:
        if accelerator.is_main_process:
            save_state(run / STATE_NAME, model, optimiser, schedule.state_dict(), progress)

    say(
        f"Training {config.model.model} on {len(learning)} photos ({len(choosing)} for validation) on "
        f"{accelerator.device}, {precision if precision != 'no' else 'fp32'}; run folder: {run}"
    )
    if choosing.empty:
        say("There is no validation part: no epoch is chosen, the last one is the result.")
    with _stop_signals() as stopped:
        for epoch in range(progress.epoch, config.epochs):
            if early_stop_reached(progress, config.early_stop):
                say(f"Stopped early: no better validation kappa in {config.early_stop} epochs.")
                break
            started = saved = time.monotonic()
            network.train()
            batches.epoch, batches.first = epoch, progress.batch
            bar = tqdm(
                total=len(batches),
                initial=progress.batch,
                desc=f"epoch {epoch + 1}/{config.epochs}",
                disable=None if accelerator.is_main_process else True,
                leave=False,
            )
            for batch in loader:
                step = epoch * len(batches) + progress.batch
                schedule.before_step(step)
                _seed_dropout(config.seed, step, accelerator.process_index)
                grades = batch.grades.to(accelerator.device, non_blocking=True)
                output = network(batch.images.to(accelerator.device, non_blocking=True))
                try:
                    loss = loss_function(output.logits, grades)
                except FloatingPointError as error:
                    names = ", ".join(learning["file"].iloc[batch.rows.numpy()])
                    raise InputError(
                        f"epoch {epoch + 1}, batch {progress.batch + 1}: {error}, so training stopped; the batch was: "
                        f"{names}. Look at these photos, or lower --lr; {run} holds the state of the last save"
                    ) from error
                accelerator.backward(loss)
                if config.optimiser.clip_norm is not None:
                    accelerator.clip_grad_norm_(network.parameters(), config.optimiser.clip_norm)
                stepper.step()
                stepper.zero_grad()

                _add_batch(progress, loss, output.logits, grades, accelerator)
                bar.update()
                bar.set_postfix(loss=f"{_mean_loss(progress):.4f}", kappa=f"{_kappa(progress.confusion):.3f}")
                if _any(stopped, accelerator):
                    save()
                    bar.close()
                    raise InterruptedRunError(
                        f"stopped in epoch {epoch + 1} of {config.epochs}, after batch {progress.batch} of {len(batches)}; "
                        f"everything is saved. Go on with: biranet train --resume --out {run}"
                    )
                if time.monotonic() - saved > 60 * config.save_minutes:
                    save()
                    saved = time.monotonic()
            bar.close()

            row: dict[str, Any] = {
                "epoch": epoch + 1,
                "lr": optimiser.param_groups[0]["lr"],
                "train_loss": _mean_loss(progress),
                "train_kappa": _number(_kappa(progress.confusion)),
                "validation_kappa": None,
            }
            if len(choosing):
                answers = predict_photos(
                    model, card, choosing_photos, choosing, device=accelerator.device, workers=config.data.workers
                )
                found = _kappa(confusion_matrix(answers["grade"], answers["predicted_grade"]))
                # The processes must not disagree on when to stop, not even by a rounding.
                kappa = broadcast_object_list([0.0 if math.isnan(found) else found])[0]
                row["validation_kappa"] = kappa
                schedule.after_epoch(kappa)
            row["seconds"] = round(time.monotonic() - started, 2)
            card = dataclasses.replace(card, epoch=epoch + 1, validation_kappa=row["validation_kappa"])
            better = len(choosing) > 0 and (progress.best_kappa is None or kappa > progress.best_kappa)
            if better:
                progress.best_kappa, progress.best_epoch = kappa, epoch + 1
            progress.start_epoch(epoch + 1)
            if record is not None:
                # The state comes last: a kill before it repeats the epoch, to the same bits.
                names = [LAST_NAME, *([BEST_NAME] if better else [])]
                if (epoch + 1) % config.save_epoch == 0:
                    names.append(f"epoch_{epoch + 1:03d}.safetensors")
                for name in names:
                    save_checkpoint(run / name, model, card)
                record.add_epoch(row)
                model.eval()
                record.add_attention(model, choosing_photos if len(choosing) else photos, accelerator.device, epoch + 1)
            save()
            say(_line(row, better))
    if record is not None:
        record.close()
    return progress


class Schedule:
    """The learning rate over time.

    Args:
        optimiser: Whose rate is set.
        config: Names the schedule and the base rate.
        steps: Steps of the whole training.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, config: OptimiserConfig, steps: int) -> None:
        self.optimiser, self.config, self.steps = optimiser, config, steps
        self.plateau = (
            torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode="max", factor=0.1, patience=6)
            if config.schedule == "plateau"
            else None
        )

    def before_step(self, step: int) -> None:
        """Set the rate of a step, counted from 0 over the whole training."""
        if self.config.schedule == "cosine":
            for group in self.optimiser.param_groups:
                group["lr"] = self.config.lr * cosine_factor(step, self.steps)

    def after_epoch(self, validation_kappa: float) -> None:
        """Lower the rate where the validation kappa has stopped rising."""
        if self.plateau is not None:
            self.plateau.step(validation_kappa)

    def state_dict(self) -> dict[str, Any]:
        """State as plain values."""
        return {} if self.plateau is None else self.plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state back."""
        if self.plateau is not None:
            self.plateau.load_state_dict(state)


def cosine_factor(step: int, steps: int) -> float:
    """Rise linearly over the first tenth of the steps, then fall to zero along a half cosine.

    Example:
        >>> [round(cosine_factor(step, 100), 2) for step in (0, 9, 10, 55, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, round(WARM_UP_FRACTION * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def early_stop_reached(progress: Progress, early_stop: int) -> bool:
    """Say whether this many epochs have passed since the best one; never where there is no best one or no limit."""
    return early_stop > 0 and progress.best_epoch > 0 and progress.epoch - progress.best_epoch >= early_stop


def software_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = ("biranet", "torch", "timm", "numpy", "opencv-python-headless", "pillow")
    return {name: importlib.metadata.version(name) for name in packages}


def _precision(config: TrainConfig) -> str:
    if config.precision == "bf16":
        return "bf16"
    on_gpu = torch.cuda.is_available() and not config.no_cuda
    return "bf16" if config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported() else "no"


def _split_table(prepared: Path, column: str, config: TrainConfig, accelerator: Accelerator) -> pd.DataFrame:
    """The graded photos with their parts; the manifest gets a split where it has none."""
    table = read_manifest(prepared)
    if config.fold is None and not (graded_photos(table)["split"] != "").any():
        with accelerator.main_process_first():
            table = split_photos(table, SplitConfig(seed=config.seed))
            if accelerator.is_main_process:
                write_manifest(prepared, table)
        accelerator.print(
            f"The manifest had no split; made one by group with seed {config.seed}. {describe_split(table)}"
        )
    if column not in table:
        raise InputError(f"{prepared} has no fold {config.fold}; make folds with: biranet split {prepared} --folds 5")
    check_split(table, column)
    photos = graded_photos(table)
    if not (photos[column] == "train").any():
        raise InputError(
            f"{prepared} has no graded photos in the train part; see the column {column!r} of its manifest"
        )
    if config.optimiser.schedule == "plateau" and not (photos[column] == "validation").any():
        raise InputError(
            "--schedule plateau follows the validation kappa, and there is no validation part; "
            "use --schedule cosine or constant, or make a split with a validation part"
        )
    return photos


def _open_run(
    run: Path,
    prepared: Path,
    config: TrainConfig,
    table: pd.DataFrame,
    column: str,
    resume: bool,
    accelerator: Accelerator,
) -> None:
    """Write the run's configuration, or check that a resumed run still has the same one and the same photos."""
    digest = hashlib.sha256(table[["file", "sha256", "grade", column]].to_csv(index=False).encode()).hexdigest()
    path = run / CONFIG_NAME
    if resume:
        if read_json(path)["photos_sha256"] != digest:
            raise InputError(f"the photos, grades or split in {prepared} have changed since {run} began; train anew")
    elif (run / STATE_NAME).exists() or path.exists():
        raise InputError(f"{run} already holds a training; go on with it by --resume, or choose another --out")
    elif accelerator.is_main_process:
        values = {"prepared": str(prepared), "photos_sha256": digest, "software": software_versions()}
        write_json(path, {"train": dataclasses.asdict(config), **values})
    accelerator.wait_for_everyone()


def _optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
    return torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Seed torch by the step, so that dropout needs no state of its own."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0] >> 1))


def _add_batch(
    progress: Progress, loss: torch.Tensor, logits: torch.Tensor, grades: torch.Tensor, accelerator: Accelerator
) -> None:
    """Count a finished batch of all processes."""
    matrix = confusion_matrix(grades.cpu().numpy(), logits.argmax(dim=1).cpu().numpy())
    sums = torch.tensor([loss.item() * len(grades), *matrix.flatten().tolist()], dtype=torch.float64)
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
    progress.batch += 1
    progress.loss_sum += sums[0].item()
    progress.confusion = (np.array(progress.confusion) + sums[1:].reshape(matrix.shape).numpy().astype(int)).tolist()


def _any(stopped: list[int], accelerator: Accelerator) -> bool:
    """Whether a signal reached any of the processes."""
    if accelerator.num_processes == 1:
        return bool(stopped)
    return bool(accelerator.reduce(torch.tensor(len(stopped), device=accelerator.device), "sum").item())


def _mean_loss(progress: Progress) -> float:
    return progress.loss_sum / max(1, int(np.sum(progress.confusion)))


def _kappa(matrix: Any) -> float:
    return float(quadratic_weighted_kappa(np.asarray(matrix)))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _line(row: dict[str, Any], better: bool) -> str:
    validation = "" if row["validation_kappa"] is None else f"  validation kappa {row['validation_kappa']:.3f}"
    return (
        f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f}{validation}{' (best)' if better else ''}"
        f"  {row['seconds']:.0f} s"
    )


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM until the batch is done; a second one acts at once, as if nobody had asked."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
