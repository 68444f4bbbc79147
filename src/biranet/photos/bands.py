"""Find the bands of one colour, with or without text, that a device or a viewer lays along the edges of a photo."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_MIN_LEVEL = 20
"""Brightest channel of a band; what is darker is the darkness around a field."""
_MAX_COLOR_DIFFERENCE = 12
"""Levels by which what has the colour of a band differs from it at most."""
_MIN_PLAIN_FRACTION = 0.7
"""Share of the band's first and last lines that has its colour."""
_MIN_BESIDE_TEXT_FRACTION = 0.1
"""Share of the lines between them that has it."""
_MIN_STEP_FRACTION = 0.8
"""Share of the line after the band that has other colours."""
_MAX_DEPTH_FRACTION = 1 / 3
_MIXED_PX = 2
"""Lines after the band in which it and the photo are mixed."""


class Interior(NamedTuple):
    """What bands leave of a picture, in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def find_interior(picture: npt.NDArray[np.uint8]) -> Interior:
    """Find what of a picture is left without the bands along its edges.

    A band spans the full width or height of what the bands before it have left, and ends at a straight line. So neither
    the white of a page around a field nor darkness is one.

    Args:
        picture: Pixels (H, W, 3), uint8, RGB, about 256 a side.

    Returns:
        The part within all bands, the whole picture where there is none.

    Example:
        >>> picture = np.zeros((100, 160, 3), np.uint8)
        >>> picture[88:] = 255
        >>> find_interior(picture)
        Interior(left=0, top=0, right=160, bottom=86)
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    while True:
        part = picture[top:bottom, left:right].astype(np.int16)
        turned = part.transpose(1, 0, 2)
        depths = [_band_width(lines) for lines in (turned, part, turned[::-1], part[::-1])]
        deepest = int(np.argmax(depths))
        if depths[deepest] == 0:
            return Interior(left, top, right, bottom)
        # One at a time: what two bands share is part of the one that spans all.
        cut = [depths[side] if side == deepest else 0 for side in range(4)]
        left, top, right, bottom = left + cut[0], top + cut[1], right - cut[2], bottom - cut[3]


def _band_width(lines: npt.NDArray[np.int16]) -> int:
    """How many of the first lines (n, length, 3) a band takes; 0 where there is none."""
    color = np.median(lines[0], axis=0)
    most = int(_MAX_DEPTH_FRACTION * len(lines))
    if color.max() < _MIN_LEVEL or most == 0:
        return 0
    shares = (np.abs(lines[: most + _MIXED_PX] - color).max(axis=2) <= _MAX_COLOR_DIFFERENCE).mean(axis=1)
    ends = np.flatnonzero(shares[:most] < _MIN_BESIDE_TEXT_FRACTION)
    plain = np.flatnonzero(shares[: ends[0] if len(ends) else most] >= _MIN_PLAIN_FRACTION)
    if len(plain) == 0 or plain[0] > 0:
        return 0
    depth = int(plain[-1]) + 1 + _MIXED_PX
    return depth if depth <= len(shares) and shares[depth - 1] <= 1 - _MIN_STEP_FRACTION else 0
