"""Evidence: how much each cell of the feature map moved the referral score, in closed form.

The score S is the log-odds of referral, log(r / (1 - r)), r = p2 + p3 + p4 being the calibrated probability of grade 2
or more, which the rules hold against their thresholds: near 0 and 1 a probability hardly moves, its log-odds do.

A network averages over its cells, each with a weight, which add up to 1: in attention pooling a = A / sum(A), in Net-B
and in a plain network 1 / (h w). The evidence of a cell i is what the score loses if that cell is left out of these
averages and all else stays, the weights of the others growing to 1 again:

    x_i = (x - a_i F_i) / (1 - a_i)          average of features F, (B, C), without cell i
    E_i = S(x) - S(x_i)                      (B, 1, h, w), in units of log-odds

So a cell is held against the average of the others: where nothing differs there is no evidence, and since
sum_i (1 - a_i) (x - x_i) = 0, the evidence of a photo adds up to 0 but for second-order terms. In BiRA-Net a cell is
left out of one stream while the other stays, and the two losses are added up; so for a photo and its mirror image.

That takes no pass through the network for each cell. With one stream as it is, the head is linear in the normalized
vector n of the other, z_k = scale (W_k n_b) n_a + bias_k, and W_k n_b, (B, K, C), is computed once: all h w answers
together cost as much as one more layer. All of it is plain operations, so an exported graph computes it too.

Where lesions correct the answer, the score is that of the corrected answer, and the evidence of a kind of lesion is
what the score loses if nothing of that kind had been found, and all else stays.

Not the derivative of S, though it is the same to first order: the signed square root is so steep at 0 that a feature
whose average happens to lie near 0 would decide (on 72 photographs: docs/evidence.md). The masks of the attention are
taken as they are: what a cell does to them is no part of its evidence.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from biranet.grades import REFERABLE_GRADE
from biranet.learning.flip import FlipAverage
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.lesion_branch.pooling import pool_lesions, without_kind
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
)
from biranet.lesion_kinds import LESIONS

_Score = Callable[[Tensor], Tensor]
"""From logits (B, K), or (B, K, n), to a score (B,), or (B, n)."""

_LeaveOut = Callable[[_Score], Tensor]
"""From a score to what it loses by each cell, (B, 1, h, w); (B, 0, h, w) where that is not known."""


class Explained(NamedTuple):
    """What a model answers, and what moved its referral score.

    Attributes:
        output: What the model returns.
        evidence: How much each cell moved the score, (B, 1, h, w), in units of log-odds, above 0 towards referral and
            below 0 away from it. (B, 0, h, w) for networks that are not ours, and where no grade is referable.
        lesions: Of a network with a lesion branch, what it found: the share of each cell that is each of `KINDS`,
            (B, 5, H / 4, W / 4); of others (B, 0, h, w).
        lesion_evidence: How much each of `LESIONS` moved the score, (B, 4); (B, 0) where `lesions` has none.
    """

    output: Output
    evidence: Tensor
    lesions: Tensor
    lesion_evidence: Tensor


def explain(model: nn.Module, image: Tensor, temperature: float = 1.0) -> Explained:
    """Grade images, and say what moved the referral score.

    Args:
        model: In evaluation mode: what `create_model` gives, that within a `FlipAverage`, or either within a
            `LesionGrader`.
        image: (B, 3, H, W), normalized as the backbone's weights expect.
        temperature: Of the rules; the logits are divided by it.

    Returns:
        Answer, evidence and lesions.

    Example:
        >>> import biranet
        >>> model = biranet.create_model("ranet", backbone="test_resnet", pretrained=False).eval()
        >>> explain(model, torch.rand(2, 3, 64, 64)).evidence.shape
        torch.Size([2, 1, 2, 2])
    """
    score = partial(referral_log_odds, temperature=temperature)
    if isinstance(model, LesionGrader):
        return _explain_lesions(model, image, score)
    output, leave_out = _look(model, image)
    none = output.attention[:, :0]
    return Explained(output, leave_out(score) if _has_referral(output) else none, none, none[..., 0, 0])


def _explain_lesions(model: LesionGrader, image: Tensor, score: _Score) -> Explained:
    alone, leave_out = _look(model.model, model.shrink(image))
    lesions = model.find(image)
    vectors = pool_lesions(lesions)
    output = alone._replace(logits=model.correct(alone.logits, vectors))
    if not _has_referral(output):
        return Explained(output, output.attention[:, :0], lesions, vectors[:, :0])
    whole = score(output.logits)
    without = [score(model.correct(alone.logits, without_kind(vectors, kind))) for kind in range(len(LESIONS))]
    evidence = leave_out(lambda logits: score(model.correct(logits, vectors)))
    return Explained(output, evidence, lesions, torch.stack([whole - each for each in without], dim=1))


def _has_referral(output: Output) -> bool:
    return output.logits.shape[1] > REFERABLE_GRADE


def referral_log_odds(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the log-odds of grade 2 or more, (B, ...).

    Args:
        logits: (B, K, ...).
        temperature: They are divided by it.

    Example:
        >>> probabilities = torch.tensor([[0.3, 0.2, 0.2, 0.2, 0.1]])
        >>> referral_log_odds(probabilities.log())
        tensor([0.])
    """
    scaled = logits / temperature
    return scaled[:, REFERABLE_GRADE:].logsumexp(dim=1) - scaled[:, :REFERABLE_GRADE].logsumexp(dim=1)


