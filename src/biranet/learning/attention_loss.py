"""A term that teaches attention with masks of lesions, where there are some: our own idea, no part of the method.

What a stream weighs its cells by is a = A / sum(A), A being the mask of Net-A; what is drawn is q = s / sum(s), s being
the share of each cell that is drawn. The term is the divergence of the two, in nats:

    KL(q || a) = sum over cells of q log(q / a)

It is 0 where a stream weighs its cells as the lesions fill them, and log(cells / lesion cells) where it weighs all
cells alike and the lesions fill theirs alike. Its gradient is that of the cross-entropy of a against q. A photo in
which nothing is drawn, or nobody has looked, teaches nothing: where a stream should look there, no mask can tell.
"""

import torch
from torch import Tensor

from biranet.errors import InputError
from biranet.learning.model import EPSILON, full_precision


def attention_loss(attention: Tensor, shares: Tensor) -> Tensor:
    """Say how far the attention of streams is from the lesions that people drew.

    Args:
        attention: Masks A in [0, 1], one per stream, (B, S, h, w), as in `Output.attention`.
        shares: (B, S, h, w), 0 to 1: the share of each cell that is drawn as what this stream shall look at; NaN where
            nobody has looked for it. Streams may be taught different kinds of lesions, or the same.

    Returns:
        The mean divergence of the streams' attention in photos with something drawn for them, a scalar in nats, at
        least 0; 0 where there is none.

    Raises:
        InputError: If the shapes differ.
        FloatingPointError: If a mask is not finite.

    Example:
        >>> drawn = torch.tensor([[[[0.0, 0.5], [0.0, 0.5]]]])
        >>> attention_loss(torch.ones(1, 1, 2, 2), drawn), attention_loss(drawn, drawn)
        (tensor(0.6931), tensor(0.))
        >>> attention_loss(torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), torch.nan))
        tensor(0.)
    """
    if attention.ndim != 4 or attention.shape != shares.shape:
        raise InputError(
            "the attention and the shares that are drawn must both be (B, S, h, w), "
            f"not {tuple(attention.shape)} and {tuple(shares.shape)}"
        )
    if not bool(torch.isfinite(attention).all()):
        raise FloatingPointError("the attention is not all finite numbers")
    weights, drawn = full_precision(attention).flatten(2), full_precision(shares).flatten(2)
    total = drawn.sum(dim=2, keepdim=True)
    taught = total > EPSILON  # not where a cell is NaN
    target = torch.where(taught, drawn / total, 0)
    spread = weights / weights.sum(dim=2, keepdim=True).clamp_min(EPSILON)
    divergence = torch.xlogy(target, target) - target * spread.clamp_min(EPSILON).log()
    return divergence.sum() / taught.sum().clamp_min(1)
