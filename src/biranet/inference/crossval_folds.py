"""Dividing photos for a cross-validation: into folds by patient, and once more for the model that learns from all."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from biranet.config import SplitConfig
from biranet.errors import InputError
from biranet.learning.split import split_photos
from biranet.manifest import OFFICIAL_SPLIT, fold_columns, graded_photos, photos_digest
from biranet.photos.audit import find_duplicate_sets
from biranet.words import counted


@dataclass(frozen=True)
class FoldAssignment:
    """Photos that are divided into folds.

    Attributes:
        table: The manifest; `split` is the division for the model that learns from all photos.
        columns: The columns with the splits of the folds; the test part of each is the fold.
        seed: Seed of the division; None where the manifest was divided before.
        digest: Sums up photos, patients, grades and folds.
    """

    table: pd.DataFrame
    columns: list[str]
    seed: int | None
    digest: str

    def left_out(self) -> pd.DataFrame:
        """The graded photos that stand in no fold, since the data set was published with other parts for them."""
        photos = graded_photos(self.table)
        return photos[~(photos[self.columns] == "test").any(axis=1)]

    def grades_missing_from_training(self) -> Iterator[tuple[int, int, int]]:
        """Find photos whose grade the model that answers for them has never seen.

        Yields:
            A grade, how many such photos have it, and how many patients have photos of it.
        """
        photos = graded_photos(self.table)
        unlearned: dict[int, int] = {}
        for column in self.columns:
            train_grades = set(photos.loc[photos[column] == "train", "grade"])
            test = photos.loc[photos[column] == "test", "grade"]
            for grade in map(int, test[~test.isin(train_grades)]):
                unlearned[grade] = unlearned.get(grade, 0) + 1
        for grade, count in sorted(unlearned.items()):
            yield grade, count, photos.loc[photos["grade"] == grade, "group"].nunique()


def refuse_too_few_patients(origin: Path, patients: int, folds: int) -> None:
    """Refuse graded photos of fewer patients than folds, of which each needs one.

    Args:
        origin: The folder of the photos, for the error.
        patients: Of how many patients they are.
        folds: Into how many folds they are to be divided.

    Raises:
        InputError: If they are too few.
    """
    if patients < folds:
        raise InputError(
            f"{origin} has graded photos of {counted(patients, 'patient')}, too few for {folds} folds; "
            "give more, or lower --folds"
        )


def refuse_one_grade(origin: Path, grades: Iterable[int]) -> None:
    """Refuse photos that all have one grade: whatever a model says of them, its figures would be perfect.

    Args:
        origin: The folder of the photos, for the error.
        grades: The grade of each, at least one.

    Raises:
        InputError: If they are all the same.
    """
    if len(distinct := set(grades)) == 1:
        raise InputError(
            f"all graded photos in {origin} have grade {distinct.pop()}, and a model learns what tells grades apart; "
            "add photos of other grades"
        )


def assign_folds(table: pd.DataFrame, prepared: Path, config: SplitConfig, folds: int | None) -> FoldAssignment:
    """Divide the graded photos of a manifest for a cross-validation.

    Args:
        table: The manifest.
        prepared: Its folder, for the errors.
        config: Folds, share of validation and seed, for a manifest that is not divided into folds.
        folds: How many were asked for; None for those of the manifest, where it has some.

    Returns:
        The division. In folds that the manifest had, what was kept back for rules, or for choosing an epoch where
        nothing shall be, is learned from.

    Raises:
        InputError: If there are fewer patients than folds, or the folds of the manifest are others than were asked for,
            or all photos in them have one grade.
    """
    photos, columns = graded_photos(table), fold_columns(table)
    duplicate_sets = find_duplicate_sets(table)
    if columns:
        if folds not in (None, len(columns)):
            raise InputError(
                f"{prepared} is divided into {len(columns)} folds, and --folds asks for {folds}; leave --folds out to "
                f"use those, or divide it anew with: biranet split {prepared}"
            )
        training_parts = ["calibration"] if config.validation else ["calibration", "validation"]
        divided = table.assign(**{name: table[name].replace(training_parts, "train") for name in columns})
        tested = (graded_photos(divided)[columns] == "test").sum(axis=1)
        if (tested > 1).any():
            raise InputError(
                f"{prepared}: {photos.loc[tested > 1, 'file'].iloc[0]!r} is in the test part of two folds; divide the "
                f"photos anew with: biranet split {prepared} --folds {len(columns)}"
            )
    else:
        if patients := photos.loc[photos[OFFICIAL_SPLIT].isin(["", "train"]), "group"].nunique():
            refuse_too_few_patients(prepared, patients, config.folds or 0)
        divided = split_photos(table, config, duplicate_sets)
        columns = fold_columns(divided)
    for column in columns:
        if not (graded_photos(divided)[column] == "test").any():
            raise InputError(f"{prepared}: no photo is left for {column}; lower --folds")
    refuse_one_grade(prepared, photos.loc[(divided.loc[photos.index, columns] == "test").any(axis=1), "grade"])
    whole = split_photos(table, dataclasses.replace(config, folds=None), duplicate_sets)
    divided["split"] = whole["split"]
    return FoldAssignment(
        table=divided,
        columns=columns,
        seed=None if fold_columns(table) else config.seed,
        digest=photos_digest(photos, ["file", "sha256", "group", "grade", *fold_columns(table)]),
    )
