"""Ask whether what the lesion branch finds helps to grade.

OMP_NUM_THREADS=1 python -m studies.lesion_grades.run PREPARED FOLDER --external EXTERNAL --backbone-weights FILE

PREPARED: photos with grades, prepared at 1280 px. FOLDER: photos with masks, some of them of the same visits. EXTERNAL:
photos of another clinic, prepared at 512 px; they teach nothing. Lesion heads learn from masks of other visits than
those that they look at (divisions.py), each photo is looked at once (look.py), and ways to grade by what was seen
(arms.py) choose their settings and learn on four folds, and answer for the fifth. Given again after a stop, the same
command goes on; other photos, masks or weights are refused. In the working folder of --out:

    heads/      the lesion heads
    own_visits/ what was seen of each photo by the heads of a division; own_stretches/ and elsewhere/ likewise
    answers/    the answers of each way to grade, for each fold

The answers, and what was measured of them (measure.py), go to --results; of the other clinic numbers alone.
"""

import argparse
import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biranet.config import read_recipe
from biranet.files import read_json, sha256_of, write_json
from biranet.learning.data import PreparedPhotos
from biranet.learning.lesions.train import choose_photos
from biranet.learning.shipped_models import find_checkpoint
from biranet.manifest import graded_photos, read_manifest
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import find_copies_of_test
from biranet.tables import write_table
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.lesion_grades.arms import EPOCHS, Answers, grade_all
from studies.lesion_grades.divisions import WHOLE, Folds, HeadName, divide, head_names, heads_of
from studies.lesion_grades.heads import CONFIG, Backbone, describe_heads, head_path, load_heads, train_heads
from studies.lesion_grades.look import Arrays, look_at_all, read_kept
from studies.lesion_grades.measure import CONDITIONS, areas_by_head, write_results
from studies.lesion_grades.seen import ELSEWHERE, Seen, Task
from studies.shipped.steps import SHIPPED_RECIPE
from studies.trainings import fingerprint_of_inputs, fingerprint_of_photos, mark_folder, with_weights

HERE = Path(__file__).resolve().parent

_COLUMNS = ["file", "group", "grade"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    add_photos_and_weights(parser)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--external", metavar="EXTERNAL", type=Path, required=True)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("runs", "lesion_grades"))
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=HERE / "results")
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: run(given))


def run(given: argparse.Namespace) -> None:
    """Train heads, look, grade, and measure; the other clinic last."""
    own, elsewhere = (read_photos(folder) for folder in (given.prepared, given.external))
    mark_folder(given.out, depends_on(given))
    divisions = divide(own)
    looking = Looking(given, own, divisions)
    config = read_recipe(SHIPPED_RECIPE)
    seen = looking.seen_own()
    write_table(given.results / "areas.csv", areas_by_head(seen))
    for name, condition in CONDITIONS.items():
        if ELSEWHERE in condition.folds:
            seen = looking.seen_both(seen, elsewhere)
        for fold in condition.folds:
            task = Task(seen, condition.division, fold, condition.lesion_px, config)
            grade_all(task, functools.partial(_kept, given.out / "answers" / name, fold))
        write_results(name, given.out / "answers", given.results, seen, config)


def depends_on(given: argparse.Namespace) -> dict[str, Any]:
    """Sum up what all that is kept in the working folder depends on; where files lie is no part of it."""
    weights = given.backbone_weights and find_checkpoint(given.backbone_weights)
    return fingerprint_of_inputs(
        given.prepared,
        with_weights(read_recipe(SHIPPED_RECIPE), weights),
        external=fingerprint_of_photos(given.external),
        masks_sha256=_masks_digest(given.folder),
        heads=dataclasses.asdict(CONFIG),
        epochs=EPOCHS,
    )


def _masks_digest(folder: Path) -> str:
    """The SHA-256 of all photos with masks: their names, parts and visits, what was looked for, and all bytes."""
    digest = hashlib.sha256()
    for photo in sorted(find_masked_photos(folder).photos, key=lambda photo: photo.file):
        masks = [(kind, mask.bit, sha256_of(folder / mask.file)) for kind, mask in sorted(photo.masks.items())]
        told = (photo.file, photo.drawn, photo.split, photo.group, sha256_of(folder / photo.file), masks)
        digest.update(repr(told).encode())
    return digest.hexdigest()


