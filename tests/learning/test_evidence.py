"""Evidence: what captum says of the same network."""

import pytest
import torch
from captum.attr import LayerGradientXActivation
from torch import nn

from biranet.learning.backbone import FrozenLayers
from biranet.learning.evidence import STEEP_FRACTION, explain, referral_log_odds
from biranet.learning.flip import FlipAverage
from biranet.learning.model import BiraNet, Output, PlainNet, RANet, Stream

TEMPERATURE = 1.7
IMAGE = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
BEFORE = 2
"""The last layer of the small backbone whose map has more cells than its last one."""


def varied(net):
    """The network in double precision, with grades that differ from photo to photo."""
    net = net.double().eval()
    with torch.no_grad():
        for weight in net.head.parameters():
            weight.mul_(20)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.mul_(0.01)
    return net


@pytest.fixture(params=[False, True], ids=["straight", "flipped"])
def model(request, small_model):
    """Each architecture, with a backbone of its own for each stream."""
    net = varied(small_model)
    return FlipAverage(net).eval() if request.param else net


def unwrapped(model):
    return model.model if isinstance(model, FlipAverage) else model


def layers_before(net):
    """The layers after which a network is cut."""
    backbones = [net.stream_a.backbone, net.stream_b.backbone] if isinstance(net, BiraNet) else [net.backbone]
    return [each[BEFORE] for each in backbones]


def by_captum(model, image, layers):
    """Gradient times features of some layers, added up."""
    net, flips = unwrapped(model), isinstance(model, FlipAverage)

    def score(images):
        logits = net(images).logits
        if flips:
            logits = torch.logaddexp(*logits.log_softmax(dim=1).chunk(2))
        return referral_log_odds(logits, TEMPERATURE)

    images = torch.cat([image, image.flip(-1)]) if flips else image
    told = sum(LayerGradientXActivation(score, layer).attribute(images) for layer in layers).sum(dim=1, keepdim=True)
    straight, *mirrored = told.split(len(image))
    return straight + sum(each.flip(-1) for each in mirrored)


def test_the_answer_is_the_model_s_own(model):
    output, evidence, *_ = explain(model, IMAGE, TEMPERATURE)
    own = model(IMAGE)
    assert torch.equal(output.logits, own.logits) and torch.equal(output.attention, own.attention)
    assert not any(each.requires_grad for each in (*output, evidence))


def test_evidence_is_gradient_times_features_one_stage_before_the_last(model):
    evidence = explain(model, IMAGE, TEMPERATURE).evidence
    assert evidence.shape == (2, 1, 8, 12)  # attention has 4 x 6 cells
    theirs = by_captum(model, IMAGE, layers_before(unwrapped(model)))
    torch.testing.assert_close(evidence, theirs, rtol=1e-9, atol=1e-12)
    assert evidence.abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_it_is_what_the_score_loses_to_first_order(model):
    """By a part of the features of one cell taken away, without a derivative."""
    evidence = explain(model, IMAGE, TEMPERATURE).evidence
    if isinstance(model, FlipAverage):
        return  # there a place has two cells, which captum tells above
    down, across, part = 3, 5, 1e-5

    def less(layer, given, features):
        changed = features.clone()
        changed[:, :, down, across] *= 1 - part
        return changed

    scores = [referral_log_odds(model(IMAGE).logits, TEMPERATURE)]
    hooks = [layer.register_forward_hook(less) for layer in layers_before(model)]
    scores.append(referral_log_odds(model(IMAGE).logits, TEMPERATURE))
    for hook in hooks:
        hook.remove()
    lost = (scores[0] - scores[1]).detach() / part
    torch.testing.assert_close(evidence[:, 0, down, across], lost, rtol=1e-3, atol=1e-6)


def test_single_precision_and_inference_mode_say_the_same(model):
    exact = explain(model, IMAGE, TEMPERATURE).evidence
    model = model.float()
    with torch.inference_mode():
        evidence = explain(model, IMAGE.float(), TEMPERATURE).evidence
    assert evidence.dtype == torch.float32
    torch.testing.assert_close(evidence.double(), exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frozen_layers", [1, 2, 3, 5], ids=["before the cut", "before too", "at it", "behind it"])
def test_streams_may_share_the_map_or_not(small_backbone, frozen_layers):
    """Where both streams see the same map, its cells count for both."""
    torch.manual_seed(0)
    layers, other = small_backbone(), small_backbone()
    frozen = FrozenLayers(layers[:frozen_layers])
    net = varied(BiraNet(layers[frozen_layers:], other[frozen_layers:], 6, frozen))
    shared = frozen_layers > BEFORE
    before = [frozen[BEFORE]] if shared else [each.backbone[BEFORE - frozen_layers] for each in _streams(net)]
    theirs = by_captum(net, IMAGE, before)
    torch.testing.assert_close(explain(net, IMAGE, TEMPERATURE).evidence, theirs, rtol=1e-9, atol=1e-12)


def _streams(net):
    return net.stream_a, net.stream_b


def test_layers_that_work_in_place_change_nothing():
    """Such as a block right behind the map, which begins by writing over it."""
    told = []
    for in_place in (False, True):
        torch.manual_seed(0)
        block = nn.Sequential(nn.ReLU(inplace=in_place), nn.AvgPool2d(2))
        net = varied(PlainNet(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), block), 6))
        told.append(explain(net, IMAGE, TEMPERATURE))
        assert torch.equal(told[-1].output.logits, net(IMAGE).logits)
    assert torch.equal(told[0].evidence, told[1].evidence) and told[0].evidence.abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["one layer", "whole", "streams of two kinds"])
