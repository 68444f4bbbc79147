"""Put the claims of the method to a fair test: heads alone, on the features of one frozen backbone.

OMP_NUM_THREADS=1 python -m studies.claims.run PREPARED --backbone-weights FILE [--seeds 12] [--out FOLDER]

PREPARED: the photos, prepared at the size of the recipe or larger. FILE: the backbone's ImageNet weights. Each seed
divides the photos anew into folds by visit. In each fold every arm chooses its rate and length on photos that are held
back of those it learns from, learns from all of these, and answers for the fold. What is finished stands in the working
folder of --out, so the same command goes on after a stop, and adds arms and seeds that are new:

    maps.safetensors     what the backbone sees of the photos
    parts/               choice and answers, one file an arm in a fold

Tables and drawings go to --results, and page.py puts their figures into README.md.
"""

import argparse
import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from biranet.config import SplitConfig, TrainConfig
from biranet.decisions.columns import referable_score
from biranet.errors import InputError
from biranet.files import read_json, write_json
from biranet.learning.split import split_photos
from biranet.manifest import FOLD_PREFIX, graded_photos, read_manifest
from biranet.photos.audit import find_duplicate_sets
from biranet.tables import write_table
from biranet.version import software_version
from studies.claims.arms import ARMS, Arm, Head
from studies.claims.drawings import draw
from studies.claims.maps import principal_directions, project, read_maps
from studies.claims.sums import sum_up
from studies.claims.training import DRAWS, OPTIMIZER, Choice, Fold, answer
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.shipped.steps import SHIPPED_RECIPE, read_config
from studies.trainings import fingerprint_of_inputs, mark_folder

HERE = Path(__file__).resolve().parent

FOLDS = 3
HELD_BACK = 0.25
"""Share of the photos that a fold learns from that chooses the settings."""

CHANNELS = 128
"""Channels of the projection that heads see, where the backbone has more."""

SEEDS = 12

ANSWERS_NAME, CHOICES_NAME, SUMS_NAME = "answers.csv", "choices.csv", "claims.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=SHIPPED_RECIPE)
    parser.add_argument("--seeds", metavar="N", type=int, default=SEEDS)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "claims"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given, ARMS))


def run(given: argparse.Namespace, arms: Mapping[str, Arm]) -> None:
    """Finish every arm in every fold of every seed, and write the tables.

    Args:
        given: What the command was given.
        arms: The arms.

    Raises:
        InputError: If something given is wrong, or the working folder was begun with other photos or settings.
    """
    config = read_config(given)
    torch.set_num_threads(1)
    photos = graded_photos(read_manifest(given.prepared)).reset_index(drop=True)
    duplicates = find_duplicate_sets(photos)
    divisions = {seed: divide(photos, duplicates, seed) for seed in range(1, given.seeds + 1)}
    mark_folder(given.out, _depends_on(given.prepared, config))
    maps = read_maps(given.out / "maps.safetensors", given.prepared, photos, config)
    for seed, number in itertools.product(divisions, range(FOLDS)):
        _finish_fold(given.out / "parts", photos, maps, divisions[seed], (seed, number), arms)
    collect(given, photos, divisions, arms)


def _depends_on(prepared: Path, config: TrainConfig) -> dict[str, Any]:
    heads = {"optimizer": dataclasses.asdict(OPTIMIZER), "batch_size": DRAWS.batch_size, "channels": CHANNELS}
    return fingerprint_of_inputs(prepared, config, heads=heads, folds=FOLDS, held_back=HELD_BACK)


