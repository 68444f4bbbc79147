"""Find the field by its round edge, where no darkness tells where it ends.

A phone's photo shows it in a lens, with a hand or a wall around it; a page has it on white; a screenshot has windows
around it. What is common to all of them is a round edge, across which the redness of the retina ends.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from biranet.photos.circle import fit_circle

_ANGLES = 120
_MIN_ARC_FRACTION = 0.45
"""Share of a circle that must lie in the picture."""
_MIN_VISIBLE_FRACTION = 0.25
"""Share of a circle with enough of the picture around it to see that the field ends there."""
_MIN_EDGE_FRACTION = 0.6
"""Share of that arc on which the circle must follow an edge."""
_MIN_ENDING_FRACTION = 0.75
"""Share of that arc across which the field must end."""
_MIN_EDGE_STEP = 8
"""Levels by which the field is above what is around it."""
_MAX_OUTSIDE_RATIO, _MIN_RIM_RATIO, _MIN_ROW_RATIO = 0.8, 0.5, 0.3
"""What is left of its level around it, at its own rim, and in a row or column that still belongs to it."""
_MIN_CUT_PX = 3
_MAX_PLAIN_DISTANCE = 10
"""Levels by which what is plain differs from the colours of the corners at most."""
_MIN_PLAIN_FRACTION = 0.9

_Channel = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]


class FieldCircle(NamedTuple):
    """A field that is a circle, perhaps cut along straight lines; in pixels, from the outer corner of the first one.

    Attributes:
        x: Centre of its circle, from the left.
        y: Centre of its circle, from the top.
        radius: Radius of its circle.
        left: Where it begins, if it is cut on the left; else without bound.
        top: Where it begins, if it is cut at the top.
        right: Where it ends, if it is cut on the right.
        bottom: Where it ends, if it is cut at the bottom.

    Example:
        >>> import biranet
        >>> biranet.FieldCircle(x=50, y=40, radius=30, top=15).scaled(2)[:3]
        (100, 80, 60)
    """

    x: float
    y: float
    radius: float
    left: float = -np.inf
    top: float = -np.inf
    right: float = np.inf
    bottom: float = np.inf

    def scaled(self, scale: float) -> "FieldCircle":
        """The same circle where every pixel has become `scale` pixels a side."""
        return FieldCircle(*(scale * length for length in self))

    def clipped(self, left: float, top: float, right: float, bottom: float) -> "FieldCircle":
        """The part of the circle that lies in a rectangle."""
        return self._replace(
            left=max(self.left, left),
            top=max(self.top, top),
            right=min(self.right, right),
            bottom=min(self.bottom, bottom),
        )

    def translated(self, right: float, down: float) -> "FieldCircle":
        """The same circle where the picture begins further left and higher up by so much."""
        return FieldCircle(
            self.x + right,
            self.y + down,
            self.radius,
            self.left + right,
            self.top + down,
            self.right + right,
            self.bottom + down,
        )

    def mask(self, shape: tuple[int, ...], left_px: int = 0, top_px: int = 0) -> npt.NDArray[np.bool_]:
        """Which pixels (H, W), the first at `left_px` and `top_px` of the picture, lie in it by their centres."""
        y, x = (np.arange(length) + 0.5 + start for length, start in zip(shape, (top_px, left_px), strict=True))
        rows, columns = (y > self.top) & (y < self.bottom), (x > self.left) & (x < self.right)
        within = (x - self.x) ** 2 + ((y - self.y) ** 2)[:, None] <= self.radius**2
        return np.asarray(within & columns & rows[:, None])


def find_circles(picture: npt.NDArray[np.uint8], min_area_fraction: float) -> list[FieldCircle]:
    """Find the circles in a picture that may be fields, whatever lies around them.

    Looked at is the redness, which retina has more of than black, white, grey, blue and skin; where that shows no
    circle, the distance from the colours of the corners. A circle counts where it ends all around. So the optic disc is
    none in a picture that is all retina, as it is less red than what is around it, and neither is the outer rim of a
    lens, as it is dark inside.

    Args:
        picture: Pixels (H, W, 3), uint8, RGB, about 256 a side.
        min_area_fraction: Share of the picture below which a circle is too small.

    Returns:
        The circles, none of them in another, the largest first.

    Example:
        >>> picture = np.full((160, 240, 3), 235, np.uint8)
        >>> _ = cv2.circle(picture, (110, 80), 60, (180, 90, 40), -1)
        >>> [[int(number) for number in circle[:3]] for circle in find_circles(picture, 0.04)]
        [[110, 80, 59]]
    """
    height_px, width_px = picture.shape[:2]
    radii_px = int(np.sqrt(min_area_fraction * height_px * width_px / np.pi)), int(0.75 * max(height_px, width_px))
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1), dtype=np.uint8)
    red = redness(smooth)
    if circles := _suppress_overlaps(red, _detect_circles(red, *radii_px)):
        return circles
    distance = _corner_distance(smooth)
    return _suppress_overlaps(
        distance, [circle for circle in _detect_circles(distance, *radii_px) if _has_plain_surround(distance, circle)]
    )


def redness(picture: npt.NDArray[np.uint8]) -> _Channel:
    """How much more red than blue a picture (H, W, 3) is, 0 to 255, (H, W); retina is mostly between 60 and 200.

    It is half-way between a difference, which fades in shadow, and a share, which is largest in dark blood.
    """
    red, green, blue = (channel.astype(np.float32) for channel in cv2.split(picture))
    return np.asarray((18 * (red - blue) / np.sqrt(red + green + blue + 30)).clip(0, 255), dtype=np.uint8)


def _corner_distance(smooth: npt.NDArray[np.uint8]) -> _Channel:
    """Measure the distance of a picture (H, W, 3) from the colours of its corners, 0 to 255, (H, W)."""
    height_px, width_px = smooth.shape[:2]
    reach = max(1, min(height_px, width_px) // 16)
    ends = (slice(None, reach), slice(-reach, None))
    corners = [[np.median(smooth[rows, columns], axis=(0, 1)) for columns in ends] for rows in ends]
    # Between the corners, the colour around the field changes evenly, if it changes at all.
    down = np.linspace(0, 1, height_px, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, width_px, dtype=np.float32)[None, :, None]
    upper, lower = ((1 - across) * left + across * right for left, right in corners)
    around = (1 - down) * upper + down * lower
    return np.asarray(np.abs(smooth - around).max(axis=2).clip(0, 255), dtype=np.uint8)


def _has_plain_surround(distance: _Channel, circle: FieldCircle) -> bool:
    """Whether nearly all around a circle has the colours of the corners, which retina, with its vessels, never has."""
    around = distance[~circle._replace(radius=1.05 * circle.radius).mask(distance.shape)]
    return bool((around <= _MAX_PLAIN_DISTANCE).sum() >= max(1, _MIN_PLAIN_FRACTION * around.size))


def _suppress_overlaps(contrast: _Channel, circles: list[FieldCircle]) -> list[FieldCircle]:
    """Keep the circles that do not overlap larger ones, each clipped where a straight line cuts it."""
    kept: list[FieldCircle] = []
    for circle in sorted(circles, key=lambda circle: -circle.radius):
        if all(np.hypot(circle.x - other.x, circle.y - other.y) > circle.radius + other.radius / 2 for other in kept):
            kept.append(circle)
    return [_clip_to_field(contrast, circle) for circle in kept]


def _detect_circles(contrast: _Channel, min_radius_px: int, max_radius_px: int) -> list[FieldCircle]:
    refined = (
        _refine_circle(contrast, candidate) for candidate in _hough_circles(contrast, min_radius_px, max_radius_px)
    )
    return [circle for circle in refined if circle is not None]


def _hough_circles(contrast: _Channel, min_radius_px: int, max_radius_px: int) -> Iterator[FieldCircle]:
    """Propose circles by OpenCV's Hough transform."""
    # It finds whole circles only, so those that the picture cuts get the room they need.
    spare = max(contrast.shape) // 6
    roomy = cv2.copyMakeBorder(contrast, spare, spare, spare, spare, cv2.BORDER_REPLICATE)
    circles = cv2.HoughCircles(
        roomy,
        cv2.HOUGH_GRADIENT_ALT,
        dp=2,
        minDist=8,
        param1=50,
        param2=0.35,
        minRadius=min_radius_px,
        maxRadius=max_radius_px,
    )
    for x, y, radius, *_ in [] if circles is None else circles[0].tolist():
        yield FieldCircle(x - spare + 0.5, y - spare + 0.5, radius)


