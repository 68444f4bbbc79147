"""The lesion branch by itself, in torch: maps of lesions of one photo, from its file on."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from biranet.config import Device
from biranet.errors import InputError
from biranet.learning.checkpoint_info import Normalization
from biranet.learning.lesion_branch.maps import LesionMaps, refuse_no_numbers
from biranet.learning.lesion_settings import CELL_PX, PATCH_STEP_PX
from biranet.learning.lesions.checkpoint import LoadedLesions, load_lesion_net
from biranet.learning.normalization import normalize
from biranet.learning.torch_predictor import choose_device
from biranet.learning.transforms import Pixels, resize
from biranet.photos.prepare import prepare_photo
from biranet.setting_names import setting

SMALLER = 0.75
"""A photo is looked at a second time this much smaller, where what is large is seen with more around it."""


class BranchFinder:
    """Finds lesions in photos; a `LesionFinder`.

    Args:
        loaded: What was loaded from a checkpoint.
        device: Where to compute.
    """

    def __init__(self, loaded: LoadedLesions, device: Device = "auto") -> None:
        self.info, self.thresholds, self._device = loaded.info, loaded.info.thresholds, choose_device(device)
        self._network = loaded.network.to(self._device)

    @classmethod
    def load(cls, path: Path | str, device: Device = "auto") -> "BranchFinder":
        """Load a checkpoint.

        Raises:
            InputError: As `load_lesion_net`, or if there is no such device.
        """
        return cls(load_lesion_net(Path(path)), device)

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
        return LesionMaps(refuse_no_numbers(maps.cpu().numpy()), prepared.cut, size_px)

    def _mean_of_views(self, photo: Pixels, size_px: int) -> Tensor:
        """Look at a photo and its mirror image, each at two sizes: (5, h, w), the mean of what is found."""
        maps, cells = [], size_px // CELL_PX
        for side_px in (size_px, max(1, round(SMALLER * size_px / PATCH_STEP_PX)) * PATCH_STEP_PX):
            pixels = torch.from_numpy(resize(photo, side_px).copy())[None].to(self._device)
            image = normalize(pixels, Normalization(self.info.mean, self.info.std))
            shares = self._network(image).sigmoid() + self._network(image.flip(-1)).sigmoid().flip(-1)
            maps.append(functional.interpolate(shares, size=(cells, cells), mode="bilinear", align_corners=False))
        return (maps[0] + maps[1])[0] / 4
