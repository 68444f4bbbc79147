"""The whole chain on drawn photographs, in a few minutes: what `biranet demo` runs."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from biranet.config import DataConfig, ModelConfig, OptimizerConfig, SplitConfig, TrainConfig
from biranet.files import write_json
from biranet.grades import DISCLAIMER
from biranet.inference.evaluate import evaluate_checkpoint
from biranet.inference.grader import load
from biranet.learning.run_folder import BEST_NAME
from biranet.learning.split import describe_split, split_photos
from biranet.learning.train import train
from biranet.manifest import read_manifest, write_manifest
from biranet.outputs import OutputKind, claim_output, holds_keys, visible
from biranet.photos.datasets import LabelSource
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
from biranet.photos.folder import prepare_folder

PHOTOS = 700
SEED = 1
SIZE_PX = 128
MARK, MARKED = "demo.json", {"demo": True}
"""Marks a folder as a demo's, which the next demo may replace."""


_MADE = (MARK, "photos", "prepared", "run", "report", "new")


def _find_unowned(folder: Path) -> Path | None:
    """What a folder holds but a demo."""
    ours = holds_keys(folder / MARK, *MARKED)
    return next((path for path in visible(folder) if not ours or path.name not in _MADE), None)


DEMO = OutputKind("a demo", _find_unowned, folder=True)

CONFIG = TrainConfig(
    model=ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
    data=DataConfig(image_size=SIZE_PX, batch_size=16),
    optimizer=OptimizerConfig(weight_scale="unit", optimizer="adamw", lr=4e-3, weight_decay=1e-2, schedule="cosine"),
    epochs=20,
)
"""A BiRA-Net on two of timm's smallest ResNets, from random weights: there is nothing to download."""


def run_demo(out: Path, log: Callable[[str], Any] = print) -> dict[str, Any]:
    """Draw photographs, and prepare, split, train, evaluate and grade them.

    Args:
        out: Folder for all of it; an earlier demo in it is replaced.
        log: Where the story goes, line by line.

    Returns:
        The metrics on the test part.

    Raises:
        InputError: If `out` holds something that is not a demo.
    """
    with claim_output(out, DEMO) as folder:
        write_json(folder / MARK, MARKED)
        for path in visible(folder):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != MARK:
                path.unlink()
        return _run(out, log)


def _run(out: Path, log: Callable[[str], Any]) -> dict[str, Any]:
    started = time.monotonic()
    log(f"1/6  Drawing {PHOTOS} fundus photographs, two eyes of each patient: {out / 'photos'}")
    labels = draw_folder(out / "photos", balanced_grades(PHOTOS), seed=SEED)
    log(f"2/6  Preparing them: field found, cut, {SIZE_PX} px square: {out / 'prepared'}")
    prepared = out / "prepared"
    prepare_folder(out / "photos", prepared, labels=LabelSource(labels), size_px=SIZE_PX, workers=2)
    log("3/6  Splitting them by patient")
    table = split_photos(read_manifest(prepared), SplitConfig(seed=SEED))
    write_manifest(prepared, table)
    log(f"     {describe_split(table)}")
    log("4/6  Training a small BiRA-Net from random weights (most of the time goes here)")
    run = out / "run"
    train(prepared, run, CONFIG)
    log("5/6  Evaluating the best epoch on patients it has never seen")
    metrics = evaluate_checkpoint(run / BEST_NAME, prepared, out / "report")
    log("6/6  Grading five new photographs")
    fresh = draw_folder(out / "new", balanced_grades(5), seed=SEED + 1, photos_per_group=1).parent
    for answer in load(run / BEST_NAME).grade_many(sorted(fresh.glob("*.jpg"))):
        log(f"     {Path(answer.file).name}: grade {answer.grade}, {answer.decision}")
    kappa = metrics["quadratic_weighted_kappa"]
    log(
        f"Done in {time.monotonic() - started:.0f} s. Quadratic weighted kappa on the test part: {kappa:.3f}\n"
        f"Open the report: {(out / 'report' / 'report.html').resolve()}\n{DISCLAIMER}"
    )
    return metrics
