"""The trainings of a cell: some on the inner split choose its learning rate, one at that rate is what is measured.

What is finished is a file that is written last and whole, and that bears the rate in its name: so a run that is started
again skips it, a choice that changes with further rates is trained anew, and a training that was stopped goes on from
its saved state.
"""

import contextlib
import dataclasses
import fcntl
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd

from analysis import final_kappa
from biranet.config import TrainConfig
from biranet.errors import InputError
from biranet.evaluation.predictions import COLUMNS
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.predict import card_photos, choose_device, predict_photos
from biranet.learning.record import read_history
from biranet.learning.run import LAST_NAME, STATE_NAME
from biranet.learning.train import train
from biranet.manifest import read_manifest
from biranet.tables import write_table
from folds import inner_folder, outer_folder, whole_folder
from grid import Cell, Grid
from variants import VARIANTS

Report = Callable[[Cell, float | None, float | None, float], None]
"""Told of each training that has ended: the cell; the rate and the validation kappa of an inner one; seconds."""


def inner_history(out: Path, cell: Cell, rate: float) -> Path:
    """File with the epochs of one inner training."""
    return out / "choices" / f"{cell.name}_lr{rate:g}.csv"


def outer_history(out: Path, cell: Cell, rate: float) -> Path:
    """File with the epochs of a cell's training at the chosen rate."""
    return out / "cells" / f"{cell.name}_lr{rate:g}" / "history.csv"


def result_file(out: Path, cell: Cell, rate: float) -> Path:
    """File that a cell's training at the chosen rate leaves last.

    Its answers for the test photos of its fold; or, where it has learned from all photos, the model.
    """
    name = "predictions.csv" if cell.fold is not None else LAST_NAME
    return outer_history(out, cell, rate).with_name(name)


def best_rate(histories: Mapping[float, pd.DataFrame]) -> float:
    """The learning rate with the highest validation kappa in the end; of equals the first."""
    return max(histories, key=lambda rate: final_kappa(histories[rate]["validation_kappa"]))


def most_frequent(rates: Sequence[float]) -> float:
    """The rate that occurs most often; of equals the smaller one.

    Example:
        >>> most_frequent([1e-3, 1e-4, 1e-3, 1e-4, 3e-4])
        0.0001
    """
    counts = Counter(rates)
    return min(counts, key=lambda rate: (-counts[rate], rate))


def choose_rate(out: Path, grid: Grid, cell: Cell) -> float | None:
    """Choose the learning rate of a cell by the inner trainings of its fold; of equals the smaller one.

    A cell that learns from all photos takes the rate that most folds have chosen.

    Args:
        out: The study's working folder.
        grid: The grid.
        cell: The cell; an ablation takes the choice of BiRA-Net.

    Returns:
        The rate; None while trainings for the choice are missing.
    """
    if cell.fold is None:
        chosen = [choose_rate(out, grid, dataclasses.replace(cell, fold=fold)) for fold in range(grid.folds)]
        known = [rate for rate in chosen if rate is not None]
        return most_frequent(known) if len(known) == len(chosen) else None
    paths = {rate: inner_history(out, cell.tuned, rate) for rate in grid.rates}
    if not all(path.exists() for path in paths.values()):
        return None
    return best_rate({rate: pd.read_csv(path) for rate, path in paths.items()})


def finished(out: Path, grid: Grid, cell: Cell, rate: float | None) -> bool:
    """Whether a training has ended: with a rate, one on the inner split; with None, the one at the chosen rate."""
    if rate is not None:
        return inner_history(out, cell, rate).exists()
    chosen = choose_rate(out, grid, cell)
    return chosen is not None and result_file(out, cell, chosen).exists()


@contextlib.contextmanager
def claim(path: Path, *, wait: bool = False) -> Iterator[TextIO | None]:
    """Open a file for this process alone, among the processes of this machine.

    The claim ends with the process, however that ends; but the loader workers of one that was killed (`workers` > 0)
    hold it some seconds longer, until they see that they are alone.

    Args:
        path: The file; it and its folder are made where they are missing.
        wait: Wait for a process that holds it.

    Yields:
        The file, to append to; None where another process holds it and `wait` is not given.

    Raises:
        InputError: If the file cannot be opened, or its file system has no locks.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = None
        except OSError as error:
            raise InputError(
                f"cannot lock {path}: {error.strerror or error}; "
                "choose an --out that can be written, on a file system with locks, such as a disk of this machine"
            ) from error
        else:
            held = file
        yield held


def run_training(out: Path, grid: Grid, cell: Cell, rate: float | None, report: Report) -> bool:
    """Do one training, from wherever it stands, unless it cannot be done now.

    Several processes of one machine may share a working folder: the lock on a training's log is its process's claim.

    Args:
        out: The study's working folder.
        grid: The grid.
        cell: The cell.
        rate: Learning rate to try on the inner split; None: the chosen one, on all that the cell learns from.
        report: Told of the training.

    Returns:
        Whether it was done; not where it is finished, another process is at it, or the choice of its rate is open.

    Raises:
        InputError: If the log cannot be locked.
        InterruptedRunError: If a signal came; the state was saved.
    """
    used = choose_rate(out, grid, cell) if rate is None else rate
    if used is None:
        return False
    name = _name(cell, rate, used)
    with claim(out / "logs" / f"{name}.txt") as log:
        if log is None or finished(out, grid, cell, rate):
            return False
        started, run = time.monotonic(), out / "running" / name
        folder, config = _folder(out, cell, rate), grid.settings(cell, used)
        with contextlib.redirect_stdout(log):
            train(folder, run, config, resume=(run / STATE_NAME).exists(), build=VARIANTS[cell.variant].build)
        history = pd.DataFrame(read_history(run))
        kappa = None
        if rate is not None:
            write_table(inner_history(out, cell, rate), history)
            kappa = float(history["validation_kappa"].iloc[-1])
        else:
            write_table(outer_history(out, cell, used), history)
            result = result_file(out, cell, used)
            if cell.fold is None:
                (run / LAST_NAME).replace(result)
            else:
                write_table(result, _answers(folder, run, config, cell))
        shutil.rmtree(run)
    report(cell, rate, kappa, time.monotonic() - started)
    return True


def tidy_up(out: Path, grid: Grid, cell: Cell, rate: float | None) -> None:
    """Remove what a kill has left of a finished training; where another process is at it, let it alone."""
    used = choose_rate(out, grid, cell) if rate is None else rate
    assert used is not None
    run = out / "running" / _name(cell, rate, used)
    if run.exists():
        with claim(out / "logs" / f"{run.name}.txt") as log:
            if log is not None:
                shutil.rmtree(run)


def _name(cell: Cell, rate: float | None, used: float) -> str:
    """Name of a training among those that are running."""
    return f"{'outer' if rate is None else 'inner'}_{cell.name}_lr{used:g}"


def _folder(out: Path, cell: Cell, rate: float | None) -> Path:
    """The folder that a training learns from."""
    if cell.fold is None:
        return whole_folder(out)
    return (outer_folder if rate is None else inner_folder)(out, cell.fold)


def _answers(folder: Path, run: Path, config: TrainConfig, cell: Cell) -> pd.DataFrame:
    """The predictions table of the test photos, by the model after the last epoch."""
    model, card = load_checkpoint(run / LAST_NAME, VARIANTS[cell.variant].build)
    device = choose_device(config.no_cuda)
    table = read_manifest(folder)
    table = table[table["split"] == "test"].reset_index(drop=True)
    answers = predict_photos(
        model.to(device), card, card_photos(card, folder, table), table, device=device, workers=config.data.workers
    )
    return answers[list(COLUMNS)]
