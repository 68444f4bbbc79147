"""Checkpoints with other contents, for tests of what reads them."""

import dataclasses

import numpy as np
import torch

from biranet.decisions.rules import Rules
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.model import build_model
from biranet.learning.normalization import backbone_normalization, normalize
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.prepare import Preparation


def with_info(checkpoint, path, **changes):
    """Copy a checkpoint with another info."""
    model, info = load_checkpoint(checkpoint)
    save_checkpoint(path, model, dataclasses.replace(info, **changes))
    return path


def save_varied(config, path, image_size=64):
    """A checkpoint with random weights whose answers differ between photos."""
    torch.manual_seed(1)
    model = build_model(config)
    photos = np.stack([draw_photo(seed % 5, seed, image_size, image_size) for seed in range(10)])
    images = normalize(torch.from_numpy(photos), backbone_normalization(config.backbone))
    with torch.no_grad():
        for _ in range(30):
            model.train()(images)
        logits = model.eval()(images).logits
        larger = 1 / logits.std(dim=0)
        last = model.head[-1] if config.model == "ranet" else model.head
        last.weight.mul_(larger.reshape(-1, *[1] * (last.weight.ndim - 1)))
        last.bias.copy_((last.bias - logits.mean(dim=0)) * larger)
    info = CheckpointInfo(
        config, image_size, *backbone_normalization(config.backbone), Preparation(size_px=image_size), Rules(1.7)
    )
    save_checkpoint(path, model, info)
    return path
