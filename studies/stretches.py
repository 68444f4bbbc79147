"""Stretches of a data set's numbering, where its visits are in order of time."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd


def number_of(file: str) -> int:
    """The number at the end of a photo's name.

    Example:
        >>> number_of("images512/idrid/IDRiD_012.jpg")
        12
    """
    return int(re.findall(r"\d+", Path(file).stem)[-1])


def stretch_of(photos: pd.DataFrame, count: int, shift: float = 0.0) -> npt.NDArray[np.int64]:
    """Divide photos into stretches of the numbering, visits whole, each where its first photo stands.

    Args:
        photos: With the columns `file` and `group`.
        count: How many stretches.
        shift: How far the first one begins behind the first photo, as a share of a stretch; the last one then goes on
            at the first photo.

    Returns:
        The stretch of each photo.
    """
    numbers = photos["file"].map(number_of)
    first = numbers.groupby(photos["group"]).transform("min")
    order = np.lexsort([numbers, first])
    sizes = photos.groupby("group")["file"].transform("size").to_numpy()
    place = np.empty(len(photos), np.int64)
    place[order] = np.arange(len(photos))
    middle = pd.Series(place).groupby(photos["group"].to_numpy()).transform("min").to_numpy() + sizes / 2
    return np.asarray(np.floor(middle / len(photos) * count - shift) % count, np.int64)
