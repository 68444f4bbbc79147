"""Compare maps of what a model looked at: are they faithful to it, and do they lie on lesions?

python -m studies.evidence.run PREPARED FOLDER --lesions FILE [--backbone-weights FILE] [--out FOLDER]

PREPARED: photos with grades, prepared. FOLDER: photos with masks of lesions, as published. First a model learns from
all of PREPARED that is of no visit in FOLDER, by the recipe of the model that ships; so it has seen none of the photos
that it is asked about. FILE: a checkpoint of the lesion branch, which answers for the test part alone. Given again
after a stop, the same command goes on. In the working folder of --out:

    prepared/      the photos with grades; those of visits in FOLDER are its test part
    model/         the training
    photos/        what was found of each photo
"""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biranet.errors import InputError
from biranet.files import write_json
from biranet.inference.export import export_onnx
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.lesions.finder import BranchFinder
from biranet.learning.onnx_predictor import load_onnx
from biranet.learning.run_folder import LAST_NAME
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan
from biranet.learning.transforms import resize
from biranet.lesion_kinds import LESIONS
from biranet.manifest import read_manifest
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import coverage, read_masks
from biranet.photos.prepare import decode_prepared, prepare_photo
from biranet.version import software_version
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.evidence.maps import Mapper, Seen, to_grid
from studies.evidence.measures import FRACTIONS, by_chance, curves, on_lesions
from studies.evidence.sums import sum_up
from studies.shipped.steps import SHIPPED_RECIPE, copy_with_manifest, read_config

HERE = Path(__file__).resolve().parent
RESULT = "evidence.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--lesions", metavar="FILE", type=Path)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=SHIPPED_RECIPE)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "evidence"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Train, make and measure all maps of each photo, and sum up."""
    photos = find_masked_photos(given.folder).photos
    learned_from = _train(given, photos)
    mappers = _mappers(given)
    found = []
    for number, photo in enumerate(photos):
        path = given.out / "photos" / f"{Path(photo.file).stem}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, _measure(mappers[photo.split == "test"], given.folder, photo))
            print(f"{number + 1} of {len(photos)}: {photo.file}", flush=True)
        found.append(json.loads(path.read_text()))
    given.results.mkdir(parents=True, exist_ok=True)
    about = {"photos_learned_from": learned_from, "fractions": FRACTIONS, "software": software_version()}
    write_json(given.results / RESULT, about | {"parts": {name: sum_up(each) for name, each in _parts(found).items()}})


def _train(given: argparse.Namespace, photos: Sequence[MaskedPhoto]) -> int:
    """Train on what is of no visit with masks, unless that was done before; how many photos that is."""
    manifest = read_manifest(given.prepared)
    masked = {photo.group for photo in photos} - {""}
    if not masked & set(manifest["group"]):
        raise InputError(f"{given.prepared} and {given.folder} share no group: nobody knows what to leave out")
    manifest["split"] = np.where(manifest["group"].isin(masked), "test", "train")
    folder = copy_with_manifest(given.prepared, given.out / "prepared", manifest)
    if given.backbone_weights:
        given.backbone_weights = find_checkpoint(given.backbone_weights)
    train_or_resume(TrainingPlan(folder, given.out / "model", read_config(given)))
    return int((manifest["split"] == "train").sum())


def _mappers(given: argparse.Namespace) -> dict[bool, Mapper]:
    """What makes maps of photos of the test part, and of all others, which the lesion branch has learned from.

    The model answers without the mirror image, which would take twice the time.
    """
    checkpoint, exported = (given.out / f"straight.{kind}" for kind in ("safetensors", "onnx"))
    if not exported.exists():
        model, info = load_checkpoint(given.out / "model" / LAST_NAME)
        straight = dataclasses.replace(info.model, test_time_flip=False)
        save_checkpoint(checkpoint, model, dataclasses.replace(info, model=straight))
        export_onnx(checkpoint, exported)
    trained, fast = load_predictor(checkpoint, "cpu"), load_onnx(exported)
    finder = BranchFinder.load(given.lesions, "cpu") if given.lesions else None
    return {True: Mapper(trained, fast, finder), False: Mapper(trained, fast, None)}


def _measure(mapper: Mapper, folder: Path, photo: MaskedPhoto) -> dict[str, Any]:
    """Everything that is known of one photo."""
    info = mapper.info
    prepared = prepare_photo(folder / photo.file, info.preparation)
    seen = Seen.of(resize(decode_prepared(prepared.jpeg), info.image_size))
    masks = read_masks(folder, photo, prepared.cut)
    shares = {kind: to_grid(coverage(mask, prepared.cut, info.image_size)) for kind, mask in masks.items()}
    if shares.keys() >= LESIONS.keys():  # a faulty mask is left out: then nobody knows where all lesions are
        # Where two kinds overlap, which they hardly ever do, a place counts twice.
        shares["any"] = np.clip(np.sum([shares[kind] for kind in LESIONS], axis=0), 0, 1)
    shares = {kind: share for kind, share in shares.items() if share[seen.lit].any()}
    seed = int.from_bytes(hashlib.sha256(photo.file.encode()).digest()[:4])
    scores = mapper.score(np.stack([seen.pixels, seen.filled])).tolist()
    return {
        "file": photo.file,
        "group": photo.group or photo.file,
        "test": photo.split == "test",
        "scores": dict(zip(("photo", "filled"), scores, strict=True)),
        "chance": {kind: by_chance(share, seen.lit) for kind, share in shares.items()},
        "maps": {
            name: {
                "curves": curves(values, seen, mapper.score),
                "on": {kind: on_lesions(values, share, seen.lit) for kind, share in shares.items()},
            }
            for name, values in mapper.maps(seen, folder / photo.file, seed).items()
        },
    }


def _parts(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {"test": [each for each in found if each["test"]], "all": list(found)}


if __name__ == "__main__":
    run_as_command(main)
