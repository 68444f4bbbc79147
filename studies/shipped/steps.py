"""What the commands of this folder that train have in common: their words, and the steps their work is made of."""

import argparse
import dataclasses
import json
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import CalibrationConfig, SplitConfig, TrainConfig, read_recipe
from biranet.decisions.fit import fit_rules, refuse_shared
from biranet.decisions.predictions import COLUMNS
from biranet.decisions.rules import apply_rules, decode, raw_probabilities
from biranet.errors import BiranetError, InputError, InterruptedRunError
from biranet.files import read_json, write_json
from biranet.inference.models import DEFAULT
from biranet.learning.predict import predict_photos
from biranet.learning.predictor import Predictor
from biranet.learning.run_folder import STATE_NAME
from biranet.learning.split import split_photos
from biranet.learning.train import train
from biranet.manifest import graded_photos, photos_digest, read_manifest, write_manifest
from card import RESULTS

FOLDS = 5
OUTER = SplitConfig(folds=FOLDS, validation=0, calibration=0)
"""The division by which the model that ships is measured."""

SHIPPED_RECIPE = Path(__file__).parents[2] / "recipes" / f"{DEFAULT}.toml"


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """The words that every such command understands; `doc` is that of its file."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("prepared", metavar="PREPARED", type=Path)
    parser.add_argument("--backbone-weights", metavar="FILE", type=Path)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=SHIPPED_RECIPE)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", DEFAULT))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS)
    return parser


def read_config(given: argparse.Namespace) -> TrainConfig:
    """The recipe that was given, with its weights.

    Raises:
        InputError: If it cannot be read, or wants weights that were not given.
    """
    config = read_recipe(given.recipe)
    if config.model.pretrained and given.backbone_weights is None:
        raise InputError("--backbone-weights is missing; give the file with the backbone's ImageNet weights")
    return dataclasses.replace(config, model=dataclasses.replace(config.model, backbone_weights=given.backbone_weights))


def exit_status_of(name: str, work: Callable[[], None]) -> int:
    """Do the work of a command, and say in one sentence what has ended it early: its exit status."""
    # Between two trainings too a signal ends the command by its own status; what is finished is on the disk.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work()
    except (InterruptedRunError, KeyboardInterrupt):
        print(f"studies/shipped/{name}: stopped; the same command goes on from here", file=sys.stderr)
        return InterruptedRunError.exit_status
    except BiranetError as error:
        print(f"studies/shipped/{name}: {error}", file=sys.stderr)
        return error.exit_status
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def depends_on(prepared: Path, config: TrainConfig) -> dict[str, Any]:
    """What all trainings in a working folder depend on."""
    digest = photos_digest(read_manifest(prepared), ["file", "sha256", "group", "grade"])
    return {"config": dataclasses.asdict(config), "photos_sha256": digest}


def own(path: Path, owner: dict[str, Any]) -> None:
    """Mark a new working folder with what it was begun with.

    Raises:
        InputError: If it was begun with something else.
    """
    owner = json.loads(json.dumps(owner, default=str))
    if path.exists() and read_json(path) != owner:
        raise InputError(
            f"{path.parent} was begun with other settings or other photos (see {path}); choose another --out"
        )
    write_json(path, owner)


def divided(prepared: Path, folder: Path, config: SplitConfig) -> Path:
    """Copy a prepared folder, unless that was done before, and divide the copy."""
    return copied(prepared, folder, split_photos(read_manifest(prepared), config))


def copied(prepared: Path, folder: Path, table: pd.DataFrame) -> Path:
    """Copy a prepared folder, unless that was done before, and give the copy another manifest."""
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(prepared, beside)
        write_manifest(beside, table)
        beside.rename(folder)
    return folder


def train_or_go_on(prepared: Path, run: Path, config: TrainConfig) -> None:
    """Train; where the run was stopped, from there, and where it is finished, not at all."""
    train(prepared, run, config, resume=(run / STATE_NAME).exists())


def answer_test_part(folder: Path, predictor: Predictor, config: TrainConfig) -> pd.DataFrame:
    """Answer for the test part of the division that a model was trained on: the fixed columns, before any rule."""
    photos = graded_photos(read_manifest(folder))
    photos = photos[photos[predictor.info.split_column] == "test"].reset_index(drop=True)
    return predict_photos(predictor, folder, photos, workers=config.data.workers)[list(COLUMNS)]


def answered_by_rules_of(others: pd.DataFrame, table: pd.DataFrame, config: CalibrationConfig) -> pd.DataFrame:
    """Answer the photos of one predictions table by rules that are fitted on another.

    Raises:
        InputError: If there is too little to fit rules on.
        RefusedError: If the two share a photo or a group.
    """
    refuse_shared(others, table)
    rules = fit_rules(others, decoder=config.decoder, cost_of_missed=config.cost_of_missed)
    return apply_rules(table.assign(predicted_grade=decode(raw_probabilities(table), rules)), rules)


def answered_by_rules_of_the_others(tables: Sequence[pd.DataFrame], config: CalibrationConfig) -> pd.DataFrame:
    """Answer the photos of each table by rules that are fitted on all other tables together."""
    answered = []
    for number, table in enumerate(tables):
        others = pd.concat([*tables[:number], *tables[number + 1 :]], ignore_index=True)
        answered.append(answered_by_rules_of(others, table, config))
    # Where a fold had too few patients for operating points, there are none of all folds together.
    return pd.concat(answered, join="inner", ignore_index=True)
