"""Make the model that ships with a lesion branch, and measure it.

biranet prepare FUNDUS prepared --labels idrid.csv --size 1280
OMP_NUM_THREADS=1 python -m studies.shipped_lesions.make prepared FOLDER --graded TABLE [--work FOLDER]

FOLDER holds photos and masks as they were published, TABLE the grades of such photos. Given again after a stop, the
same command goes on. The network that grades is `idrid_lite0` as it is. Lesion heads learn as in studies/lesion_grades,
and from photos of healthy eyes besides: half of those of grade 0 in TABLE, one a visit. What corrects the network is
fitted on its answers out of fold (`studies/shipped/results/out_of_fold.csv`) and on vectors by heads that had not seen
the visit either, and so are the rules; figures of a fold come from what was fitted on the other folds, where the
answers are those of networks that had learned from this one (studies/lesion_grades corrects without that). Thresholds
of outlines are chosen on the photos that teach, each looked at by a head that does not know its visit, and raised where
the healthy ones among them have more than one lesion of a kind on average.

The model goes to `src/biranet/shipped/`, with its ONNX file; what was measured to `results/`:

    heads.csv                how many photos have taught each head, and what that cost
    out_of_fold.csv          the corrected answers, before any rule
    cross_validated.json     what was measured of them, and how they differ from those of idrid_lite0 (difference.json)
    held_back.json           maps against masks of the photos that teach, by heads that do not know their visits
    test.json                maps of the model against masks of the published test part
    healthy.json             what it counts in the other half of the photos of grade 0, and what a photo takes
"""

import argparse
import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from biranet.decisions.predictions import read_predictions
from biranet.files import read_json, sha256_of, write_json
from biranet.inference.export import export_onnx
from biranet.inference.lesion_measures import measure_lesions, measure_marks
from biranet.inference.lesion_reader import GradingFinder
from biranet.learning.backbone import load_backbone
from biranet.learning.calibrate import calibrate_on_predictions
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.lesion_settings import LesionBranch
from biranet.learning.onnx_predictor import load_onnx
from biranet.learning.shipped_models import DEFAULT, LESIONS_DEFAULT, SHIPPED, find_checkpoint
from biranet.manifest import read_manifest
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.prepare import Preparation, prepare_photo
from biranet.public_paths import public_name
from biranet.version import software_version
from studies.commands import exit_status_of, run_as_command
from studies.lesion_grades.correction import Fitted, fit_correction
from studies.lesion_grades.divisions import WHOLE, HeadName, divide
from studies.lesion_grades.heads import load_head
from studies.lesion_grades.look import BIRANET_PX, LESION_PX
from studies.shipped.card import RESULTS as RESULTS_ALONE
from studies.shipped_lesions.answers import Photos, join_answers
from studies.shipped_lesions.begin import Begun, Taught, begin, lesions_parser
from studies.shipped_lesions.card import write_card
from studies.shipped_lesions.grades import measure_grades
from studies.shipped_lesions.healthy import Visits
from studies.shipped_lesions.held_back import HeldBackFinder
from studies.shipped_lesions.thresholds import raise_thresholds

