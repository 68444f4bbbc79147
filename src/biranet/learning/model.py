"""BiRA-Net, its single stream RA-Net, and the plain baseline, from top to bottom.

The way of a batch of images (B, 3, H, W) through BiRA-Net:

    frozen    layers both streams share because they are frozen and identical; computed once
    backbone  each stream's own layers                                     F: (B, C, h, w)
    Net-A     one attention mask                                           A: (B, 1, h, w)
    pooling   GAP(A * F) / GAP(A), the attention-weighted mean             (B, C)
    Net-B     1x1 convolution, ReLU, GAP                                   (B, C)
    stream    mean of the two                                              (B, C)
    head      bilinear form on the two stream vectors                      logits: (B, K), K = 5 grades

`create_model` (`factory.py`) builds them; `FlipAverage` (`flip.py`) makes one answer for each photo's mirror image too.

Source: Zhao et al., "BiRA-Net: Bilinear Attention Net for Diabetic Retinopathy Grading", ICIP 2019, arXiv:1905.06312,
as far as the authors' code and figure show it. Our readings: the layout of Net-B; and signed square root, L2 norm and
one Linear after the outer product.

Departures, all of them on purpose:

1. The head multiplies the normalized bilinear vector by sqrt(C). The bilinear vector has norm 1, which bounds the
   gradient of the Linear whatever its start values; at the published learning rate of 2e-4 it would hardly move.
2. The bilinear vector (B, C*C) is never made. For a rank-one outer product the signed square root and the L2 norm
   factorise, so the head is a bilinear form on two normalized vectors: same values and gradients, and
   (B, K, C) is the largest tensor.
3. Frozen layers are one module that both streams share, because frozen copies stay identical. Their BatchNorm stays in
   evaluation mode.
4. Attention pooling and the head compute in float32 under mixed precision.
5. The number of grades is free; the paper has five.
"""

import math
import numbers
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.backbone import FrozenLayers, load_backbone, read_backbone_weights

EPSILON = 1e-6
"""Keeps signed square root, norm and the attention's denominator off zero; acts per vector, not per product."""


class Output(NamedTuple):
    """What every model returns.

    Attributes:
        logits: Scores of the grades before the softmax, (B, K).
        attention: Masks in [0, 1], one per stream, (B, streams, h, w); the plain baseline has no streams.

    Example:
        >>> import biranet, torch
        >>> model = biranet.create_model("ranet", backbone="test_resnet", pretrained=False).eval()
        >>> output = model(torch.rand(2, 3, 64, 64))
        >>> output.logits.softmax(dim=1).sum(dim=1).allclose(torch.ones(2))
        True
        >>> output.attention.shape
        torch.Size([2, 1, 2, 2])
    """

    logits: Tensor
    attention: Tensor

    def __repr__(self) -> str:
        return f"Output(logits {tuple(self.logits.shape)}, attention {tuple(self.attention.shape)})"


def check_num_grades(num_grades: int) -> None:
    """Refuse a number of grades that cannot be told apart.

    Raises:
        InputError: If it is not a whole number from 2.
    """
    if isinstance(num_grades, bool) or not isinstance(num_grades, numbers.Integral) or num_grades < 2:
        raise InputError(f"num_grades must be a whole number from 2, not {num_grades!r}")


def full_precision(tensor: Tensor) -> Tensor:
    """Make float32 of half precision."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class Attention(nn.Sequential):
    """Look at every feature cell and say how much it matters (Net-A).

    BatchNorm, then 1x1 convolutions C-64-16-8-1 with ReLU between and a sigmoid at the end.

    Args:
        channels: C, the channels of the feature map.

    Example:
        >>> Attention(32)(torch.rand(2, 32, 5, 7)).shape
        torch.Size([2, 1, 5, 7])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 64, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 16, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 8, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 1, kernel_size=1),
            nn.Sigmoid(),
        )


def attention_pool(features: Tensor, mask: Tensor) -> Tensor:
    """Average the feature cells with the mask as weights: GAP(A * F) / GAP(A).

    Args:
        features: F, (B, C, h, w).
        mask: A, (B, 1, h, w), in [0, 1]. The product is element by element, not a matrix product.

    Returns:
        (B, C), in at least float32. A mask of ones gives the plain average.

    Example:
        >>> cells = torch.tensor([[[[1.0, 5.0]]]])
        >>> attention_pool(cells, torch.tensor([[[[0.25, 0.75]]]]))
        tensor([[4.]])
    """
    features, mask = full_precision(features), full_precision(mask)
    return (features * mask).mean(dim=(2, 3)) / mask.mean(dim=(2, 3)).clamp_min(EPSILON)


