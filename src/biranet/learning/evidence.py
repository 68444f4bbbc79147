"""Evidence: how much each cell of a feature map moved the referral score.

The score S is the log-odds of referral, log(r / (1 - r)), r = p2 + p3 + p4 being the calibrated probability of grade 2
or more, which the rules hold against their thresholds: near 0 and 1 a probability hardly moves, its log-odds do.

The evidence of a cell i is what S would lose, to first order, if all features F of that cell were 0:

    E_i = sum_c F_ci dS / dF_ci              (B, 1, h, w), in units of log-odds

With one change: the head takes the root of the features' averages, which is vertical at 0, so a feature whose average
happens to lie there would decide, and the last digits of a float with it. Nearer to 0 than a hundredth of the root mean
square of all averages, a feature counts as it would at that distance (`tamed`).

F is the finest map that is worth it: the last one with more cells than the network's last map, which in the backbones
of timm is that of stride 16 (`docs/evidence.md` measures that it is far more faithful to the network than the last
one). Where a network cannot be cut there, it is its last map. All that follows it counts: the last stage, attention,
Net-B and head. Where streams have maps of their own, theirs are added up; so for a photo and its mirror image.

Where lesions correct the answer, the score is that of the corrected answer, and the evidence of a kind of lesion is
what the score loses if nothing of that kind had been found, and all else stays: in closed form, and not to first order.

To explain is to `look` and to `conclude`. A graph of ONNX has no gradients, so an exported one has the second step,
the way back included, written out in operations (`evidence_graph.py`).
"""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeGuard
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from biranet.grades import REFERABLE_GRADE
from biranet.learning.backbone import FrozenLayers
from biranet.learning.flip import FlipAverage
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.lesion_branch.pooling import pool_lesions, without_kind
from biranet.learning.model import EPSILON, BiraNet, Output, PlainNet, RANet, Stream
from biranet.lesion_kinds import LESIONS

_Ours = BiraNet | RANet | PlainNet

STEEP_FRACTION = 0.01
"""Within so much of 0, in parts of a stream vector's root mean square, the root gets no steeper."""

_LAST = sys.maxsize
"""So many layers lie before the last map of any network."""


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


class Concluded(NamedTuple):
    """The answer that follows from what was seen, and what moved it; as in `Output` and `Explained`."""

    logits: Tensor
    attention: Tensor
    evidence: Tensor
    lesion_evidence: Tensor


class Seen(NamedTuple):
    """What a model sees of images.

    Attributes:
        maps: Of which evidence is told, (B, C, h, w) each: one for both streams, or for each of them; then of the
            mirror images, where the model is asked about these. For networks that are not ours the images.
        lesions: As in `Explained`; None without a lesion branch.
        vectors: `pool_lesions` of them, (B, V); (B, 0) without.
    """

    maps: tuple[Tensor, ...]
    lesions: Tensor | None
    vectors: Tensor


Conclude = Callable[..., tuple[Tensor, ...]]
"""`conclude` of a model: from `Seen.vectors` and each of `Seen.maps` to the parts of `Concluded`."""


def explain(model: nn.Module, image: Tensor, temperature: float = 1.0, concluding: Conclude | None = None) -> Explained:
    """Grade images, and say what moved the referral score.

    Args:
        model: In evaluation mode: what `create_model` gives, that within a `FlipAverage`, or either within a
            `LesionGrader`.
        image: (B, 3, H, W), normalized as the backbone's weights expect.
        temperature: Of the rules; the logits are divided by it.
        concluding: Takes the place of `conclude`.

    Returns:
        Answer, evidence and lesions; no gradients flow through them.

    Example:
        >>> import biranet
        >>> model = biranet.create_model("ranet", backbone="test_resnet", pretrained=False).eval()
        >>> explain(model, torch.rand(2, 3, 64, 64)).evidence.shape
        torch.Size([2, 1, 4, 4])
    """
    seen = look(model, image)
    concluded = (
        conclude(model, temperature, seen.vectors, *seen.maps)
        if concluding is None
        else Concluded(*concluding(seen.vectors, *seen.maps))
    )
    lesions = concluded.attention.narrow(1, 0, 0) if seen.lesions is None else seen.lesions
    return Explained(
        Output(concluded.logits, concluded.attention), concluded.evidence, lesions, concluded.lesion_evidence
    )


