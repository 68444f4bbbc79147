"""What the study trains: three architectures, and BiRA-Net with one part changed at a time.

A variant is a change of the settings, of the model, or of both. The changed parts are written here, since nobody but
the study has a use for them; the three architectures are the product's own.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig, TrainConfig
from biranet.grades import GRADE_COUNT
from biranet.learning.model import (
    EPSILON,
    BilinearHead,
    BiraNet,
    Output,
    Stream,
    attention_pool,
    build_model,
    signed_sqrt,
)


class EvenAttention(nn.Module):
    """A mask of ones: every cell counts the same, so the attention pooling is the plain average."""

    def forward(self, features: Tensor) -> Tensor:
        """Return ones, (B, 1, h, w), for features (B, C, h, w)."""
        return torch.ones_like(features[:, :1])


class StreamWithoutNetB(Stream):
    """A stream whose vector is the attention-pooled one alone."""

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__(backbone, channels)
        del self.net_b

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream vector (B, C) and the attention mask (B, 1, h, w)."""
        features = self.backbone(image)
        mask = self.net_a(features)
        return attention_pool(features, mask), mask


class MatrixGateStream(Stream):
    """A stream with the gate of the released code: the mask is matrix-multiplied with each channel of the features.

    GAP(A @ F) / GAP(A), where A @ F is (h, w) @ (h, w) for every channel, so the feature map must be square.
    """

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream vector (B, C) and the attention mask (B, 1, h, w)."""
        features = self.backbone(image)
        mask = self.net_a(features)
        overall = self.net_b(features).float().mean(dim=(2, 3))
        with torch.autocast(image.device.type, enabled=False):
            cells, weights = features.float(), mask.float()
            gated = torch.matmul(weights, cells).mean(dim=(2, 3)) / weights.mean(dim=(2, 3)).clamp_min(EPSILON)
        return (gated + overall) / 2, mask


class RawHead(BilinearHead):
    """The bilinear form on the stream vectors as they are: no signed square root, no L2 norm, and so no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, scale=1.0)

    @staticmethod
    def normalize(vector: Tensor) -> Tensor:
        """Leave the vector as it is."""
        return vector


class CellStream(Stream):
    """A stream that keeps its cells apart: their mean is the stream vector of `Stream`."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cells' vectors (B, C, h, w) and the attention mask (B, 1, h, w)."""
        features = self.backbone(image)
        mask = self.net_a(features)
        weights = mask.float()
        attended = features.float() * weights / weights.mean(dim=(2, 3), keepdim=True).clamp_min(EPSILON)
        return (attended + self.net_b(features).float()) / 2, mask


class SpatialHead(nn.Module):
    """Full bilinear pooling: the mean over the cells of the outer products, instead of the product of the means.

    Then as usual: signed square root, L2 norm, the scale of `BilinearHead`, Linear(C*C, 5).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = channels**0.5
        self.linear = nn.Linear(channels * channels, GRADE_COUNT)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return logits (B, 5) for the cells' vectors a and b, both (B, C, h, w)."""
        a, b = a.flatten(2), b.flatten(2)
        with torch.autocast(a.device.type, enabled=False):
            product = signed_sqrt((a @ b.transpose(1, 2) / a.shape[2]).flatten(1))
            norm = (product.square().sum(dim=1, keepdim=True) + EPSILON).rsqrt()
            logits: Tensor = self.linear(self.scale * product * norm)
        return logits


class SharedFeatures(nn.Module):
    """BiRA-Net whose two streams stand on one backbone, computed once; each keeps its own Net-A and Net-B.

    Args:
        net: A BiRA-Net; its first backbone becomes part of the frozen layers, the second is dropped.
    """

    def __init__(self, net: BiraNet) -> None:
        super().__init__()
        self.frozen, self.backbone = net.frozen, net.stream_a.backbone
        self.stream_a, self.stream_b, self.head = net.stream_a, net.stream_b, net.head
        self.stream_a.backbone, self.stream_b.backbone = nn.Identity(), nn.Identity()

    def forward(self, image: Tensor) -> Output:
        """Grade images (B, 3, H, W)."""
        features = self.backbone(self.frozen(image))
        vector_a, mask_a = self.stream_a(features)
        vector_b, mask_b = self.stream_b(features)
        return Output(self.head(vector_a, vector_b), torch.cat([mask_a, mask_b], dim=1))


