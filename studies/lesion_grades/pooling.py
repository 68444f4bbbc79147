"""From the maps of a photo's lesions to a short vector, in operations that ONNX has."""

import torch
from torch import Tensor
from torch.nn import functional

from biranet.lesion_kinds import DISC, KINDS, LESIONS

MARKS_FROM = (0.1, 0.2, 0.4)
"""Peaks of a map are counted from each of these shares on."""

ZONED_FROM = MARKS_FROM[1]
"""Those from here on are counted by quadrant too."""

PEAK_CELLS = 3
"""A peak is the highest of so many cells down and across."""

HIGHEST_CELLS = 16
"""So many of the highest cells are averaged."""

AREA_UNIT = 1e-4
"""Areas are told in this share of the square."""

GLOBAL = len(LESIONS) * (3 + len(MARKS_FROM))
"""So many of the values, the first ones, do not depend on where a lesion lies."""


def pool_lesions(shares: Tensor) -> Tensor:
    """Sum up maps of lesions.

    Args:
        shares: (B, 5, h, w), probabilities in the order of `KINDS`.

    Returns:
        (B, V), for each kind of lesion: the logarithm of its area, the highest value, the mean of the 16 highest ones,
        the logarithms of the numbers of peaks from .1, .2 and .4 on; and then, of all kinds, the logarithms of the
        numbers of peaks in the four quadrants of the square, the fewest first. What lies on the disc does not count:
        its rim looks like lesions.

    Example:
        >>> pool_lesions(torch.zeros(2, 5, 16, 16)).shape
        torch.Size([2, 40])
    """
    lesions = shares[:, : len(LESIONS)] * (1 - shares[:, KINDS.index(DISC)].unsqueeze(1))
    top = lesions.flatten(2).topk(HIGHEST_CELLS, dim=2).values
    peaks = lesions == functional.max_pool2d(lesions, PEAK_CELLS, stride=1, padding=PEAK_CELLS // 2)
    values = [(lesions.mean(dim=(2, 3)) / AREA_UNIT).log1p(), top[..., 0], top.mean(dim=2)]
    values += [(peaks & (lesions >= least)).sum(dim=(2, 3)).log1p() for least in MARKS_FROM]
    zoned = (peaks & (lesions >= ZONED_FROM)).float()
    quadrants = functional.adaptive_avg_pool2d(zoned, 2).flatten(2) * (zoned.shape[2] * zoned.shape[3] / 4)
    return torch.cat([*values, quadrants.sort(dim=2).values.log1p().flatten(1)], dim=1)
