"""From the maps of a photo's lesions to a short vector, in continuous operations that ONNX has.

Continuous, since engines differ in the last digits: a count of the peaks above a threshold would differ by one where a
peak lies on it, or where two cells are as high as each other, and a grade with it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from biranet.lesion_kinds import DISC, KINDS, LESIONS

MARKED_FROM = (0.1, 0.2, 0.4)
"""Cells count from half of each of these shares on, more and more, and wholly from three halves of it on."""

ZONED_FROM = MARKED_FROM[1]
"""Spots of cells that count by this share are counted by quadrant too."""

SPOT_CELLS = 5
"""Cells within a square of so many down and across are one spot."""

HIGHEST_CELLS = 64
"""So many of the highest cells are averaged."""

AREA_UNIT = 1e-4
"""Areas are told in this share of the square."""

GLOBAL = len(LESIONS) * (3 + len(MARKED_FROM))
"""So many of the values, the first ones, do not depend on where a lesion lies."""

_SMALLEST = 1e-6

VALUES = GLOBAL + 4 * len(LESIONS)
"""How many values there are."""


def pool_lesions(shares: Tensor) -> Tensor:
    """Sum up maps of lesions.

    Args:
        shares: (B, 5, h, w), probabilities in the order of `KINDS`.

    Returns:
        (B, VALUES), for each kind of lesion: the logarithm of its area, the highest value, the mean of the 64 highest
        ones, the logarithms of the numbers of spots from .1, .2 and .4 on; and then, of all kinds, the logarithms of
        the numbers of spots in the four quadrants of the square, the fewest first. What lies on the disc does not
        count: its rim looks like lesions. All is 0 where nothing is found.

    Example:
        >>> pool_lesions(torch.zeros(2, 5, 16, 16)).shape
        torch.Size([2, 40])
    """
    # Slices of the kinds alone, as in `referral_log_odds`.
    lesions = shares.narrow(1, 0, len(LESIONS)) * (1 - shares.narrow(1, KINDS.index(DISC), 1))
    top = lesions.flatten(2).topk(HIGHEST_CELLS, dim=2).values
    values = [(lesions.mean(dim=(2, 3)) / AREA_UNIT).log1p(), top[..., 0], top.mean(dim=2)]
    values += [_spots(lesions, share).sum(dim=(2, 3)).log1p() for share in MARKED_FROM]
    zoned = _spots(lesions, ZONED_FROM)
    quadrants = functional.avg_pool2d(zoned, (zoned.shape[2] // 2, zoned.shape[3] // 2)).flatten(2)
    in_each = quadrants * (zoned.shape[2] * zoned.shape[3] / 4)
    return torch.cat([*values, in_each.sort(dim=2).values.log1p().flatten(1)], dim=1)


def _spots(lesions: Tensor, share: float) -> Tensor:
    """How much of a spot each cell is: those of a small one add up to 1, those of a large one to how many fit into it.

    A cell that counts by r is r * r / R of a spot, R being what all about it count.
    """
    counts = (lesions / share - 0.5).clamp(0, 1)
    about = SPOT_CELLS**2 * functional.avg_pool2d(counts, SPOT_CELLS, stride=1, padding=SPOT_CELLS // 2)
    return counts.square() / about.clamp_min(_SMALLEST)


def without_kind(vectors: Tensor, kind: int) -> Tensor:
    """Give the vectors (B, VALUES) of photos as if nothing of a kind had been found, by its number in `LESIONS`.

    Example:
        >>> shares = torch.rand(2, 5, 16, 16)
        >>> without = without_kind(pool_lesions(shares), 1)
        >>> shares[:, 1] = 0
        >>> torch.equal(without, pool_lesions(shares))
        True
    """
    kinds = torch.arange(len(LESIONS))
    of_value = torch.cat([kinds.repeat(GLOBAL // len(LESIONS)), kinds.repeat_interleave(4)]).to(vectors.device)
    return vectors * (of_value != kind)
