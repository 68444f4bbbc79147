"""Signs that a training has not learned anything, as sentences for the terminal and the checkpoint."""

from collections.abc import Iterator

import torch
from torch import nn

from biranet.decisions.fit import SLIGHT_KAPPA
from biranet.grades import GRADE_COUNT

EXPLODED_RATIO = 2.0
"""A loss this many times that of equal probabilities has exploded."""


def uniform_loss(loss: nn.Module) -> float:
    """What a loss is for a model that gives every grade the same probability, over grades that come equally often.

    Args:
        loss: Takes logits (B, 5) and grades (B,).

    Returns:
        The mean, at least 0.

    Example:
        >>> round(uniform_loss(nn.CrossEntropyLoss()), 4)  # log 5
        1.6094
    """
    value: torch.Tensor = loss(torch.zeros(GRADE_COUNT, GRADE_COUNT), torch.arange(GRADE_COUNT))
    return float(value)


def training_doubts(loss: float, chance_loss: float, validation_kappa: float | None) -> Iterator[str]:
    """Say what is wrong with an epoch.

    Args:
        loss: Mean loss over its photos.
        chance_loss: See `uniform_loss`.
        validation_kappa: Quadratic weighted kappa after it; None without a validation part.

    Yields:
        A sentence for each thing.

    Example:
        >>> list(training_doubts(1.1, 1.6, 0.6))
        []
    """
    if loss > EXPLODED_RATIO * chance_loss:
        yield (
            f"The loss is {loss:.3g}, where equal probabilities for all grades cost {chance_loss:.3g}: it has "
            "exploded, so train again with a lower learning rate."
        )
    if validation_kappa is not None and validation_kappa < SLIGHT_KAPPA:
        yield (
            f"The validation kappa is {validation_kappa:.2f}: its grades hardly agree with the truth better than by "
            "chance."
        )