@torch.no_grad()
def look(model: nn.Module, image: Tensor) -> Seen:
    """Show images (B, 3, H, W) to a model."""
    if isinstance(model, LesionGrader):
        lesions = model.find(image)
        return Seen(_maps(model.model, model.shrink(image)), lesions, pool_lesions(lesions))
    return Seen(_maps(model, image), None, image.new_empty(image.shape[0], 0))


def conclude(model: nn.Module, temperature: float, vectors: Tensor, *maps: Tensor) -> Concluded:
    """Answer from what was seen, and say what moved the answer.

    Args:
        model: As for `explain`.
        temperature: Of the rules.
        vectors: As in `Seen`.
        maps: As in `Seen`.
    """
    grading = model.model if isinstance(model, LesionGrader) else model
    known = _is_ours(grading.model if isinstance(grading, FlipAverage) else grading)
    # Nothing of inference mode can be derived by: a copy that is made outside of it can.
    with torch.inference_mode(False), torch.set_grad_enabled(known):
        leaves = [each.clone().requires_grad_(known) for each in maps]
        # Copies, since the next layer may work in place.
        alone = _answer(grading, [each.clone() for each in leaves])
        logits = alone.logits
        if isinstance(model, LesionGrader):
            logits = model.correct(logits, vectors.clone())
        none = alone.attention.narrow(1, 0, 0).detach()
        if logits.shape[1] <= REFERABLE_GRADE:
            return Concluded(logits.detach(), alone.attention.detach(), none, none[..., 0, 0])
        score = referral_log_odds(logits, temperature)
        evidence = _gradient_times_maps(grading, score, leaves) if known else none
    of_lesions = none[..., 0, 0]
    if isinstance(model, LesionGrader):
        without = (model.correct(alone.logits.detach(), without_kind(vectors, kind)) for kind in range(len(LESIONS)))
        lost = [score.detach() - referral_log_odds(each, temperature) for each in without]
        of_lesions = torch.stack(lost, dim=1)
    return Concluded(logits.detach(), alone.attention.detach(), evidence, of_lesions)


