"""Each variant of the study does what its name says."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from biranet.config import DataConfig, ModelConfig, TrainConfig
from biranet.learning.data import sample_epoch
from biranet.learning.loss import grading_loss
from biranet.learning.model import BilinearHead, BiraNet, PlainNet, RANet, Stream, attention_pool
from studies.idrid.variants import (
    ARCHITECTURES,
    VARIANTS,
    CellStream,
    EvenAttention,
    MatrixGateStream,
    RawHead,
    SharedFeatures,
    SpatialHead,
    StreamWithoutNetB,
)

SETTINGS = TrainConfig(model=ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"))
CHANNELS = 6


def built(name):
    torch.manual_seed(0)
    variant = VARIANTS[name]
    return variant.build(variant.settings(SETTINGS).model)


def stream(kind):
    """A stream on a backbone that changes nothing, so that an image is its own feature map."""
    torch.manual_seed(1)
    return kind(nn.Identity(), CHANNELS).eval()


@pytest.fixture
def features():
    return torch.randn(3, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_weight_of_every_variant_learns(name):
    model = built(name).train()
    with torch.no_grad():
        for weight in model.parameters():  # timm starts residual branches at zero, where nothing behind them learns
            weight.add_(0.1)
    output = model(torch.rand(4, 3, 96, 96))
    assert output.logits.shape == (4, 5)
    streams = {"plain": 0, "ranet": 1}.get(name, 2)
    assert output.attention.shape == (4, streams, 3, 3)
    grading_loss(output.logits, torch.tensor([0, 1, 3, 4])).backward()
    still = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.abs().any()]
    # A ReLU of eight channels may be silent for all four pictures; nothing else may be.
    assert all("net_a" in key for key in still), still


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_behind_the_backbone_is_computed_in_full_precision(name):
    model, image = built(name).eval(), torch.rand(2, 3, 96, 96)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        parts = [model.stream_a(model.frozen(image))[0]] if isinstance(model, BiraNet) else []
        assert all(part.dtype == torch.float32 for part in [*parts, model(image).logits])


def test_the_three_architectures_are_those_of_the_product():
    assert [type(built(name)) for name in ARCHITECTURES] == [PlainNet, RANet, BiraNet]


def test_attention_off_is_plain_averaging(features):
    model = built("no_attention")
    assert model(torch.rand(2, 3, 96, 96)).attention.eq(1).all()
    assert not any("net_a" in key for key, _ in model.named_parameters())
    mask = EvenAttention()(features)
    torch.testing.assert_close(attention_pool(features, mask), features.mean(dim=(2, 3)))


def test_without_net_b_the_vector_is_the_attended_one(features):
    vector, mask = stream(StreamWithoutNetB)(features)
    torch.testing.assert_close(vector, (features * mask).mean(dim=(2, 3)) / mask.mean(dim=(2, 3)))
    assert not any("net_b" in key for key, _ in built("no_net_b").named_parameters())


def test_the_released_gate_is_the_matrix_product(features):
    gate = stream(MatrixGateStream)
    vector, mask = gate(features)
    written_out = torch.zeros(3, CHANNELS)
    for photo in range(3):
        for channel in range(CHANNELS):
            product = mask[photo, 0] @ features[photo, channel]
            written_out[photo, channel] = product.mean() / mask[photo, 0].mean()
    overall = gate.net_b(features).mean(dim=(2, 3))
    torch.testing.assert_close(vector, (written_out + overall) / 2)
    usual = stream(Stream)
    usual.load_state_dict(gate.state_dict())
    assert not torch.allclose(usual(features)[0], vector, atol=1e-4)


def test_without_normalization_the_head_is_the_bare_form(features):
    a, b = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
    head = RawHead(CHANNELS)
    form = torch.stack([torch.stack([x @ weight @ y for weight in head.weight]) for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(head(a, b), form + head.bias)
    torch.testing.assert_close(head(2 * a, b) - head.bias, 2 * (head(a, b) - head.bias))
    assert isinstance(built("no_normalization").head, RawHead)


def test_pooling_over_cells_is_the_written_out_einsum(features):
    a, b = features, features.flip(3).abs()
    head = SpatialHead(CHANNELS)
    product = torch.einsum("bchw,bdhw->bcd", a, b) / 16
    root = product.sign() * product.abs().sqrt()
    unit = root / root.square().sum(dim=(1, 2), keepdim=True).sqrt()
    weight = head.linear.weight.view(5, CHANNELS, CHANNELS)
    expected = CHANNELS**0.5 * torch.einsum("kcd,bcd->bk", weight, unit) + head.linear.bias
    torch.testing.assert_close(head(a, b), expected, atol=2e-3, rtol=1e-3)


def test_pooling_over_one_cell_is_the_usual_head(features):
    cell = features[:, :, :1, :1]
    spatial, usual = SpatialHead(CHANNELS), BilinearHead(CHANNELS)
    usual.load_state_dict(
        {"weight": spatial.linear.weight.view(5, CHANNELS, CHANNELS).clone(), "bias": spatial.linear.bias.clone()}
    )
    vector = cell.flatten(1)
    torch.testing.assert_close(spatial(cell, -cell), usual(vector, -vector), atol=2e-3, rtol=1e-3)
    both = features[:, :, :2, :2]
    assert not torch.allclose(spatial(both, both), usual(both.mean(dim=(2, 3)), both.mean(dim=(2, 3))), atol=1e-2)


def test_the_mean_of_the_cells_is_the_stream_vector(features):
    cells, usual = stream(CellStream), stream(Stream)
    usual.load_state_dict(cells.state_dict())
    torch.testing.assert_close(cells(features)[0].mean(dim=(2, 3)), usual(features)[0])


def test_shared_backbones_share_their_weights_and_separate_ones_none():
    separate, shared = built("biranet"), built("shared_backbone")
    assert isinstance(shared, SharedFeatures)
    assert not {id(w) for w in separate.stream_a.parameters()} & {id(w) for w in separate.stream_b.parameters()}
    backbone = sum(weight.numel() for weight in separate.stream_b.backbone.parameters())
    sizes = [sum(weight.numel() for weight in model.parameters()) for model in (separate, shared)]
    assert backbone > 0
    assert sizes[0] - sizes[1] == backbone


def test_the_shared_backbone_computes_what_two_equal_backbones_compute():
    separate = built("biranet").eval()
    separate.stream_b.backbone.load_state_dict(separate.stream_a.backbone.state_dict())
    image = torch.rand(2, 3, 96, 96)
    expected = separate(image)
    shared = SharedFeatures(separate)  # takes the streams over
    for ours, theirs in zip(shared(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_nothing_frozen_and_unbalanced_change_the_settings_alone(tmp_path):
    frozen = dataclasses.replace(
        SETTINGS, model=dataclasses.replace(SETTINGS.model, freeze="stage2", backbone_weights=tmp_path)
    )
    assert VARIANTS["biranet"].settings(frozen) == frozen
    free = VARIANTS["nothing_frozen"].settings(frozen)
    assert dataclasses.replace(free, model=frozen.model) == frozen
    assert free.model.freeze == "none"
    unbalanced = VARIANTS["unbalanced"].settings(frozen)
    assert dataclasses.replace(unbalanced, data=frozen.data) == frozen
    grades = np.array([0] * 30 + [4] * 2)
    assert sorted(sample_epoch(grades, unbalanced.data, 1, 0)) == list(range(32))
    assert (grades[sample_epoch(grades, DataConfig(), 1, 0)] == 4).sum() > 5
