"""The loss of the lesion branch."""

from torch import Tensor
from torch.nn import functional

from biranet.lesion_kinds import KINDS

_DICE = 0.5
"""Weight of the Dice term beside the cross-entropy."""

_SMOOTH = 1.0
"""Cells that both sides of a Dice coefficient have in common beforehand, so that it is 1 where nothing is drawn."""


def lesion_loss(logits: Tensor, coverage: Tensor) -> Tensor:
    """Cross-entropy against the share of each cell that is lesion, and the soft Dice loss of each kind in the batch.

    Lesions fill one cell of a hundred or of a thousand. Cross-entropy alone, summed over the kinds, is a sum of mostly
    certain cells; the Dice coefficient (Milletari et al., V-Net, 3DV 2016) is the same for a rare kind as for a common
    one. Weights on rare kinds and the focal loss did no better on photos that had not been learned from.

    Args:
        logits: (B, 5, h, w).
        coverage: (B, 5, h, w), 0 to 1; NaN for kinds that nobody has looked for, which count for nothing.

    Returns:
        A scalar; 0 where nothing is known.

    Raises:
        FloatingPointError: If a logit is not a finite number.

    Example:
        >>> import torch
        >>> certain = torch.full((1, 5, 2, 2), 20.0)
        >>> round(lesion_loss(certain, torch.ones(1, 5, 2, 2)).item(), 3)
        0.0
    """
    if not bool(logits.isfinite().all()):
        raise FloatingPointError("the logits are not all finite numbers")
    labeled, shares = ~coverage.isnan(), coverage.nan_to_num()
    each = functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
    entropy = len(KINDS) * (each * labeled).sum() / labeled.sum().clamp_min(1)
    predicted = logits.sigmoid() * labeled
    common, both = (values.sum(dim=(0, 2, 3)) for values in (predicted * shares, predicted + shares))
    dice = 1 - (2 * common + _SMOOTH) / (both + _SMOOTH)
    return entropy + _DICE * dice.mean()
