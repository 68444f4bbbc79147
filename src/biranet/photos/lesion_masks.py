"""From the masks of a photo to the square that its prepared image shows: how much of each pixel is lesion.

And the photos with masks that show the same as one of the published test part.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biranet.errors import InputError, PhotoError
from biranet.files import sha256_of
from biranet.lesion_kinds import KINDS
from biranet.photos.copies import near_identical_pairs
from biranet.photos.cut import Cut
from biranet.photos.datasets.masks import MaskedPhoto, MaskFile
from biranet.photos.prepare import Preparation, prepare_photo
from biranet.photos.quality import MEASURED_PX
from biranet.photos.read import read_photo

_Mask = npt.NDArray[np.bool_]

_LARGEST_SHARE = 0.5
"""Masks of a larger share of the photo are no drawings; one of IDRiD's test part marks every pixel."""


def read_masks(folder: Path, photo: MaskedPhoto, cut: Cut) -> dict[str, _Mask]:
    """Read the masks of a photo.

    Args:
        folder: The folder of photos.
        photo: One of them.
        cut: How it was cut; its size is that of the upright photo.

    Returns:
        By kind, of all kinds that were looked for: the mask, all of one size, which is that of the photo or that of
        another scan of it; false everywhere where none was found. A mask of more than half of the photo is left out:
        no lesion is so large, so it is a fault of the file, and nothing is known of the kind.

    Raises:
        InputError: If a mask is no picture, or shows another part of the eye than the photo.
    """
    files = {mask.file: _brightness(folder / mask.file) for mask in photo.masks.values()}
    masks = {kind: _drawn(files[mask.file], mask) for kind, mask in photo.masks.items()}
    sizes = {mask.shape for mask in masks.values()}
    height_px, width_px = next(iter(sizes))
    # A photo that was made smaller has whole pixels, and so not quite the sides of its masks.
    stretched = abs(width_px * cut.height_px - height_px * cut.width_px)
    if len(sizes) > 1 or stretched > max(cut.width_px, cut.height_px, width_px, height_px):
        shown = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise InputError(
            f"the masks of {folder / photo.file} are {shown} pixels, and the photo is {cut.width_px} x "
            f"{cut.height_px}: they do not belong together; give masks of the whole photo"
        )
    drawn = {kind: masks.get(kind, np.zeros((height_px, width_px), np.bool_)) for kind in KINDS if kind in photo.drawn}
    return {kind: mask for kind, mask in drawn.items() if mask.mean() <= _LARGEST_SHARE}


def _brightness(path: Path) -> npt.NDArray[np.uint8]:
    try:
        red, green, blue = np.moveaxis(read_photo(path), 2, 0)
    except PhotoError as error:
        raise InputError(f"the mask {path}: {error}") from error
    return np.asarray(np.maximum(np.maximum(red, green), blue))  # many times as fast as max(axis=2)


def _drawn(brightness: npt.NDArray[np.uint8], mask: MaskFile) -> _Mask:
    """Where a kind is drawn: its bit is set, or it is at least half as bright as the brightest pixel that is drawn."""
    if mask.bit is not None:
        return np.asarray(brightness & (1 << mask.bit) > 0)
    return np.asarray(brightness >= max(1, int(brightness.max()) / 2))


def coverage(mask: _Mask, cut: Cut, size_px: int) -> npt.NDArray[np.float32]:
    """Say which share of each pixel of the prepared square is drawn.

    Args:
        mask: (H, W), of the photo at any size.
        cut: How the square was cut out of the photo.
        size_px: Side of the square, in pixels.

    Returns:
        (size_px, size_px), 0 to 1: the exact share of the area, so small lesions fade instead of vanishing, as they do
        in the photo; 0 beyond the photo.

    Example:
        >>> mask = np.zeros((2, 3), bool)
        >>> mask[1, 2] = True
        >>> from biranet.photos.field import Field
        >>> coverage(mask, Cut(Field(0, -1, 3), width_px=3, height_px=2), 1).round(3)
        array([[0.111]], dtype=float32)
    """
    if not mask.any():
        return np.zeros((size_px, size_px), np.float32)
    field = cut.field
    down, across = mask.shape[0] / cut.height_px, mask.shape[1] / cut.width_px
    # Lesions fill a small part of a mask.
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0))
    drawn = mask[top : bottom + 1, left : right + 1].astype(np.float32)
    rows = _averages(drawn, field.top_px * down - top, field.side_px * down, size_px)
    columns = _averages(np.ascontiguousarray(rows.T), field.left_px * across - left, field.side_px * across, size_px)
    return np.ascontiguousarray(columns.T)


def _averages(values: npt.NDArray[np.float32], start: float, length: float, count: int) -> npt.NDArray[np.float32]:
    """Average the rows (n, m) over `count` equal stretches of a length, zeros around them: (count, m)."""
    edges = (start + length / count * np.arange(count + 1)).clip(0, len(values))
    below = np.minimum(edges.astype(int), len(values) - 1)
    sums = np.zeros((len(values) + 1, values.shape[1]), np.float32)
    values.cumsum(axis=0, out=sums[1:])
    at_edges = sums[below] + (edges - below)[:, None].astype(np.float32) * values[below]
    return np.asarray(np.diff(at_edges, axis=0) * (count / length), np.float32)


def find_copies_of_test(folder: Path, photos: Sequence[MaskedPhoto]) -> dict[str, str]:
    """Find photos of other parts that show the same as one of the published test part, by bytes and fingerprint.

    Args:
        folder: The folder of photos.
        photos: Photos with masks.

    Returns:
        The files of such photos, and of which one each is a copy.

    Raises:
        InputError: If a photo cannot be used.
    """
    parts = {photo.file: photo.split for photo in photos}
    if "test" not in parts.values() or set(parts.values()) == {"test"}:
        return {}
    files = list(parts)
    pairs = near_identical_pairs([_fingerprint(folder / file) for file in files]).tolist()
    # Too plain a photo has no fingerprint.
    first_of: dict[str, int] = {}
    pairs += [(first_of.setdefault(sha256_of(folder / file), index), index) for index, file in enumerate(files)]
    copies = {}
    for one, other in ((files[first], files[second]) for first, second in pairs):
        for copy, test in ((one, other), (other, one)):
            if parts[test] == "test" and parts[copy] != "test":
                copies[copy] = test
    return copies


def _fingerprint(path: Path) -> str:
    try:
        return prepare_photo(path, Preparation(size_px=MEASURED_PX)).fingerprint
    except PhotoError as error:
        raise InputError(f"{path}: {error}") from error
