"""From the cells to the tables that are kept: what `page.py` reads, and nothing else.

predictions/VARIANT_LOSS_sSEED.csv   out-of-fold answers, one row a photo, as `biranet compare` reads them; and `fold`
choices.csv                          each learning rate tried on an inner split, its score, and whether it was chosen
epochs.csv                           every epoch of every training: loss, validation kappa where it was an inner one
settings.csv                         what all trainings shared
times.csv                            seconds of each training; the only table that two runs do not have in common
external/settings.csv                how many photos of another clinic were answered for
external/rates.csv                   the learning rate of each model that answered for them
external/measures.csv, differences.csv   what was measured on them; answers for single photos are not kept
"""

from pathlib import Path
from typing import Any

import pandas as pd

from analysis import differences, measures, pool_seeds
from biranet.evaluation.predictions import read_predictions
from biranet.grades import GRADE_COUNT
from biranet.learning.run import software_versions
from biranet.tables import write_table
from cells import best_rate, choose_rate, inner_history, outer_history, predictions_file, rate_score
from grid import Cell, Grid

TRAINING = ["variant", "loss", "seed", "fold", "part", "lr"]
"""What names a training in the tables; `part` is inner or outer."""


def collect(out: Path, results: Path, grid: Grid, photos: pd.DataFrame) -> None:
    """Write the tables of a finished grid.

    Args:
        out: The study's working folder, every cell of which is finished.
        results: Folder for the tables.
        grid: The grid.
        photos: The graded photos.
    """
    cells = grid.cells()
    for name in dict.fromkeys(cell.table for cell in cells):
        folds = [
            pd.read_csv(predictions_file(out, cell), dtype={"file": str, "group": str}).assign(fold=cell.fold)
            for cell in cells
            if cell.table == name
        ]
        write_table(results / "predictions" / f"{name}.csv", pd.concat(folds).sort_values("file"))

    choices, epochs, rates = [], [], {}
    for cell in dict.fromkeys(cell.tuned for cell in cells):
        histories = {rate: pd.read_csv(inner_history(out, cell, rate)) for rate in grid.rates}
        rates[cell] = best_rate(histories)
        for rate, history in histories.items():
            chosen = int(rate == rates[cell])
            choices.append({**_named(cell), "lr": rate, "score": rate_score(history), "chosen": chosen})
            epochs.append(history.assign(**_named(cell), part="inner", lr=rate))
    for cell in cells:
        history = pd.read_csv(outer_history(out, cell))
        epochs.append(history.assign(**_named(cell), part="outer", lr=rates[cell.tuned]))
    table = pd.concat([each.astype({"validation_kappa": float}) for each in epochs], ignore_index=True)
    write_table(results / "choices.csv", pd.DataFrame(choices))
    write_table(results / "epochs.csv", table[[*TRAINING, "epoch", "train_loss", "validation_kappa"]])
    write_table(results / "times.csv", table.groupby(TRAINING, sort=False)["seconds"].sum().reset_index())
    write_table(results / "settings.csv", _settings(grid, photos))


def collect_external(out: Path, results: Path, grid: Grid, photos: pd.DataFrame) -> None:
    """Write the tables of the external test: numbers about all photos, none about a single one.

    Args:
        out: The study's working folder, every external cell of which is finished.
        results: Folder for the tables.
        grid: The grid.
        photos: The external photos.
    """
    cells = grid.external_cells()
    answers = {
        pair: pool_seeds([read_predictions(predictions_file(out, cell)) for cell in cells if cell.pair == pair])
        for pair in dict.fromkeys(cell.pair for cell in cells)
    }
    rates = [(cell.variant, cell.loss, cell.seed, choose_rate(out, grid, cell)) for cell in cells]
    values = {"sources": ", ".join(sorted(set(photos["source"]))), **_counts(photos)}
    write_table(results / "settings.csv", _listed(values))
    write_table(results / "rates.csv", pd.DataFrame(rates, columns=["variant", "loss", "seed", "lr"]))
    write_table(results / "measures.csv", measures(answers))
    write_table(results / "differences.csv", differences(answers))


def _named(cell: Cell) -> dict[str, Any]:
    return {"variant": cell.variant, "loss": cell.loss, "seed": cell.seed, "fold": cell.fold}


def _settings(grid: Grid, photos: pd.DataFrame) -> pd.DataFrame:
    train, optimiser = grid.train, grid.train.optimiser
    values = {
        **_counts(photos),
        "folds": grid.folds,
        "validation_fraction": grid.validation,
        "seeds": " ".join(map(str, grid.seeds)),
        "rates": " ".join(f"{rate:g}" for rate in grid.rates),
        "trunk": train.model.trunk,
        "freeze": train.model.freeze,
        "image_size_px": train.data.image_size,
        "epochs": train.epochs,
        "batch_size": train.data.batch_size,
        "optimiser": optimiser.optimiser,
        "weight_decay": optimiser.weight_decay,
        "schedule": optimiser.schedule,
        "loss_scale": optimiser.loss_scale,
        **software_versions(),
    }
    return _listed(values)


def _counts(photos: pd.DataFrame) -> dict[str, int]:
    counts = photos["grade"].astype(int).value_counts().reindex(range(GRADE_COUNT), fill_value=0)
    return {
        "photos": len(photos),
        "groups": photos["group"].nunique(),
        **{f"photos_of_grade_{grade}": count for grade, count in counts.items()},
    }


def _listed(values: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"name": list(values), "value": [str(value) for value in values.values()]})
