"""The run folder, and what must hold before a training may begin in it."""

import dataclasses
import functools
import importlib.metadata
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import CONFIG_NAME, SplitConfig, TrainConfig, result_settings
from biranet.errors import InputError
from biranet.files import read_json, write_json
from biranet.learning.split import describe_split, inseparable_units, split_photos
from biranet.manifest import (
    FOLD_PREFIX,
    OFFICIAL_SPLIT,
    fold_columns,
    graded_photos,
    photos_digest,
    read_manifest,
    write_manifest,
)
from biranet.outputs import folder_kind, holds_keys, visible, write_lock
from biranet.photos.audit import audit
from biranet.photos.findings import describe_warnings, refuse_leaks
from biranet.photos.prepare import read_preparation
from biranet.setting_names import setting
from biranet.version import software_version

STATE_NAME = "state.safetensors"
BEST_NAME = "best.safetensors"
LAST_NAME = "last.safetensors"
PROBE_FOLDER = "probe"
"""Folder of the linear probe beside a run, in that of the run."""


RUN = folder_kind("a run", {CONFIG_NAME: lambda path: holds_keys(path, "train")})
"""A run folder, known by its settings."""

_WRITTEN_FIRST = (CONFIG_NAME, "tensorboard")
"""Files that exist before the first saved state; a run that holds no others can be begun again."""


def epoch_name(epoch: int) -> str:
    """Name of the checkpoint kept after an epoch, counted from 1."""
    return f"epoch_{epoch:03d}.safetensors"


def software_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"biranet": software_version(), **_package_versions()}


@functools.cache  # every save names them, and they do not change while a process runs
def _package_versions() -> dict[str, str]:
    packages = ("torch", "timm", "numpy", "opencv-python-headless", "pillow")
    return {name: importlib.metadata.version(name) for name in packages}


def split_column(config: TrainConfig) -> str:
    """Name of the manifest's column with the split to train on."""
    return "split" if config.fold is None else f"{FOLD_PREFIX}{config.fold}"


def ensure_split(prepared: Path, config: TrainConfig) -> str:
    """Write a split into a manifest that has none, or only a published one that lacks what the training needs.

    Args:
        prepared: The prepared folder.
        config: Its seed is the split's seed; with a fold nothing is written. Its schedule says whether a validation
            part is needed.

    Returns:
        A sentence that tells of the split made; empty where there was one.

    Raises:
        InputError: If there are folds instead, which a new split would delete, or the photos cannot be divided so that
            the model can be trained.
    """
    table = read_manifest(prepared)
    photos = graded_photos(table)
    none = bool((photos["split"] == "").all())
    # Parts equal to the published ones count as published, whoever wrote them; any others are the user's, and stand.
    published = bool((photos["split"] == photos[OFFICIAL_SPLIT]).all())
    lacking = _needs_validation(config) and not (photos["split"] == "validation").any()
    if config.fold is not None or not (none or (published and lacking)):
        return ""
    if folds := fold_columns(table):
        raise InputError(
            f"{prepared} is divided into folds 0 to {len(folds) - 1}; say which one to train on with "
            f"{setting('fold')}, or replace them by one split with: biranet split {prepared}"
        )
    with write_lock(prepared, folder=True):
        table = split_photos(read_manifest(prepared), SplitConfig(seed=config.seed))
        _refuse_unfit(graded_photos(table), prepared, config)
        write_manifest(prepared, table)
    why = "The manifest had no split; made one" if none else "The published split has no validation part; made one"
    return f"{why} by group with seed {config.seed}. {describe_split(table)}"


def _needs_validation(config: TrainConfig) -> bool:
    return config.model.model != "probe" and config.optimizer.schedule == "plateau"


def read_split_photos(prepared: Path, config: TrainConfig) -> tuple[pd.DataFrame, str]:
    """Read the graded photos with the split to train on, after an audit.

    Args:
        prepared: The prepared folder.
        config: Names the fold; its schedule says whether a validation part is needed.

    Returns:
        Rows of the manifest, and what the audit warns of, empty where there is nothing.

    Raises:
        InputError: If there is no such fold, nothing that the model could learn from, or no validation part where one
            is needed.
        RefusedError: If a patient, a photo or a copy of it stands in two parts.
    """
    table, column = read_manifest(prepared), split_column(config)
    if column not in table:
        raise InputError(f"{prepared} has no fold {config.fold}; make folds with: biranet split {prepared} --folds 5")
    findings = audit(table, [column])
    refuse_leaks(findings)
    photos = graded_photos(table)
    _refuse_unfit(photos, prepared, config)
    return photos, describe_warnings(findings, prepared)


