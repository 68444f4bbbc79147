"""Train the lesion branch on photos with masks, and measure it on their published test part.

python -m studies.lesions.run FOLDER --graded TABLE [--backbone-weights FILE] [--out FOLDER] [--results FOLDER]

FOLDER holds photos and masks as they were published. First a third of the training photos, whole visits, measures a
branch that learned from the others: there the thresholds are chosen, and whatever else one wants to choose. Then one
that learned from all of them is measured on the test part, at several resolutions; and on the photos of grade 0 of
TABLE, with the columns file, grade and group, which lie beside it: what is marked there is wrong. Given again after a
stop, the same command goes on.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biranet.errors import InputError
from biranet.files import write_json
from biranet.inference.lesion_measures import measure_lesions, measure_marks
from biranet.learning.lesions.checkpoint import load_lesion_net, save_lesions
from biranet.learning.lesions.finder import BranchFinder
from biranet.learning.lesions.settings import CHECKPOINT_NAME, LesionConfig
from biranet.learning.lesions.train import choose_photos, train_lesions
from biranet.learning.run_folder import STATE_NAME
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.photos.lesion_masks import find_copies_of_test
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

TIMED = 8
"""So many photos tell how long one takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--graded", metavar="TABLE", type=Path, required=True)
    parser.add_argument("--backbone-weights", metavar="FILE", type=Path)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "lesions"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Train twice, measure twice."""
    config = dataclasses.replace(CONFIG, backbone_weights=given.backbone_weights)
    found = find_masked_photos(given.folder).photos
    learned = choose_photos(found, find_copies_of_test(given.folder, found))
    print(*learned.told, sep="\n")
    test = [photo for photo in found if photo.split == "test"]
    if not test:
        raise InputError(f"{given.folder} has no test part")
    inner, held_back = divide(learned.photos, config.seed)
    thresholds: dict[str, float] = {}
    for name, teaching, measuring, sizes_px in (
        ("inner", inner, held_back, SIZES_PX[:1]),
        ("test", learned.photos, test, SIZES_PX),
    ):
        about = {"photos_learned_from": len(teaching), "settings": _told(config), "software": software_version()}
        finder = _trained(given.folder, given.out / name, teaching, config, thresholds)
        path = given.results / f"{name}.json"
        if not path.exists():
            _write(path, about | {"measured": measure_lesions(finder, given.folder, measuring, sizes_px, print)})
        kinds = json.loads(path.read_text())["measured"][0]["kinds"]
        thresholds = {kind: values["threshold"] for kind, values in kinds.items() if values["threshold"]}
    path = given.results / "healthy.json"
    if not path.exists():
        seconds = _seconds(finder, [given.folder / photo.file for photo in test])
        marks = measure_marks(finder, healthy_photos(given.graded, found), print)
        _write(path, about | {"cpu_seconds_a_photo": seconds} | marks)


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, value)


def divide(photos: Sequence[MaskedPhoto], seed: int) -> tuple[list[MaskedPhoto], list[MaskedPhoto]]:
    """Divide photos into those that teach and those that choose, whole visits together."""
    names = sorted({photo.group or photo.file for photo in photos})
    np.random.default_rng(seed).shuffle(names)
    held_back = set(names[: len(names) // HELD_BACK])
    parts: tuple[list[MaskedPhoto], list[MaskedPhoto]] = ([], [])
    for photo in photos:
        parts[(photo.group or photo.file) in held_back].append(photo)
    return parts


def healthy_photos(table: Path, masked: Sequence[MaskedPhoto]) -> list[tuple[Path, str]]:
    """List a photo of each visit with one of grade 0 in a table; none of a visit of a photo with masks."""
    folder, photos = PhotoFolder(table.parent, None), dict[str, Path]()
    visits = {photo.group for photo in masked if photo.group}
    for row, (file, grade, group), _ in table_rows(table, ("file", "grade", "group")):
        if grade == "0" and group not in visits:
            # The rest of a path above the folder says nothing.
            photos.setdefault(group or file, table.parent / folder.find("/".join(file.split("/")[-2:]), row))
    return [(path, group) for group, path in photos.items()]


def _seconds(finder: BranchFinder, photos: Sequence[Path]) -> float:
    """How many seconds of one core a photo takes, from its file to its maps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    finder.find(photos[0])  # what is done once
    started = time.process_time()
    for photo in photos[:TIMED]:
        finder.find(photo)
    torch.set_num_threads(threads)
    return (time.process_time() - started) / len(photos[:TIMED])


def _trained(
    folder: Path,
    run_folder: Path,
    photos: Sequence[MaskedPhoto],
    config: LesionConfig,
    thresholds: dict[str, float],
) -> BranchFinder:
    """Train on some photos, unless that was done before, and put the thresholds of others into the checkpoint."""
    checkpoint = run_folder / CHECKPOINT_NAME
    if not checkpoint.exists():
        resume = (run_folder / STATE_NAME).exists()
        train_lesions(folder, run_folder, config, photos=photos, resume=resume)
    loaded = load_lesion_net(checkpoint)
    if thresholds:
        info = dataclasses.replace(loaded.info, thresholds={**loaded.info.thresholds, **thresholds})
        loaded = loaded._replace(info=info)
        save_lesions(checkpoint, loaded.network, loaded.info)
    return BranchFinder(loaded)


def _told(config: LesionConfig) -> dict[str, Any]:
    weights = config.backbone_weights
    return config.result_settings() | {"backbone_weights": weights and public_name(weights)}


if __name__ == "__main__":
    run_as_command(main)
