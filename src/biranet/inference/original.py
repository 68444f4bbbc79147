"""Where a photo that was graded can be read again as it was taken, and where what the network saw lies in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biranet.errors import PhotoError
from biranet.inference.addresses import Address, open_source
from biranet.learning.transforms import Pixels, resize
from biranet.photos.cut import Cut
from biranet.photos.prepare import Preparation, prepare_file
from biranet.photos.read import decode_photo


@dataclass(frozen=True)
class Original:
    """The photo behind a prediction. Its pixels are not kept: full-size photos fill the memory of any machine.

    Attributes:
        source: The file, its address, or its bytes.
        preparation: How it was prepared.
        cut: How the square that the network saw was cut out of it.

    Example:
        >>> import biranet
        >>> prediction = biranet.load().grade(biranet.draw_photo(grade=4, seed=7))
        >>> prediction.original
        Original(320 x 256 px)
        >>> prediction.original.read(prediction.photo).shape
        (256, 320, 3)
    """

    source: Path | Address | bytes
    preparation: Preparation
    cut: Cut

    def __repr__(self) -> str:
        return f"Original({self.cut.width_px} x {self.cut.height_px} px)"

    def read(self, image: Pixels) -> Pixels:
        """Read the photo at its full size.

        Args:
            image: What the network saw of it, (H, H, 3), uint8, RGB.

        Returns:
            The upright photo, (height_px, width_px, 3), uint8, RGB.

        Raises:
            PhotoError: If the file cannot be read any more, or holds another photo by now.
        """
        file = open_source(self.source)
        # Nothing else tells for certain that it still is the same photo, and nothing is cheaper where no picture is
        # drawn. It takes a twentieth of the drawing.
        again = resize(prepare_file(file, self.preparation).pixels, len(image))
        if not np.array_equal(again, image):
            raise PhotoError("unreadable", "the file holds another photo now")
        return decode_photo(file, None).pixels

    def lay_over(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay maps (n, h, w) of the square over the photo: (n, height_px, width_px), as `Cut.warp` does."""
        laid = np.empty((len(maps), self.cut.height_px, self.cut.width_px), np.float32)
        for target, values in zip(laid, maps, strict=True):
            target[:] = self.cut.warp(values)
        return laid
