"""The trainings of a cell: some on the inner split choose its learning rate, one at that rate is what is measured.

What is finished is a file that is written last and whole, and that bears the rate in its name: so a run that is started
again skips it, a choice that changes with further rates is trained anew, and a training that was stopped goes on from
its saved state.
"""

import contextlib
import dataclasses
import functools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from biranet.errors import InputError
from biranet.learning.history import read_history
from biranet.learning.run_folder import LAST_NAME
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan
from biranet.locks import exclusive_file
from biranet.tables import write_table
from studies.idrid.analysis import final_kappa
from studies.idrid.folds import folder_of
from studies.idrid.grid import Cell, Grid, Training
from studies.idrid.variants import VARIANTS
from studies.trainings import predict_test_part

Report = Callable[[Training, float | None, float], None]
"""Told of each training that has ended; the validation kappa of an inner one; seconds."""


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


def most_frequent(rates: Sequence[float]) -> float:
    """The rate that occurs most often; of equals the smaller one.

    Example:
        >>> most_frequent([1e-3, 1e-4, 1e-3, 1e-4, 3e-4])
        0.0001
    """
    counts = Counter(rates)
    return min(counts, key=lambda rate: (-counts[rate], rate))


def choose_rate(out: Path, grid: Grid, cell: Cell) -> float | None:
    """Choose the learning rate of a cell by the kappa of its fold's inner trainings; of equals the smaller one.

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
    return max(paths, key=lambda rate: _score(paths[rate]))


def chosen_rate(out: Path, grid: Grid, cell: Cell) -> float:
    """The learning rate of a cell, once the trainings for its choice are finished."""
    rate = choose_rate(out, grid, cell)
    assert rate is not None, f"trainings for the choice of {cell.name} are missing"
    return rate


def finished(out: Path, grid: Grid, training: Training) -> bool:
    """Whether a training has ended."""
    if training.rate is not None:
        return inner_history(out, training.cell, training.rate).exists()
    chosen = choose_rate(out, grid, training.cell)
    return chosen is not None and result_file(out, training.cell, chosen).exists()


def run_training(out: Path, grid: Grid, training: Training, report: Report) -> bool:
    """Do one training, from wherever it stands, unless it cannot be done now.

    Several processes of one machine may share a working folder: the lock on a training's log is its process's claim.

    Args:
        out: The study's working folder.
        grid: The grid.
        training: The training.
        report: Told of it when it has ended.

    Returns:
        Whether it was done; not where it is finished, another process is at it, or the choice of its rate is open.

    Raises:
        InputError: If the log cannot be locked, or the training fails, such as one that has diverged.
        InterruptedRunError: If a signal came; the state was saved.
    """
    cell, rate = training.cell, _rate(out, grid, training)
    if rate is None:
        return False
    name = _name(training, rate)
    with exclusive_file(out / "logs" / f"{name}.txt") as log:
        if log is None or finished(out, grid, training):
            return False
        started, run = time.monotonic(), out / "running" / name
        folder, config = folder_of(out, training.part, cell.fold), grid.settings(cell, rate)
        try:
            with contextlib.redirect_stdout(log):
                train_or_resume(TrainingPlan(folder, run, config, build=VARIANTS[cell.variant].build))
        except InputError as error:
            raise InputError(f"{training}: {error}") from error
        history = pd.DataFrame(read_history(run))
        kappa = None
        if training.part == "inner":
            write_table(inner_history(out, cell, rate), history)
            kappa = float(history["validation_kappa"].iloc[-1])
        else:
            write_table(outer_history(out, cell, rate), history)
            result = result_file(out, cell, rate)
            if training.part == "external":
                (run / LAST_NAME).replace(result)
            else:
                predictor = load_predictor(run / LAST_NAME, config.device, VARIANTS[cell.variant].build)
                write_table(result, predict_test_part(folder, predictor, config))
        shutil.rmtree(run)
    report(training, kappa, time.monotonic() - started)
    return True


def tidy_up(out: Path, grid: Grid, training: Training) -> None:
    """Remove what a kill has left of a finished training; where another process is at it, let it alone."""
    rate = _rate(out, grid, training)
    assert rate is not None
    run = out / "running" / _name(training, rate)
    if run.exists():
        with exclusive_file(out / "logs" / f"{run.name}.txt") as log:
            if log is not None:
                shutil.rmtree(run)


@functools.cache  # processes that wait for each other look again and again
def _score(history: Path) -> float:
    """The validation kappa in the end of an inner training that is finished."""
    return final_kappa(pd.read_csv(history)["validation_kappa"])


def _rate(out: Path, grid: Grid, training: Training) -> float | None:
    """The rate that a training runs at; None while its choice is open."""
    return choose_rate(out, grid, training.cell) if training.rate is None else training.rate


def _name(training: Training, rate: float) -> str:
    """Name of a training among those that are running."""
    return f"{training.part}_{training.cell.name}_lr{rate:g}"
