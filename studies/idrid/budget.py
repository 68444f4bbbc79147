"""Estimate what a grid costs, from one epoch of each variant; the grid itself is not run.

OMP_NUM_THREADS=1 python -m studies.idrid.budget PREPARED --backbone-weights FILE [--grid core|full] [--results FOLDER]

Writes budget.csv beside the grid's tables. Seconds are those of all processors together, with everything that a
training does once (reading weights, the audit) counted to its epoch: so the estimate leans upwards.
"""

import contextlib
import dataclasses
import io
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biranet.learning.train import train
from biranet.tables import write_table
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.idrid.folds import folder_of, make_folders
from studies.idrid.grid import HERE, Cell, Grid, Part, read_grid
from studies.idrid.variants import VARIANTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("--grid", default="core", help="core, full, or a TOML file")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="default: results/GRID beside this file")
    given = parser.parse_args(arguments)

    def work() -> None:
        table = budget(given.prepared, read_grid(given.grid).with_weights(given.backbone_weights))
        write_table((given.results or HERE / "results" / Path(given.grid).stem) / "budget.csv", table)
        print(table.to_string(index=False))
        print(f"in all {table['hours'].sum():.2f} processor hours")

    return exit_status_of(__file__, work)


def budget(prepared: Path, grid: Grid) -> pd.DataFrame:
    """Time one epoch of each kind of training in a grid, and multiply.

    Args:
        prepared: Prepared folder with the photos.
        grid: The grid.

    Returns:
        A row for each variant and part (inner, outer, external): number of `trainings`, `epochs` of each,
        `processor_seconds_per_epoch`, and `hours` of processor time in all.
    """
    counts = Counter((training.cell.variant, training.part) for training in grid.costs(external=True))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        make_folders(prepared, Path(name), grid)
        for (variant, part), trainings in counts.items():
            seconds = _one_epoch(Path(name), grid, variant, part)
            hours = trainings * grid.train.epochs * seconds / 3600
            rows.append((variant, part, trainings, grid.train.epochs, round(seconds, 2), round(hours, 3)))
    columns = ["variant", "part", "trainings", "epochs", "processor_seconds_per_epoch", "hours"]
    return pd.DataFrame(rows, columns=columns)


def _one_epoch(out: Path, grid: Grid, variant: str, part: Part) -> float:
    settings = grid.settings(Cell(variant, "grading", grid.seeds[0], 0), grid.rates[0])
    folder = folder_of(out, part, 0)
    started = sum(os.times()[:4])  # with loading processes, which have ended by then
    with contextlib.redirect_stdout(io.StringIO()):
        train(folder, out / f"{variant}_{part}", dataclasses.replace(settings, epochs=1), build=VARIANTS[variant].build)
    return sum(os.times()[:4]) - started


if __name__ == "__main__":
    run_as_command(main)
