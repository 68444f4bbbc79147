import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from biranet.config import ModelConfig
from biranet.learning.backbone import FrozenLayers, load_backbone
from biranet.learning.flip import FlipAverage, with_test_time_flip
from biranet.learning.loss import grading_loss
from biranet.learning.model import (
    Attention,
    BiraNet,
    Output,
    PlainNet,
    RANet,
    Stream,
    attention_pool,
    build_model,
)

CHANNELS = 6  # of the small backbone


def test_a_mask_of_ones_gives_the_plain_average():
    features = torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(attention_pool(features, torch.ones(2, 1, 3, 4)), features.mean(dim=(2, 3)))


@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_attention_pooling_is_the_weighted_mean_of_the_cells(size):
    # The released code multiplied mask and features as matrices, which square maps allow.
    features, mask = torch.randn(2, 3, *size, dtype=torch.float64), torch.rand(2, 1, *size, dtype=torch.float64)
    ours = attention_pool(features, mask).numpy()
    for photo in range(2):
        for channel in range(3):
            expected = np.average(features[photo, channel].numpy(), weights=mask[photo, 0].numpy())
            assert ours[photo, channel] == pytest.approx(expected, rel=1e-12)


def test_attention_pooling_of_a_single_lit_cell_is_that_cell():
    features, mask = torch.randn(1, 7, 4, 4), torch.zeros(1, 1, 4, 4)
    mask[0, 0, 2, 1] = 0.3
    torch.testing.assert_close(attention_pool(features, mask)[0], features[0, :, 2, 1])


def test_attention_pooling_does_not_depend_on_the_mask_s_scale():
    features, mask = torch.randn(2, 5, 3, 4), torch.rand(2, 1, 3, 4)
    torch.testing.assert_close(attention_pool(features, mask), attention_pool(features, 0.01 * mask))


def test_a_mask_of_zeros_is_finite_with_its_gradients():
    features = torch.randn(2, 5, 3, 4, requires_grad=True)
    mask = torch.zeros(2, 1, 3, 4, requires_grad=True)
    pooled = attention_pool(features, mask)
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros(2, 5))
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(mask.grad).all()


def test_half_precision_is_pooled_in_single():
    features, mask = torch.randn(1, 4, 20, 20).bfloat16(), torch.rand(1, 1, 20, 20).bfloat16()
    pooled = attention_pool(features, mask)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, attention_pool(features.float(), mask.float()))


def test_net_a_has_the_published_layers():
    layers = list(Attention(32))
    kinds = [nn.BatchNorm2d, nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d, nn.Sigmoid]
    assert [type(layer) for layer in layers] == kinds
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [(32, 64), (64, 16), (16, 8), (8, 1)]
    assert {layer.kernel_size for layer in convolutions} == {(1, 1)}
    assert layers[0].num_features == 32


def test_attention_lies_between_0_and_1_and_looks_at_each_cell_alone():
    net_a = Attention(8).eval()
    features = 100 * torch.randn(2, 8, 3, 5)
    mask = net_a(features)
    assert mask.shape == (2, 1, 3, 5)
    assert mask.min() >= 0
    assert mask.max() <= 1
    torch.testing.assert_close(net_a(features.flip(3)), mask.flip(3))


