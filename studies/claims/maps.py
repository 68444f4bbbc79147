"""What the frozen backbone sees of photos: computed once, and kept in the working folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from biranet.config import TrainConfig
from biranet.files import write_bytes
from biranet.learning.data import PreparedPhotos
from biranet.learning.model import build_model
from biranet.learning.normalization import backbone_normalization, normalize


def read_maps(path: Path, prepared: Path, photos: pd.DataFrame, config: TrainConfig) -> Tensor:
    """Read the feature maps of photos, or compute and keep them.

    Args:
        path: The file that keeps them.
        prepared: The prepared folder.
        photos: Rows of its manifest.
        config: Names the backbone, and the side of the images.

    Returns:
        (2, N, C, h, w), float32: of the photos, and of their mirror images.
    """
    if not path.exists():
        write_bytes(path, save({"maps": compute_maps(prepared, photos, config)}))
    return load_file(path)["maps"]


@torch.inference_mode()
def compute_maps(prepared: Path, photos: pd.DataFrame, config: TrainConfig) -> Tensor:
    """Show the frozen backbone each photo and its mirror image; see `read_maps`."""
    network = build_model(dataclasses.replace(config.model, model="probe")).eval()
    normalization = backbone_normalization(config.model.backbone)
    images = PreparedPhotos(prepared, photos, config.data.image_size)
    views = (np.stack([pixels, pixels[:, ::-1]]) for pixels in map(images.photo, range(len(images))))
    maps = [network.features(normalize(torch.from_numpy(both), normalization)) for both in views]  # type: ignore[operator]
    return torch.stack(maps, dim=1).contiguous()


def principal_directions(maps: Tensor, count: int) -> tuple[Tensor, float]:
    """Find the directions of the channels that hold most of what the cells of maps are.

    Without their mean being subtracted: the projection is then a 1x1 convolution without a bias, as the last layer of
    the backbone is one.

    Args:
        maps: (N, C, h, w); those that a model learns from.
        count: How many directions, at most C.

    Returns:
        (count, C), orthonormal rows, and the share of the sum of squares that they hold.

    Example:
        >>> maps = torch.tensor([[3.0, 4.0], [6.0, 8.0]])[:, :, None, None]
        >>> directions, share = principal_directions(maps, 1)
        >>> directions.abs().round(decimals=3), round(share, 3)
        (tensor([[0.6000, 0.8000]]), 1.0)
    """
    cells = maps.transpose(0, 1).flatten(1).double()
    sizes, directions = torch.linalg.eigh(cells @ cells.T)
    return directions[:, -count:].T.flip(0).float(), float(sizes[-count:].sum() / sizes.sum())


def project(maps: Tensor, directions: Tensor) -> Tensor:
    """Bring the channels of maps (…, C, h, w) to directions (K, C): (…, K, h, w)."""
    return torch.einsum("kc,...chw->...khw", directions, maps).contiguous()
