"""Whether pixels that are not compressed lie as their header says: laid out otherwise, no line fits the next."""

from typing import Any

import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError

_SAMPLED_LINES = 64
_MIN_ROUGHNESS_RATIO = 2.0
"""How many times as rough as another layout the announced one must be; in true photos it is several times smoother."""

_MIN_ROUGHNESS = 0.004
"""Roughness, as a share of the largest value, below which a picture has too little on it to tell: one level of 255."""


def check_pixel_order(values: npt.NDArray[Any], *, planar: bool | None = None) -> None:
    """Refuse pixels that fit together clearly better with width and height, or planes and pixels, exchanged.

    Args:
        values: Integers (H, W) or (H, W, C), as the header lays them out.
        planar: Whether each colour is stored in a plane of its own, by a header that could say otherwise; else None.

    Raises:
        PhotoError: If the header contradicts the pixels.
    """
    height, width = values.shape[:2]
    colors = values.shape[2] if values.ndim == 3 else 1
    if min(height, width) < 8:
        return
    stored = (np.moveaxis(values, 2, 0) if planar and values.ndim == 3 else values).reshape(-1)
    announced = _roughness(stored, height, width, colors, bool(planar))
    if announced <= _MIN_ROUGHNESS * float(stored.max()):
        return
    if width != height and announced > _MIN_ROUGHNESS_RATIO * _roughness(stored, width, height, colors, bool(planar)):
        raise PhotoError(
            "unreadable",
            f"contradicts itself: its header says {width} x {height} pixels, and its lines fit together as "
            f"{height} x {width}; export it anew",
        )
    if (
        planar is not None
        and colors > 1
        and announced > _MIN_ROUGHNESS_RATIO * _roughness(stored, height, width, colors, not planar)
    ):
        words = ("pixel by pixel", "in planes")
        raise PhotoError(
            "unreadable",
            f"contradicts itself: its header says that colours are stored {words[planar]}, and they are stored "
            f"{words[not planar]}; export it anew",
        )


def _roughness(stored: npt.NDArray[Any], height: int, width: int, colors: int, planar: bool) -> float:
    """Mean difference of neighbours, across and down, in some lines."""
    laid = stored.reshape(colors, height, width) if planar else stored.reshape(height, width, colors)
    lines = np.linspace(0, height - 2, min(_SAMPLED_LINES, height - 1)).astype(int)
    upper, lower = (
        (laid[:, rows] if planar else np.moveaxis(laid[rows], 2, 0)).astype(np.float32) for rows in (lines, lines + 1)
    )
    return float(np.abs(upper - lower).mean() + np.abs(np.diff(upper, axis=2)).mean())
