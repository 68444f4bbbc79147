"""Dividing photos into train, validation, calibration and test, without ever dividing a patient."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.config import SplitConfig
from biranet.decisions.fit import MIN_GROUPS
from biranet.errors import InputError
from biranet.grades import GRADE_COUNT, GRADES, REFERABLE_GRADE
from biranet.manifest import FOLD_PREFIX, OFFICIAL_SPLIT, SPLITS, graded_photos
from biranet.photos import HEADER_GROUP
from biranet.photos.audit import find_duplicate_sets
from biranet.photos.copies import connected_components
from biranet.words import counted

_PART_PRIORITY = {"": 0, "train": 0, "validation": 1, "calibration": 2, "test": 3}
"""Where an official split divides what is inseparable, the part of the highest priority keeps its photos."""

_NO_TRAINING_PHOTOS = (
    "no photos are left to train on: the official split has no train part, or all of its patients stand in other parts "
    "too; prepare again without the split, or with other groups"
)

_DUPLICATE_SET = "duplicate_sets"
"""Temporary column: rows with one number show the same photo and stay in one part."""


def split_photos(
    table: pd.DataFrame, config: SplitConfig, duplicate_sets: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Divide the graded photos of a manifest.

    Photos of one group stay together, and so do identical and near-identical photos; every part gets its share of every
    grade as far as the groups allow. Parts of an official split are kept: only the parts it lacks are cut, from its
    train part. Where an official split divides what belongs together, the most guarded part (test, then calibration,
    then validation) keeps its photos, and the others are left out.

    Args:
        table: A manifest.
        config: Shares, number of folds, seed.
        duplicate_sets: What `find_duplicate_sets` found in this table, (rows,), int64; found when not given.

    Returns:
        The manifest with a new `split` column, or with columns `fold_0`, `fold_1`, … of which each is a whole split.
        Photos that cannot be used, or are left out, have no part.

    Raises:
        InputError: If there are no graded photos, too few groups for the folds, or nothing to train on is left.
    """
    photos = graded_photos(
        table.assign(**{_DUPLICATE_SET: find_duplicate_sets(table) if duplicate_sets is None else duplicate_sets})
    )
    if photos.empty:
        raise InputError(
            "the manifest has no graded photos to split; give grades with: biranet prepare … --labels FILE"
        )
    if config.folds is None:
        photos = photos[~_leaks_into_later_part(photos)]
    official = photos[OFFICIAL_SPLIT]
    free = official.isin(["", "train"])
    table = table.drop(columns=[name for name in table.columns if name.startswith(FOLD_PREFIX)])
    cut = {"validation": config.validation, "calibration": config.calibration}

    if config.folds is None:
        shares = {"test": config.test, **cut}
        split = official.where(~free, "")
        split[free] = _divide(
            photos[free], {part: shares[part] for part in shares if part not in set(official)}, config.seed
        )
        table["split"] = split.reindex(table.index, fill_value="")
        return table

    if not free.any():
        raise InputError(_NO_TRAINING_PHOTOS)
    fold = allocate(photos[free], [1 / config.folds] * config.folds, config.seed)
    for number in range(config.folds):
        split = pd.Series("", index=photos.index)
        split[free] = "test"
        rest = photos[free][fold != number]
        split[rest.index] = _divide(rest, cut, config.seed + number + 1)
        table[f"{FOLD_PREFIX}{number}"] = split.reindex(table.index, fill_value="")
    table["split"] = ""
    return table


def _divide(photos: pd.DataFrame, shares: dict[str, float], seed: int) -> NDArray[np.str_]:
    """Name the part of every photo: the given shares, and train for the rest."""
    if photos.empty:
        raise InputError(_NO_TRAINING_PHOTOS)
    parts = ["train", *shares]
    numbers = allocate(photos, [1 - sum(shares.values()), *shares.values()], seed)
    if not (numbers == 0).any():
        raise InputError("no photos are left to train on; there are too few groups for these shares")
    return np.array(parts, dtype=object)[numbers]