def _gradient_times_maps(model: nn.Module, score: Tensor, maps: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(score.sum(), maps)
    products = [
        (each * gradient).sum(dim=1, keepdim=True).detach() for each, gradient in zip(maps, gradients, strict=True)
    ]
    straight = len(products) // 2 if isinstance(model, FlipAverage) else len(products)
    turned = [*products[:straight], *(each.flip(-1) for each in products[straight:])]
    return torch.stack(turned).sum(dim=0)


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
    # Slices of this kind alone: what `[:, …]` says of the images too, older torch takes for a bound of their number.
    below = scaled.narrow(1, 0, REFERABLE_GRADE)
    above = scaled.narrow(1, REFERABLE_GRADE, scaled.shape[1] - REFERABLE_GRADE)
    return above.logsumexp(dim=1) - below.logsumexp(dim=1)


def _is_ours(net: nn.Module) -> TypeGuard[_Ours]:
    # By the very classes: those that are derived from them may compute otherwise.
    if type(net) is BiraNet:
        return type(net.stream_a) is type(net.stream_b) is Stream
    return type(net) in (RANet, PlainNet)


def _maps(model: nn.Module, image: Tensor) -> tuple[Tensor, ...]:
    """What a network that grades makes of images up to where it is cut; the images themselves where it is not."""
    if isinstance(model, FlipAverage):
        # One after the other: both in one batch would take twice the memory.
        return (*_maps(model.model, image), *_maps(model.model, image.flip(-1)))
    if not _is_ours(model):
        return (image,)
    frozen, backbones = _layers(model.frozen), [_layers(each) for each in _backbones(model)]
    place = _place(model, image)
    shared = _pass(frozen[:place], image)
    if place <= len(frozen):
        return (shared,)
    return tuple(_pass(each[: place - len(frozen)], shared) for each in backbones)


def _answer(model: nn.Module, maps: Sequence[Tensor]) -> Output:
    """What follows from these maps."""
    if isinstance(model, FlipAverage):
        half = len(maps) // 2
        return FlipAverage.average(_answer(model.model, maps[:half]), _answer(model.model, maps[half:]))
    if not _is_ours(model):
        output: Output = model(maps[0])
        return output
    frozen, backbones = _layers(model.frozen), [_layers(each) for each in _backbones(model)]
    place = _places[model]
    if place <= len(frozen):
        shared = _pass(frozen[place:], maps[0])
        features = [_pass(each, shared) for each in backbones]
    else:
        features = [_pass(each[place - len(frozen) :], its) for each, its in zip(backbones, maps, strict=True)]
    if not isinstance(model, BiraNet):
        return model.grade(*features)
    (vector_a, mask_a), (vector_b, mask_b) = map(Stream.pool, (model.stream_a, model.stream_b), features)
    return Output(model.head(tamed(vector_a), tamed(vector_b)), torch.cat([mask_a, mask_b], dim=1))


def tamed(vector: Tensor) -> Tensor:
    """Return a stream vector (B, C) as it is, whose gradient is less where the head's root is steepest.

    Example:
        >>> from biranet.learning.model import signed_sqrt
        >>> vector = torch.tensor([[4.0, 1e-4, -1.0]], requires_grad=True)
        >>> signed_sqrt(tamed(vector)).sum().backward()
        >>> vector.grad.round(decimals=2)  # the slope of the root at 1e-4 is 50
        tensor([[0.2500, 3.2400, 0.5000]])
    """
    held = vector.detach()
    near = STEEP_FRACTION * held.square().mean(dim=1, keepdim=True).sqrt()
    slower = (_slope_of_root(near) / _slope_of_root(held.abs())).clamp(max=1)
    return held + slower * (vector - held)


def _slope_of_root(size: Tensor) -> Tensor:
    """The derivative of `signed_sqrt` at numbers of these sizes."""
    return (size / 2 + EPSILON) * (size + EPSILON).pow(-1.5)


def _pass(layers: Sequence[nn.Module], image: Tensor) -> Tensor:
    for layer in layers:
        image = layer(image)
    return image


def _backbones(net: _Ours) -> list[nn.Module]:
    return [net.stream_a.backbone, net.stream_b.backbone] if isinstance(net, BiraNet) else [net.backbone]


def _layers(part: nn.Module) -> list[nn.Module]:
    if type(part) is nn.Identity:
        return []
    # By the very classes, again.
    return list(part.children()) if type(part) in (nn.Sequential, FrozenLayers) else [part]


_places: WeakKeyDictionary[_Ours, int] = WeakKeyDictionary()
"""After how many layers each network is cut."""


def _place(net: _Ours, image: Tensor) -> int:
    """After how many layers a network is cut: the last ones whose maps have more cells than its last map."""
    if net not in _places:
        frozen = _layers(net.frozen)
        counts = [_cell_counts([*frozen, *_layers(each)], image[:1]) for each in _backbones(net)]
        finer = [place for place, cells in enumerate(counts[0], start=1) if cells > counts[0][-1]]
        # Maps of two streams are added up, so they must have the same cells.
        _places[net] = finer[-1] if finer and all(each == counts[0] for each in counts) else _LAST
    return _places[net]


def _cell_counts(layers: Sequence[nn.Module], image: Tensor) -> list[int]:
    counts = []
    for layer in layers:
        image = layer(image)
        counts.append(image.shape[2:].numel())
    return counts
