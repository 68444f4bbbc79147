"""Photos of healthy eyes: some teach the lesion heads what is no lesion, and choose thresholds; the others measure."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biranet.learning.lesions.patches import MaskedSquare
from biranet.lesion_kinds import KINDS, LESIONS
from biranet.photos.prepare import Preparation, prepare_photo
from studies.lesion_grades.heads import CONFIG, Teacher

VIEWS, PATCHES = 2, 24
"""Of each photo: half as many views as of one with masks, and with its patches as many in all as those have."""

_SEED = 1_000_000
"""Added to their numbers, so that their views are drawn otherwise than those of photos with masks."""

Visits = Sequence[tuple[Path, str]]
"""A photo of each visit, and the visit."""


def divide_healthy(photos: Visits) -> tuple[Visits, Visits]:
    """Divide photos of healthy eyes, one a visit, into those that teach and choose and those that measure, by turns.

    Example:
        >>> photos = [(Path(f"{name}.jpg"), name) for name in "badc"]
        >>> [[group for _, group in part] for part in divide_healthy(photos)]
        [['a', 'c'], ['b', 'd']]
    """
    ordered = sorted(photos, key=lambda photo: photo[1])
    return ordered[::2], ordered[1::2]


def healthy_teachers(photos: Visits) -> list[Teacher]:
    """Let photos of healthy eyes teach: no lesion of any kind is in them, and of the disc nothing is known."""
    return [
        Teacher(str(path), group, functools.partial(read_healthy, path), [_SEED + number], VIEWS, PATCHES)
        for number, (path, group) in enumerate(photos)
    ]


def read_healthy(path: Path) -> MaskedSquare:
    """Read a photo of a healthy eye."""
    pixels = prepare_photo(path, Preparation(size_px=CONFIG.image_size)).pixels
    nothing = np.zeros((len(KINDS), *pixels.shape[:2]), np.uint8)
    return MaskedSquare(pixels, nothing, np.array([kind in LESIONS for kind in KINDS]))
