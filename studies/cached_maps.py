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
from safetensors.torch import load_file, save
from torch import Tensor, nn

from biranet.files import write_bytes
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
            write_bytes(path, save(_see(read(place), layers, normalization, views, place)._asdict()))
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
    return Maps(features.half().contiguous(), torch.stack([shares_of(each, features.shape[-1]) for each in seen]))


def shares_of(drawing: Drawing, cells: int) -> Tensor:
    """Say which share of each cell is drawn as each of `KINDS`: (5, cells, cells), NaN where nobody has looked.

    Example:
        >>> covered = np.zeros((5, 2, 2), np.uint8)
        >>> covered[0] = [[0, 255], [0, 0]]
        >>> known = np.array([True, False, False, False, False])
        >>> shares_of(Drawing(np.zeros((2, 2, 3), np.uint8), covered, known), 1).flatten()
        tensor([0.2500,    nan,    nan,    nan,    nan])
    """
    shares = torch.full((len(KINDS), cells, cells), torch.nan)
    if drawing.covered is not None and drawing.known is not None:
        side = drawing.covered.shape[1] // cells
        blocks = drawing.covered.reshape(len(KINDS), cells, side, cells, side)
        averages = torch.from_numpy(blocks.mean(axis=(2, 4), dtype=np.float32) / DRAWN)
        shares[drawing.known] = averages[drawing.known]
    return shares


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
