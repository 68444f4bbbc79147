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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biranet.config import read_recipe
from biranet.files import read_json, write_json
from biranet.learning.shipped_models import find_checkpoint
from biranet.manifest import graded_photos, read_manifest
from biranet.tables import write_table
from studies.commands import add_photos_and_weights, command_parser, exit_status_of, run_as_command
from studies.lesion_grades.arms import EPOCHS, Answers, grade_all
from studies.lesion_grades.divisions import divide
from studies.lesion_grades.heads import CONFIG, Backbone
from studies.lesion_grades.looking import Looking, masked_teachers, masks_digest, teaching_photos
from studies.lesion_grades.measure import CONDITIONS, areas_by_head, write_results
from studies.lesion_grades.seen import ELSEWHERE, Task
from studies.shipped.steps import SHIPPED_RECIPE
from studies.trainings import fingerprint_of_inputs, fingerprint_of_photos, mark_folder, with_weights

HERE = Path(__file__).resolve().parent


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
    backbone = Backbone(given.backbone_weights, given.out / "backbone.onnx")
    teachers = masked_teachers(given.folder, teaching_photos(given.folder))
    looking = Looking(backbone, given.out, own, divisions, teachers)
    looking.describe(given.results)
    config = read_recipe(SHIPPED_RECIPE)
    seen = looking.seen_own(given.prepared)
    write_table(given.results / "areas.csv", areas_by_head(seen))
    for name, condition in CONDITIONS.items():
        if ELSEWHERE in condition.folds:
            seen = looking.seen_both(seen, given.external, elsewhere)
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
        masks_sha256=masks_digest(given.folder),
        heads=dataclasses.asdict(CONFIG),
        epochs=EPOCHS,
    )


def read_photos(prepared: Path) -> pd.DataFrame:
    """Read the photos with a grade of a prepared folder."""
    return graded_photos(read_manifest(prepared)).reset_index(drop=True)


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
