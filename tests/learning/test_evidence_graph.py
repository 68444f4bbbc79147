"""The way back through layers, written out: what autograd says of each."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from biranet.learning.evidence import conclude, look
from biranet.learning.evidence_graph import gradient_of_average_pool, gradient_of_convolution, trace_conclusion
from biranet.learning.flip import FlipAverage
from biranet.learning.model import BiraNet, PlainNet

MAP = torch.rand(2, 4, 9, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_autograd(layer):
    given = MAP.clone().requires_grad_()
    out = layer(given)
    gradient = torch.rand(out.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return gradient, torch.autograd.grad(out, given, gradient)[0]


@pytest.mark.parametrize(
    ("out", "kernel", "stride", "padding", "dilation", "groups"),
    [
        *((6, (3, 3), 1, 1, 1, 2), (4, (5, 5), 2, 2, 1, 4), (8, (3, 3), 2, 0, 1, 1), (6, (3, 3), 1, 2, 2, 2)),
        *((6, (1, 1), 1, 0, 1, 1), (6, (1, 1), 2, 0, 1, 2), (8, (1, 3), 1, 0, 1, 4), (4, (4, 2), 3, 1, 1, 1)),
    ],
)
def test_the_way_back_through_a_convolution(out, kernel, stride, padding, dilation, groups):
    weight = torch.rand(out, 4 // groups, *kernel, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradient, expected = by_autograd(
        lambda image: functional.conv2d(image, weight, None, stride, padding, dilation, groups)
    )
    how = ([stride] * 2, [padding] * 2, [dilation] * 2, False, [0, 0], groups, [True, False, False])
    back, *others = gradient_of_convolution(gradient, MAP, weight, None, *how)
    torch.testing.assert_close(back, expected)
    assert others == [None, None]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil_mode", "count_include_pad"),
    [
        *((2, 2, 0, False, True), (2, 2, 0, True, False), (3, 2, 1, False, True), (3, 2, 1, False, False)),
        *((3, 2, 1, True, False), (3, 1, 1, False, False), (5, 3, 2, True, False), (4, 4, 0, False, True)),
    ],
)
def test_the_way_back_through_an_average(kernel, stride, padding, ceil_mode, count_include_pad):
    how = ([kernel] * 2, [stride] * 2, [padding] * 2, ceil_mode, count_include_pad)
    gradient, expected = by_autograd(lambda image: functional.avg_pool2d(image, *how))
    torch.testing.assert_close(gradient_of_average_pool(gradient, MAP, *how, None), expected)


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.ReLU(), nn.Hardtanh(-0.1, 0.1), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.Sigmoid(), nn.Hardsigmoid()),
        *(nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), nn.MaxPool2d(3, 2, 1), nn.GroupNorm(2, 6)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_trace_concludes_as_the_network_does(layer):
    """With layers behind the map that backbones of all kinds have, for another number of images."""
    torch.manual_seed(0)

    def backbone():
        return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, stride=2, padding=1), layer)

    model = FlipAverage(BiraNet(backbone(), backbone(), 6)).double().eval()
    images = torch.randn(3, 3, 12, 16, dtype=torch.float64)
    trace = trace_conclusion(model, 1.7, look(model, images[:2]))
    seen = look(model, images)
    ours = conclude(model, 1.7, seen.vectors, *seen.maps)
    for its, own in zip(trace(seen.vectors, *seen.maps), ours, strict=True):
        torch.testing.assert_close(its, own, rtol=1e-6, atol=1e-10)
    assert ours.evidence.abs().max() > 1e-5


def test_the_number_of_images_is_taken_for_no_other_side():
    """Nor the other way round, where channels and cells are as many as images could be."""
    torch.manual_seed(0)
    model = PlainNet(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AvgPool2d(2)), 2).double().eval()
    images = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    seen = look(model, images)
    trace = trace_conclusion(model, 1.7, look(model, images[:2]))
    evidence = trace(seen.vectors, *seen.maps)[2]
    torch.testing.assert_close(evidence, conclude(model, 1.7, seen.vectors, *seen.maps).evidence)
    assert evidence.shape == (5, 1, 4, 4)


def test_what_cannot_be_written_out_is_told():
    how = ([1, 1], [0, 0], [1, 1], True, [0, 0], 1, [True, False, False])
    with pytest.raises(NotImplementedError, match="transposed"):
        gradient_of_convolution(MAP, MAP, torch.zeros(4, 4, 1, 1), None, *how)
    with pytest.raises(NotImplementedError, match="average"):
        gradient_of_average_pool(MAP, MAP, [2, 2], [2, 2], [0, 0], False, True, 3)
