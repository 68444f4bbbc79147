"""Whether another picture in the same file is only the photo made smaller."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from biranet.photos.formats.colors import to_rgb

_COMPARED_PX = 64
_MAX_PREVIEW_DIFFERENCE = 0.985
"""Correlation of two pages, made small, from which on they show the same."""


def is_smaller(size_px: tuple[int, int], photo_px: tuple[int, int]) -> bool:
    """Tell whether a picture is smaller than the photo, of about the same proportions; both (width, height)."""
    if size_px[0] >= photo_px[0] or size_px[1] >= photo_px[1]:
        return False
    return abs(size_px[0] / size_px[1] / (photo_px[0] / photo_px[1]) - 1) <= 0.1


def thumbnail(picture: Image.Image) -> npt.NDArray[np.float32]:
    """Make a picture that was checked into 64 x 64 grey values, for `look_alike`."""
    gray = to_rgb(picture).mean(axis=2, dtype=np.float32)
    small: npt.NDArray[np.float32] = cv2.resize(
        gray, (_COMPARED_PX, _COMPARED_PX), interpolation=cv2.INTER_AREA
    ).ravel()
    return small


def look_alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Tell whether two thumbnails show the same; plain ones never do."""
    return bool(min(one.std(), other.std()) > 0 and np.corrcoef(one, other)[0, 1] > _MAX_PREVIEW_DIFFERENCE)
