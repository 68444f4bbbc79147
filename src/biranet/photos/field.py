"""Find the field, the lit circle in a photo, and cut the photo to it without losing any of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from biranet.errors import PhotoError
from biranet.photos.bands import find_interior
from biranet.photos.circle import fit_circle
from biranet.photos.round_edge import FieldCircle, find_circles, redness

_THUMBNAIL_PX = 256
_BLACK_LEVEL = 20
_MIN_CONTRAST = 8
_MIN_AREA_FRACTION = 0.04
_MAX_SECOND_FRACTION = 0.5
_MIN_SIDES_RATIO = 0.4
_MIN_SOLIDITY = 0.6
_MIN_ARC_FRACTION = 0.4
_MAX_BESIDE_FRACTION = 0.05
_MIN_THUMBNAIL_PX = 64
_MIN_REDNESS = 40
_MIN_CORNER_FRACTION = 0.3

_UNBOUNDED_CIRCLE = FieldCircle(0, 0, np.inf)

_SEVERAL_FIELDS = "the photo has several large lit parts, as a sheet of photographs has; cut it up"


@dataclass(frozen=True)
class Field:
    """The square around the field, in pixels of the upright photo; it reaches beyond the photo where that is padded.

    Attributes:
        left_px: First column of the square, below 0 where the photo is padded on the left.
        top_px: First row of the square, below 0 where the photo is padded at the top.
        side_px: Width and height of the square.
        circle: The field itself where something else than darkness is around it, which is made black; else None. Its
            radius is infinite where that is only bands along the edges of the photo.

    Example:
        >>> import biranet
        >>> biranet.Field(left_px=-2, top_px=3, side_px=100).scaled(2)
        Field(left_px=-4, top_px=6, side_px=200, circle=None)
    """

    left_px: int
    top_px: int
    side_px: int
    circle: FieldCircle | None = None

    def scaled(self, scale: int) -> "Field":
        """The same square in a photo in which every pixel has become `scale` pixels a side."""
        circle = None if self.circle is None else self.circle.scaled(scale)
        return Field(self.left_px * scale, self.top_px * scale, self.side_px * scale, circle)

    def translated(self, right_px: int, down_px: int) -> "Field":
        """The same square where the photo begins further left and higher up by so much."""
        circle = None if self.circle is None else self.circle.translated(right_px, down_px)
        return Field(self.left_px + right_px, self.top_px + down_px, self.side_px, circle)


class _Box(NamedTuple):
    """What holds the field on the thumbnail, or reaches beyond that; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


def find_field(photo: npt.NDArray[np.uint8]) -> Field:
    """Find the smallest square that holds the whole field.

    The field is looked for on a thumbnail, without bands of one colour along its edges, which are made black: what is
    brighter than the dark corners, without small things such as camera tags, and, where its edge is an arc, completed
    to the circle, so that a shadow at the edge is not cut off. Where no corner is dark, or where what is lit is not
    round or not alone, the field is the circle with a round edge, whatever is around it. A photo with neither is all
    field, unless two corners are far less red than its middle, and so no part of the eye. The square is up to one
    thumbnail pixel wider on each side than the field.

    Args:
        photo: Pixels (H, W, 3), uint8, RGB.

    Returns:
        The square, centred on the part of the field that is in the photo.

    Raises:
        PhotoError: With status `no_field` if the photo is black, all one colour, has no round lit part, or several, or
            something else than an eye at its edge.

    Example:
        >>> photo = np.zeros((100, 160, 3), np.uint8)
        >>> _ = cv2.circle(photo, (80, 50), 40, (180, 90, 40), -1)
        >>> find_field(photo)
        Field(left_px=39, top_px=9, side_px=83, circle=None)
    """
    height_px, width_px = photo.shape[:2]
    step = max(1, min(round(max(height_px, width_px) / _THUMBNAIL_PX), height_px, width_px))
    box, circle = _find_on_thumbnail(_thumbnail(photo, step))
    left_px = max(0, int(np.floor((box.left - 1) * step)))
    top_px = max(0, int(np.floor((box.top - 1) * step)))
    # One step more than the thumbnail: it leaves out what does not fill a whole step at the right and at the bottom.
    right_px = min(width_px, int(np.ceil((box.right + 1) * step)))
    bottom_px = min(height_px, int(np.ceil((box.bottom + 1) * step)))
    side_px = max(right_px - left_px, bottom_px - top_px)
    return Field(
        left_px=left_px - (side_px - (right_px - left_px)) // 2,
        top_px=top_px - (side_px - (bottom_px - top_px)) // 2,
        side_px=side_px,
        circle=None if circle is None else circle.scaled(step),
    )


