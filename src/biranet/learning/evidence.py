"""Evidence: how much each cell of the feature map moved the referral score, in closed form.

The score S is the log-odds of referral, log(r / (1 - r)), r = p2 + p3 + p4 being the calibrated probability of grade 2
or more, which the rules hold against their thresholds. Its logarithm of odds, since a probability near 0 or 1 hardly
moves whatever a cell shows.

A network averages over its cells, each with a weight: in attention pooling a = A / sum(A), in Net-B and in a plain
network 1 / (h w). Let every cell's weight be multiplied by a number t, the same in all averages and 1 in truth. The
evidence of a cell is dS / dt: what the score gains where the cell counts more, and, to first order, what it would lose
if the cell were left out. With g = dS / dx, (B, C), the derivative by the average x = sum(a F) of features F, it is

    E = a (g . F - g . x)                                                               (B, 1, h, w)

so a cell is held against the average of all cells, and the evidence of a photo adds up to 0: where nothing differs
there is none. A stream's vector is the mean of two such averages, so its evidence is the mean of theirs; that of
BiRA-Net is the sum over its streams, and that of a photo and its mirror image the sum over both.

The way from S back to g, all of it plain operations, so that an exported graph computes it too:

    temperature  S = lse(z2 .. zK / T) - lse(z0, z1 / T);   dS / dz = (softmax(z2 .. zK / T), -softmax(z0, z1 / T)) / T
    head         z_k = scale n_a W_k n_b + bias_k;          dS / dn_a = scale sum_k dS / dz_k W_k n_b, and so for n_b
    norm         n = r q, q = (|r|^2 + e)^-1/2;             dS / dr = q (dS / dn - n (n . dS / dn))
    root         r = x (|x| + e)^-1/2;                      dS / dx = dS / dr (|x| / 2 + e) (|x| + e)^-3/2

The masks of the attention are taken as they are: what a cell does to them is no part of its evidence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from biranet.grades import REFERABLE_GRADE
from biranet.learning.flip import FlipAverage
from biranet.learning.model import (
    EPSILON,
    BilinearHead,
    BiraNet,
    Cells,
    Output,
    PlainNet,
    RANet,
    Stream,
    full_precision,
    signed_sqrt,
)

_Attribute = Callable[[Tensor], Tensor]
"""From the derivative of a score by the logits, (B, K), to the evidence, (B, 1, h, w); (B, 0, h, w) if not known."""


def explain(model: nn.Module, image: Tensor, temperature: float = 1.0) -> tuple[Output, Tensor]:
    """Grade images, and say how much each cell moved the referral score.

    Args:
        model: In evaluation mode: what `create_model` gives, or that within a `FlipAverage`.
        image: (B, 3, H, W), normalized as the backbone's weights expect.
        temperature: Of the rules; the logits are divided by it.

    Returns:
        What the model returns; and the evidence, (B, 1, h, w), in units of log-odds, above 0 towards referral and below
        0 away from it, adding up to 0 over the cells. (B, 0, h, w) for networks of other kinds, and where no grade is
        referable.

    Example:
        >>> import biranet
        >>> model = biranet.create_model("ranet", backbone="test_resnet", pretrained=False).eval()
        >>> output, evidence = explain(model, torch.rand(2, 3, 64, 64))
        >>> evidence.shape, bool(evidence.sum().abs() < 1e-6)
        (torch.Size([2, 1, 2, 2]), True)
    """
    output, attribute = _look(model, image)
    if output.logits.shape[1] <= REFERABLE_GRADE:
        return output, output.attention[:, :0]
    return output, attribute(by_logits(output.logits, temperature))


def referral_log_odds(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the log-odds of grade 2 or more, (B,).

    Args:
        logits: (B, K).
        temperature: They are divided by it.

    Example:
        >>> probabilities = torch.tensor([[0.3, 0.2, 0.2, 0.2, 0.1]])
        >>> referral_log_odds(probabilities.log())
        tensor([0.])
    """
    below, above = (logits / temperature).split([REFERABLE_GRADE, logits.shape[1] - REFERABLE_GRADE], dim=1)
    return above.logsumexp(dim=1) - below.logsumexp(dim=1)