class Stream(nn.Module):
    """One of the two streams of BiRA-Net: a backbone, Net-A and Net-B.

    Args:
        backbone: Anything that maps images (or the features of `frozen`) to a feature map (B, C, h, w).
        channels: C.
    """

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.net_a = Attention(channels)
        self.net_b = nn.Sequential(nn.Conv2d(channels, channels, kernel_size=1), nn.ReLU(inplace=True))

    def pool(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream vector (B, C) and the attention mask (B, 1, h, w) of feature maps (B, C, h, w)."""
        mask = self.net_a(features)
        overall = full_precision(self.net_b(features)).mean(dim=(2, 3))
        return (attention_pool(features, mask) + overall) / 2, mask

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return vector and mask of images (B, 3, H, W), or of the features of `frozen`."""
        return self.pool(self.backbone(image))


def signed_sqrt(vector: Tensor) -> Tensor:
    """Take the square root of the magnitude and keep the sign, smoothly through zero.

    x / sqrt(|x| + epsilon): at zero the slope is 1 / sqrt(epsilon) instead of infinite.

    Example:
        >>> signed_sqrt(torch.tensor([-4.0, 0.0, 9.0])).round(decimals=3)
        tensor([-2.,  0.,  3.])
    """
    return vector * (vector.abs() + EPSILON).rsqrt()


class BilinearHead(nn.Module):
    """Grade two stream vectors by a bilinear form on them.

    Equal to: outer product, signed square root, L2 norm, flatten, times `scale`, Linear(C*C, K); without the (B, C*C)
    tensor. The epsilons of root and norm act on each vector, before the product.

    Args:
        channels: C, the length of each vector.
        scale: Factor on the normalized bilinear vector; sqrt(C) when not given (our departure 1).
        num_grades: K, the number of grades, from 2.

    Raises:
        InputError: If `num_grades` is not a whole number from 2.

    Example:
        >>> head = BilinearHead(32, num_grades=3)
        >>> head(torch.rand(2, 32), torch.rand(2, 32)).shape
        torch.Size([2, 3])
    """

    def __init__(self, channels: int, scale: float | None = None, num_grades: int = GRADE_COUNT) -> None:
        super().__init__()
        check_num_grades(num_grades)
        self.scale = math.sqrt(channels) if scale is None else scale
        # The start values of nn.Linear(C * C, K).
        bound = 1 / channels
        self.weight = nn.Parameter(torch.empty(num_grades, channels, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_grades).uniform_(-bound, bound))

    @staticmethod
    def normalize(vector: Tensor) -> Tensor:
        """Take the signed square root, then divide by the norm: (B, C) to (B, C)."""
        root = signed_sqrt(full_precision(vector))
        return root * (root.square().sum(dim=1, keepdim=True) + EPSILON).rsqrt()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return logits (B, K) for the stream vectors a and b, both (B, C)."""
        with torch.autocast(a.device.type, enabled=False):
            a, b = self.normalize(a), self.normalize(b)
            form = torch.einsum("bi,kij,bj->bk", a, full_precision(self.weight), b)
            return self.scale * form + full_precision(self.bias)


class BiraNet(nn.Module):
    """Two attention streams, joined by a bilinear head.

    `create_model` builds one on a backbone from timm; here the backbones can be any modules.

    Args:
        backbone_a: First stream's backbone: images (or the features of `frozen`) to (B, C, h, w).
        backbone_b: Second stream's backbone, a module of its own.
        channels: C, the channels both backbones give.
        frozen: Layers that both streams share; none when not given.
        num_grades: K, the number of grades, from 2.

    Raises:
        InputError: If `num_grades` is not a whole number from 2.

    Example:
        >>> import biranet, torch
        >>> backbones = [torch.nn.Conv2d(3, 8, kernel_size=7, stride=4) for _ in range(2)]
        >>> model = biranet.BiraNet(*backbones, channels=8)
        >>> logits, attention = model(torch.rand(2, 3, 63, 63))
        >>> logits.shape, attention.shape
        (torch.Size([2, 5]), torch.Size([2, 2, 15, 15]))
    """

    def __init__(
        self,
        backbone_a: nn.Module,
        backbone_b: nn.Module,
        channels: int,
        frozen: nn.Module | None = None,
        num_grades: int = GRADE_COUNT,
    ) -> None:
        super().__init__()
        self.frozen = frozen or nn.Identity()
        self.stream_a = Stream(backbone_a, channels)
        self.stream_b = Stream(backbone_b, channels)
        self.head = BilinearHead(channels, num_grades=num_grades)

    def forward(self, image: Tensor) -> Output:
        """Grade images (B, 3, H, W), normalized as the backbone's weights expect."""
        shared = self.frozen(image)
        vector_a, mask_a = self.stream_a(shared)
        vector_b, mask_b = self.stream_b(shared)
        return Output(self.head(vector_a, vector_b), torch.cat([mask_a, mask_b], dim=1))


class _OneBackbone(nn.Module):
    """What the networks of one backbone share: its feature map, behind layers that may be frozen."""

    def __init__(
        self, backbone: nn.Module, channels: int, frozen: nn.Module | None = None, num_grades: int = GRADE_COUNT
    ) -> None:
        super().__init__()
        check_num_grades(num_grades)
        self.frozen = frozen or nn.Identity()
        self.backbone = backbone
        self._add_head(channels, num_grades)

    def _add_head(self, channels: int, num_grades: int) -> None:
        """Build what stands behind the feature map."""
        raise NotImplementedError

    def features(self, image: Tensor) -> Tensor:
        """Return the feature map (B, C, h, w) of images (B, 3, H, W)."""
        features: Tensor = self.backbone(self.frozen(image))
        return features

    def grade(self, features: Tensor) -> Output:
        """Grade feature maps (B, C, h, w)."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Output:
        """Grade images (B, 3, H, W), normalized as the backbone's weights expect."""
        return self.grade(self.features(image))


class RANet(_OneBackbone):
    """One attention stream with a small classifier: backbone, Net-A, attention pooling, Linear, Dropout, Linear.

    Args:
        backbone: Images (or the features of `frozen`) to (B, C, h, w).
        channels: C.
        frozen: Frozen first layers; none when not given.
        num_grades: K, the number of grades, from 2.

    Raises:
        InputError: If `num_grades` is not a whole number from 2.

    Example:
        >>> import biranet, torch
        >>> model = biranet.RANet(torch.nn.Conv2d(3, 8, kernel_size=7, stride=4), channels=8, num_grades=3)
        >>> logits, attention = model(torch.rand(2, 3, 63, 63))
        >>> logits.shape, attention.shape
        (torch.Size([2, 3]), torch.Size([2, 1, 15, 15]))
    """

    def _add_head(self, channels: int, num_grades: int) -> None:
        """Build Net-A and the classifier."""
        self.net_a = Attention(channels)
        self.head = nn.Sequential(nn.Linear(channels, 256), nn.Dropout(0.5), nn.Linear(256, num_grades))

    def grade(self, features: Tensor) -> Output:
        """Grade feature maps (B, C, h, w)."""
        mask = self.net_a(features)
        pooled = attention_pool(features, mask).to(features.dtype)
        return Output(full_precision(self.head(pooled)), mask)


class PlainNet(_OneBackbone):
    """The baseline without attention: backbone, average pooling, Linear.

    Arguments and errors are those of `RANet`.

    Example:
        >>> import biranet, torch
        >>> model = biranet.PlainNet(torch.nn.Conv2d(3, 8, kernel_size=7, stride=4), channels=8)
        >>> model(torch.rand(2, 3, 63, 63)).logits.shape
        torch.Size([2, 5])
    """

    def _add_head(self, channels: int, num_grades: int) -> None:
        """Build the linear layer."""
        self.head = nn.Linear(channels, num_grades)

    def grade(self, features: Tensor) -> Output:
        """Grade feature maps (B, C, h, w); the attention has no streams."""
        # shape[0] where len() would do: export takes a length for a constant, and the batch would no longer be free.
        no_attention = features.new_empty(features.shape[0], 0, *features.shape[2:])
        return Output(full_precision(self.head(features.mean(dim=(2, 3)))), no_attention)


def build_model(
    config: ModelConfig, num_grades: int = GRADE_COUNT, backbone_weights: Mapping[str, Tensor] | None = None
) -> BiraNet | RANet | PlainNet:
    """Build the model that a configuration describes, start weights included.

    Args:
        config: Architecture, backbone, weights and freezing.
        num_grades: K, the number of grades, from 2.
        backbone_weights: What `config.backbone_weights` holds, where that was read before.

    Returns:
        The model, a plain `nn.Module` that returns `Output`; without a flip, which `biranet.learning.flip` adds.

    Raises:
        InputError: If the number of grades is none, the backbone is not known, its weights cannot be had or do not fit,
            or it cannot be cut where `config.freeze` says.
    """
    check_num_grades(num_grades)
    if config.backbone_weights is not None and backbone_weights is None:
        backbone_weights = read_backbone_weights(config.backbone_weights, config.backbone)
    backbone = load_backbone(config, backbone_weights)
    if config.model == "probe":
        return PlainNet(nn.Identity(), backbone.channels, FrozenLayers(backbone.layers), num_grades)
    first, rest = backbone.cut(config.freeze)
    frozen = FrozenLayers(first) if len(first) else None
    if config.model == "plain":
        model: BiraNet | RANet | PlainNet = PlainNet(rest, backbone.channels, frozen, num_grades)
    elif config.model == "ranet":
        model = RANet(rest, backbone.channels, frozen, num_grades)
    else:
        _, rest_b = load_backbone(config, backbone_weights).cut(config.freeze)
        model = BiraNet(rest, rest_b, backbone.channels, frozen, num_grades)
    # Weights with their channels last make convolutions compute so: a quarter less time on a CPU, other rounding.
    return model.to(memory_format=torch.channels_last)
