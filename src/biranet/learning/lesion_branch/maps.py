"""Maps of lesions of a photo, whatever finds them; no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.photos.cut import Cut
from biranet.setting_names import setting


@dataclass(frozen=True, eq=False)
class LesionMaps:
    """What was found in a photo.

    Attributes:
        shares: (5, h, w), float32: the share of each cell of the square that is a lesion of each of `KINDS`, as a
            probability.
        cut: How the square was cut out of the photo.
        size_px: Side of the square that the network saw, in pixels.
    """

    shares: NDArray[np.float32]
    cut: Cut
    size_px: int

    @property
    def seen_px(self) -> int:
        """Pixels across the field that the maps rest on: those of the photo, or fewer where the network saw fewer."""
        return min(self.cut.field.side_px, self.size_px)

    def on_photo(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Lay the maps over the photo, or another scan of it.

        Args:
            shape: Its height and width.

        Returns:
            (5, height, width), interpolated linearly between the middles of cells; 0 where the square shows nothing.
        """
        field, cells = self.cut.field, self.shares.shape[-1]
        lengths = ((self.cut.width_px, shape[1], field.left_px), (self.cut.height_px, shape[0], field.top_px))
        # From a pixel of the result, whose middle OpenCV calls a whole number, to a cell.
        scales = [cells / field.side_px * own_px / other_px for own_px, other_px, _ in lengths]
        starts = [-start_px * cells / field.side_px for _, _, start_px in lengths]
        offsets = [scale / 2 + start - 0.5 for scale, start in zip(scales, starts, strict=True)]
        matrix = np.array([[scales[0], 0, offsets[0]], [0, scales[1], offsets[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.stack([cv2.warpAffine(each, matrix, shape[::-1], flags=flags) for each in self.shares])


class LesionFinder(Protocol):
    """Finds lesions in photos.

    Attributes:
        thresholds: From which share of a cell on it counts as a lesion, by kind.
    """

    thresholds: Mapping[str, float]

    def find(self, source: Path | str | bytes, size_px: int | None = None) -> LesionMaps:
        """Find the lesions of a photo.

        Args:
            source: A picture file, or its bytes.
            size_px: Side of the square that the network shall see; that of its training when not given.

        Raises:
            PhotoError: If the photo cannot be read or has no field.
            InputError: If the size is none, or what the network answers is no number.
        """


def refuse_no_numbers(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maps of a network, if they are finite numbers.

    Raises:
        InputError: If they are not.
    """
    if not np.isfinite(shares).all():
        raise InputError(
            "the maps of this network are not finite numbers: its training has diverged; train again with a lower "
            f"{setting('lr')}"
        )
    return shares