def allocate(photos: pd.DataFrame, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Give every photo the number of a part, whole groups at a time, so that each part has its share of each grade.

    Args:
        photos: Rows of a manifest, all with a grade.
        shares: Of each part, summing to 1.
        seed: Decides among equals.

    Returns:
        The part of each photo, (rows,).

    Raises:
        InputError: If there are fewer groups than parts.

    Greedy: the groups that matter most to a grade first, each to the part where it brings the numbers of photos, of
    each grade and in all, nearest to their targets. Distances are relative to the target, so that all parts fill at
    the same pace: a large part that still lacks common grades does not take the rare ones of the others.
    """
    unit = inseparable_units(photos)
    counts = np.zeros((unit.max() + 1, GRADE_COUNT + 1))
    np.add.at(counts, (unit, photos["grade"].to_numpy(dtype=int)), 1)
    counts[:, GRADE_COUNT] = counts.sum(axis=1)
    if len(counts) < sum(share > 0 for share in shares):
        raise InputError(
            f"{counted(len(counts), 'group')} of photos cannot be divided into {counted(len(shares), 'part')}"
        )
    total = np.maximum(counts.sum(axis=0), 1)
    parts = np.array([index for index, share in enumerate(shares) if share > 0])
    target = np.outer(np.array(shares)[parts], total)
    missing = target.copy()
    # A random order first, so that the seed decides among equals; the stable sort keeps it.
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-(counts[order] / total).max(axis=1), kind="stable")]
    part = np.empty(len(counts), dtype=np.int64)
    for number in order:
        group = counts[number]
        # How much nearer to its target each part comes: the difference of squared distances.
        nearest = (group * (2 * missing - group) / target).sum(axis=1).argmax()
        part[number] = parts[nearest]
        missing[nearest] -= group
    return part[unit]


def _leaks_into_later_part(photos: pd.DataFrame) -> NDArray[np.bool_]:
    """Select photos that are inseparable from photos of an official part of higher priority."""
    priority = photos[OFFICIAL_SPLIT].map(_PART_PRIORITY)
    return np.asarray(priority < priority.groupby(inseparable_units(photos)).transform("max"))


def inseparable_units(photos: pd.DataFrame) -> NDArray[np.int64]:
    """Number the sets of photos that must stay together: connected by group, patient or duplicate set.

    Args:
        photos: Rows of a manifest, at least one.

    Returns:
        The number of each photo's set, from 0, (rows,).
    """
    pairs = []
    for column in ("group", HEADER_GROUP, _DUPLICATE_SET):
        if column not in photos:  # a manifest of an older version
            continue
        numbers = pd.factorize(photos[column])[0]
        first = np.unique(numbers, return_index=True)[1]
        pairs.append(np.column_stack([first[numbers], np.arange(len(photos))])[photos[column] != ""])
    return connected_components(len(photos), np.concatenate(pairs))


def describe_split(table: pd.DataFrame, column: str = "split") -> str:
    """Tell in one line how many photos each part has, and of which grades.

    Args:
        table: A manifest.
        column: Column with the split.
    """
    photos = graded_photos(table)
    parts = []
    for part in SPLITS:
        grades = photos.loc[photos[column] == part, "grade"].astype(int)
        if len(grades):
            counts = np.bincount(grades, minlength=GRADE_COUNT)
            parts.append(f"{part} {len(grades)} ({'/'.join(map(str, counts))})")
    if not parts:
        return f"{column}: none of the {len(photos)} graded photos is in a part"
    line = f"{column}: {', '.join(parts)}; in brackets: photos of grade {'/'.join(map(str, GRADES))}"
    left = int((photos[column] == "").sum())
    return (
        f"{line}; {counted(left, 'photo is', 'photos are')} in no part, to keep the published parts apart"
        if left
        else line
    )


def too_few_to_calibrate(table: pd.DataFrame, column: str = "split") -> str:
    """Say that a calibration part is too small for what is to be fitted on it.

    Args:
        table: A manifest.
        column: Column with the split.

    Returns:
        One sentence; empty where the part is large enough, or there is none.
    """
    photos = graded_photos(table)
    photos = photos[photos[column] == "calibration"]
    referable = photos["grade"].astype(int) >= REFERABLE_GRADE
    groups = [photos.loc[chosen, "group"].nunique() for chosen in (referable, ~referable)]
    if photos.empty or min(groups) >= MIN_GROUPS:
        return ""
    return (
        f"The calibration part ({column}) has {counted(groups[0], 'patient')} with referable photos and "
        f"{groups[1]} with others: below {MIN_GROUPS} of either no operating points can be fitted; a larger "
        "--calibration, or rules fitted on out-of-fold predictions, would do."
    )
