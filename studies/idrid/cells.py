"""One cell: choose its learning rate on the inner split, train on the outer fold, answer for the test photos.

What is finished is a file that is written last and whole, so a run that is started again skips it; a training that was
stopped goes on from its saved state.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from biranet.config import TrainConfig
from biranet.evaluation.predictions import COLUMNS
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.predict import card_photos, choose_device, predict_photos
from biranet.learning.record import read_history
from biranet.learning.run import LAST_NAME, STATE_NAME
from biranet.learning.train import train
from biranet.manifest import read_manifest
from biranet.tables import write_table
from folds import inner_folder, outer_folder
from grid import Cell, Grid
from variants import VARIANTS

Report = Callable[[Cell, float | None, float, float], None]
"""Told of each training that has ended: the cell, the rate where it was an inner training, kappa, seconds."""

LAST_SHARE = 0.25
"""Share of the epochs, the last ones, whose validation kappas are averaged to choose the rate: one alone is noisy."""


def inner_history(out: Path, cell: Cell, rate: float) -> Path:
    """File with the epochs of one inner training."""
    return out / "choices" / f"{cell.name}_lr{rate:g}.csv"


def predictions_file(out: Path, cell: Cell) -> Path:
    """File with a cell's answers for the test photos of its fold; it is written last."""
    return out / "cells" / cell.name / "predictions.csv"


def outer_history(out: Path, cell: Cell) -> Path:
    """File with the epochs of a cell's training."""
    return out / "cells" / cell.name / "history.csv"


def rate_score(history: pd.DataFrame) -> float:
    """Score a learning rate by an inner training: the mean validation kappa of its last epochs.

    Args:
        history: One row an epoch, with `validation_kappa`.

    Example:
        >>> rate_score(pd.DataFrame({"validation_kappa": [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.4, 0.6]}))
        0.5
    """
    last = max(1, round(LAST_SHARE * len(history)))
    return float(history["validation_kappa"].astype(float).tail(last).mean())


def best_rate(histories: Mapping[float, pd.DataFrame]) -> float:
    """The learning rate with the highest score; of equals the first."""
    return max(histories, key=lambda rate: rate_score(histories[rate]))


def choose_rate(out: Path, grid: Grid, cell: Cell, report: Report) -> float:
    """Choose the learning rate of a cell on the inner split of its fold; of equals the smaller one.

    Args:
        out: The study's working folder.
        grid: The grid.
        cell: The cell; an ablation takes the choice of BiRA-Net.
        report: Told of each training made for it.
    """
    cell, histories = cell.tuned, {}
    for rate in grid.rates:
        path = inner_history(out, cell, rate)
        if not path.exists():
            started = time.monotonic()
            run = out / "running" / f"{cell.name}_lr{rate:g}"
            _train(inner_folder(out, cell.fold), run, grid.settings(cell, rate), cell, out)
            _write_history(path, run)
            shutil.rmtree(run)
            history = pd.read_csv(path)
            report(cell, rate, float(history["validation_kappa"].iloc[-1]), time.monotonic() - started)
        histories[rate] = pd.read_csv(path)
    return best_rate(histories)


def run_cell(out: Path, grid: Grid, cell: Cell, report: Report) -> None:
    """Finish a cell, from wherever it stands.

    Args:
        out: The study's working folder.
        grid: The grid.
        cell: The cell.
        report: Told of each training.

    Raises:
        InterruptedRunError: If a signal came; the state was saved.
    """
    if predictions_file(out, cell).exists():
        return
    rate = choose_rate(out, grid, cell, report)
    started = time.monotonic()
    folder, run = outer_folder(out, cell.fold), out / "running" / cell.name
    config = grid.settings(cell, rate)
    _train(folder, run, config, cell, out)
    answers = _answers(folder, run, config, cell)
    _write_history(outer_history(out, cell), run)
    write_table(predictions_file(out, cell), answers)
    shutil.rmtree(run)
    report(cell, None, float((answers["grade"] == answers["predicted_grade"]).mean()), time.monotonic() - started)


def _train(folder: Path, run: Path, config: TrainConfig, cell: Cell, out: Path) -> None:
    log = out / "logs" / f"{cell.name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        train(folder, run, config, resume=(run / STATE_NAME).exists(), build=VARIANTS[cell.variant].build)


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


def _write_history(path: Path, run: Path) -> None:
    write_table(path, pd.DataFrame(read_history(run)))