def test_what_cannot_be_cut_tells_of_its_last_map(kind, small_backbone):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = small_backbone()

        def forward(self, image):
            return self.layers(image)

    torch.manual_seed(1)
    make = {
        "one layer": lambda: PlainNet(nn.Conv2d(3, 6, 5, stride=4, padding=2), 6),
        "whole": lambda: RANet(Whole(), 6),
        "streams of two kinds": lambda: BiraNet(small_backbone(), nn.Conv2d(3, 6, 5, stride=4, padding=2), 6),
    }
    net = varied(make[kind]())
    last = [each.backbone for each in _streams(net)] if isinstance(net, BiraNet) else [net.backbone]
    evidence = explain(net, IMAGE, TEMPERATURE).evidence
    assert evidence.shape == (2, 1, 4, 6)
    torch.testing.assert_close(evidence, by_captum(net, IMAGE, last), rtol=1e-9, atol=1e-12)


def near_zero(distance):
    """A network whose features are the pixels, and an image whose first channel lies so far from 0 on average."""
    torch.manual_seed(3)
    net = BiraNet(nn.Identity(), nn.Identity(), 3).double().eval()
    for stream in _streams(net):
        nn.init.zeros_(stream.net_a[7].weight)  # even attention
        nn.init.zeros_(stream.net_b[0].weight)
        nn.init.zeros_(stream.net_b[0].bias)
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    image[:, 0] -= image[:, 0].mean() - distance
    return net, image


def test_a_feature_that_lies_near_0_does_not_decide():
    """The root is steep there: its derivative would be some hundred times as large, and other with the last digits."""
    net, image = near_zero(1e-7)
    evidence, moved = (explain(net, each).evidence for each in (image, image + 1e-7))
    torch.testing.assert_close(evidence, moved, rtol=1e-3, atol=1e-5)
    plain = _plain_derivative(net, image)
    assert plain.abs().max() > 20 * evidence.abs().max()


def test_farther_from_0_the_derivative_is_the_head_s_own():
    net, image = near_zero(4 * STEEP_FRACTION * 0.25)
    torch.testing.assert_close(explain(net, image).evidence, _plain_derivative(net, image), rtol=1e-9, atol=1e-12)


def _plain_derivative(net, image):
    given = image.clone().requires_grad_()
    referral_log_odds(net(given).logits).backward()
    return (given * given.grad).sum(dim=1, keepdim=True)


def test_evidence_of_a_photo_and_its_mirror_image_are_mirror_images(model):
    if isinstance(model, FlipAverage):
        _, evidence, *_ = explain(model, IMAGE)
        _, mirrored, *_ = explain(model, IMAGE.flip(-1))
        torch.testing.assert_close(evidence, mirrored.flip(-1))


def test_the_score_is_the_log_odds_of_the_calibrated_probability():
    logits = torch.randn(6, 5, dtype=torch.float64)
    own = torch.softmax(logits / TEMPERATURE, dim=1)[:, 2:].sum(dim=1)
    torch.testing.assert_close(referral_log_odds(logits, TEMPERATURE), torch.logit(own))


class Sum(nn.Module):
    def forward(self, image):
        return Output(image.sum(dim=(2, 3)).repeat(1, 2)[:, :5], image[:, :2])


class OtherStream(Stream):
    pass


class OtherNet(PlainNet):
    pass


@pytest.mark.parametrize("kind", ["foreign", "derived", "other streams", "two grades"])
def test_of_other_networks_no_evidence_is_known(kind, small_backbone):
    nets = {
        "foreign": lambda: FlipAverage(Sum()),
        "derived": lambda: OtherNet(small_backbone(), 6),
        "other streams": lambda: BiraNet(small_backbone(), small_backbone(), 6),
        "two grades": lambda: PlainNet(small_backbone(), 6, num_grades=2),
    }
    net = nets[kind]().eval()
    if kind == "other streams":
        net.stream_b = OtherStream(small_backbone(), 6).eval()
    output, evidence, *_ = explain(net, IMAGE.float())
    assert torch.equal(output.logits, net(IMAGE.float()).logits) and evidence.shape[:2] == (2, 0)