def by_logits(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the derivative of `referral_log_odds` by the logits, (B, K).

    Example:
        >>> by_logits(torch.zeros(1, 6))
        tensor([[-0.5000, -0.5000,  0.2500,  0.2500,  0.2500,  0.2500]])
    """
    below, above = (logits / temperature).split([REFERABLE_GRADE, logits.shape[1] - REFERABLE_GRADE], dim=1)
    return torch.cat([-below.softmax(dim=1), above.softmax(dim=1)], dim=1) / temperature


def by_stream_vectors(head: BilinearHead, a: Tensor, b: Tensor, derivative: Tensor) -> tuple[Tensor, Tensor]:
    """Take a derivative back through the bilinear head.

    Args:
        head: The head.
        a: Vector of the first stream, (B, C).
        b: Vector of the second stream, (B, C).
        derivative: By the logits, (B, K).

    Returns:
        By `a` and by `b`, each (B, C).
    """
    weight, derivative = full_precision(head.weight), head.scale * derivative
    unit_a, unit_b = head.normalize(a), head.normalize(b)
    # By the unit of one stream first, so that (B, K, C) is the largest tensor, as in the head.
    by_a = torch.einsum("bki,bk->bi", torch.einsum("bj,kij->bki", unit_b, weight), derivative)
    by_b = torch.einsum("bkj,bk->bj", torch.einsum("bi,kij->bkj", unit_a, weight), derivative)
    return _by_vector(a, unit_a, by_a), _by_vector(b, unit_b, by_b)


def _by_vector(vector: Tensor, unit: Tensor, derivative: Tensor) -> Tensor:
    """Take a derivative by the normalized vector, all (B, C), back through `BilinearHead.normalize`."""
    vector = full_precision(vector)
    norm = (signed_sqrt(vector).square().sum(dim=1, keepdim=True) + EPSILON).rsqrt()
    by_root = norm * (derivative - unit * (unit * derivative).sum(dim=1, keepdim=True))
    magnitude = vector.abs() + EPSILON
    return by_root * (magnitude + EPSILON) / 2 * magnitude.pow(-1.5)


def evidence_of_cells(features: Tensor, weights: Tensor, derivative: Tensor) -> Tensor:
    """Say what each cell moves a score that depends on the average of the cells.

    Args:
        features: (B, C, h, w).
        weights: Of the cells in their average, (B, 1, h, w), adding up to 1.
        derivative: Of the score by the average, (B, C).

    Returns:
        Derivative of the score by the number, 1 in truth, that the weight of a cell is multiplied by: (B, 1, h, w).

    Example:
        >>> cells = torch.tensor([[[[1.0, 5.0]]]])
        >>> evidence_of_cells(cells, torch.tensor([[[[0.25, 0.75]]]]), torch.ones(1, 1))
        tensor([[[[-0.7500,  0.7500]]]])
    """
    votes = torch.einsum("bchw,bc->bhw", full_precision(features), derivative)[:, None]
    return weights * (votes - (weights * votes).sum(dim=(2, 3), keepdim=True))


def _even(features: Tensor) -> Tensor:
    return torch.full_like(full_precision(features[:, :1]), 1 / (features.shape[2] * features.shape[3]))


def _attended(mask: Tensor) -> Tensor:
    mask = full_precision(mask)
    return mask / (mask.mean(dim=(2, 3), keepdim=True).clamp_min(EPSILON) * (mask.shape[2] * mask.shape[3]))


def _evidence_of_stream(cells: Cells, derivative: Tensor) -> Tensor:
    attended = evidence_of_cells(cells.features, _attended(cells.mask), derivative)
    return (attended + evidence_of_cells(cells.overall, _even(cells.overall), derivative)) / 2


def _look(model: nn.Module, image: Tensor) -> tuple[Output, _Attribute]:
    """Grade images as the model does, and keep what their evidence is made of."""
    # By the very class: one that is derived from it may compute otherwise.
    kinds = {FlipAverage: _look_twice, BiraNet: _look_by_streams, RANet: _look_by_one_stream, PlainNet: _look_evenly}
    look: Callable[[Any, Tensor], tuple[Output, _Attribute]] | None = kinds.get(type(model))
    return look(model, image) if look else _look_only(model, image)


def _look_only(model: nn.Module, image: Tensor) -> tuple[Output, _Attribute]:
    output: Output = model(image)
    return output, lambda derivative: output.attention[:, :0]


def _look_twice(model: FlipAverage, image: Tensor) -> tuple[Output, _Attribute]:
    straight, of_straight = _look(model.model, image)
    mirrored, of_mirrored = _look(model.model, image.flip(-1))

    def attribute(derivative: Tensor) -> Tensor:
        logarithms = torch.stack([each.logits.log_softmax(dim=1) for each in (straight, mirrored)])
        # Of a mean of probabilities, each photo has its share; behind a softmax, derivatives add up to 0.
        derivatives = derivative * logarithms.softmax(dim=0)
        derivatives = derivatives - logarithms.exp() * derivatives.sum(dim=2, keepdim=True)
        return of_straight(derivatives[0]) + of_mirrored(derivatives[1]).flip(-1)

    return FlipAverage.average(straight, mirrored), attribute


def _look_by_streams(model: BiraNet, image: Tensor) -> tuple[Output, _Attribute]:
    if not (type(model.stream_a) is type(model.stream_b) is Stream and type(model.head) is BilinearHead):
        return _look_only(model, image)
    shared = model.frozen(image)
    cells_a, cells_b = model.stream_a.look(shared), model.stream_b.look(shared)
    vector_a, vector_b = cells_a.vector(), cells_b.vector()

    def attribute(derivative: Tensor) -> Tensor:
        by_a, by_b = by_stream_vectors(model.head, vector_a, vector_b, derivative)
        return _evidence_of_stream(cells_a, by_a) + _evidence_of_stream(cells_b, by_b)

    return Output(model.head(vector_a, vector_b), torch.cat([cells_a.mask, cells_b.mask], dim=1)), attribute


def _look_by_one_stream(model: RANet, image: Tensor) -> tuple[Output, _Attribute]:
    features = model.features(image)
    output = model.grade(features)

    def attribute(derivative: Tensor) -> Tensor:
        by_pooled = full_precision(derivative @ model.head[2].weight @ model.head[0].weight)
        return evidence_of_cells(features, _attended(output.attention), by_pooled)

    return output, attribute


def _look_evenly(model: PlainNet, image: Tensor) -> tuple[Output, _Attribute]:
    features = model.features(image)

    def attribute(derivative: Tensor) -> Tensor:
        return evidence_of_cells(features, _even(features), full_precision(derivative @ model.head.weight))

    return model.grade(features), attribute
