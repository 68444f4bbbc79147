"""The outer folds and, inside each, the inner split that chooses the learning rate; each is a prepared folder.

An inner folder does not list the test photos of its outer fold at all, so no choice can depend on them. One more folder
has all photos to learn from, for the external test.
"""

from pathlib import Path

import pandas as pd

from biranet.config import SplitConfig
from biranet.errors import InputError
from biranet.inference.prepared_view import link_prepared
from biranet.learning.split import split_photos
from biranet.manifest import FOLD_PREFIX, fold_columns, graded_photos, read_manifest
from biranet.photos.prepare import read_preparation
from studies.idrid.grid import Grid, Part

SPLIT_SEED = 1
"""Seed of the folds; one for all seeds of the training, so that all tables hold the same test photos by fold."""


def folder_of(out: Path, part: Part, fold: int | None) -> Path:
    """The prepared folder that a training learns from.

    Args:
        out: The study's working folder.
        part: inner: an outer fold's training photos, divided into train and validation; outer: all photos, divided into
            train and test; external: all photos, all of them to learn from.
        fold: The outer fold; it does not matter to `external`.
    """
    return out / "folds" / ("whole" if part == "external" else f"{fold}/{part}")


def divide(table: pd.DataFrame, grid: Grid) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Divide the photos of a manifest by group into outer folds, and the rest of each once more.

    Args:
        table: A manifest.
        grid: Number of folds, share of the validation part.

    Returns:
        For each fold the inner manifest (`split` is train or validation; no test photo is in it) and the outer one
        (train or test).

    Raises:
        InputError: If the photos are of several data sets, or cannot be divided.
    """
    sources = sorted(set(graded_photos(table)["source"]))
    if len(sources) > 1:
        raise InputError(
            f"the study is about one data set, and this folder holds photos of {', '.join(sources)}; "
            "prepare those of IDRiD alone"
        )
    divided = split_photos(
        table, SplitConfig(folds=grid.folds, validation=grid.validation, calibration=0, seed=SPLIT_SEED)
    )
    photos = graded_photos(divided)
    plain = photos.drop(columns=fold_columns(photos))
    pairs = []
    for number in range(grid.folds):
        part = photos[f"{FOLD_PREFIX}{number}"]
        inner = plain.assign(split=part)[part.isin(["train", "validation"])]
        outer = plain.assign(split=part.replace("validation", "train"))[part != ""]
        pairs.append((inner, outer))
    return pairs


def divide_folder(prepared: Path, grid: Grid) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Divide the photos of a prepared folder for a grid by `divide`; nothing is written.

    Args:
        prepared: The prepared folder.
        grid: The grid.

    Returns:
        What `divide` gives.

    Raises:
        InputError: If the photos are smaller than the grid's images, or `divide` refuses them.
    """
    size = read_preparation(prepared).size_px
    if size < grid.train.data.image_size:
        raise InputError(
            f"{prepared} holds photos of {size} px, and this grid wants {grid.train.data.image_size} px; "
            f"prepare them with --size {grid.train.data.image_size} or more"
        )
    return divide(read_manifest(prepared), grid)


def make_folders(prepared: Path, out: Path, grid: Grid) -> pd.DataFrame:
    """Make the prepared folders of all folds; the photos themselves are links to those of `prepared`.

    Args:
        prepared: The prepared folder, which stays as it is.
        out: The study's working folder.
        grid: The grid.

    Returns:
        The manifest of `prepared`, graded photos only.

    Raises:
        InputError: If `divide_folder` refuses the photos; then nothing is made.
    """
    for number, (inner, outer) in enumerate(divide_folder(prepared, grid)):
        link_prepared(prepared, folder_of(out, "inner", number), inner)
        link_prepared(prepared, folder_of(out, "outer", number), outer)
    photos = graded_photos(read_manifest(prepared))
    link_prepared(
        prepared, folder_of(out, "external", None), photos.drop(columns=fold_columns(photos)).assign(split="train")
    )
    return photos