def read_photos(prepared: Path) -> pd.DataFrame:
    """Read the photos with a grade of a prepared folder."""
    return graded_photos(read_manifest(prepared)).reset_index(drop=True)


class Looking:
    """Trains the heads, and looks at photos, where that was not done before.

    Args:
        given: The command line.
        own: The photos that are divided.
        divisions: Their folds.
    """

    def __init__(self, given: argparse.Namespace, own: pd.DataFrame, divisions: Mapping[str, Folds]) -> None:
        self._given, self._own, self._divisions = given, own, divisions
        self._backbone = Backbone(given.backbone_weights, given.out / "backbone.onnx")
        names = list(head_names(divisions))
        if not all(head_path(given.out / "heads", name).exists() for name in names):
            masked = teaching_photos(given.folder)
            teaching = {name: _teaching(masked, name, own, divisions) for name in names}
            train_heads(self._backbone, given.folder, teaching, given.out / "heads")
        given.results.mkdir(parents=True, exist_ok=True)
        write_table(given.results / "heads.csv", describe_heads(given.out / "heads", names))
        self._heads = load_heads(self._backbone, given.out / "heads", names)

    def seen_own(self) -> Seen:
        """Look at the photos that are divided."""
        kept: list[Arrays] = [{} for _ in range(len(self._own))]
        for division, folds in self._divisions.items():
            names = [heads_of({division: fold}) for fold in folds.tolist()]
            its = self._look(self._given.prepared, self._own, names, self._given.out / f"own_{division}")
            kept = [before | more for before, more in zip(kept, its, strict=True)]
        return Seen(self._own[_COLUMNS], kept, self._divisions)

    def seen_both(self, own: Seen, elsewhere: pd.DataFrame) -> Seen:
        """Look at the photos of the other clinic, and put them below the others."""
        names = [heads_of({})] * len(elsewhere)
        kept = self._look(self._given.external, elsewhere, names, self._given.out / "elsewhere")
        beyond = np.full(len(elsewhere), ELSEWHERE)
        return Seen(
            pd.concat([own.photos, elsewhere[_COLUMNS]], ignore_index=True),
            [*own.kept, *kept],
            {name: np.concatenate([folds, beyond]) for name, folds in self._divisions.items()},
        )

    def _look(
        self, prepared: Path, photos: pd.DataFrame, names: Sequence[Sequence[HeadName]], out: Path
    ) -> list[Arrays]:
        heads = [{name: self._heads[name] for name in its} for its in names]
        look_at_all(self._backbone, heads, PreparedPhotos(prepared, photos), out)
        return read_kept(out, len(photos))


def teaching_photos(folder: Path) -> list[MaskedPhoto]:
    """Find the photos with masks that may teach: none of the published test part, and none of unknown visits."""
    found = find_masked_photos(folder).photos
    learned = choose_photos(found, find_copies_of_test(folder, found))
    known = [photo for photo in learned.photos if photo.group]
    print(*learned.told, f"{len(learned.photos) - len(known)} more are of unknown visits, and teach nothing.", sep="\n")
    return known


def _teaching(
    masked: Sequence[MaskedPhoto], name: HeadName, own: pd.DataFrame, divisions: Mapping[str, Folds]
) -> list[MaskedPhoto]:
    """The photos that teach a head: those whose visits do not stand in the folds that it leaves out."""
    if name == WHOLE:
        return list(masked)
    left_out = set(own["group"][np.isin(divisions[name.division], name.left_out)])
    return [photo for photo in masked if photo.group not in left_out]


def _kept(folder: Path, fold: int, way: str, ask: Callable[[], Answers]) -> Answers:
    """Read the answers of a way to grade for a fold, or ask for them and keep them."""
    path = folder / f"{way}_{fold}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        answers = ask()
        seconds = time.process_time() - started
        write_json(path, {"shares": answers.shares.tolist(), "chosen": answers.chosen, "seconds": round(seconds, 1)})
        print(f"{folder.name}, fold {fold}, {way}: {seconds:.0f} s, {answers.chosen}", flush=True)
    stored = read_json(path)
    return Answers(np.array(stored["shares"]), stored["chosen"])


if __name__ == "__main__":
    run_as_command(main)