DIVISION = "visits"
SIZE_PX = max(LESION_PX)
TIMED = 8
"""So many photos tell how long one takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = lesions_parser(__doc__)
    parser.add_argument("--shipped", metavar="FOLDER", type=Path, default=SHIPPED, help="where the model is written to")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: make(begin(given)))


def make(begun: Begun) -> None:
    """Do what this file is for."""
    given, folds = begun.given, divide(begun.own)[DIVISION]
    kept = begun.look(DIVISION, folds, given.results)
    photos = join_answers(begun.own, DIVISION, folds, kept, RESULTS_ALONE / "out_of_fold.csv")
    measure_grades(photos, begun.config, given.work / "report", given.results)
    folds_of_visits = dict(zip(begun.own["group"], folds.tolist(), strict=True))
    thresholds = measure_masks_held_back(given, folds_of_visits, begun.taught)
    write_model(begun, photos, thresholds)
    measure_finder(given, begun.beyond)
    write_card(given.results, given.shipped)


def measure_masks_held_back(given: argparse.Namespace, folds: Mapping[str, int], taught: Taught) -> dict[str, float]:
    """Measure maps of the photos that teach, by heads that do not know their visits, and choose thresholds there."""
    stored = given.work / "held_back.json"
    if not stored.exists():
        photos = [photo for photo in taught.masked if photo.group in folds]
        heads = {given.folder / photo.file: HeadName.of(DIVISION, folds[photo.group]) for photo in photos}
        [measured] = measure_lesions(HeldBackFinder(given.work, heads), given.folder, photos, (SIZE_PX,), print)
        write_json(stored, {"software": software_version(), **measured})
    measured = read_json(stored)
    write_json(given.results / "held_back.json", measured)
    best = {kind: its["threshold"] for kind, its in measured["kinds"].items() if its["threshold"]}
    heads = {path: HeadName.of(DIVISION, folds[group]) for path, group in taught.healthy if group in folds}
    return raise_thresholds(best, HeldBackFinder(given.work, heads), list(heads))


def write_model(begun: Begun, photos: Photos, thresholds: Mapping[str, float]) -> None:
    """Write the model that ships."""
    given, config, taught = begun.given, begun.config, begun.taught
    model, info = load_checkpoint(find_checkpoint(DEFAULT))
    head = load_head(begun.backbone, given.work / "heads", WHOLE)
    listed = [f"{photo.source} {photo.file} {sorted(photo.masks.items())}" for photo in taught.masked]
    listed += [sha256_of(path) for path, _ in taught.healthy]
    branch = LesionBranch(
        width=head.maps.in_channels,
        factor=SIZE_PX // BIRANET_PX,
        trained_on=f"IDRiD, {len(taught.masked)} photographs with masks and {len(taught.healthy)} of healthy eyes",
        photos=len(listed),
        photos_sha256=hashlib.sha256("\n".join(listed).encode()).hexdigest(),
    )
    branch = dataclasses.replace(branch, thresholds={**branch.thresholds, **thresholds})
    stages = load_backbone(dataclasses.replace(info.model, pretrained=False)).stages
    network = LesionGrader(model, stages, branch).eval()
    network.lesions["head"].load_state_dict(head.state_dict())
    set_correction(network.lesions["correction"], fit_correction(photos.learned(None, config.data)))
    answers = read_predictions(given.results / "out_of_fold.csv")
    described = dataclasses.replace(
        info,
        image_size=SIZE_PX,
        preparation=dataclasses.replace(info.preparation, size_px=SIZE_PX),
        lesions=branch,
        training_set_fingerprints=tuple(
            sorted({*info.training_set_fingerprints, *_fingerprints(given.folder, taught)})
        ),
    )
    described = calibrate_on_predictions(
        described, given.prepared, read_manifest(given.prepared), answers, config.calibration
    )
    path = given.shipped / f"{LESIONS_DEFAULT}.safetensors"
    save_checkpoint(path, network, _without_folders(described, given.prepared), half=True)
    write_card(given.results, given.shipped)  # without one, a model that ships is not read
    print(f"{path}: as ONNX, answers differ by {export_onnx(path, path.with_suffix('.onnx')).difference:.1e}")


def set_correction(correction: nn.Module, fitted: Fitted) -> None:
    """Put what was fitted into the `Correction` of a network."""
    for name in ("sharpness", "weight", "bias"):
        values = torch.as_tensor(np.asarray(getattr(fitted, name)), dtype=torch.float32)
        getattr(correction, name).copy_(values)


def _without_folders(info: CheckpointInfo, prepared: Path) -> CheckpointInfo:
    """Where files lay on this machine is of no use to others."""
    fitted_on = info.rules.fitted_on.replace(f" of {public_name(prepared)} ", f" of {info.trained_on} ")
    return dataclasses.replace(info, rules=dataclasses.replace(info.rules, fitted_on=fitted_on))


def _fingerprints(folder: Path, taught: Taught) -> set[str]:
    """By which copies of the photos that taught the lesion branch are known in any prepared folder."""
    paths = [*(folder / photo.file for photo in taught.masked), *(path for path, _ in taught.healthy)]
    return {prepare_photo(path, Preparation(size_px=384)).fingerprint for path in paths} - {""}


def measure_finder(given: argparse.Namespace, healthy: Visits) -> None:
    """Measure the lesions that the model finds: on the test part, and in healthy eyes that taught it nothing."""
    path = given.shipped / f"{LESIONS_DEFAULT}.onnx"
    finder = GradingFinder(load_onnx(path))
    test = [photo for photo in find_masked_photos(given.folder).photos if photo.split == "test"]
    [measured] = measure_lesions(finder, given.folder, test, (SIZE_PX,), print)
    about = {"software": software_version()}
    write_json(given.results / "test.json", about | measured)
    finder.find(given.folder / test[0].file)  # what is done once
    started = time.process_time()
    for photo in test[:TIMED]:
        finder.find(given.folder / photo.file)
    seconds = (time.process_time() - started) / len(test[:TIMED])
    marks = measure_marks(finder, healthy, print)
    write_json(given.results / "healthy.json", about | {"cpu_seconds_a_photo": round(seconds, 2)} | marks)


if __name__ == "__main__":
    run_as_command(main)