def _refuse_unfit(photos: pd.DataFrame, prepared: Path, config: TrainConfig) -> None:
    """Refuse parts that cannot be trained on: of the graded photos, with their split."""
    column = split_column(config)
    train_photos = photos[photos[column] == "train"]
    if train_photos.empty:
        raise InputError(
            f"{prepared} has no graded photos in the train part; see the column {column!r} of its manifest"
        )
    if _needs_validation(config) and not (photos[column] == "validation").any():
        raise InputError(
            f"{setting('schedule', 'plateau')} follows the validation kappa, and there is no validation part; use "
            f"{setting('schedule', 'cosine')} or {setting('schedule', 'constant')}, or make a split with a validation "
            "part"
        )
    if config.model.model == "probe":
        _refuse_what_no_probe_learns(train_photos)


def _refuse_what_no_probe_learns(photos: pd.DataFrame) -> None:
    """Refuse photos of one grade, and of one patient, among whom the penalty of a probe could not be chosen."""
    if photos["grade"].nunique() < 2:
        raise InputError(
            f"all photos to train on have grade {photos['grade'].iloc[0]}, and a linear probe learns what tells grades "
            f"apart; add photos of other grades, or train another {setting('model')}"
        )
    if not inseparable_units(photos).any():
        raise InputError(
            f"all photos to train on are of one patient ({photos['group'].iloc[0]}), and a linear probe is fitted "
            f"among patients; add photos of others, or train another {setting('model')}"
        )


def resume_fingerprint(prepared: Path, config: TrainConfig, photos: pd.DataFrame) -> dict[str, Any]:
    """Tell what a training hangs on: one that goes on under other conditions could be repeated by nobody.

    Args:
        prepared: The prepared folder.
        config: All settings.
        photos: The photos with their split.

    Returns:
        Plain values by name: settings, how photos are prepared, and a sum of the photos that are learned from or choose
        the epoch, with their grades; the other parts have no say.
    """
    preparation = {f"preparation.{name}": value for name, value in read_preparation(prepared).as_dict().items()}
    column = split_column(config)
    train_and_validation = photos[photos[column].isin(["train", "validation"])]
    sums = {"photos_sha256": photos_digest(train_and_validation, ["file", "sha256", "grade", column])}
    return {**result_settings(config), **preparation, **sums}


def open_run(
    run: Path, prepared: Path, config: TrainConfig, photos: pd.DataFrame, *, resume: bool, start: Path | None = None
) -> None:
    """Begin a run folder, or check that a run can go on.

    Args:
        run: The run folder.
        prepared: The prepared folder.
        config: All settings; written as JSON.
        photos: The photos with their split.
        resume: Whether the run goes on.
        start: The checkpoint that it starts from.

    Raises:
        InputError: If the folder holds another run, the photos have changed since the run began, or its settings do not
            say which they were.
    """
    path, column = run / CONFIG_NAME, split_column(config)
    digest = photos_digest(photos, ["file", "sha256", "grade", column])
    if resume:
        if not (run / STATE_NAME).exists():
            raise InputError(f"{run} holds no saved state to go on from; delete it and train anew")
        stored = read_json(path)
        if not isinstance(stored, dict) or "photos_sha256" not in stored:
            raise InputError(
                f"{path} does not say which photos the run learns from (photos_sha256); "
                "it may have been edited by hand, so train anew"
            )
        if stored["photos_sha256"] != digest:
            raise InputError(f"the photos, grades or split in {prepared} have changed since {run} began; train anew")
    elif (run / STATE_NAME).exists():
        raise InputError(
            f"{run} already holds a training; go on with it by {setting('resume', True)}, or choose another "
            f"{setting('run', flag='out')}"
        )
    elif (stranger := next((path for path in visible(run) if path.name not in _WRITTEN_FIRST), None)) is not None:
        raise InputError(
            f"{run} holds what an earlier training made, such as {stranger.name}, but not its {STATE_NAME}, so it "
            f"cannot go on; choose another {setting('run', flag='out')}, or delete the folder if nobody needs it"
        )
    else:
        origin: dict[str, Any] = {"prepared": str(prepared), "photos_sha256": digest, "software": software_versions()}
        if start is not None:
            origin["start"] = str(start)
        write_json(path, {"train": dataclasses.asdict(config), **origin})
