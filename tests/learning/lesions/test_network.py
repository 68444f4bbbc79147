"""The network and the loss of the lesion branch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from biranet.errors import InputError
from biranet.learning.lesions.checkpoint import build_lesion_net
from biranet.learning.lesions.loss import lesion_loss


@pytest.mark.parametrize("backbone", ["test_resnet", "tf_efficientnet_lite0", "convnext_atto"])
def test_maps_have_cells_of_four_pixels(tiny_lesions, backbone):
    network = build_lesion_net(tiny_lesions(backbone=backbone)).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, 5, 16, 24)


def test_a_backbone_without_stages_is_refused(tiny_lesions):
    with pytest.raises(InputError, match="cannot be cut into stages"):
        build_lesion_net(tiny_lesions(backbone="test_vit"))


def test_frozen_stages_do_not_learn(tiny_lesions):
    stages = build_lesion_net(tiny_lesions(backbone="tf_efficientnet_lite0", freeze="stage2")).stages
    assert stages.strides == [2, 4, 8, 16, 32]
    learning = [any(weight.requires_grad for weight in stage.parameters()) for stage in stages.stages]
    assert learning == [False, False, False, True, True]


def test_batch_normalization_of_the_backbone_stays_as_it_was(tiny_lesions):
    network = build_lesion_net(tiny_lesions()).train()
    before = {name: value.clone() for name, value in network.stages.named_buffers()}
    network(torch.rand(2, 3, 64, 64))
    assert before
    assert all(torch.equal(before[name], value) for name, value in network.stages.named_buffers())


def test_features_are_those_of_the_backbone(tiny_lesions):
    # An activation that works in place must not change what another stage has given.
    stages = build_lesion_net(tiny_lesions()).stages
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        maps = stages(image)
        kept = [each.clone() for each in stages(image)]
    assert all(torch.equal(*pair) for pair in zip(maps, kept, strict=True))
    for first in range(len(stages.stages) - 1):
        with torch.inference_mode():
            again = stages.stages[first + 1](maps[first].clone())
        assert torch.equal(again, maps[first + 1])


def test_a_lesion_is_found_wherever_it_is(tiny_lesions):
    """Moved by a multiple of the last stride, a photo gives the same map, moved."""
    network = build_lesion_net(tiny_lesions()).eval()
    image = torch.zeros(1, 3, 192, 192)
    image[:, :, 90:96, 90:96] = 1
    with torch.inference_mode():
        here, there = network(image), network(image.roll((32, -32), (2, 3)))
    assert torch.allclose(here.roll((8, -8), (2, 3))[..., 16:32, 16:32], there[..., 16:32, 16:32], atol=1e-4)


def test_loss_as_written_out():
    torch.manual_seed(1)
    logits, shares = torch.randn(2, 5, 3, 3), torch.rand(2, 5, 3, 3)
    entropy, dice = [], []
    for kind in range(5):
        p, t = logits[:, kind].sigmoid(), shares[:, kind]
        entropy.append((-t * p.log() - (1 - t) * (1 - p).log()).mean())
        dice.append(1 - (2 * (p * t).sum() + 1) / ((p + t).sum() + 1))
    assert lesion_loss(logits, shares) == pytest.approx(float(sum(entropy) + 0.5 * sum(dice) / 5), abs=1e-5)


def test_kinds_that_nobody_looked_for_count_for_nothing():
    logits = torch.randn(2, 5, 3, 3, requires_grad=True)
    shares = torch.rand(2, 5, 3, 3)
    shares[0, 3] = torch.nan
    lesion_loss(logits, shares).backward()
    gradient = logits.grad.abs().sum((2, 3))
    assert gradient[0, 3] == 0
    assert (np.delete(gradient.numpy().ravel(), 3) > 0).all()


def test_nothing_known_costs_nothing():
    logits = torch.randn(1, 5, 3, 3)
    loss = lesion_loss(logits, torch.full_like(logits, torch.nan))
    assert loss == pytest.approx(0, abs=1e-6)


def test_a_logit_that_is_no_number_is_told():
    with pytest.raises(FloatingPointError):
        lesion_loss(torch.full((1, 5, 2, 2), torch.nan), torch.zeros(1, 5, 2, 2))


def test_cross_entropy_is_that_of_torch_where_dice_is_certain():
    logits = torch.full((1, 5, 4, 4), -9.0)
    expected = 5 * functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
    assert lesion_loss(logits, torch.zeros_like(logits)) == pytest.approx(float(expected), abs=2e-3)