def test_a_stream_is_the_mean_of_attended_and_overall():
    torch.manual_seed(0)
    stream = Stream(nn.Identity(), 4).eval()
    features = torch.randn(3, 4, 2, 5)
    vector, mask = stream(features)
    attended = (features * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
    weight, bias = stream.net_b[0].weight[:, :, 0, 0], stream.net_b[0].bias
    overall = (torch.einsum("dc,bchw->bdhw", weight, features) + bias[None, :, None, None]).relu().mean(dim=(2, 3))
    torch.testing.assert_close(vector, (attended + overall) / 2)
    assert [type(layer) for layer in stream.net_b] == [nn.Conv2d, nn.ReLU]


def test_biranet_joins_its_two_streams(small_backbone):
    torch.manual_seed(0)
    model = BiraNet(small_backbone(), small_backbone(), CHANNELS).eval()
    image = torch.rand(2, 3, 16, 24)
    vector_a, mask_a = model.stream_a(image)
    vector_b, mask_b = model.stream_b(image)
    logits, attention = model(image)
    assert torch.equal(logits, model.head(vector_a, vector_b))
    assert torch.equal(attention, torch.cat([mask_a, mask_b], dim=1))
    assert not torch.equal(mask_a, mask_b)
    assert model.head.scale == pytest.approx(CHANNELS**0.5)


def test_ranet_is_one_stream_with_a_small_classifier(small_backbone):
    torch.manual_seed(0)
    model = RANet(small_backbone(), CHANNELS).eval()
    image = torch.rand(2, 3, 16, 24)
    features = model.backbone(image)
    mask = model.net_a(features)
    pooled = (features * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
    first, dropout, second = model.head
    logits, attention = model(image)
    torch.testing.assert_close(logits, second(first(pooled)))
    assert torch.equal(attention, mask)
    assert (first.in_features, first.out_features, dropout.p, second.out_features) == (CHANNELS, 256, 0.5, 5)
    model.head.train()
    assert not torch.equal(model(image).logits, model(image).logits)


def test_the_plain_control_averages_and_has_no_attention(small_backbone):
    model = PlainNet(small_backbone(), CHANNELS).eval()
    image = torch.rand(2, 3, 16, 24)
    logits, attention = model(image)
    torch.testing.assert_close(logits, model.head(model.backbone(image).mean(dim=(2, 3))))
    assert attention.shape == (2, 0, 4, 6)


STREAMS = {BiraNet: 2, RANet: 1, PlainNet: 0}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(1, 64, 64), (1, 61, 64), (1, 33, 47), (3, 47, 90)])
def test_every_size_and_a_batch_of_one_keep_their_dimensions(small_model, size, training):
    count, height, width = size
    logits, attention = small_model.train(training)(torch.rand(count, 3, height, width))
    cells = (math.ceil(height / 4), math.ceil(width / 4))
    assert logits.shape == (count, 5)
    assert attention.shape == (count, STREAMS[type(small_model)], *cells)
    grading_loss(logits, torch.zeros(count, dtype=torch.long)).backward()


def test_a_photo_alone_gets_the_answer_it_gets_in_company(small_model):
    images = torch.rand(3, 3, 32, 32)
    together = small_model.eval()(images)
    alone = small_model(images[1:2])
    torch.testing.assert_close(alone.logits, together.logits[1:2])
    torch.testing.assert_close(alone.attention, together.attention[1:2])


def test_every_parameter_gets_a_gradient(small_model):
    logits, _ = small_model.train()(torch.rand(8, 3, 32, 32))
    grading_loss(logits, torch.arange(8) % 5).backward()
    without = [name for name, weight in small_model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_every_parameter_of_a_timm_backbone_gets_a_gradient(name, backbone):
    torch.manual_seed(0)
    model = build_model(ModelConfig(model=name, backbone=backbone, pretrained=False, freeze="none")).train()
    for weight in model.parameters():
        if not weight.any():  # timm starts some scales at zero, which keeps gradients from what lies behind them
            nn.init.ones_(weight)
    grading_loss(model(torch.rand(4, 3, 64, 64)).logits, torch.arange(4)).backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_bf16_is_finite_and_graded_in_single(small_model):
    images, grades = torch.rand(4, 3, 32, 32), torch.arange(4)
    with torch.autocast("cpu", torch.bfloat16):
        logits, attention = small_model.train()(images)
    assert logits.dtype == torch.float32
    assert torch.isfinite(attention).all()
    grading_loss(logits, grades).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in small_model.parameters())

    whole = copy.deepcopy(small_model).bfloat16()
    whole.zero_grad()
    logits = whole(images.bfloat16()).logits
    assert logits.dtype == torch.float32
    grading_loss(logits, grades).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in whole.parameters())


