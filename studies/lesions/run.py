"""Train the lesion branch on photos with masks, and measure it on their published test part.

python -m studies.lesions.run FOLDER [--backbone-weights FILE] [--out FOLDER] [--results FOLDER]

FOLDER holds photos and masks as they were published. First a third of the training photos, whole visits, measures a
branch that learned from the others: there the thresholds are chosen, and whatever else one wants to choose. Then one
that learned from all of them is measured on the test part, at several resolutions. Given again after a stop, the same
command goes on.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biranet.errors import InputError
from biranet.files import write_json
from biranet.inference.lesion_measures import measure_lesions
from biranet.learning.lesions.checkpoint import CHECKPOINT_NAME, load_lesions, save_lesions
from biranet.learning.lesions.finder import LesionFinder
from biranet.learning.lesions.settings import LesionConfig
from biranet.learning.lesions.train import choose_photos, train_on
from biranet.learning.run_folder import STATE_NAME
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.public_paths import public_name
from biranet.version import software_version
from studies.commands import command_parser, exit_status_of, run_as_command

HERE = Path(__file__).resolve().parent
SIZES_PX = (1024, 768, 512, 384, 256)
"""Resolutions at which it is measured, in pixels across the field."""

CONFIG = LesionConfig(steps=400, round_steps=400)
"""The settings: the backbone as it is, so it can be that of a network that grades."""

HELD_BACK = 3
"""One of so many visits of the training part chooses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--backbone-weights", metavar="FILE", type=Path)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "lesions"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Train twice, measure twice."""
    config = dataclasses.replace(CONFIG, backbone_weights=given.backbone_weights)
    found = find_masked_photos(given.folder).photos
    learned = choose_photos(found)
    test = [photo for photo in found if photo.split == "test"]
    if not test:
        raise InputError(f"{given.folder} has no test part")
    inner, held_back = divide(learned.photos, config.seed)
    thresholds: dict[str, float] = {}
    for name, teaching, measuring, sizes_px in (
        ("inner", inner, held_back, SIZES_PX[:1]),
        ("test", learned.photos, test, SIZES_PX),
    ):
        path = given.results / f"{name}.json"
        if not path.exists():
            finder = _trained(given.folder, given.out / name, teaching, config, thresholds)
            measured = measure_lesions(finder, given.folder, measuring, sizes_px, print)
            given.results.mkdir(parents=True, exist_ok=True)
            about = {"photos_learned_from": len(teaching), "settings": _told(config), "software": software_version()}
            write_json(path, about | {"measured": measured})
        kinds = json.loads(path.read_text())["measured"][0]["kinds"]
        thresholds = {kind: values["threshold"] for kind, values in kinds.items() if values["threshold"]}


def divide(photos: Sequence[MaskedPhoto], seed: int) -> tuple[list[MaskedPhoto], list[MaskedPhoto]]:
    """Divide photos into those that teach and those that choose, whole visits together."""
    names = sorted({photo.group or photo.file for photo in photos})
    np.random.default_rng(seed).shuffle(names)
    held_back = set(names[: len(names) // HELD_BACK])
    parts: tuple[list[MaskedPhoto], list[MaskedPhoto]] = ([], [])
    for photo in photos:
        parts[(photo.group or photo.file) in held_back].append(photo)
    return parts


def _trained(
    folder: Path,
    run_folder: Path,
    photos: Sequence[MaskedPhoto],
    config: LesionConfig,
    thresholds: dict[str, float],
) -> LesionFinder:
    """Train on some photos, unless that was done before, and put the thresholds of others into the checkpoint."""
    checkpoint = run_folder / CHECKPOINT_NAME
    if not checkpoint.exists():
        train_on(photos, folder, run_folder, config, resume=(run_folder / STATE_NAME).exists())
    loaded = load_lesions(checkpoint)
    if thresholds:
        info = dataclasses.replace(loaded.info, thresholds={**loaded.info.thresholds, **thresholds})
        loaded = loaded._replace(info=info)
        save_lesions(checkpoint, loaded.network, loaded.info)
    return LesionFinder(loaded)


def _told(config: LesionConfig) -> dict[str, Any]:
    weights = config.backbone_weights
    return config.result_settings() | {"backbone_weights": weights and public_name(weights)}


if __name__ == "__main__":
    run_as_command(main)
