"""Teach attention with masks of lesions: does it find lesions then, and does it grade better?

OMP_NUM_THREADS=1 python -m studies.taught.run PREPARED FOLDER [--backbone-weights FILE] [--out FOLDER]

PREPARED: photos with grades, prepared, with the column `image_id`. FOLDER: photos with masks of lesions, in a table
that says in the column `grading_image_id` which graded photo each of them is (docs/datasets.md shows both). The
backbone stays as it is, so what it makes of the photos is computed once; BiRA-Net's heads are trained on that, with and
without a term for the masks. Masks of the published test part, and of all visits that are known to have a photo in it,
teach nothing.

    finding   heads that learned from no known visit of the test part say where they look in its photos
    grading   heads that learned from four folds of visits grade the fifth; new folds for every seed

How much the term counts is chosen on a quarter of the visits that teach: to find lesions by how far the attention is
from them, to grade by the cross-entropy of the grades. Given again after a stop, the same command goes on. In the
working folder of --out: maps/, what the backbone made of each photo; fits/, what each training answered.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch.nn import functional

from biranet.config import SplitConfig, TrainConfig
from biranet.files import write_bytes, write_json
from biranet.learning.attention_loss import attention_loss
from biranet.learning.factory import create_model
from biranet.learning.model import BiraNet
from biranet.learning.normalization import backbone_normalization
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.split import allocate, split_photos
from biranet.manifest import FOLD_PREFIX
from biranet.version import software_version
from studies.cached_maps import PLAIN, Maps, cache_maps
from studies.cached_training import Rows
from studies.claims.maps import principal_directions, project
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.shipped.steps import FOLDS, read_config
from studies.taught.heads import LESSONS, UNTAUGHT, Answers, Lesson, answer, fit_heads
from studies.taught.photos import Photos, find_photos
from studies.taught.sums import sum_up_finding, sum_up_grading
from studies.trainings import fingerprint_of_inputs, mark_folder

HERE = Path(__file__).resolve().parent
RESULT = "taught.json"

SEEDS = (1, 2, 3)
WEIGHTS = (0.1, 1.0, 10.0)
"""How much the term counts beside the loss of the grades: what is chosen among."""

VIEWS = 6
"""Views of each photo: as it is, mirrored, and changed at random."""

CHANNELS = 128
"""Directions of the backbone's channels that heads see: so a training takes seconds, and 128 hold nearly all."""

HELD_BACK = 0.25
"""Share of the visits that teach by which the weight is chosen."""


@dataclass(frozen=True)
class Study:
    """What all trainings of a study share.

    Attributes:
        photos: The photos.
        maps: What the backbone made of them; masks that teach nothing are not in it.
        config: The recipe.
        fits: Folder of what each training answered.
    """

    photos: Photos
    maps: Maps
    config: TrainConfig
    fits: Path

    @property
    def grades(self) -> Rows:
        """(N,) of the graded photos."""
        return self.photos.graded["grade"].to_numpy(np.int64)

    def for_division(self, division: "Division") -> "Study":
        """Have heads see no more channels than matter, by the photos of a division that teach."""
        features = self.maps.features
        directions, _ = principal_directions(features[division.teach, PLAIN].float(), min(CHANNELS, features.shape[2]))
        # One photo after the other: all at once, in full precision, would take gigabytes.
        seen = torch.stack([project(photo.float(), directions).half() for photo in features])
        return dataclasses.replace(self, maps=self.maps._replace(features=seen))

    def answers(self, division: "Division", lesson: Lesson, *, inner: bool = False) -> Answers:
        """Train heads on the photos of a division that teach, and ask them, unless that was done before.

        Args:
            division: The division.
            lesson: What the heads are taught.
            inner: Whether that is to choose: the inner photos teach, and those held back are asked.
        """
        teach, ask = (division.inner, division.held_back) if inner else (division.teach, division.ask)
        part_of = "_inner" if inner else ""
        path = self.fits / f"{division.name}{part_of}_{lesson.name}_{lesson.weight:g}.safetensors"
        if not path.exists():
            network = fit_heads(self.maps, self.grades, teach, self.config, division.seed, lesson)
            write_bytes(path, save(answer(network, self.maps, ask)._asdict()))
            print(path.stem, flush=True)
        return Answers(**load_file(path))

    def choose(self, division: "Division", lesson: Lesson, *, by_grades: bool) -> Lesson:
        """Choose how much the term counts, on visits that teach."""
        lessons = [dataclasses.replace(lesson, weight=weight) for weight in WEIGHTS]
        losses, held_back = [], division.held_back
        for each in lessons:
            said = self.answers(division, each, inner=True)
            if by_grades:
                loss = functional.cross_entropy(said.logits, torch.from_numpy(self.grades[held_back]))
            else:
                loss = attention_loss(said.attention, lesson.shares(self.maps.shares[held_back, PLAIN]))
            losses.append(float(loss))
        return lessons[int(np.argmin(losses))]