def test_a_flip_averages_the_answers_for_a_photo_and_its_mirror_image(small_model):
    images = 3 * torch.rand(4, 3, 32, 40)
    both = FlipAverage(small_model).eval()
    said, seen, mirrored = both(images), small_model(images), small_model(images.flip(-1))
    shares = [each.logits.double().softmax(dim=1) for each in (seen, mirrored)]
    torch.testing.assert_close(said.logits.double().softmax(dim=1), sum(shares) / 2, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(said.attention, (seen.attention + mirrored.attention.flip(-1)) / 2)
    assert (shares[0] - shares[1]).abs().max() > 1e-5  # they differ, or this would say nothing

    again = both(images.flip(-1))
    torch.testing.assert_close(again.logits, said.logits)
    torch.testing.assert_close(again.attention, said.attention.flip(-1))


def test_a_flip_keeps_shares_that_a_float_does_not_hold():
    class Sure(nn.Module):
        def forward(self, image):
            logits = torch.tensor([[0.0, -200.0, -300.0, -400.0, -500.0]])
            return Output(logits, image.new_zeros(1, 1, 2, 2))

    torch.testing.assert_close(FlipAverage(Sure()).eval()(torch.rand(1, 3, 8, 8)).logits, Sure()(torch.rand(1)).logits)


def test_in_training_there_is_no_flip(small_model):
    images, small = torch.rand(2, 3, 32, 32), small_model.train()
    torch.manual_seed(0)
    alone = small(images)
    torch.manual_seed(0)
    assert torch.equal(FlipAverage(small)(images).logits, alone.logits)


def test_a_flip_leaves_the_weights_their_names(small_model):
    config, (first, *_) = ModelConfig(), small_model.parameters()
    assert with_test_time_flip(small_model, config) is small_model
    flipping = with_test_time_flip(small_model, dataclasses.replace(config, test_time_flip=True))
    assert isinstance(flipping, FlipAverage)
    before = {name: tensor.clone() for name, tensor in small_model.state_dict().items()}
    assert list(flipping.state_dict()) == list(before)
    nn.init.zeros_(first)
    flipping.load_state_dict(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in small_model.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        flipping.load_state_dict({})


def _frozen_at_stage2(name="biranet"):
    """A model on test_resnet whose first layers are frozen, as after loading pretrained weights."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(model=name, backbone="test_resnet", pretrained=False, freeze="stage2"))
    for module in model.frozen.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return model


def test_the_frozen_stem_is_computed_once_a_batch():
    model = _frozen_at_stage2()
    calls = []
    model.frozen.conv1.register_forward_hook(lambda *_: calls.append(1))
    model(torch.rand(2, 3, 64, 64))
    assert len(calls) == 1
    assert [name for name, _ in model.frozen.named_children()][-1] == "layer2"
    assert next(iter(model.stream_a.backbone.named_children()))[0] == "layer3"


def test_the_shared_stem_equals_two_frozen_ones():
    model = _frozen_at_stage2()
    apart = BiraNet(
        nn.Sequential(copy.deepcopy(model.frozen), copy.deepcopy(model.stream_a.backbone)),
        nn.Sequential(copy.deepcopy(model.frozen), copy.deepcopy(model.stream_b.backbone)),
        96,
    )
    apart.head.load_state_dict(model.head.state_dict())
    for ours, theirs in [(model.stream_a, apart.stream_a), (model.stream_b, apart.stream_b)]:
        theirs.net_a.load_state_dict(ours.net_a.state_dict())
        theirs.net_b.load_state_dict(ours.net_b.state_dict())
    images, grades = torch.rand(4, 3, 64, 64), torch.arange(4)
    shared, separate = model.train()(images), apart.train()(images)
    assert torch.equal(shared.logits, separate.logits)
    assert torch.equal(shared.attention, separate.attention)
    grading_loss(shared.logits, grades).backward()
    grading_loss(separate.logits, grades).backward()
    ours = [weight.grad for weight in model.parameters() if weight.requires_grad]
    theirs = [weight.grad for weight in apart.parameters() if weight.requires_grad]
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
def test_training_leaves_the_frozen_stem_as_it_is(name):
    model = _frozen_at_stage2(name)
    before = {key: value.clone() for key, value in model.frozen.state_dict().items()}
    rest = {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("stem.")}
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        model.train()
        grading_loss(model(torch.rand(4, 3, 64, 64)).logits, torch.arange(4)).backward()
        optimizer.step()
    assert isinstance(model.frozen, FrozenLayers)
    assert not any(module.training for module in model.frozen.modules())
    assert all(weight.grad is None and not weight.requires_grad for weight in model.frozen.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.frozen.state_dict().items())
    assert any(not torch.equal(model.state_dict()[key], value) for key, value in rest.items())
    assert any("running_mean" in key and not torch.equal(model.state_dict()[key], rest[key]) for key in rest)


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
def test_who_asks_for_the_stem_to_be_trained_gets_it(name):
    model = _frozen_at_stage2(name)
    model.requires_grad_(True).train()
    grading_loss(model(torch.rand(4, 3, 64, 64)).logits, torch.arange(4)).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert next(model.frozen.parameters()).grad.any()
    assert not any(module.training for module in model.frozen.modules())


def test_a_frozen_stem_passes_on_what_the_image_is_asked_for():
    model, image = _frozen_at_stage2("biranet").eval(), torch.rand(1, 3, 64, 64, requires_grad=True)
    model(image).logits.sum().backward()
    assert image.grad is not None and image.grad.any()
    assert all(weight.grad is None for weight in model.frozen.parameters())
    assert not model.frozen(image.detach()).requires_grad


def test_the_streams_have_backbones_of_their_own_that_start_alike_where_weights_are_given(tmp_path):
    config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="none")
    file = tmp_path / "weights.pt"
    torch.save(load_backbone(config).layers.state_dict(), file)
    model = build_model(ModelConfig(backbone="test_resnet", backbone_weights=file, freeze="stage2"))
    a, b = model.stream_a.backbone.state_dict(), model.stream_b.backbone.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert {id(weight) for weight in model.stream_a.parameters()}.isdisjoint(map(id, model.stream_b.parameters()))
