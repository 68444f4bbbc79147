"""Where the square that was cut out of a photo lies in it: from its pixels to those of the photo, and back.

Places are lengths, not numbers of pixels: x = 0, y = 0 is the outer corner of the first pixel, whose middle is at 0.5.
So they hold at any size: resizing the square, once or twice, multiplies them and does nothing else.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biranet.photos.field import Field

_Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Cut:
    """The square that a prepared image shows, and the photo that it was cut out of.

    Attributes:
        field: The square, in pixels of the upright photo; it reaches beyond the photo where that was padded.
        width_px: Width of the upright photo.
        height_px: Height of the upright photo.

    Example:
        >>> import biranet
        >>> cut = biranet.Cut(biranet.Field(left_px=100, top_px=-20, side_px=240), width_px=400, height_px=200)
        >>> cut.to_original(np.array([[0.0, 0.0], [60.0, 30.0]]), size_px=120)  # its corner, and its middle
        array([[100., -20.],
               [220.,  40.]])
        >>> cut.warp(np.eye(2)).shape
        (200, 400)
    """

    field: Field
    width_px: int
    height_px: int

    @classmethod
    def whole(cls, size_px: int) -> "Cut":
        """The cut of a square that shows a square photo of `size_px` a side as it is."""
        return cls(Field(0, 0, size_px), size_px, size_px)

    @property
    def shows_all(self) -> bool:
        """Whether all of the photo is in the square, and nothing of it was made black."""
        whole = slice(0, self.height_px), slice(0, self.width_px)
        return self.window() == whole and self.field.circle is None

    def to_original(self, points: _Floats, size_px: float) -> npt.NDArray[np.float64]:
        """Find in the photo what is seen at a place of the square.

        Args:
            points: x and y (..., 2) in the square.
            size_px: Side of the square in the unit of `points`: that of the prepared image, or of what the network
                sees; the number of cells of a map.

        Returns:
            x and y (..., 2) in the upright photo; beyond it for what is padding.
        """
        corner = np.array([self.field.left_px, self.field.top_px], np.float64)
        return np.asarray(points, np.float64) * (self.field.side_px / size_px) + corner

    def from_original(self, points: _Floats, size_px: float) -> npt.NDArray[np.float64]:
        """Find in the square what is seen at a place of the photo, as `to_original` does the other way round."""
        corner = np.array([self.field.left_px, self.field.top_px], np.float64)
        return (np.asarray(points, np.float64) - corner) * (size_px / self.field.side_px)

    def window(self, scale: float = 1) -> tuple[slice, slice]:
        """Rows and columns of the photo that the square shows, where a pixel of it has become `scale` a side."""
        left_px, top_px, side_px = self.field.left_px, self.field.top_px, self.field.side_px
        rows = _within(top_px * scale, (top_px + side_px) * scale, scaled_px(self.height_px, scale))
        return rows, _within(left_px * scale, (left_px + side_px) * scale, scaled_px(self.width_px, scale))

    def sample(self, values: _Floats, scale: float = 1) -> npt.NDArray[np.float32]:
        """Read a map of the square at each pixel of the photo that the square shows.

        Args:
            values: Map (h, w) of the square, of any resolution.
            scale: Pixels a side of the result for each one of the photo.

        Returns:
            Values (H, W), float32, in the `window` of this scale: by cubic convolution (Keys 1981), which is smooth and
            gives each cell its value in its middle, and passes the values around by a few percent beside a peak.
        """
        field, (rows, columns) = self.field, self.window(scale)
        down, across = (
            _weights((np.arange(pixels.start, pixels.stop) + 0.5) / scale - start_px, field.side_px, cells)
            for pixels, start_px, cells in zip(
                (rows, columns), (field.top_px, field.left_px), values.shape, strict=True
            )
        )
        return np.asarray(down @ np.asarray(values, np.float32) @ across.T)

    def warp(self, values: _Floats) -> npt.NDArray[np.float32]:
        """Lay a map of the square over the photo.

        Args:
            values: Map (h, w) of the square, of any resolution.

        Returns:
            Values (height_px, width_px), float32, within the bounds of the map; NaN where the square shows nothing.
        """
        warped = np.full((self.height_px, self.width_px), np.nan, np.float32)
        warped[self.window()] = self.sample(values).clip(values.min(), values.max())
        return warped


def scaled_px(length_px: int, scale: float) -> int:
    """How many pixels long a side becomes where each pixel becomes `scale` a side; what is left over of one is cut off.

    Example:
        >>> scaled_px(9, 1 / 3), scaled_px(10, 1 / 3)
        (3, 3)
    """
    return int(length_px * scale + 1e-6)  # a third of 9 is 3


def _within(start: float, stop: float, length_px: int) -> slice:
    """The pixels of so many whose middles lie between two places."""
    return slice(*(min(max(0, int(np.ceil(position - 0.5))), length_px) for position in (start, stop)))


def _weights(positions: _Floats, side_px: int, cells: int) -> npt.NDArray[np.float32]:
    """Weights (n, cells) of the cells along a side for each place; beyond the middle of the last one it is repeated."""
    centers = positions * (cells / side_px) - 0.5
    first = np.floor(centers).astype(int)
    weights = np.zeros((len(centers), cells), np.float32)
    rows = np.arange(len(centers))
    for step in (-1, 0, 1, 2):
        away = np.abs(centers - first - step)
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        np.add.at(weights, (rows, (first + step).clip(0, cells - 1)), np.where(away <= 1, near, far))
    return weights
