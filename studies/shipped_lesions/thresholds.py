"""From which share of a cell on lesions are outlined: where that is right most often, and seldom in healthy eyes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from biranet.inference.lesion_findings import describe_lesions
from biranet.learning.lesion_branch.maps import LesionFinder, LesionMaps
from biranet.lesion_kinds import KINDS, LESIONS

MOST_MARKS = 1.0
"""So many lesions of a kind may be counted in a healthy eye, on average."""

STEPS = 40
"""So many thresholds are tried between the lowest one and 1, evenly in their logits."""

_HIGHEST = 0.99


def raise_thresholds(lowest: Mapping[str, float], finder: LesionFinder, healthy: Sequence[Path]) -> dict[str, float]:
    """Raise thresholds until healthy eyes have at most one lesion of a kind, on average.

    Args:
        lowest: By kind, such as those with the highest Dice coefficient on photos with lesions.
        finder: What finds lesions.
        healthy: Photos of eyes without any, none of a visit that has taught what finds lesions there.

    Returns:
        By kind; those of the disc stay.
    """
    maps = [finder.find(path) for path in healthy]
    return {kind: _raised(kind, least, maps) if kind in LESIONS else least for kind, least in lowest.items()}


def _raised(kind: str, least: float, maps: Sequence[LesionMaps]) -> float:
    lowest, highest = (math.log(share / (1 - share)) for share in (least, _HIGHEST))
    tried: list[float] = (1 / (1 + np.exp(-np.linspace(lowest, highest, STEPS)))).tolist()
    return next((each for each in tried if _marks(kind, each, maps) <= MOST_MARKS), tried[-1])


def _marks(kind: str, threshold: float, maps: Sequence[LesionMaps]) -> float:
    thresholds = dict.fromkeys(KINDS, threshold)
    found = (describe_lesions(each, thresholds, dict.fromkeys(LESIONS, 0))[kind].count for each in maps)
    return float(np.mean([count or 0 for count in found]))
