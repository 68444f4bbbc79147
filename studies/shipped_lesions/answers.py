"""Answers for photos that nothing in them had seen: those of the model that ships, corrected by lesions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.config import DataConfig
from biranet.decisions.columns import PROBABILITIES, probabilities
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.learning.data import sampling_chances
from studies.lesion_grades.correction import Fitted, Learned, fit_correction
from studies.lesion_grades.divisions import Folds, HeadName
from studies.lesion_grades.look import LESION_PX, Arrays

Values = npt.NDArray[np.float64]


class Photos(NamedTuple):
    """Photos of which all is known.

    Attributes:
        table: Their rows of the manifest, (N,).
        shares: What a BiRA-Net answers that has not seen their visit, (N, 5).
        division: How they are divided, `visits` or `stretches`.
        folds: By which lesion heads were held back, (N,).
        kept: What was seen of each.
    """

    table: pd.DataFrame
    shares: Values
    division: str
    folds: Folds
    kept: Sequence[Arrays]

    def vectors(self, fold: int | None) -> Values:
        """Vectors of lesions, (N, V), by heads that know nothing of the photo's fold, nor of another one."""
        names = (HeadName.of(self.division, own, own if fold is None else fold) for own in self.folds.tolist())
        each = [kept[f"lesions_{max(LESION_PX)}_{name}"] for kept, name in zip(self.kept, names, strict=True)]
        return np.stack(each).astype(np.float64)

    def learned(self, fold: int | None, config: DataConfig) -> Learned:
        """What a correction for a fold is fitted on; all photos where it is None."""
        rows = np.flatnonzero(self.folds != fold)
        grades = self.table["grade"].to_numpy(np.int64)[rows]
        balance = sampling_chances(grades, config)
        return Learned(self.shares[rows], self.vectors(fold)[rows], grades, balance, self.folds[rows])


def join_answers(photos: pd.DataFrame, division: str, folds: Folds, kept: Sequence[Arrays], answers: Path) -> Photos:
    """Put what was seen of photos beside the answers for them, by the names of their files without folders.

    Args:
        photos: Rows of the manifest.
        division: How they are divided.
        folds: Of each.
        kept: What was seen of each.
        answers: Predictions, out of fold; photos that have none are left out.

    Raises:
        InputError: If a photo has another grade there.
    """
    told = read_predictions(answers)
    told.index = told["file"].map(lambda file: Path(file).stem)
    stems = photos["file"].map(lambda file: Path(file).stem)
    rows = np.flatnonzero(stems.isin(told.index))
    its = told.loc[stems.iloc[rows]]
    table = photos.iloc[rows].reset_index(drop=True)
    if (its["grade"].to_numpy(int) != table["grade"].to_numpy(int)).any():
        raise InputError(f"{answers} has other grades than the prepared photos")
    return Photos(table, probabilities(its), division, folds[rows], [kept[row] for row in rows.tolist()])


def correct_out_of_fold(photos: Photos, config: DataConfig) -> tuple[Values, list[Fitted]]:
    """Correct the answers for each fold by what was fitted on the other folds."""
    corrected, fitted = np.zeros_like(photos.shares), []
    for fold in np.unique(photos.folds):
        its = photos.folds == fold
        fitted.append(fit_correction(photos.learned(int(fold), config)))
        corrected[its] = fitted[-1](photos.shares[its], photos.vectors(int(fold))[its])
    return corrected, fitted


def as_predictions(photos: Photos, shares: Values) -> pd.DataFrame:
    """Make a table of predictions of probabilities, before any rule."""
    columns: Mapping[str, Values] = dict(zip(PROBABILITIES, shares.T, strict=True))
    table = photos.table[["file", "group", "grade"]].astype({"grade": int})
    return table.assign(predicted_grade=shares.argmax(axis=1), **columns, fold=photos.folds)
