"""The head of the lesion branch: from the maps of a backbone's stages to maps of lesions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from biranet.learning.lesion_settings import CELL_PX
from biranet.lesion_kinds import KINDS

_RARE = -4.0
"""Where the logits begin: nearly no pixel is lesion, so training need not begin with unlearning the contrary."""


class LesionHead(nn.Module):
    """From the maps of the stages to the maps of the lesions.

    Args:
        channels: Channels of each stage.
        strides: Stride of each stage.
        width: Channels of the layers in between.

    Example:
        >>> import torch
        >>> head = LesionHead([16, 40], [2, 8], width=8).eval()
        >>> head([torch.rand(1, 16, 32, 48), torch.rand(1, 40, 8, 12)]).shape
        torch.Size([1, 5, 16, 24])
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(each, affine=False), nn.Conv2d(each, width, kernel_size=1))
            for each in channels
        )
        self.mixing = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width), nn.Conv2d(width, width, kernel_size=1)
        )
        self.maps = nn.Conv2d(width, len(KINDS), kernel_size=1)
        self.maps.bias = nn.Parameter(torch.full((len(KINDS),), _RARE))

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Return logits (B, 5, h, w) of cells of 4 pixels."""
        height, width = (side * self.strides[0] // CELL_PX for side in stages[0].shape[-2:])
        cells = (average_to_cells(stage, stride) for stage, stride in zip(stages, self.strides, strict=True))
        weighed = [lateral(stage) for lateral, stage in zip(self.lateral, cells, strict=True)]
        features = functional.relu(torch.stack([_enlarge(each, height, width) for each in weighed]).sum(dim=0))
        features = functional.relu(features + self.mixing(features))
        logits: Tensor = self.maps(features)
        return logits


def average_to_cells(stage: Tensor, stride: int) -> Tensor:
    """Average the map of a stage whose cells are smaller than 4 pixels to such cells; leave others as they are.

    Args:
        stage: (B, C, h, w).
        stride: Side of its cells, in pixels of the image.

    Example:
        >>> average_to_cells(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 2)
        tensor([[[[4.]]]])
    """
    return functional.avg_pool2d(stage, CELL_PX // stride) if stride < CELL_PX else stage


def _enlarge(features: Tensor, height: int, width: int) -> Tensor:
    if features.shape[-1] == width:
        return features
    return functional.interpolate(features, size=(height, width), mode="bilinear", align_corners=False)
