"""From the cells to the tables that are kept: what `page.py` reads, and nothing else.

predictions/VARIANT_LOSS_sSEED.csv   out-of-fold answers, one row a photo, as `biranet compare` reads them; and `fold`
choices.csv                          each learning rate tried on an inner split, its score, and whether it was chosen
epochs.csv                           every epoch of every training: loss, validation kappa where it was an inner one
models.csv                           weights of each variant, and how many of them are trained
settings.csv                         what all trainings shared
times.csv                            seconds of each training, those for the external test too; two runs differ in this
                                     table, and in what settings.csv says of the versions
external/                            what was measured on photos of another clinic; written by external.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.grades import GRADE_COUNT
from biranet.learning.run_folder import software_versions
from biranet.tables import write_table
from studies.idrid.analysis import COLLECTED_WITH, final_kappa
from studies.idrid.cells import chosen_rate, inner_history, outer_history, result_file
from studies.idrid.grid import Cell, Grid
from studies.idrid.variants import VARIANTS

TRAINING = ["variant", "loss", "seed", "fold", "part", "lr"]
"""What names a training in the tables; `part` is inner, outer or, in times.csv, external."""


def collect(out: Path, results: Path, grid: Grid, photos: pd.DataFrame) -> None:
    """Write the tables of a finished grid; answers of cells that are in it no more are removed.

    Args:
        out: The study's working folder, every cell of which is finished.
        results: Folder for the tables.
        grid: The grid.
        photos: The graded photos.
    """
    rates = {cell: chosen_rate(out, grid, cell) for cell in grid.cells()}
    names = dict.fromkeys(cell.table for cell in rates)
    for name in names:
        folds = [
            pd.read_csv(result_file(out, cell, rate), dtype={"file": str, "group": str}).assign(fold=cell.fold)
            for cell, rate in rates.items()
            if cell.table == name
        ]
        write_table(results / "predictions" / f"{name}.csv", pd.concat(folds).sort_values("file"))
    for path in (results / "predictions").glob("*.csv"):
        if path.stem not in names:
            path.unlink(missing_ok=True)

    choices, epochs = [], []
    for cell in dict.fromkeys(cell.tuned for cell in rates):
        for rate in grid.rates:
            history = pd.read_csv(inner_history(out, cell, rate))
            score, chosen = final_kappa(history["validation_kappa"]), int(rate == rates[cell])
            choices.append({**_named(cell), "lr": rate, "score": score, "chosen": chosen})
            epochs.append(history.assign(**_named(cell), part="inner", lr=rate))
    for cell, rate in rates.items():
        history = pd.read_csv(outer_history(out, cell, rate))
        epochs.append(history.assign(**_named(cell), part="outer", lr=rate))
    table = pd.concat([each.astype({"validation_kappa": float}) for each in epochs], ignore_index=True)
    write_table(results / "choices.csv", pd.DataFrame(choices))
    write_table(results / "epochs.csv", table[[*TRAINING, "epoch", "train_loss", "validation_kappa"]])
    external = [
        pd.read_csv(path).assign(**_named(cell), part="external", lr=rate)
        for cell in grid.external_cells()
        if (path := outer_history(out, cell, rate := chosen_rate(out, grid, cell))).exists()
    ]
    timed = pd.concat([table, *external], ignore_index=True)
    sums = timed.groupby(TRAINING, sort=False, dropna=False)["seconds"].sum().reset_index()
    write_table(results / "times.csv", sums.astype({"fold": "Int64"}))
    write_table(results / "models.csv", _models(grid, list(dict.fromkeys(cell.variant for cell in rates))))
    write_settings(results, _settings(grid, photos))


def _models(grid: Grid, names: list[str]) -> pd.DataFrame:
    rows = []
    for name in names:
        variant = VARIANTS[name]
        config = dataclasses.replace(variant.settings(grid.train).model, pretrained=False, backbone_weights=None)
        sizes = [(weight.numel(), weight.requires_grad) for weight in variant.build(config).parameters()]
        rows.append((name, sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)))
    return pd.DataFrame(rows, columns=["variant", "weights", "trained"])


def _named(cell: Cell) -> dict[str, Any]:
    return {"variant": cell.variant, "loss": cell.loss, "seed": cell.seed, "fold": cell.fold}


def _settings(grid: Grid, photos: pd.DataFrame) -> dict[str, Any]:
    train, optimizer = grid.train, grid.train.optimizer
    return {
        **count_photos(photos),
        "folds": grid.folds,
        "validation_fraction": grid.validation,
        "seeds": " ".join(map(str, grid.seeds)),
        "rates": " ".join(f"{rate:g}" for rate in grid.rates),
        "backbone": train.model.backbone,
        "freeze": train.model.freeze,
        "image_size_px": train.data.image_size,
        "epochs": train.epochs,
        "batch_size": train.data.batch_size,
        "augmentation": train.data.augmentation,
        "optimizer": optimizer.optimizer,
        "weight_decay": optimizer.weight_decay,
        "schedule": optimizer.schedule,
        "weight_scale": optimizer.weight_scale,
        # Trainings that were begun elsewhere may have been done by others.
        **{f"{COLLECTED_WITH}{name}": version for name, version in software_versions().items()},
    }


def count_photos(photos: pd.DataFrame) -> dict[str, int]:
    """Count graded photos, their groups, and those of each grade."""
    counts = photos["grade"].astype(int).value_counts().reindex(range(GRADE_COUNT), fill_value=0)
    return {
        "photos": len(photos),
        "groups": photos["group"].nunique(),
        **{f"photos_of_grade_{grade}": count for grade, count in counts.items()},
    }


def write_settings(folder: Path, values: dict[str, Any]) -> None:
    """Write settings.csv: names and values as text."""
    rows = pd.DataFrame({"name": list(values), "value": [str(value) for value in values.values()]})
    write_table(folder / "settings.csv", rows)
