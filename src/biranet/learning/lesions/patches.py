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
from biranet.learning.lesions.settings import CELL_PX, LesionConfig
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


class Patches(NamedTuple):
    """A batch to learn from.

    Attributes:
        pixels: RGB, (B, P, P, 3), uint8.
        coverage: (B, 5, P / 4, P / 4), float32: the share of each cell that is lesion; NaN for kinds not known.
    """

    pixels: Tensor
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
    for place, kind in enumerate(KINDS):
        if kind in masks:
            covered[place] = (_DRAWN * coverage(masks[kind], prepared.cut, size_px)).round()
    return MaskedSquare(prepared.pixels, covered, np.array([kind in masks for kind in KINDS]))


def draw_patches(squares: Sequence[MaskedSquare], config: LesionConfig, step: int) -> Patches:
    """Draw the patches of a step, which depend on the seed and the step alone.

    Half of the patches are drawn about a lesion: its kind, and then a pixel of it, evenly, so that rare kinds and small
    lesions are seen; the others anywhere. Each is turned by any angle, scaled and mirrored in one step with its masks,
    relit, and seen at a resolution of its own.

    Args:
        squares: All photos that are learned from.
        config: Sizes and seed.
        step: The step, from 0.
    """
    drawn = [
        _draw_patch(squares, config, np.random.default_rng([config.seed, step, place]))
        for place in range(config.batch_size)
    ]
    pixels, covered = zip(*drawn, strict=True)
    return Patches(torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(covered)))


def _draw_patch(
    squares: Sequence[MaskedSquare], config: LesionConfig, random: np.random.Generator
) -> tuple[Pixels, NDArray[np.float32]]:
    square = squares[int(random.integers(len(squares)))]
    # Evenly over the reciprocal of the size: small photos have fewer patches.
    size_px = round(1 / random.uniform(1 / config.image_size, 1 / config.smallest_size))
    size_px = config.image_size if random.random() < _FULL_SIZE else size_px
    middle = _draw_place(square, random) * (size_px / len(square.pixels))
    # A lesion may be anywhere in a patch.
    middle += random.uniform(-config.patch / 2, config.patch / 2, size=2)
    matrix = draw_turn(size_px, random)
    # What is turned is moved so that the place that was drawn lies in the middle of the patch, or as near as it must.
    matrix[:, 2] += config.patch / 2 - matrix @ np.append(middle, 1)
    side = (config.patch, config.patch)
    pixels = cv2.warpAffine(resize(square.pixels, size_px), matrix, side, flags=cv2.INTER_LINEAR)
    covered = [
        cv2.resize(
            cv2.warpAffine(resize(each, size_px), matrix, side, flags=cv2.INTER_LINEAR),
            (config.patch // CELL_PX,) * 2,
            interpolation=cv2.INTER_AREA,
        )
        for each in square.covered
    ]
    share = np.asarray(np.stack(covered) / _DRAWN, np.float32)
    share[~square.known] = np.nan
    return relight(np.asarray(pixels, np.uint8), random), share


_FULL_SIZE = 0.5
"""Share of the patches that are seen at full resolution."""


def _draw_place(square: MaskedSquare, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw a place, x and y in pixels of the square: half the time in a lesion, if it has one of the kind drawn."""
    side_px = len(square.pixels)
    kind = KINDS.index(random.choice(list(LESIONS)))
    places = np.flatnonzero(square.covered[kind] > _DRAWN // 2)
    if random.random() < 0.5 or not len(places):
        return random.uniform(0, side_px, size=2)
    row, column = divmod(int(places[random.integers(len(places))]), side_px)
    return np.array([column, row], np.float64)