def _refine_circle(contrast: _Channel, circle: FieldCircle) -> FieldCircle | None:
    """Refine a circle by least squares through the steepest falls near it; None where no field ends there."""
    angles = np.arange(_ANGLES, dtype=np.float32)[:, None] * np.float32(2 * np.pi / _ANGLES)
    across = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    for reach in (3, 2, 2):
        offsets = np.arange(-reach - 1, reach + 2, dtype=np.float32)
        rays, inside = _sample_rays(contrast, circle, across, circle.radius + offsets)
        falls = rays[:, :-2] - rays[:, 2:]
        clear = inside & (falls.max(axis=1) >= _MIN_EDGE_STEP)
        if inside.mean() < _MIN_ARC_FRACTION or clear.sum() < _MIN_EDGE_FRACTION * inside.sum():
            return None
        points = (across * (circle.radius + offsets[falls.argmax(axis=1)] + 1)[:, None])[clear].astype(np.float64)
        x, y, radius = fit_circle(points)
        circle = FieldCircle(circle.x + x, circle.y + y, radius)
        off = np.abs(np.linalg.norm(points - (x, y), axis=1) - circle.radius)
    if (off <= max(1.5, 0.02 * circle.radius)).sum() < _MIN_EDGE_FRACTION * inside.sum():
        return None
    if not (0 <= circle.x <= contrast.shape[1] and 0 <= circle.y <= contrast.shape[0]):
        return None
    shares = np.array([0.6, 0.7, 0.8, 0.92, 0.95, 1.05, 1.08], np.float32)
    rays, inside = _sample_rays(contrast, circle, across, circle.radius * shares)
    middle, rim, beyond = (rays[inside, part].mean(axis=1) for part in (slice(3), slice(3, 5), slice(5, None)))
    ends = (rim >= _MIN_RIM_RATIO * middle) & (beyond <= _MAX_OUTSIDE_RATIO * rim) & (beyond <= rim - _MIN_EDGE_STEP)
    return circle if len(ends) >= _MIN_VISIBLE_FRACTION * _ANGLES and ends.mean() >= _MIN_ENDING_FRACTION else None