class Division(NamedTuple):
    """Places of photos.

    Attributes:
        name: Names the answers.
        inner: Photos by which is learned what is chosen among.
        held_back: Photos that choose.
        ask: Photos that are asked of those that learned from both.
        seed: Of the training.
    """

    name: str
    inner: Rows
    held_back: Rows
    ask: Rows
    seed: int

    @property
    def teach(self) -> Rows:
        """All that is learned from."""
        return np.sort(np.concatenate([self.inner, self.held_back]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--recipe", metavar="FILE", type=Path, default=HERE / "heads.toml")
    parser.add_argument("--seeds", metavar="N", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "taught"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """See all photos, train, ask, and sum up."""
    if given.backbone_weights:
        given.backbone_weights = find_checkpoint(given.backbone_weights)
    config, photos = read_config(given), find_photos(given.prepared, given.folder)
    mark_folder(given.out, _depends_on(given.prepared, photos, config))
    study = begin(given.out, photos, config)
    finding = {seed: find(study, seed) for seed in given.seeds}
    grading = {seed: grade(study, seed) for seed in given.seeds}
    given.results.mkdir(parents=True, exist_ok=True)
    write_json(
        given.results / RESULT,
        {
            "photos": len(photos.graded),
            "visits": int(photos.graded["group"].nunique()),
            "with_masks": len(photos.drawn),
            "learned_to_find_from": int((~photos.tests).sum()),
            "seeds": len(given.seeds),
            "weights": WEIGHTS,
            "software": software_version(),
            "finding": sum_up_finding(photos, finding),
            "grading": sum_up_grading(photos, grading, config.calibration),
        },
    )


def _depends_on(prepared: Path, photos: Photos, config: TrainConfig) -> dict[str, Any]:
    """All that a fit depends on; weight and seed are in its name."""
    return fingerprint_of_inputs(
        prepared,
        config,
        lessons={lesson.name: lesson.kinds for lesson in LESSONS},
        channels=CHANNELS,
        views=VIEWS,
        folds=FOLDS,
        held_back=HELD_BACK,
        masks=photos.digest(),
    )


def begin(out: Path, photos: Photos, config: TrainConfig) -> Study:
    """See all photos through the backbone."""
    model = config.model
    network = create_model(
        model.model, backbone=model.backbone, pretrained=model.pretrained,
        backbone_weights=model.backbone_weights, freeze=model.freeze,
    )  # fmt: skip
    layers = cast(BiraNet, network).frozen.eval()
    read = partial(photos.read, size_px=config.data.image_size)
    maps = cache_maps(out / "maps", photos.names, read, layers, backbone_normalization(model.backbone), VIEWS)
    (out / "fits").mkdir(exist_ok=True)
    return Study(photos, maps, config, out / "fits")


def of_test_part(photos: Photos, seed: int) -> Division:
    """Divide the photos to learn what lies in the test part: a quarter of the visits that teach chooses."""
    teach, count = np.flatnonzero(~photos.tests), len(photos.graded)
    held_back = allocate(photos.graded.iloc[teach], [1 - HELD_BACK, HELD_BACK], seed) == 1
    return Division(f"s{seed}_test", teach[~held_back], teach[held_back], count + np.arange(len(photos.test)), seed)


def folds_of(photos: Photos, seed: int) -> list[Division]:
    """Divide the graded photos into folds by visit."""
    split = SplitConfig(folds=FOLDS, validation=HELD_BACK, calibration=0, seed=seed)
    table = split_photos(photos.graded, split)
    divisions = []
    for number in range(FOLDS):
        inner, held_back, ask = (np.flatnonzero(table[f"{FOLD_PREFIX}{number}"] == part) for part in _PARTS)
        divisions.append(Division(f"s{seed}_fold{number}", inner, held_back, ask, seed))
    return divisions


_PARTS = ("train", "validation", "test")
"""Parts of a split by what they do here: they are learned from, choose, and are asked."""


def find(study: Study, seed: int) -> dict[Lesson, Answers]:
    """Ask heads where they look in the test part, by lesson; that of each kind that was chosen comes first."""
    division = of_test_part(study.photos, seed)
    lessons = [UNTAUGHT]
    study = study.for_division(division)
    for lesson in LESSONS:
        chosen = study.choose(division, lesson, by_grades=False)
        weights = sorted(WEIGHTS, key=lambda each: each != chosen.weight)
        lessons += [dataclasses.replace(lesson, weight=weight) for weight in weights]
    return {each: study.answers(division, each) for each in lessons}


def grade(whole: Study, seed: int) -> list[tuple[Rows, dict[Lesson, Answers]]]:
    """Ask heads for the grades of each fold: its photos, and by lesson, the weight that was chosen, what they said."""
    said = []
    for division in folds_of(whole.photos, seed):
        study = whole.for_division(division)
        lessons = [UNTAUGHT, *(study.choose(division, lesson, by_grades=True) for lesson in LESSONS)]
        answers = {each: study.answers(division, each) for each in lessons}
        said.append((division.ask, answers))
    return said


if __name__ == "__main__":
    run_as_command(main)
