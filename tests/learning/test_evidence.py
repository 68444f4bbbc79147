"""Evidence: what captum says of a written-out model as well."""

import pytest
import torch
from captum.attr import FeatureAblation, InputXGradient
from torch import nn

from biranet.learning.evidence import explain, referral_log_odds, without_each
from biranet.learning.flip import FlipAverage
from biranet.learning.model import BiraNet, Output, PlainNet, RANet, Stream

TEMPERATURE = 1.7
IMAGE = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(params=[False, True], ids=["straight", "flipped"])
def model(request, small_model):
    """Each architecture, in double precision, whose grades differ from photo to photo."""
    net = small_model.double().eval()
    with torch.no_grad():
        for weight in net.head.parameters():
            weight.mul_(20)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.mul_(0.01)
    return FlipAverage(net).eval() if request.param else net


def average(cells, weights):
    return (cells * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))


def weighted(model, image, times):
    """The answer, written out, where the weight of each cell is multiplied by a number.

    `times`, (B, 1, h, w) each: one for every stream, or one; of a mirror image, as many more.
    """
    if isinstance(model, FlipAverage):
        half = len(times) // 2
        mirrored = [each.flip(-1) for each in times[half:]]
        parts = [weighted(model.model, image, times[:half]), weighted(model.model, image.flip(-1), mirrored)]
        return torch.stack([part.softmax(dim=1) for part in parts]).mean(dim=0).log()
    if isinstance(model, BiraNet):
        vectors = []
        for stream, its in zip((model.stream_a, model.stream_b), times, strict=True):
            features = stream.backbone(model.frozen(image))
            attended = average(features, its * stream.net_a(features))
            vectors.append((attended + average(stream.net_b(features), its)) / 2)
        return model.head(*vectors)
    features = model.features(image)
    return model.head(average(features, times[0] * model.net_a(features) if isinstance(model, RANet) else times[0]))


def ones(model, evidence):
    net = model.model if isinstance(model, FlipAverage) else model
    return tuple(torch.ones_like(evidence) for _ in range((1 + isinstance(net, BiraNet)) * (1 + (net is not model))))


def score(model, image, *times):
    return referral_log_odds(weighted(model, image, times), TEMPERATURE)


def test_the_answer_is_the_model_s_own(model):
    output, evidence, *_ = explain(model, IMAGE, TEMPERATURE)
    own = model(IMAGE)
    assert torch.equal(output.logits, own.logits) and torch.equal(output.attention, own.attention)
    assert evidence.shape == (2, 1, 4, 6) and evidence.abs().amax(dim=(1, 2, 3)).min() > 1e-4
    torch.testing.assert_close(score(model, IMAGE, *ones(model, evidence)), referral_log_odds(own.logits, TEMPERATURE))


def test_evidence_is_what_the_score_loses_without_a_cell(model):
    """By captum, which takes the weight of each cell away in a written-out model."""
    _, evidence, *_ = explain(model, IMAGE, TEMPERATURE)
    whole = ones(model, evidence)
    theirs = [
        FeatureAblation(
            lambda times, place=place: score(model, IMAGE, *whole[:place], times, *whole[place + 1 :])
        ).attribute(each, baselines=0)
        for place, each in enumerate(whole)
    ]
    torch.testing.assert_close(evidence, sum(theirs), rtol=1e-5, atol=1e-9)


def test_it_is_the_derivative_by_the_weight_of_a_cell_to_first_order(model):
    """By captum too: of many cells, each counts for little."""
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    _, evidence, *_ = explain(model, image, TEMPERATURE)
    given = tuple(each.requires_grad_() for each in ones(model, evidence))
    theirs = sum(InputXGradient(lambda *times: score(model, image, *times)).attribute(given))
    assert evidence.shape == (1, 1, 16, 24)
    assert (evidence - theirs).abs().max() < 0.1 * evidence.abs().max()
    assert evidence.sum().abs() < 0.1 * evidence.abs().sum()  # so it adds up to almost nothing


def test_single_precision_says_the_same(model):
    _, exact, *_ = explain(model, IMAGE, TEMPERATURE)
    _, evidence, *_ = explain(model.float(), IMAGE.float(), TEMPERATURE)
    assert evidence.dtype == torch.float32
    torch.testing.assert_close(evidence.double(), exact, rtol=1e-3, atol=1e-4)


def test_what_is_left_out_adds_up_to_nothing():
    weights = torch.rand(2, 1, 4, 6, dtype=torch.float64)
    weights = weights / weights.sum(dim=(2, 3), keepdim=True)
    features = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    whole = (weights * features).sum(dim=(2, 3))[:, :, None]
    lost = (1 - weights.flatten(2)) * (whole - without_each(features, weights))
    assert lost.sum(dim=2).abs().max() < 1e-14 < lost.abs().max()
    # Where nothing differs, nothing is lost.
    plain = features[:, :, :1, :1].expand_as(features)
    torch.testing.assert_close(without_each(plain, weights), plain.flatten(2))


def test_a_feature_that_lies_near_0_does_not_decide():
    """The root is steep there: a derivative would be some hundred times what leaving a cell out does."""
    torch.manual_seed(3)
    net = BiraNet(nn.Identity(), nn.Identity(), 3).double().eval()
    for stream in (net.stream_a, net.stream_b):
        nn.init.zeros_(stream.net_a[7].weight)  # even attention
        nn.init.zeros_(stream.net_b[0].weight)
        nn.init.zeros_(stream.net_b[0].bias)
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    image[:, 0] -= image[:, 0].mean() - 1e-9
    _, evidence, *_ = explain(net, image)
    _, moved, *_ = explain(net, image + 1e-8)
    torch.testing.assert_close(evidence, moved, rtol=1e-3, atol=1e-5)


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