def cut_field(photo: npt.NDArray[np.uint8], field: Field, size_px: int) -> npt.NDArray[np.uint8]:
    """Cut a photo to its field, pad it with black to the square, and resize it once.

    Args:
        photo: Pixels (H, W, 3), uint8, RGB.
        field: The square to cut.
        size_px: Side of the result, at least 1.

    Returns:
        Pixels (size_px, size_px, 3), uint8, as `resize_square` makes them.
    """
    return resize_square(cut_square(photo, field), size_px)


def cut_square(photo: npt.NDArray[np.uint8], field: Field) -> npt.NDArray[np.uint8]:
    """Cut a photo to its field, and pad it with black to the square.

    What lies around a field with a circle is made black.

    Args:
        photo: Pixels (H, W, 3), uint8, RGB.
        field: The square to cut, of side S.

    Returns:
        Pixels (S, S, 3), uint8.
    """
    height_px, width_px = photo.shape[:2]
    right_px, bottom_px = field.left_px + field.side_px, field.top_px + field.side_px
    part = photo[max(0, field.top_px) : bottom_px, max(0, field.left_px) : right_px]
    if field.circle is not None:
        part = part * field.circle.mask(part.shape[:2], max(0, field.left_px), max(0, field.top_px))[:, :, None]
    square = cv2.copyMakeBorder(
        part,
        max(0, -field.top_px),
        max(0, bottom_px - height_px),
        max(0, -field.left_px),
        max(0, right_px - width_px),
        cv2.BORDER_CONSTANT,
        value=(0, 0, 0),
    )
    return np.asarray(square, dtype=np.uint8)


def resize_square(square: npt.NDArray[np.uint8], size_px: int) -> npt.NDArray[np.uint8]:
    """Resize a square once.

    Args:
        square: Pixels (S, S, 3), uint8.
        size_px: Side of the result, at least 1.

    Returns:
        Pixels (size_px, size_px, 3), uint8: averaged over areas where the square shrinks, linear where it shrinks by
        less than a third, cubic where it grows.
    """
    side_px = square.shape[0]
    if size_px > side_px:
        interpolation = cv2.INTER_CUBIC
    else:
        # Linear takes a third of the time. It weighs two pixels a side, which is enough for so small a step: after JPEG
        # it is 0.1 dB away from the mean over areas.
        interpolation = cv2.INTER_LINEAR if 2 * side_px < 3 * size_px else cv2.INTER_AREA
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=interpolation), dtype=np.uint8)


