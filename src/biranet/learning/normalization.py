"""From pixels to what a network takes: the only place where a photo is scaled and normalized."""

import timm
import torch
from torch import Tensor

from biranet.learning.checkpoint_info import Normalization


def backbone_normalization(backbone: str) -> Normalization:
    """Return the constants that belong to a backbone's ImageNet weights.

    Args:
        backbone: Its timm name.

    Example:
        >>> backbone_normalization("resnet50").mean
        (0.485, 0.456, 0.406)
    """
    settings = timm.get_pretrained_cfg(backbone) or timm.models.PretrainedCfg()
    return Normalization(tuple(settings.mean), tuple(settings.std))


def normalize(pixels: Tensor, normalization: Normalization) -> Tensor:
    """Scale pixels to 0-1, subtract the mean and divide by the standard deviation; an exported model begins with this.

    Args:
        pixels: RGB, (…, H, W, 3), uint8, on any device.
        normalization: Constants of the backbone.

    Returns:
        Float32, (…, 3, H, W), on the same device.
    """
    image = pixels.movedim(-1, -3).float() / 255
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in normalization)
    return ((image - mean) / std).contiguous()
