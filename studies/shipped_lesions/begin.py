"""What the commands of this folder begin with: which photos teach the lesion heads, and which are looked at."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from biranet.config import TrainConfig, read_recipe
from biranet.files import sha256_of
from biranet.learning.shipped_models import DEFAULT, find_checkpoint
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from studies.commands import command_parser
from studies.lesion_grades.divisions import Folds
from studies.lesion_grades.heads import CONFIG, Backbone
from studies.lesion_grades.look import Arrays
from studies.lesion_grades.looking import Looking, masked_teachers, masks_digest, teaching_photos
from studies.lesion_grades.run import read_photos
from studies.lesions.run import healthy_photos
from studies.shipped.steps import SHIPPED_RECIPE
from studies.shipped_lesions.card import RESULTS
from studies.shipped_lesions.healthy import PATCHES, VIEWS, Visits, divide_healthy, healthy_teachers
from studies.trainings import fingerprint_of_inputs, mark_folder, with_weights


def lesions_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command that trains lesion heads; `doc` is the docstring of its file."""
    parser = command_parser(doc)
    for name in ("prepared", "folder"):
        parser.add_argument(name, metavar=name.upper(), type=Path)
    parser.add_argument("--graded", metavar="TABLE", type=Path, required=True)
    parser.add_argument("--work", metavar="FOLDER", type=Path, default=Path("runs", "shipped_lesions"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS)
    return parser


class Taught(NamedTuple):
    """What the lesion branch learns from.

    Attributes:
        masked: Photos with masks.
        healthy: A photo of each of some visits with healthy eyes, and the visit.
    """

    masked: Sequence[MaskedPhoto]
    healthy: Visits


class Begun(NamedTuple):
    """What was given, read.

    Attributes:
        given: The command line.
        config: The recipe of the network that grades.
        own: The photos that are divided and looked at.
        taught: What the lesion heads learn from.
        beyond: Photos of healthy eyes that teach nothing.
        backbone: What the heads stand on.
    """

    given: argparse.Namespace
    config: TrainConfig
    own: pd.DataFrame
    taught: Taught
    beyond: Visits
    backbone: Backbone

    def look(self, division: str, folds: Folds, results: Path) -> Sequence[Arrays]:
        """Look at the photos of a division by heads that do not know their fold, trained where they are missing.

        Args:
            division: Names it.
            folds: Of each photo, (N,).
            results: Folder for what the heads have learned from.

        Returns:
            What was seen of each photo.

        Raises:
            InputError: If photos were looked at by another division of this name before.
        """
        mark_folder(self.given.work / f"own_{division}", {"folds": folds.tolist()})
        masked, healthy = self.taught
        teachers = [*masked_teachers(self.given.folder, masked), *healthy_teachers(healthy)]
        looking = Looking(self.backbone, self.given.work, self.own, {division: folds}, teachers)
        looking.describe(results)
        return looking.seen_own(self.given.prepared).kept


def begin(given: argparse.Namespace) -> Begun:
    """Read what was given, and mark the working folder.

    Raises:
        InputError: If something given is wrong, or the working folder was begun with something else.
    """
    config, own = read_recipe(SHIPPED_RECIPE), read_photos(given.prepared)
    healthy, beyond = divide_healthy(healthy_photos(given.graded, find_masked_photos(given.folder).photos))
    taught = Taught(teaching_photos(given.folder), healthy)
    mark_folder(given.work, _depends_on(given, taught, config))
    return Begun(given, config, own, taught, beyond, Backbone(Path(DEFAULT), given.work / "backbone.onnx"))


def _depends_on(given: argparse.Namespace, taught: Taught, config: TrainConfig) -> dict[str, Any]:
    """Sum up what all that is kept in the working folder depends on; where files lie is no part of it."""
    return fingerprint_of_inputs(
        given.prepared,
        with_weights(config, find_checkpoint(DEFAULT)),
        masks_sha256=masks_digest(given.folder),
        healthy=[sha256_of(path) for path, _ in taught.healthy],
        heads=dataclasses.asdict(CONFIG),
        patches=[VIEWS, PATCHES],
    )
