"""Maps of lesions of one photo, from its file on."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from biranet.config import Device
from biranet.errors import InputError
from biranet.learning.checkpoint_info import Normalization
from biranet.learning.lesions.checkpoint import LoadedLesions, load_lesions
from biranet.learning.lesions.settings import CELL_PX, PATCH_STEP_PX
from biranet.learning.normalization import normalize
from biranet.learning.torch_predictor import choose_device
from biranet.learning.transforms import Pixels, resize
from biranet.photos.cut import Cut
from biranet.photos.prepare import prepare_photo
from biranet.setting_names import setting

SMALLER = 0.75
"""A photo is looked at a second time this much smaller, where what is large is seen with more around it."""


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


class LesionFinder:
    """Finds lesions in photos.

    Args:
        loaded: What was loaded from a checkpoint.
        device: Where to compute.
    """

    def __init__(self, loaded: LoadedLesions, device: Device = "auto") -> None:
        self.info, self._device = loaded.info, choose_device(device)
        self._network = loaded.network.to(self._device)

    @classmethod
    def load(cls, path: Path | str, device: Device = "auto") -> "LesionFinder":
        """Load a checkpoint.

        Raises:
            InputError: As `load_lesions`, or if there is no such device.
        """
        return cls(load_lesions(Path(path)), device)

    def find(self, source: Path | str | bytes, size_px: int | None = None) -> LesionMaps:
        """Find the lesions of a photo.

        Args:
            source: A picture file, or its bytes.
            size_px: Side of the square that the network shall see, a multiple of 32; that of the training when not
                given.

        Raises:
            PhotoError: If the photo cannot be read or has no field.
            InputError: If the size is none, or what the network answers is no number.
        """
        size_px = self.info.config.image_size if size_px is None else size_px
        if not 0 < size_px <= self.info.preparation.size_px or size_px % PATCH_STEP_PX:
            raise InputError(
                f"{setting('size_px')} must be a multiple of {PATCH_STEP_PX}, of at most "
                f"{self.info.preparation.size_px}, not {size_px}"
            )
        prepared = prepare_photo(source, self.info.preparation)
        with torch.inference_mode():
            maps = self._mean_of_views(prepared.pixels, size_px)
        if not bool(maps.isfinite().all()):
            raise InputError(
                f"the maps of this network are not finite numbers: its training has diverged; train again with a lower "
                f"{setting('lr')}"
            )
        return LesionMaps(maps.cpu().numpy(), prepared.cut, size_px)

    def _mean_of_views(self, photo: Pixels, size_px: int) -> Tensor:
        """Look at a photo and its mirror image, each at two sizes: (5, h, w), the mean of what is found."""
        maps, cells = [], size_px // CELL_PX
        for side_px in (size_px, max(1, round(SMALLER * size_px / PATCH_STEP_PX)) * PATCH_STEP_PX):
            seen = torch.from_numpy(resize(photo, side_px).copy())[None].to(self._device)
            image = normalize(seen, Normalization(self.info.mean, self.info.std))
            found = self._network(image).sigmoid() + self._network(image.flip(-1)).sigmoid().flip(-1)
            maps.append(functional.interpolate(found, size=(cells, cells), mode="bilinear", align_corners=False))
        return (maps[0] + maps[1])[0] / 4
