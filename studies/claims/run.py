"""Put the claims of the method to a fair test: heads alone, on the features of one frozen backbone.

OMP_NUM_THREADS=1 python -m studies.claims.run PREPARED --masks FOLDER --backbone-weights FILE [--size PX] [--longer]

PREPARED: the photos, prepared at the size they are shown at, that of the recipe or --size, or larger. FOLDER: photos
with masks of lesions, some of them the same (docs/datasets.md says how that is told); without it, no attention is
taught. FILE: the backbone's ImageNet weights. --longer lets heads choose among longer trainings and a lower rate. Each
seed divides the photos anew into folds by visit. In each fold every arm chooses its rate and length on photos that are
held back of those it learns from, learns from all of these, and answers for the fold. What is finished stands in the
working folder of --out, so the same command goes on after a stop, and adds arms and seeds that are new:

    maps/       what the backbone makes of each photo
    parts/      choice and answers, one file an arm in a fold

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

from biranet.config import SplitConfig, TrainConfig
from biranet.decisions.columns import referable_score
from biranet.errors import InputError
from biranet.files import read_json, write_json
from biranet.learning.linear import PENALTIES
from biranet.learning.split import split_photos
from biranet.lesion_kinds import LESIONS
from biranet.manifest import FOLD_PREFIX
from biranet.photos.audit import find_duplicate_sets
from biranet.tables import write_table
from biranet.version import software_version
from studies.cached_maps import PLAIN, Maps
from studies.claims.arms import ARMS, CORE, FURTHER, UNTUNED, Arm, Head, known_arms, settings_of
from studies.claims.drawings import draw
from studies.claims.maps import VIEWS, principal_directions, project, see_photos
from studies.claims.sums import sum_up
from studies.claims.training import DRAWS, OPTIMIZER, PROBE_FOLDS, Choice, Fold, answer
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.shipped.steps import SHIPPED_RECIPE, read_config
from studies.taught.heads import share_of
from studies.taught.photos import find_photos
from studies.trainings import fingerprint_of_inputs, mark_folder

HERE = Path(__file__).resolve().parent

FOLDS = 2
HELD_BACK = 0.25
"""Share of the photos that a fold learns from that chooses the settings."""

CHANNELS = 64
"""Channels of the projection that heads see, where the backbone has more."""

SEEDS = 12

ANSWERS_NAME, CHOICES_NAME, SUMS_NAME = "answers.csv", "choices.csv", "claims.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("--masks", metavar="FOLDER", type=Path)
    parser.add_argument("--size", metavar="PX", type=int, help="side of the images; that of the recipe when not given")
    parser.add_argument("--longer", action="store_true", help="heads choose among longer trainings and a lower rate")
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=SHIPPED_RECIPE)
    parser.add_argument("--arms", metavar="NAME", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", metavar="N", type=int, default=SEEDS)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "claims"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    known = known_arms(longer=given.longer)
    return exit_status_of(__file__, lambda: run(given, {name: known[name] for name in given.arms}))


def run(given: argparse.Namespace, arms: Mapping[str, Arm]) -> None:
    """Finish every arm in every fold of every seed, and write the tables.

    Args:
        given: What the command was given.
        arms: The arms.

    Raises:
        InputError: If something given is wrong, or the working folder was begun with other photos or settings.
    """
    config = read_config(given)
    if given.size is not None:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=given.size))
    torch.set_num_threads(1)
    arms = {name: arm for name, arm in arms.items() if given.masks or not (isinstance(arm, Head) and arm.taught)}
    mark_folder(given.out, _depends_on(given, config, arms))
    photos, maps = see_photos(given.prepared, given.masks, given.out / "maps", config)
    duplicates = find_duplicate_sets(photos)
    divisions = {seed: divide(photos, duplicates, seed) for seed in range(1, given.seeds + 1)}
    maps = maps._replace(features=maps.features.float())
    # One after the other, so that a stop leaves as many as there can be finished in all seeds.
    for together in (CORE, *([name] for name in FURTHER)):
        some = {name: arms[name] for name in together if name in arms}
        for seed, number in itertools.product(divisions, range(FOLDS)):
            part_of = divisions[seed][f"{FOLD_PREFIX}{number}"]
            _finish_fold(given.out / "parts", photos, maps, part_of, (seed, number), some)
    collect(given, config, photos, divisions, arms)


def _depends_on(given: argparse.Namespace, config: TrainConfig, arms: dict[str, Arm]) -> dict[str, Any]:
    """All that a part depends on; of arms those that are not asked for too, so that they can be added."""
    return fingerprint_of_inputs(
        given.prepared,
        config,
        arms={name: settings_of(arm) for name, arm in (known_arms(longer=given.longer) | arms).items()},
        optimizer=dataclasses.asdict(OPTIMIZER),
        draws=dataclasses.asdict(DRAWS),
        channels=CHANNELS,
        views=VIEWS,
        folds=FOLDS,
        held_back=HELD_BACK,
        probe={"folds": PROBE_FOLDS, "penalties": PENALTIES},
        kinds=list(LESIONS),
        masks=find_photos(given.prepared, given.masks).digest() if given.masks else None,
    )


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
    maps: Maps,
    part_of: "pd.Series[str]",
    place: tuple[int, int],
    arms: Mapping[str, Arm],
) -> None:
    """Do what is left to do in a fold of a seed."""
    seed, number = place
    missing = [name for name in arms if not part_file(parts, seed, number, name).exists()]
    if not missing:
        return
    inner, held_back, test = (np.flatnonzero(part_of == part) for part in ("train", "validation", "test"))
    features = maps.features
    learned_from = np.sort(np.concatenate([inner, held_back]))
    directions, share = principal_directions(features[learned_from, PLAIN], min(CHANNELS, features.shape[2]))
    drawn = share_of(maps.shares, tuple(LESIONS))
    fold = Fold(photos, features, project(features, directions), drawn, inner, held_back, test, seed)
    for name in missing:
        arm, started = arms[name], time.process_time()
        choice, shares = answer(arm, fold)
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


def part_file(parts: Path, seed: int, fold: int, arm: str) -> Path:
    """The file that an arm leaves in a fold of a seed."""
    return parts / f"{seed}_{fold}_{arm}.json"


def collect(
    given: argparse.Namespace,
    config: TrainConfig,
    photos: pd.DataFrame,
    divisions: Mapping[int, pd.DataFrame],
    arms: Mapping[str, Arm],
) -> None:
    """Write what every arm has answered and chosen, and what is measured of that."""
    software = software_version()  # before a table is written, which would be a change
    tables, choices, kept, seconds = [], [], [], 0.0
    for seed in divisions:
        table = photos[["file", "group", "grade"]].assign(seed=seed)
        for number, name in itertools.product(range(FOLDS), arms):
            part = read_json(part_file(given.out / "parts", seed, number, name))
            shares, rows = np.array(part["answers"]), part["rows"]
            table.loc[rows, "fold"] = number
            table.loc[rows, f"{name}_grade"] = shares.argmax(axis=1)
            table.loc[rows, f"{name}_score"] = referable_score(shares).round(6)
            kept.append(part["kept"])
            seconds += part["seconds"]
            if name not in UNTUNED:
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
        "software": software,
        "image_size": config.data.image_size,
        "longer": given.longer,
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
