"""What a frozen backbone makes of photos, computed once, so that heads learn from it in seconds.

Each photo is seen in several views: the first is the photo as it is, the second its mirror image, all others are
changed at random as a training does. What is drawn in a photo is turned with it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biranet.learning.checkpoint_info import Normalization
from biranet.learning.normalization import normalize
from biranet.learning.transforms import Pixels, draw_turn, relight
from biranet.lesion_kinds import KINDS

PLAIN, MIRRORED = 0, 1
"""The views of a photo that are asked for an answer."""

DRAWN = 255
"""Coverage of a pixel that is all lesion."""


class Drawing(NamedTuple):
    """A photo, and what people drew in it.

    Attributes:
        pixels: RGB, (S, S, 3), uint8.
        covered: (5, S, S), uint8, the share of each pixel that is drawn as each of `KINDS`; None where nobody drew.
        known: (5,) which kinds somebody has looked for.
    """

    pixels: Pixels
    covered: NDArray[np.uint8] | None = None
    known: NDArray[np.bool_] | None = None


class Maps(NamedTuple):
    """Feature maps of N photos in V views.

    Attributes:
        features: (N, V, C, h, w), float16.
        shares: (N, V, 5, h, w), float32: the share of each cell that is drawn as each of `KINDS`; NaN where it is not
            known.
    """

    features: Tensor
    shares: Tensor


def cache_maps(
    folder: Path,
    names: list[str],
    read: Callable[[int], Drawing],
    layers: nn.Module,
    normalization: Normalization,
    views: int,
) -> Maps:
    """See photos through frozen layers, unless that was done before.

    Args:
        folder: Holds a file for each photo afterwards.
        names: A name for each photo; its views are drawn by its place.
        read: Reads a photo by its place.
        layers: From normalized images to feature maps.
        normalization: What the layers expect.
        views: V, from 2.

    Returns:
        The maps, in the order of the names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    maps = []
    for place, name in enumerate(names):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            part = path.with_suffix(".part")
            save_file(_see(read(place), layers, normalization, views, place)._asdict(), part)
            part.rename(path)
        maps.append(Maps(**load_file(path)))
    return Maps(torch.stack([each.features for each in maps]), torch.stack([each.shares for each in maps]))


@torch.inference_mode()
def _see(drawing: Drawing, layers: nn.Module, normalization: Normalization, views: int, seed: int) -> Maps:
    """The maps of one photo."""
    seen = [view_of(drawing, number, seed) for number in range(views)]
    # One after the other: a batch of large photos is no quicker on a CPU, and takes memory.
    features = torch.cat(
        [layers(normalize(torch.from_numpy(each.pixels[None].copy()), normalization)) for each in seen]
    )
    cells = features.shape[-1]
    shares = torch.full((views, len(KINDS), cells, cells), torch.nan)
    for number, each in enumerate(seen):
        if each.covered is not None and each.known is not None:
            shares[number] = torch.from_numpy(to_cells(each.covered, cells))
            shares[number, ~each.known] = torch.nan
    return Maps(features.half(), shares)


def view_of(drawing: Drawing, number: int, seed: int) -> Drawing:
    """Give a view of a photo, with what is drawn in it.

    Example:
        >>> photo = Drawing(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
        >>> view_of(photo, MIRRORED, 1).pixels[0].tolist()
        [[3, 4, 5], [0, 1, 2]]
    """
    pixels, covered = drawing.pixels, drawing.covered
    if number == MIRRORED:
        return drawing._replace(pixels=pixels[:, ::-1], covered=None if covered is None else covered[:, :, ::-1])
    if number == PLAIN:
        return drawing
    random = np.random.default_rng([seed, number])
    side = len(pixels)
    matrix = draw_turn(side, random)
    turned = np.asarray(cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)
    if covered is not None:
        covered = np.stack([cv2.warpAffine(each, matrix, (side, side), flags=cv2.INTER_LINEAR) for each in covered])
        covered = covered.astype(np.uint8, copy=False)
    return drawing._replace(pixels=relight(turned, random), covered=covered)


def to_cells(covered: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Average what is drawn in pixels over square cells: (K, S, S) to (K, cells, cells), 0 to 1.

    Example:
        >>> to_cells(np.array([[[0, 255], [0, 0]]], np.uint8), 1)
        array([[[0.25]]], dtype=float32)
    """
    side = covered.shape[1] // cells
    blocks = covered.reshape(len(covered), cells, side, cells, side)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32) / DRAWN, np.float32)
