"""All that was kept of photos, as tables to learn from, and what is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from biranet.config import TrainConfig
from studies.lesion_grades.divisions import WHOLE, Folds, HeadName
from studies.lesion_grades.look import Arrays

ELSEWHERE = -1
"""The fold of photos of another clinic, which teach nothing."""


@dataclass(frozen=True)
class Seen:
    """Photos, and what was kept of them.

    Attributes:
        photos: Their `file`, `group` and `grade`.
        kept: What `look` gives, by photo.
        divisions: The fold of each photo, by division.
    """

    photos: pd.DataFrame
    kept: Sequence[Arrays]
    divisions: Mapping[str, Folds]

    def stack(self, name: str) -> Tensor:
        """Put together what was kept of each photo by one name, (N, ...)."""
        return torch.from_numpy(np.stack([each[name] for each in self.kept]))


@dataclass(frozen=True)
class Task:
    """What is to be learned, and answered.

    Attributes:
        seen: All photos.
        division: By which they are divided.
        fold: The one that is answered for; `ELSEWHERE` for photos of another clinic.
        lesion_px: The size at which lesions were looked for; no photo is shown larger.
        config: The recipe of the model that ships.
    """

    seen: Seen
    division: str
    fold: int
    lesion_px: int
    config: TrainConfig

    @property
    def folds(self) -> Folds:
        """The fold of each photo, (N,)."""
        return self.seen.divisions[self.division]

    @property
    def taught(self) -> npt.NDArray[np.int64]:
        """Rows of the photos that teach."""
        return np.flatnonzero((self.folds != self.fold) & (self.folds != ELSEWHERE))

    @property
    def asked(self) -> npt.NDArray[np.int64]:
        """Rows of the photos that are answered for."""
        return np.flatnonzero(self.folds == self.fold)

    @property
    def grades(self) -> npt.NDArray[np.int64]:
        """Of all photos, (N,)."""
        return np.array(self.seen.photos["grade"], np.int64)

    def means(self, size_px: int) -> Tensor:
        """Averages of features of each photo, (1, N, C), float64."""
        return self.seen.stack(f"means_{size_px}").double().transpose(0, 1)

    def lesions(self) -> Tensor:
        """Vectors of lesions, (N, V), by heads that know nothing of the fold that is answered for, nor of the photo."""
        vectors = []
        for own, kept in zip(self.folds.tolist(), self.seen.kept, strict=True):
            left_out = {own, self.fold} - {ELSEWHERE}
            name = WHOLE if own == ELSEWHERE else HeadName.of(self.division, *left_out)
            vectors.append(kept[f"lesions_{self.lesion_px}_{name}"])
        return torch.from_numpy(np.stack(vectors))