def _biranet(config: ModelConfig) -> BiraNet:
    net = build_model(config)
    assert isinstance(net, BiraNet)
    return net


def _channels(net: BiraNet) -> int:
    return int(net.head.weight.shape[1])


def _with_streams(kind: type[Stream]) -> Callable[[ModelConfig], nn.Module]:
    def build(config: ModelConfig) -> nn.Module:
        net = _biranet(config)
        for name in ("stream_a", "stream_b"):
            setattr(net, name, kind(getattr(net, name).backbone, _channels(net)))
        return net

    return build


def without_attention(net: BiraNet) -> BiraNet:
    """Have both streams of a BiRA-Net weigh all cells alike."""
    for stream in (net.stream_a, net.stream_b):
        stream.net_a = EvenAttention()  # type: ignore[assignment]
    return net


def without_normalization(net: BiraNet) -> BiraNet:
    """Have a BiRA-Net join its vectors as they are."""
    net.head = RawHead(_channels(net))
    return net


def _spatial(config: ModelConfig) -> nn.Module:
    net = _with_streams(CellStream)(config)
    assert isinstance(net, BiraNet)
    net.head = SpatialHead(_channels(net))  # type: ignore[assignment]
    return net


def _shared(config: ModelConfig) -> nn.Module:
    return SharedFeatures(_biranet(config))


@dataclass(frozen=True)
class Variant:
    """One thing to train.

    Attributes:
        title: What the page calls it.
        build: Builds the model.
        model: Changes of the model's settings.
        data: Changes of the data's settings.
        cost: Time of an epoch as a multiple of BiRA-Net's, for the estimate of the time that is left.
    """

    title: str
    build: Callable[[ModelConfig], nn.Module] = build_model
    model: tuple[tuple[str, Any], ...] = ()
    data: tuple[tuple[str, Any], ...] = ()
    cost: float = 1.0

    def settings(self, config: TrainConfig) -> TrainConfig:
        """Change the settings that all variants share to those of this one."""
        return dataclasses.replace(
            config,
            model=dataclasses.replace(config.model, **dict(self.model)),
            data=dataclasses.replace(config.data, **dict(self.data)),
        )


ARCHITECTURES = {
    "plain": Variant("Plain network", model=(("model", "plain"),), cost=0.6),
    "ranet": Variant("RA-Net", model=(("model", "ranet"),), cost=0.6),
    "biranet": Variant("BiRA-Net"),
}
"""Trained with each loss, each at a learning rate of its own."""

ABLATIONS = {
    "no_attention": Variant("Attention off (masks of ones)", lambda config: without_attention(_biranet(config))),
    "no_net_b": Variant("Net-B off", _with_streams(StreamWithoutNetB)),
    "no_normalization": Variant(
        "Signed square root and L2 norm off", lambda config: without_normalization(_biranet(config))
    ),
    "matrix_gate": Variant("Matrix product as gate, as released", _with_streams(MatrixGateStream)),
    "spatial_bilinear": Variant("Bilinear pooling over cells", _spatial),
    "shared_backbone": Variant("One backbone for both streams", _shared, cost=0.6),
    "nothing_frozen": Variant("Nothing frozen", model=(("freeze", "none"),), cost=2.0),
    "unbalanced": Variant("Every photo once an epoch", data=(("balance", False),)),
}
"""BiRA-Net with one thing changed; trained with the grading loss, at the learning rate of BiRA-Net."""

VARIANTS = ARCHITECTURES | ABLATIONS