def divide(photos: pd.DataFrame, duplicates: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """Divide photos into folds by visit, and what each learns from once more.

    Args:
        photos: Rows of a manifest.
        duplicates: What `find_duplicate_sets` finds in them.
        seed: Another seed, another division.

    Returns:
        A column a fold: `test`, `validation` (held back), or `train`.

    Raises:
        InputError: If they are too few, or some stand in a published part other than that to train on.
    """
    config = SplitConfig(folds=FOLDS, validation=HELD_BACK, calibration=0, seed=seed)
    parts = split_photos(photos, config, duplicates)[[f"{FOLD_PREFIX}{n}" for n in range(FOLDS)]]
    if (parts == "").to_numpy().any():
        raise InputError("some photos stand in a published test part; prepare the photos without it")
    return parts


def _finish_fold(
    parts: Path,
    photos: pd.DataFrame,
    maps: Tensor,
    division: pd.DataFrame,
    place: tuple[int, int],
    arms: Mapping[str, Arm],
) -> None:
    """Do what is left to do in a fold of a seed."""
    seed, number = place
    missing = [name for name in arms if not part_file(parts, seed, number, name).exists()]
    if not missing:
        return
    column = division[f"{FOLD_PREFIX}{number}"].to_numpy()
    inner, held_back, test = (np.flatnonzero(column == part) for part in ("train", "validation", "test"))
    directions, share = principal_directions(maps[0, column != "test"], min(CHANNELS, maps.shape[2]))
    fold = Fold(photos, maps, project(maps, directions), inner, held_back, test, seed)
    for name in missing:
        arm, started = arms[name], time.process_time()
        choice, shares = answer(arm, fold, _taken_over(parts, arm, place))
        part = {
            **choice._asdict(),
            "seconds": round(time.process_time() - started, 2),
            "kept": share,
            "rows": test.tolist(),
            "answers": shares.round(6).tolist(),
        }
        write_json(part_file(parts, seed, number, name), part)
        print(
            f"{time.strftime('%H:%M:%S')} seed {seed}, fold {number}, {name}: {choice}, {part['seconds']} s", flush=True
        )


def _taken_over(parts: Path, arm: Arm, place: tuple[int, int]) -> Choice | None:
    if not isinstance(arm, Head) or arm.as_chosen_by is None:
        return None
    part = read_json(part_file(parts, *place, arm.as_chosen_by))
    return Choice(part["setting"], part["steps"])


def part_file(parts: Path, seed: int, fold: int, arm: str) -> Path:
    """The file that an arm leaves in a fold of a seed."""
    return parts / f"{seed}_{fold}_{arm}.json"


def collect(
    given: argparse.Namespace, photos: pd.DataFrame, divisions: Mapping[int, pd.DataFrame], arms: Mapping[str, Arm]
) -> None:
    """Write what every arm has answered and chosen, and what is measured of that."""
    given.results.mkdir(parents=True, exist_ok=True)
    tables, choices, kept, seconds = [], [], [], 0.0
    for seed in divisions:
        table = photos[["file", "group", "grade"]].assign(seed=seed)
        for number, (name, arm) in itertools.product(range(FOLDS), arms.items()):
            part = read_json(part_file(given.out / "parts", seed, number, name))
            shares, rows = np.array(part["answers"]), part["rows"]
            table.loc[rows, "fold"] = number
            table.loc[rows, f"{name}_grade"] = shares.argmax(axis=1)
            table.loc[rows, f"{name}_score"] = referable_score(shares).round(6)
            kept.append(part["kept"])
            seconds += part["seconds"]
            if not (isinstance(arm, Head) and arm.as_chosen_by):
                choices.append(
                    {"arm": name, "seed": seed, "fold": number, **{key: part[key] for key in Choice._fields}}
                )
        tables.append(table)
    answers = pd.concat(tables, ignore_index=True)
    grades = ["fold", *(f"{name}_grade" for name in arms)]
    answers = answers.astype(dict.fromkeys(grades, int))
    write_table(given.results / ANSWERS_NAME, answers)
    write_table(given.results / CHOICES_NAME, pd.DataFrame(choices))
    about = {
        "software": software_version(),
        "photos": len(photos),
        "groups": int(photos["group"].nunique()),
        "grades": np.bincount(photos["grade"].astype(int), minlength=5).tolist(),
        "seeds": len(divisions),
        "folds": FOLDS,
        "channels": CHANNELS,
        "share_kept": float(np.mean(kept)),
        "cpu_seconds": round(seconds),
    }
    found = about | sum_up(answers, list(arms))
    write_json(given.results / SUMS_NAME, found)
    draw(found, given.results)
    print(f"Written: {given.results}; page.py makes the page of it")


if __name__ == "__main__":
    run_as_command(main)
