"""What the commands of this folder that train share: their flags, and the steps their work is made of."""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from biranet.config import SplitConfig, TrainConfig, read_recipe
from biranet.learning.shipped_models import DEFAULT
from biranet.learning.split import split_photos
from biranet.manifest import read_manifest, write_manifest
from studies.commands import ROOT, add_photos_and_weights, command_parser
from studies.shipped.card import RESULTS
from studies.trainings import with_weights

FOLDS = 5
OUTER = SplitConfig(folds=FOLDS, validation=0, calibration=0)
"""The division by which the model that ships is measured."""

SHIPPED_RECIPE = ROOT / "recipes" / f"{DEFAULT}.toml"


def training_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command that trains; `doc` is the docstring of its file."""
    parser = command_parser(doc)
    add_photos_and_weights(parser)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=SHIPPED_RECIPE)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", DEFAULT))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS)
    return parser


def read_config(given: argparse.Namespace) -> TrainConfig:
    """Read the recipe that was given, with its weights.

    Raises:
        InputError: If it cannot be read, or starts from weights that were not given.
    """
    return with_weights(read_recipe(given.recipe), given.backbone_weights)


def split_copy(prepared: Path, folder: Path, config: SplitConfig) -> Path:
    """Copy a prepared folder, unless that was done before, and split the copy."""
    return copy_with_manifest(prepared, folder, split_photos(read_manifest(prepared), config))


def copy_with_manifest(prepared: Path, folder: Path, table: pd.DataFrame) -> Path:
    """Copy a prepared folder, unless that was done before, and give the copy another manifest."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(prepared, part)
        write_manifest(part, table)
        part.rename(folder)
    return folder
