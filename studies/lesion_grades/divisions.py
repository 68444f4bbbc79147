"""How the photos are divided, and which masks may teach the lesion head that looks at a photo.

A head is named by a division and by the folds whose visits it has learned nothing from. Outside of fold f, photos of
fold g are seen by the head that knows neither f nor g, as they will be by one that has not seen them; those of fold f
by the head that does not know f. So whoever learns from the others learns from maps as good as those it will be given,
and no mask of a visit in f has any part in it.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from biranet.learning.split import split_photos
from studies.shipped.steps import FOLDS, OUTER
from studies.stretches import stretch_of

Folds = npt.NDArray[np.int64]


class HeadName(NamedTuple):
    """What a head has not seen.

    Attributes:
        division: `visits` or `stretches`.
        left_out: The folds whose visits taught it nothing, in order.
    """

    division: str
    left_out: tuple[int, ...]

    def __str__(self) -> str:
        """Name its file."""
        return "_".join([self.division, *map(str, self.left_out)])

    @classmethod
    def of(cls, division: str, *left_out: int) -> "HeadName":
        """Name the head that leaves out some folds, each once.

        Example:
            >>> str(HeadName.of("visits", 3, 1, 3))
            'visits_1_3'
        """
        return cls(division, tuple(sorted(set(left_out))))


WHOLE = HeadName("whole", ())
"""The head that has learned from all masks that may teach; it looks at photos of other clinics."""


def divide(photos: pd.DataFrame) -> dict[str, Folds]:
    """Divide photos into folds of visits, as the model that ships is measured, and into stretches of the numbering."""
    split = split_photos(photos, OUTER)
    visits = np.select([split[f"fold_{fold}"] == "test" for fold in range(FOLDS)], list(range(FOLDS)), -1)
    return {"visits": np.asarray(visits, np.int64), "stretches": stretch_of(photos, FOLDS)}


def head_names(divisions: Mapping[str, Folds]) -> Iterator[HeadName]:
    """Name all heads that are needed."""
    yield WHOLE
    for division in divisions:
        for count in (1, 2):
            yield from (HeadName(division, left_out) for left_out in combinations(range(FOLDS), count))


def heads_of(folds: Mapping[str, int]) -> list[HeadName]:
    """Name the heads that look at a photo.

    Args:
        folds: Its fold in each division; none for a photo of another clinic.

    Example:
        >>> [str(name) for name in heads_of({"visits": 1})]
        ['visits_0_1', 'visits_1', 'visits_1_2', 'visits_1_3', 'visits_1_4']
    """
    names = [HeadName.of(division, fold, other) for division, fold in folds.items() for other in range(FOLDS)]
    return names or [WHOLE]
