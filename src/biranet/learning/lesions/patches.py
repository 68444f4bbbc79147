"""Photos with drawn lesions as squares of one size, and the patches that are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biranet.errors import InputError, PhotoError
from biranet.learning.lesion_settings import CELL_PX, PATCH_STEP_PX
from biranet.learning.lesions.settings import LesionConfig
from biranet.learning.transforms import Pixels, draw_turn, relight, resize
from biranet.lesion_kinds import KINDS, LESIONS
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import coverage, read_masks
from biranet.photos.prepare import Preparation, prepare_photo

_DRAWN = 255
"""Coverage of a pixel that is all lesion, in squares."""


@dataclass(frozen=True)
class MaskedSquare:
    """A prepared photo with what is drawn in it.

    Attributes:
        pixels: RGB, (S, S, 3), uint8.
        covered: (5, S, S), uint8: the share of each pixel that is drawn as each of `KINDS`, 255 for all of it.
        known: (5,) which kinds somebody has looked for.
    """

    pixels: Pixels
    covered: NDArray[np.uint8]
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class TurnedSquare:
    """A photo turned, mirrored, relit and resized, with its masks, as far as the frozen stages go.

    Attributes:
        image: Normalized, (3, S, S), float16.
        frozen_maps: Of each frozen stage, (C, S / stride, S / stride), float16.
        covered: (5, S, S), uint8, as in `MaskedSquare`.
        known: (5,).
    """

    image: Tensor
    frozen_maps: list[Tensor]
    covered: NDArray[np.uint8]
    known: NDArray[np.bool_]


class Patches(NamedTuple):
    """A batch to learn from.

    Attributes:
        image: Normalized, (B, 3, P, P).
        frozen_maps: Of each frozen stage, (B, C, P / stride, P / stride).
        coverage: (B, 5, P / 4, P / 4), float32: the share of each cell that is lesion; NaN for kinds not known.
    """

    image: Tensor
    frozen_maps: list[Tensor]
    coverage: Tensor


def read_square(folder: Path, photo: MaskedPhoto, size_px: int) -> MaskedSquare:
    """Prepare a photo, and cut its masks as it is cut.

    Raises:
        InputError: If photo or masks cannot be used.
    """
    try:
        prepared = prepare_photo(folder / photo.file, Preparation(size_px=size_px))
    except PhotoError as error:
        raise InputError(f"{folder / photo.file}: {error}") from error
    masks = read_masks(folder, photo, prepared.cut)
    covered = np.zeros((len(KINDS), size_px, size_px), np.uint8)
    for index, kind in enumerate(KINDS):
        if kind in masks:
            covered[index] = (_DRAWN * coverage(masks[kind], prepared.cut, size_px)).round()
    return MaskedSquare(prepared.pixels, covered, np.array([kind in masks for kind in KINDS]))


def draw_view(
    square: MaskedSquare, config: LesionConfig, random: np.random.Generator
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Turn, mirror, relight and resize a photo, and its masks as it.

    Args:
        square: The photo.
        config: The largest and the smallest size.
        random: Source of the randomness.

    Returns:
        RGB (S, S, 3), uint8, and what is drawn in it, (5, S, S), uint8; S is a multiple of 32.
    """
    drawn_px = random.uniform(config.smallest_size, config.image_size)
    size_px = config.image_size if random.random() < _FULL_SIZE else int(drawn_px) // PATCH_STEP_PX * PATCH_STEP_PX
    matrix = draw_turn(size_px, random)
    pixels, *covered = (
        cv2.warpAffine(resize(each, size_px), matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
        for each in (square.pixels, *square.covered)
    )
    return relight(np.asarray(pixels, np.uint8), random), np.stack(covered).astype(np.uint8, copy=False)


_FULL_SIZE = 0.5
"""Share of the views that are of the largest size."""


def draw_patches(
    views: Sequence[TurnedSquare], strides: Sequence[int], config: LesionConfig, random: np.random.Generator
) -> Patches:
    """Draw the patches of a step.

    Half of the patches are drawn about a lesion: its kind, and then a pixel of it, evenly, so that rare kinds are seen;
    the others anywhere. The frozen stages have seen the whole view, so they know what lies around a patch.

    Args:
        views: What is learned from.
        strides: Those of the stages.
        config: Size and number of the patches.
        random: Source of the randomness.
    """
    images, maps, shares = [], [], []
    for _ in range(config.batch_size):
        view = views[int(random.integers(len(views)))]
        top, left = _draw_corner(view, config.patch, random)
        images.append(_cut(view.image, top, left, config.patch))
        maps.append(
            [
                _cut(each, top // stride, left // stride, config.patch // stride)
                for each, stride in zip(view.frozen_maps, strides, strict=False)
            ]
        )
        covered = view.covered[:, top : top + config.patch, left : left + config.patch]
        cells = config.patch // CELL_PX
        share = covered.reshape(len(KINDS), cells, CELL_PX, cells, CELL_PX).mean(axis=(2, 4)) / _DRAWN
        share[~view.known] = np.nan
        shares.append(share)
    return Patches(
        torch.stack(images).float(),
        [torch.stack(each).float() for each in zip(*maps, strict=True)],
        torch.from_numpy(np.stack(shares).astype(np.float32)),
    )


def _cut(values: Tensor, top: int, left: int, side: int) -> Tensor:
    return values[:, top : top + side, left : left + side]


def _draw_corner(view: TurnedSquare, patch_px: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw row and column of the corner of a patch: half the time about a lesion, if there is one of the kind drawn."""
    side_px = view.covered.shape[1]
    kind = KINDS.index(random.choice(list(LESIONS)))
    cells = np.flatnonzero(view.covered[kind] > _DRAWN // 2)
    if random.random() < 0.5 or not len(cells):
        corner = random.uniform(0, side_px - patch_px, size=2)
    else:
        cell = np.array(divmod(int(cells[random.integers(len(cells))]), side_px))
        # A lesion may be anywhere in a patch.
        corner = cell - random.uniform(0, patch_px, size=2)
    steps = (corner / PATCH_STEP_PX).round().astype(np.int64)
    return steps.clip(0, (side_px - patch_px) // PATCH_STEP_PX) * PATCH_STEP_PX
