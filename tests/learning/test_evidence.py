"""Evidence: what autograd, captum and small steps say of the score as well."""

import pytest
import torch
from captum.attr import InputXGradient
from torch import nn

from biranet.learning.evidence import by_logits, by_stream_vectors, evidence_of_cells, explain, referral_log_odds
from biranet.learning.flip import FlipAverage
from biranet.learning.model import BilinearHead, BiraNet, Output, PlainNet, RANet, Stream

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
    """The answer, written out, where the weight of each cell is multiplied by a number (B, 1, h, w)."""
    if isinstance(model, FlipAverage):
        parts = [weighted(model.model, image, times), weighted(model.model, image.flip(-1), times.flip(-1))]
        return torch.stack([part.softmax(dim=1) for part in parts]).mean(dim=0).log()
    if isinstance(model, BiraNet):
        vectors = []
        for stream in (model.stream_a, model.stream_b):
            features = stream.backbone(model.frozen(image))
            attended = average(features, times * stream.net_a(features))
            vectors.append((attended + average(stream.net_b(features), times)) / 2)
        return model.head(*vectors)
    features = model.features(image)
    return model.head(average(features, times * model.net_a(features) if isinstance(model, RANet) else times))


def score(model, image, times):
    return referral_log_odds(weighted(model, image, times), TEMPERATURE)


def ones(evidence):
    return torch.ones_like(evidence)


def test_the_answer_is_the_model_s_own(model):
    output, evidence = explain(model, IMAGE, TEMPERATURE)
    own = model(IMAGE)
    assert torch.equal(output.logits, own.logits) and torch.equal(output.attention, own.attention)
    assert evidence.shape == (2, 1, 4, 6) and evidence.abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_evidence_is_the_derivative_by_the_weight_of_a_cell(model):
    """By captum, as the gradient of a written-out model by weights of 1, times these weights."""
    _, evidence = explain(model, IMAGE, TEMPERATURE)
    theirs = InputXGradient(lambda times: score(model, IMAGE, times)).attribute(ones(evidence).requires_grad_())
    torch.testing.assert_close(evidence, theirs, rtol=1e-5, atol=1e-9)


def test_single_precision_says_the_same(model):
    _, exact = explain(model, IMAGE, TEMPERATURE)
    _, evidence = explain(model.float(), IMAGE.float(), TEMPERATURE)
    assert evidence.dtype == torch.float32
    torch.testing.assert_close(evidence.double(), exact, rtol=1e-5, atol=1e-5)


def test_the_score_moves_by_the_evidence_where_a_cell_counts_a_little_more(model):
    step = 1e-5
    _, evidence = explain(model, IMAGE, TEMPERATURE)
    torch.testing.assert_close(score(model, IMAGE, ones(evidence)), referral_log_odds(model(IMAGE).logits, TEMPERATURE))
    for row, column in ((0, 0), (1, 4), (3, 5)):
        more, less = ones(evidence), ones(evidence)
        more[:, :, row, column] += step
        less[:, :, row, column] -= step
        moved = (score(model, IMAGE, more) - score(model, IMAGE, less)) / (2 * step)
        torch.testing.assert_close(evidence[:, 0, row, column], moved, rtol=1e-4, atol=1e-8)


def test_evidence_adds_up_to_0(model):
    _, evidence = explain(model, IMAGE, TEMPERATURE)
    assert evidence.sum(dim=(1, 2, 3)).abs().max() < 1e-12 < 1e-4 < evidence.abs().max()


def test_where_nothing_differs_there_is_no_evidence():
    weights = torch.rand(2, 1, 4, 6, dtype=torch.float64)
    weights = weights / weights.sum(dim=(2, 3), keepdim=True)
    features = torch.randn(2, 5, 1, 1, dtype=torch.float64).expand(2, 5, 4, 6)
    assert evidence_of_cells(features, weights, torch.randn(2, 5, dtype=torch.float64)).abs().max() < 1e-15


def test_evidence_of_a_photo_and_its_mirror_image_are_mirror_images(model):
    if isinstance(model, FlipAverage):
        _, evidence = explain(model, IMAGE)
        _, mirrored = explain(model, IMAGE.flip(-1))
        torch.testing.assert_close(evidence, mirrored.flip(-1))


def test_the_derivative_of_the_score_is_that_of_autograd():
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    own = torch.softmax(logits / TEMPERATURE, dim=1)[:, 2:].sum(dim=1)
    torch.testing.assert_close(referral_log_odds(logits, TEMPERATURE), torch.logit(own))
    (expected,) = torch.autograd.grad(torch.logit(own).sum(), logits)
    torch.testing.assert_close(by_logits(logits.detach(), TEMPERATURE), expected)


@pytest.mark.parametrize("vectors", ["any sign", "zeros among them"])
def test_the_way_back_through_the_head_is_that_of_autograd(vectors):
    torch.manual_seed(3)
    head = BilinearHead(7).double()
    a, b = torch.randn(2, 4, 7, dtype=torch.float64)
    if vectors == "zeros among them":
        a[0] = 0
        b[1, 3:] = 0
    a.requires_grad_()
    b.requires_grad_()
    by = torch.randn(4, 5, dtype=torch.float64)
    expected = torch.autograd.grad((head(a, b) * by).sum(), (a, b))
    for ours, theirs in zip(by_stream_vectors(head, a.detach(), b.detach(), by), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


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
    output, evidence = explain(net, IMAGE.float())
    assert torch.equal(output.logits, net(IMAGE.float()).logits) and evidence.shape[:2] == (2, 0)
