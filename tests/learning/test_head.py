"""The bilinear head of `biranet.learning.model`, against the pooling written out."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from biranet.learning.loss import grading_loss
from biranet.learning.model import EPSILON, BilinearHead, signed_sqrt

pytestmark = pytest.mark.kernels


def _head(channels, scale=None, num_grades=5):
    torch.manual_seed(3)
    return BilinearHead(channels, scale, num_grades).double()


def _vectors(kind, channels=8, count=7):
    """Pairs of stream vectors (B, C) in float64."""
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, count, channels, generator=generator, dtype=torch.float64)
    if kind == "relu":
        return a.relu(), b.relu()
    if kind == "zeros":
        a[0], b[1], a[2], b[2] = 0, 0, 0, 0
    return a, b


def _written_out(head, a, b):
    """Outer product, signed square root, L2 norm, flatten, scale, Linear; both epsilons act per vector."""
    outer = a[:, :, None] * b[:, None, :]
    root = outer / ((a.abs() + EPSILON).sqrt()[:, :, None] * (b.abs() + EPSILON).sqrt()[:, None, :])

    def squared_norm(vector):
        return (vector**2 / (vector.abs() + EPSILON)).sum(dim=1) + EPSILON

    unit = root / (squared_norm(a) * squared_norm(b)).sqrt()[:, None, None]
    linear = nn.Linear(unit[0].numel(), len(head.bias), dtype=a.dtype)
    linear.weight, linear.bias = nn.Parameter(head.weight.detach().flatten(1)), nn.Parameter(head.bias.detach())
    return linear, linear(head.scale * unit.flatten(1))


@pytest.mark.parametrize("num_grades", [2, 3, 5, 7])
@pytest.mark.parametrize("kind", ["signed", "relu", "zeros"])
def test_head_equals_the_written_out_bilinear_pooling(kind, num_grades):
    head = _head(8, num_grades=num_grades)
    ours = [vector.requires_grad_() for vector in _vectors(kind)]
    theirs = [vector.requires_grad_() for vector in _vectors(kind)]
    logits = head(*ours)
    linear, expected = _written_out(head, *theirs)
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)

    towards = torch.linspace(-1, 1, logits.numel(), dtype=torch.float64).view_as(logits)
    (logits * towards).sum().backward()
    (expected * towards).sum().backward()
    gradients = [vector.grad for vector in ours] + [head.weight.grad.flatten(1), head.bias.grad]
    references = [vector.grad for vector in theirs] + [linear.weight.grad, linear.bias.grad]
    for gradient, reference in zip(gradients, references, strict=True):
        assert torch.isfinite(gradient).all()
        # At exact zeros the gradients are large: the root's slope there is 1 / sqrt(epsilon).
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-11)


def test_head_is_signed_square_root_and_l2_norm_away_from_zero():
    head = _head(8)
    a, b = (vector.sign() * (vector.abs() + 0.1) for vector in _vectors("signed"))
    outer = torch.einsum("bi,bj->bij", a, b).flatten(1)
    unit = nn.functional.normalize(outer.sign() * outer.abs().sqrt())
    expected = math.sqrt(8) * unit @ head.weight.flatten(1).T + head.bias
    torch.testing.assert_close(head(a, b), expected, rtol=1e-4, atol=1e-5)


def test_head_agrees_with_finite_differences():
    head = _head(4)
    a, b = (vector.requires_grad_() for vector in _vectors("signed", channels=4, count=3))
    assert torch.autograd.gradcheck(head, (a, b))


def test_signed_square_root_is_odd_and_keeps_the_sign():
    values = torch.linspace(-9, 9, 41, dtype=torch.float64)
    assert torch.equal(signed_sqrt(-values), -signed_sqrt(values))
    torch.testing.assert_close(signed_sqrt(values), values.sign() * values.abs().sqrt(), rtol=1e-5, atol=1e-3)


def test_swapping_the_streams_transposes_the_bilinear_form():
    head = _head(8)
    swapped = copy.deepcopy(head)
    swapped.weight.data = head.weight.data.mT.contiguous()
    a, b = _vectors("signed")
    torch.testing.assert_close(head(a, b), swapped(b, a), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(head(a, b), head(b, a))


def test_both_streams_matter_as_vectors():
    # A re-implementation multiplies the outer product with its own transpose: there b enters only as a number.
    head, (a, b) = _head(8), _vectors("signed")
    assert not torch.allclose(head(a, b), head(a, b.flip(1)))
    assert not torch.allclose(head(a, b), head(a.flip(1), b))


class _LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, function, _types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


def test_head_never_makes_the_bilinear_vector():
    channels, count = 512, 64
    head = BilinearHead(channels)
    a, b = (torch.rand(count, channels, requires_grad=True) for _ in range(2))
    with _LargestTensor() as seen:
        head(a, b).sum().backward()
    assert seen.largest <= head.weight.numel() < count * channels * channels


def _fit_head(scale, steps=60):
    """What the published recipe makes of a head on vectors that are easy to tell apart: before, after, share right."""
    torch.manual_seed(0)
    channels, grades = 256, torch.arange(5).repeat(4)
    center = torch.rand(2, 5, channels)
    a, b = (center[stream, grades] + 0.05 * torch.rand(len(grades), channels) for stream in range(2))
    head = BilinearHead(channels, scale)
    optimizer = torch.optim.SGD(head.parameters(), lr=2e-4, momentum=0.9)

    def surprise():  # the grading loss itself jumps where a prediction changes
        return nn.functional.cross_entropy(head(a, b), grades).item()

    before = surprise()
    for _ in range(steps):
        optimizer.zero_grad()
        grading_loss(head(a, b), grades).backward()
        optimizer.step()
    return before, surprise(), (head(a, b).argmax(dim=1) == grades).float().mean().item()


def test_head_learns_at_the_published_learning_rate():
    before, after, right = _fit_head(scale=None)
    assert right == 1
    assert before == pytest.approx(math.log(5), abs=0.1)
    assert after < before - 0.1


def test_without_the_scale_the_head_would_hardly_move():
    before, after, _ = _fit_head(scale=1.0)
    with_before, with_after, _ = _fit_head(scale=None)
    assert after == pytest.approx(before, abs=0.005)
    assert with_before - with_after > 50 * (before - after)


def test_the_head_computes_in_single_under_autocast():
    head = BilinearHead(64)
    a, b = torch.rand(2, 4, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(a, b), head(a, b).float())
        mixed = head(a, b)
    assert torch.equal(mixed, head(a, b))
