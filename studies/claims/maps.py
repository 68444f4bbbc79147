"""What a frozen backbone makes of photos, and the directions of its channels that heads see."""

import dataclasses
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from biranet.config import TrainConfig
from biranet.learning.data import PreparedPhotos
from biranet.learning.model import build_model
from biranet.learning.normalization import backbone_normalization
from biranet.manifest import graded_photos, read_manifest
from studies.cached_maps import Drawing, Maps, cache_maps
from studies.taught.photos import find_photos

VIEWS = 2
"""Each photo, and its mirror image."""


def see_photos(prepared: Path, masks: Path | None, folder: Path, config: TrainConfig) -> tuple[pd.DataFrame, Maps]:
    """Show the frozen backbone every graded photo, unless that was done before.

    Args:
        prepared: The prepared photos.
        masks: Photos with masks of lesions, some of them the same; what is drawn in them is read too.
        folder: Keeps what the backbone makes of the photos.
        config: Names the backbone, and the side of the images.

    Returns:
        Rows of the manifest, and the maps of these photos.
    """
    size_px = config.data.image_size
    if masks is None:
        photos = graded_photos(read_manifest(prepared)).reset_index(drop=True)
        names = [f"graded_{Path(file).stem}" for file in photos["file"]]
        read = partial(_undrawn, PreparedPhotos(prepared, photos, size_px))
    else:
        found = find_photos(prepared, masks)
        photos, names, read = found.graded, found.names[: len(found.graded)], partial(found.read, size_px=size_px)
    network = build_model(dataclasses.replace(config.model, model="probe")).eval()
    normalization = backbone_normalization(config.model.backbone)
    return photos, cache_maps(folder, names, read, network.frozen, normalization, VIEWS)


def _undrawn(images: PreparedPhotos, place: int) -> Drawing:
    return Drawing(images.photo(place))


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
    """Bring the channels of maps (..., C, h, w) to directions (K, C): (..., K, h, w)."""
    return torch.einsum("kc,...chw->...khw", directions, maps).contiguous()