def without_each(features: Tensor, weights: Tensor) -> Tensor:
    """Average cells, each time without one of them.

    Args:
        features: (B, C, h, w).
        weights: Of the cells in their average, (B, 1, h, w), adding up to 1.

    Returns:
        (B, C, h w): the average of all cells but one, for each of them.

    Example:
        >>> cells = torch.tensor([[[[1.0, 5.0, 9.0]]]])
        >>> without_each(cells, torch.tensor([[[[0.25, 0.25, 0.5]]]]))
        tensor([[[7.6667, 6.3333, 3.0000]]])
    """
    weighted = full_precision(features) * weights
    rest = weighted.sum(dim=(2, 3), keepdim=True) - weighted
    return (rest / (1 - weights).clamp_min(EPSILON)).flatten(2)


def _even(features: Tensor) -> Tensor:
    return torch.full_like(full_precision(features[:, :1]), 1 / (features.shape[2] * features.shape[3]))


def _attended(mask: Tensor) -> Tensor:
    mask = full_precision(mask)
    return mask / (mask.mean(dim=(2, 3), keepdim=True).clamp_min(EPSILON) * (mask.shape[2] * mask.shape[3]))


def _losses(score: _Score, whole: Tensor, without: Tensor, shape: torch.Size) -> Tensor:
    """What a score loses from logits (B, K) to those without each cell (B, K, h w): (B, 1, h, w)."""
    return (score(whole)[:, None] - score(without)).reshape(-1, 1, *shape[2:])


def _look(model: nn.Module, image: Tensor) -> tuple[Output, _LeaveOut]:
    """Grade images as the model does, and keep what their evidence is made of."""
    # By the very class: one that is derived from it may compute otherwise.
    return _LOOKS.get(type(model), _look_only)(model, image)


def _look_only(model: nn.Module, image: Tensor) -> tuple[Output, _LeaveOut]:
    output: Output = model(image)
    return output, lambda score: output.attention[:, :0]


def _look_twice(model: FlipAverage, image: Tensor) -> tuple[Output, _LeaveOut]:
    straight, from_straight = _look(model.model, image)
    mirrored, from_mirrored = _look(model.model, image.flip(-1))

    def beside(other: Output, score: _Score) -> _Score:
        """The score of the mean over a photo and its mirror image, while the other of them stays."""
        stays = other.logits.log_softmax(dim=1)

        def of_mean(logits: Tensor) -> Tensor:
            return score(torch.logaddexp(logits.log_softmax(dim=1), stays[(...,) + (None,) * (logits.dim() - 2)]))

        return of_mean

    def leave_out(score: _Score) -> Tensor:
        return from_straight(beside(mirrored, score)) + from_mirrored(beside(straight, score)).flip(-1)

    return FlipAverage.average(straight, mirrored), leave_out


def _look_by_streams(model: BiraNet, image: Tensor) -> tuple[Output, _LeaveOut]:
    if not (type(model.stream_a) is type(model.stream_b) is Stream and type(model.head) is BilinearHead):
        return _look_only(model, image)
    shared = model.frozen(image)
    cells_a, cells_b = model.stream_a.look(shared), model.stream_b.look(shared)
    vector_a, vector_b = cells_a.vector(), cells_b.vector()
    output = Output(model.head(vector_a, vector_b), torch.cat([cells_a.mask, cells_b.mask], dim=1))

    def leave_out(score: _Score) -> Tensor:
        weight, bias = full_precision(model.head.weight), full_precision(model.head.bias)[:, None]
        of_a = torch.einsum("bj,kij->bki", model.head.normalize(vector_b), weight)
        of_b = torch.einsum("bi,kij->bkj", model.head.normalize(vector_a), weight)
        losses = [
            _losses(score, output.logits, model.head.scale * (linear @ _units_without_each(cells)) + bias, shape)
            for cells, linear, shape in ((cells_a, of_a, cells_a.mask.shape), (cells_b, of_b, cells_b.mask.shape))
        ]
        return losses[0] + losses[1]

    return output, leave_out


def _units_without_each(cells: Cells) -> Tensor:
    """The normalized stream vector without each cell, (B, C, h w)."""
    attended = without_each(cells.features, _attended(cells.mask))
    return BilinearHead.normalize((attended + without_each(cells.overall, _even(cells.overall))) / 2)


def _look_by_one_stream(model: RANet, image: Tensor) -> tuple[Output, _LeaveOut]:
    features = model.features(image)
    output = model.grade(features)
    return output, partial(_leave_out_of_one, model.head, features, _attended(output.attention), output.logits)


def _look_evenly(model: PlainNet, image: Tensor) -> tuple[Output, _LeaveOut]:
    features = model.features(image)
    output = model.grade(features)
    return output, partial(_leave_out_of_one, model.head, features, _even(features), output.logits)


def _leave_out_of_one(head: nn.Module, features: Tensor, weights: Tensor, logits: Tensor, score: _Score) -> Tensor:
    """Leave cells out of the one average that a head grades."""
    without = head(without_each(features, weights).transpose(1, 2).to(features.dtype)).transpose(1, 2)
    return _losses(score, logits, full_precision(without), features.shape)


_LOOKS: Mapping[type, Callable[[Any, Tensor], tuple[Output, _LeaveOut]]] = {
    FlipAverage: _look_twice,
    BiraNet: _look_by_streams,
    RANet: _look_by_one_stream,
    PlainNet: _look_evenly,
}