def _clip_to_field(contrast: _Channel, circle: FieldCircle) -> FieldCircle:
    """Clip a circle where a straight line has cut off a part of it at any side."""
    inside = circle.mask(contrast.shape)
    least = _MIN_ROW_RATIO * np.median(contrast[circle._replace(radius=0.8 * circle.radius).mask(contrast.shape)])
    ends = []
    for levels, within in ((contrast.T, inside.T), (contrast, inside)):
        lines = np.flatnonzero(within.any(axis=1))
        field = [line for line in lines if np.median(levels[line, within[line]]) >= least]
        if not field:
            return circle
        keeps_edge = [abs(end - last) < _MIN_CUT_PX for end, last in ((field[0], lines[0]), (field[-1], lines[-1]))]
        ends.append((-np.inf if keeps_edge[0] else float(field[0] + 1), np.inf if keeps_edge[1] else float(field[-1])))
    (left, right), (top, bottom) = ends
    return circle._replace(left=left, top=top, right=right, bottom=bottom)


def _sample_rays(
    contrast: _Channel, circle: FieldCircle, across: _Floats, radii: _Floats
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Sample levels (angles, radii) along rays from the centre; tell which rays (angles,) stay in the picture."""
    x, y = (
        np.asarray(start - 0.5 + across[:, axis, None] * radii, dtype=np.float32)
        for axis, start in enumerate((circle.x, circle.y))
    )
    height_px, width_px = contrast.shape
    inside = ((x >= 0) & (x <= width_px - 1) & (y >= 0) & (y <= height_px - 1)).all(axis=1)
    return cv2.remap(contrast, x, y, cv2.INTER_LINEAR).astype(np.float32), inside