def _thumbnail(photo: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Average step x step pixels to one, a whole number, which is several times as fast as any other."""
    height, width = photo.shape[0] // step, photo.shape[1] // step
    whole = photo[: height * step, : width * step]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _find_on_thumbnail(thumbnail: npt.NDArray[np.uint8]) -> tuple[_Box, FieldCircle | None]:
    """Find box and circle of the field on a thumbnail (h, w, 3), bands along its edges left out."""
    height, width = thumbnail.shape[:2]
    interior = find_interior(thumbnail)
    inner = np.ascontiguousarray(thumbnail[interior.top : interior.bottom, interior.left : interior.right])
    channels = [np.asarray(channel, dtype=np.uint8) for channel in cv2.split(inner)]
    _check_contrast(channels)
    # Fields are red: the brightest channel keeps their dark parts above the background.
    box, circle = _find_box(inner, np.maximum.reduce(channels))
    if inner.shape != thumbnail.shape:
        circle = (
            (circle or _UNBOUNDED_CIRCLE)
            .translated(interior.left, interior.top)
            .clipped(
                interior.left or -np.inf,
                interior.top or -np.inf,
                interior.right if interior.right < width else np.inf,
                interior.bottom if interior.bottom < height else np.inf,
            )
        )
    left, top, right, bottom = box
    return _Box(left + interior.left, top + interior.top, right + interior.left, bottom + interior.top), circle


def _check_contrast(channels: Sequence[npt.NDArray[np.uint8]]) -> None:
    low, high = ([_percentile(channel, share) for channel in channels] for share in (0.01, 0.99))
    if max(high) < _BLACK_LEVEL:
        raise PhotoError("no_field", "the photo is black")
    # Any channel may show it: in an overexposed photo red is the same everywhere.
    if max(top - bottom for bottom, top in zip(low, high, strict=True)) < _MIN_CONTRAST:
        raise PhotoError("no_field", "the photo is all one colour")


def _find_box(thumbnail: npt.NDArray[np.uint8], level: npt.NDArray[np.uint8]) -> tuple[_Box, FieldCircle | None]:
    """Find the box around the field on a thumbnail, and its circle where what is around it must be made black."""
    rows, columns = level.shape
    lit = _lit_mask(level)
    refusal: PhotoError | None = None
    box = _Box(0, 0, columns, rows)
    if lit is not None:
        try:
            box, alone = _largest_component(lit)
            if alone:
                return box, None
        except PhotoError as error:
            refusal = error
    large = min(rows, columns) >= _MIN_THUMBNAIL_PX
    circles = find_circles(thumbnail, _MIN_AREA_FRACTION) if large else []
    if sum(circle.radius**2 > _MAX_SECOND_FRACTION * circles[0].radius ** 2 for circle in circles) > 1:
        # A sheet of several photographs: to take one of them would be a silent choice.
        raise PhotoError("no_field", _SEVERAL_FIELDS)
    if circles:
        x, y, radius, left, top, right, bottom = circles[0]
        box = _Box(
            max(x - radius, left),
            max(y - radius, top),
            min(x + radius, right),
            min(y + radius, bottom),
        )
        return box, circles[0]
    if refusal is not None:
        raise refusal
    if lit is None and large:
        _check_corners(thumbnail)
    return box, None


def _largest_component(lit: npt.NDArray[np.uint8]) -> tuple[_Box, bool]:
    """Find the box of the largest lit component, and whether it is round and nothing else is lit beside it."""
    rows, columns = lit.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    if count == 1:
        raise PhotoError("no_field", "the photo has no large lit part")
    part = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, width, height, area = (int(value) for value in stats[part])
    if area < _MIN_AREA_FRACTION * lit.size:
        raise PhotoError("no_field", "the photo has no large lit part")
    others = np.delete(stats[1:, cv2.CC_STAT_AREA], part - 1)
    if (others > _MAX_SECOND_FRACTION * area).any():
        raise PhotoError("no_field", _SEVERAL_FIELDS)
    contours, _ = cv2.findContours((labels == part).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0, :]
    # The outline runs through pixel centres; half a pixel around it is what the counted area covers.
    hull_area = cv2.contourArea(cv2.convexHull(outline)) + len(outline) / 2
    if min(width, height) < _MIN_SIDES_RATIO * max(width, height) or area < _MIN_SOLIDITY * hull_area:
        raise PhotoError("no_field", "the lit part of the photo is not round")
    circle = _ransac_circle(outline, (columns, rows), max(width, height))
    if circle is None:
        return _Box(left, top, left + width, top + height), False
    x, y, radius = circle
    box = _Box(
        min(left, x - radius),
        min(top, y - radius),
        max(left + width, x + radius + 1),
        max(top + height, y + radius + 1),
    )
    first_column, first_row = max(0, int(box.left)), max(0, int(box.top))
    square = lit[first_row : int(np.ceil(box.bottom)), first_column : int(np.ceil(box.right))]
    inside = FieldCircle(x + 0.5, y + 0.5, radius + 2).mask(square.shape, first_column, first_row)
    return box, cv2.countNonZero(square * ~inside) <= _MAX_BESIDE_FRACTION * area


def _check_corners(thumbnail: npt.NDArray[np.uint8]) -> None:
    """Refuse a photo that shows an eye in its middle and something else in two of its corners or more."""
    rows, columns = thumbnail.shape[:2]
    red = redness(thumbnail)
    down, across = max(1, rows // 8), max(1, columns // 8)
    middle = np.median(red[2 * down : -2 * down, 2 * across : -2 * across])
    corners = [
        np.median(red[vertical, horizontal])
        for vertical in (slice(None, down), slice(-down, None))
        for horizontal in (slice(None, across), slice(-across, None))
    ]
    if middle > _MIN_REDNESS and sorted(corners)[1] < _MIN_CORNER_FRACTION * middle:
        raise PhotoError(
            "no_field",
            "the photo shows something else than an eye around its middle, and no round field; cut it to that",
        )


def _lit_mask(level: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    """Threshold by the dark corners, without small things: mask (h, w), uint8 0 or 1; None without dark corners."""
    rows, columns = level.shape
    if min(rows, columns) >= _MIN_THUMBNAIL_PX:
        level = np.asarray(cv2.medianBlur(level, 3), dtype=np.uint8)
    high = _percentile(level, 0.99)
    corner = max(1, min(rows, columns) // 16)
    ends = (slice(None, corner), slice(-corner, None))
    corners = [level[vertical, horizontal] for vertical in ends for horizontal in ends]
    dark = [patch for patch in corners if np.median(patch) < min(0.35 * high, 60)]
    if not dark:
        return None
    # The median corner, because one may hold a tag; and far below the field, because its edge is often dim.
    background = float(np.median([np.median(patch) for patch in dark]))
    noise = float(np.median([patch.std() for patch in dark]))
    threshold = background + max(4.0, 4 * noise, 0.06 * (high - background))
    mask = (level > threshold).astype(np.uint8)
    if min(rows, columns) < _MIN_THUMBNAIL_PX:
        return mask
    width = 2 * round(0.015 * min(rows, columns)) + 1
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    return np.asarray(opened, dtype=np.uint8)


def _ransac_circle(
    outline: npt.NDArray[np.int32], size: tuple[int, int], longest: int
) -> tuple[float, float, float] | None:
    """Fit a circle to an outline by RANSAC and least squares: centre x, y and radius; None where it is no arc."""
    inner = ((outline > 1) & (outline < np.array(size) - 2)).all(axis=1)
    points = outline[inner].astype(np.float64)
    if len(points) < 16:
        return None
    # Circles through three points each, always the same draws: the same photo must give the same field.
    triples = points[np.random.default_rng(0).integers(len(points), size=(300, 3))]
    (ax, ay), (bx, by), (cx, cy) = (triples[:, corner].T for corner in range(3))
    twice_area = 2 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by))
    usable = np.abs(twice_area) > 1e-6
    a2, b2, c2 = ax**2 + ay**2, bx**2 + by**2, cx**2 + cy**2
    divisor = np.where(usable, twice_area, 1)
    x = (a2 * (by - cy) + b2 * (cy - ay) + c2 * (ay - by)) / divisor
    y = (a2 * (cx - bx) + b2 * (ax - cx) + c2 * (bx - ax)) / divisor
    radius = np.hypot(ax - x, ay - y)
    usable &= (radius > 0.4 * longest) & (radius < longest)
    if not usable.any():
        return None
    circles = np.stack([x, y, radius], axis=1)[usable]
    # Every third point of the outline is enough to tell the best draw from the others.
    best = int(_inliers(points[::3], circles).sum(axis=1).argmax())
    on_circle = _inliers(points, circles[best : best + 1])[0]
    if on_circle.mean() < _MIN_ARC_FRACTION:
        return None
    # The best draw names the points on the arc; the least-squares circle through them all is steadier than three.
    return fit_circle(points[on_circle])


def _inliers(points: npt.NDArray[np.float64], circles: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which points (n, 2) lie within 1.5 pixels of which circles (m, 3: x, y, radius), (m, n)."""
    x, y, radius = circles.T[:, :, None]
    # Squares throughout: roots would take most of the time of finding a field.
    squared = (points[:, 0] - x) ** 2 + (points[:, 1] - y) ** 2
    return np.asarray((squared > (radius - 1.5).clip(min=0) ** 2) & (squared < (radius + 1.5) ** 2))


def _percentile(channel: npt.NDArray[np.uint8], share: float) -> int:
    """The lowest value that at least this share of the pixels (h, w) does not exceed."""
    counts = cv2.calcHist([channel], [0], None, [256], [0, 256]).cumsum()
    return int(np.searchsorted(counts, share * channel.size))
