"""The network of the lesion branch, from top to bottom.

The way of a batch of images (B, 3, H, W):

    stages    the backbone's feature maps at stride 2, 4, 8, 16, 32        (B, C_i, H / s_i, W / s_i)
    cells     those of cells smaller than 4 pixels, averaged to such cells (B, C_i, H / 4, W / 4)
    lateral   of each, BatchNorm and a 1x1 convolution to W channels       (B, width, H / s_i, W / s_i)
    sum       resized to cells of 4 pixels and added up, ReLU              (B, width, H / 4, W / 4)
    mixing    a depthwise 3x3 and a 1x1 convolution, added, ReLU           (B, width, H / 4, W / 4)
    maps      a 1x1 convolution to the kinds                               logits: (B, 5, H / 4, W / 4)

A layer on such a pile of stages is what Hariharan et al. (Hypercolumns for object segmentation, CVPR 2015) train. Fine
stages are averaged before they are weighed, coarse ones weighed before they are resized: less work, and the same
function, since all of that is linear.

The head takes the stages and nothing else, so it can share a backbone with a network that grades.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from biranet.errors import InputError
from biranet.learning.backbone import Backbone, cut_all, maps_of
from biranet.learning.lesion_branch.head import LesionHead
from biranet.learning.lesion_settings import PATCH_STEP_PX
from biranet.learning.lesions.settings import LesionConfig
from biranet.setting_names import setting


class Stages(nn.Module):
    """A backbone that gives the feature maps of all its stages.

    Its BatchNorm stays in evaluation mode, whether or not its weights are trained: patches are few, and drawn where
    lesions are.

    Args:
        backbone: The backbone.
        freeze: The last stage that is not trained, or `none`.

    Attributes:
        frozen: How many stages are not trained.
        channels: Channels of each map.
        strides: Stride of each map.

    Raises:
        InputError: If the backbone cannot be cut into stages.
    """

    def __init__(self, backbone: Backbone, freeze: str) -> None:
        super().__init__()
        if not backbone.stages:
            raise InputError(
                f"{setting('backbone')} {backbone.name} cannot be cut into stages, and lesions need the fine ones; "
                "choose another backbone"
            )
        frozen = len(backbone.cut(freeze)[0])
        self.frozen = 0 if freeze == "none" else 1 + list(backbone.stages).index(freeze)
        ends = [len(backbone.cut(stage)[0]) for stage in backbone.stages]
        layers = list(backbone.layers)
        for index, layer in enumerate(layers):
            layer.requires_grad_(index >= frozen)
        self.stages = nn.ModuleList(cut_all(layers, ends))
        with torch.inference_mode():
            maps = self.eval()(torch.zeros(1, 3, PATCH_STEP_PX, PATCH_STEP_PX))
        self.channels = [each.shape[1] for each in maps]
        self.strides = [PATCH_STEP_PX // each.shape[2] for each in maps]

    def train(self, mode: bool = True) -> "Stages":
        """Stay in evaluation mode."""
        return super().train(mode=False)

    def frozen_maps(self, image: Tensor) -> list[Tensor]:
        """Give the maps of the stages that are not trained, that of the smallest stride first."""
        with torch.no_grad():
            return maps_of(self.stages[: self.frozen], image)

    def forward(self, image: Tensor, frozen_maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Give the maps of all stages.

        Args:
            image: Normalized, (B, 3, H, W).
            frozen_maps: Those of the stages that are not trained, where they are known.
        """
        maps = self.frozen_maps(image) if frozen_maps is None else list(frozen_maps)
        return maps + maps_of(self.stages[len(maps) :], maps[-1] if maps else image)


class LesionNet(nn.Module):
    """Find lesions in photos of any size.

    Args:
        backbone: The backbone.
        config: Its frozen stages, and the width of the head.
    """

    def __init__(self, backbone: Backbone, config: LesionConfig) -> None:
        super().__init__()
        self.stages = Stages(backbone, config.freeze)
        self.head = LesionHead(self.stages.channels, self.stages.strides, config.width)

    def forward(self, image: Tensor, frozen_maps: Sequence[Tensor] | None = None) -> Tensor:
        """Find the lesions of a batch.

        Args:
            image: Normalized, (B, 3, H, W), sides a multiple of 32.
            frozen_maps: Those of `Stages.frozen_maps`, where they are known.

        Returns:
            Logits (B, 5, H / 4, W / 4), of the share of each cell that is a lesion of each of `KINDS`.
        """
        logits: Tensor = self.head(self.stages(image, frozen_maps))
        return logits
