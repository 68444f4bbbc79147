"""Can this photo be graded? Measures of focus, light, coverage and likeness, and the rule that is made of them.

All measures are taken on one square of 384 px around the field, shrunk to 192 px, so that they cost little and do not
depend on the size of the file. What they find on real photos, and what they cannot find, stands in docs/gradability.md.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from biranet.photos.circle import fit_circle

MEASURED_PX = 384
"""Side of the square that is measured."""

MIN_FOCUS_PX = 96
"""Smallest field in the file, in pixels, whose focus is judged: a smaller one has no fine detail, sharp or not."""

# The limits of the rule. They are lenient: the graded photos on which they were chosen all pass. docs/gradability.md
# says how often each fault is caught.
MIN_BRIGHTNESS_FRACTION = 0.15
MIN_FUNDUS_SCORE = 0.3
MAX_OVEREXPOSED_FRACTION = 0.1
MIN_VISIBLE_FRACTION = 0.6
MIN_CONTRAST_FRACTION = 0.004
MIN_SHARPNESS_RATIO = 0.46

_Mask = npt.NDArray[np.uint8]
_Pixels = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]

_SIDE_PX = MEASURED_PX // 2
_BLACK_LEVEL = 12
_LIT_FRACTION = 0.2
"""Share of the bright parts below which a part is not lit; the edge of a good photo is darker than its middle."""
_CLIPPED_WHITE = 250
_CLIPPED_BLACK = 5
_NOISE_LEVEL = 4.0
"""Added to green before it is divided by its surroundings, or the noise of dark photos would count as detail."""
_BAND_FLOOR = 0.001
"""Added to both bands, so that a photo with nothing on it has a sharpness of 1."""
_EPSILON = 1e-9


@dataclass(frozen=True)
class Quality:
    """What was measured on one photo. Shares are of the visible field unless said otherwise.

    Attributes:
        brightness_fraction: Median of the brightest channel, as a share of white.
        overexposed_fraction: Share that is white in green. Red is white in many good photos, which lose nothing by it.
        black_fraction: Share that is black in green.
        visible_fraction: Share of the whole field circle that is lit. A circle cut at top and bottom has about 0.9.
        contrast_fraction: Standard deviation of detail as large as vessels, as a share of the local brightness.
        sharpness_ratio: Contrast of fine detail over that of detail twice as large; None where the file has too few
            pixels to tell.
        fundus_score: From 0, certainly no fundus photo, to 1, coloured and lit like one.

    Example:
        >>> import biranet, io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.fromarray(biranet.draw_photo(grade=0, seed=1)).save(file, "PNG")
        >>> quality = biranet.prepare_photo(file.getvalue()).quality
        >>> isinstance(quality, biranet.Quality), quality.fundus_score > 0.5
        (True, True)
    """

    brightness_fraction: float
    overexposed_fraction: float
    black_fraction: float
    visible_fraction: float
    contrast_fraction: float
    sharpness_ratio: float | None
    fundus_score: float

    def is_possible(self) -> bool:
        """Whether all measures are numbers that a photo can have."""
        values = dataclasses.asdict(self).values()
        shares = (self.brightness_fraction, self.overexposed_fraction, self.black_fraction, self.fundus_score)
        return all(value is None or 0 <= value < math.inf for value in values) and max(shares) <= 1

    def cells(self) -> dict[str, str]:
        """Write the measures as cells of the manifest, with four digits; what was not measured is empty."""
        values = dataclasses.asdict(self)
        return {name: "" if value is None else f"{value:.4f}" for name, value in values.items()}

    @classmethod
    def from_cells(cls, row: Mapping[str, str]) -> "Quality":
        """Read the measures from a row of the manifest.

        Args:
            row: Cells by column, `QUALITY_COLUMNS` among them.

        Returns:
            The measures, as exact as the cells.

        Raises:
            KeyError: If a column is missing.
            ValueError: If a cell is no number, or is empty where a measure is always there.
        """
        sharpness = row["sharpness_ratio"]
        values = {name: float(row[name]) for name in QUALITY_COLUMNS if name != "sharpness_ratio"}
        return cls(**values, sharpness_ratio=float(sharpness) if sharpness else None)


QUALITY_COLUMNS = tuple(field.name for field in dataclasses.fields(Quality))
"""The columns of the manifest that hold the measures, in order."""


class Weakness(NamedTuple):
    """The measure that decides about a photo.

    Attributes:
        measure: A name from `QUALITY_COLUMNS`.
        margin: 1 at the limit, below 1 for an ungradable photo, above 1 for a gradable one.
        reason: Why the photo is ungradable, in plain words; empty for a gradable one.
    """

    measure: str
    margin: float
    reason: str


def weakest_measure(quality: Quality) -> Weakness:
    """Find the measure that decides whether a photo can be graded.

    Args:
        quality: The measures of the photo.

    Returns:
        The first limit that is missed, in the order in which one fault hides the next: nothing can be said about the
        colour of a dark or a white photo, nor about the focus of one that shows no retina. Where none is missed, the
        closest one.

    Source:
        Ours. The limits were chosen on one of two sets of graded photos, see docs/gradability.md.
    """
    visible_percent = int(100 * quality.visible_fraction)
    checks = [
        Weakness("brightness_fraction", quality.brightness_fraction / MIN_BRIGHTNESS_FRACTION, "too dark"),
        Weakness(
            "overexposed_fraction",
            MAX_OVEREXPOSED_FRACTION / max(quality.overexposed_fraction, 1e-6),
            "overexposed",
        ),
        Weakness(
            "fundus_score", quality.fundus_score / MIN_FUNDUS_SCORE, "does not look like a colour fundus photograph"
        ),
        Weakness(
            "visible_fraction",
            quality.visible_fraction / MIN_VISIBLE_FRACTION,
            f"only {visible_percent} % of the field is visible",
        ),
        Weakness("contrast_fraction", quality.contrast_fraction / MIN_CONTRAST_FRACTION, "shows no structure"),
    ]
    if quality.sharpness_ratio is not None:
        checks.append(Weakness("sharpness_ratio", quality.sharpness_ratio / MIN_SHARPNESS_RATIO, "out of focus"))
    missed = [check for check in checks if check.margin < 1]
    return missed[0] if missed else min(checks, key=lambda check: check.margin)._replace(reason="")


def why_ungradable(quality: Quality) -> str:
    """Say why a photo cannot be graded.

    Args:
        quality: The measures of the photo.

    Returns:
        One reason in plain words, or an empty string for a photo that can be graded.

    Example:
        >>> good = Quality(0.6, 0.0, 0.0, 0.9, 0.02, 0.95, 0.9)
        >>> why_ungradable(good)
        ''
        >>> why_ungradable(dataclasses.replace(good, visible_fraction=0.41))
        'only 41 % of the field is visible'
    """
    return weakest_measure(quality).reason


def advise_retake(weakness: Weakness) -> str:
    """Say what to do now for a photo that cannot be graded, by the measure that failed.

    Args:
        weakness: From `weakest_measure`.

    Returns:
        What is wrong and what helps, in plain words; empty for a photo that can be graded.

    Example:
        >>> advise_retake(Weakness("sharpness_ratio", 0.8, "out of focus"))
        'retake: out of focus (focus anew, and let the eye rest)'
    """
    return f"retake: {weakness.reason} ({_WHAT_HELPS[weakness.measure]})" if weakness.reason else ""


_WHAT_HELPS = {
    "brightness_fraction": "more light, or a wider pupil",
    "overexposed_fraction": "less light",
    "fundus_score": "a colour photograph of the retina, without filter",
    "visible_fraction": "pupil in the middle, lids wide open",
    "contrast_fraction": "clean the lens; the eye may be clouded",
    "sharpness_ratio": "focus anew, and let the eye rest",
}
"""What mostly helps, by the measure that failed. Ours: what each fault comes from, no standard's wording."""


def measure_quality(square: _Pixels, field_side_px: int = MEASURED_PX) -> Quality:
    """Measure what decides whether a photo can be graded.

    Args:
        square: Pixels (384, 384, 3), uint8, RGB: the square around the field, padded with black.
        field_side_px: Side of that square in the photo as it came. Below `MIN_FOCUS_PX` focus is not measured: an
            enlarged photo lacks fine detail however sharp it was.

    Returns:
        The measures, all finite.

    Raises:
        ValueError: If the square has another shape.

    Source:
        Ours. The sharpness compares two bands of the picture, as many measures of focus do; it is taken on green, where
        vessels stand out most, and divided by the local brightness, so that exposure and vignetting leave it alone.

    Example:
        >>> square = np.zeros((384, 384, 3), np.uint8)
        >>> _ = cv2.circle(square, (192, 192), 190, (170, 80, 40), -1)
        >>> why_ungradable(measure_quality(square))
        'shows no structure'
    """
    if square.shape != (MEASURED_PX, MEASURED_PX, 3):
        raise ValueError(f"quality is measured on {MEASURED_PX} x {MEASURED_PX} RGB pixels, not on {square.shape}")
    half = np.asarray(cv2.resize(square, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    red, green, blue = (np.asarray(channel, dtype=np.uint8) for channel in cv2.split(half))
    level = np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8)
    inscribed = _circle_mask(_SIDE_PX / 2 - 0.5, _SIDE_PX / 2 - 0.5, _SIDE_PX / 2)
    visible = _visible_mask(level, inscribed)
    if not visible.any():
        return Quality(0.0, 0.0, 1.0, 0.0, 0.0, None, 0.0)
    field, radius = inscribed, _SIDE_PX / 2
    circle = _fit_field_circle(visible)
    # The visible part lies within its circle; else the arc was that of a shadow.
    if circle is not None and cv2.countNonZero(visible & _circle_mask(*circle)) > 0.9 * cv2.countNonZero(visible):
        field, radius = _circle_mask(*circle), circle[2]
    greens = _histogram(green, visible)
    sharpness, contrast = _measure_focus(green, visible)
    return Quality(
        brightness_fraction=float(np.searchsorted(np.cumsum(_histogram(level, visible)), 0.5)) / 255,
        overexposed_fraction=float(greens[_CLIPPED_WHITE:].sum()),
        black_fraction=float(greens[: _CLIPPED_BLACK + 1].sum()),
        visible_fraction=min(1.0, cv2.countNonZero(visible & field) / (np.pi * radius**2)),
        contrast_fraction=contrast,
        sharpness_ratio=sharpness if field_side_px >= MIN_FOCUS_PX else None,
        fundus_score=_fundus_score(half, visible, field, contrast),
    )


def _circle_mask(x: float, y: float, radius: float) -> _Mask:
    """Mask (192, 192), 0 or 1, of a circle that may reach beyond it."""
    steps = np.arange(_SIDE_PX, dtype=np.float32)
    return np.asarray((steps - x)[None, :] ** 2 + (steps - y)[:, None] ** 2 <= radius**2, dtype=np.uint8)


def _histogram(channel: _Pixels, mask: _Mask) -> _Floats:
    """Share of the masked pixels at each of the 256 levels."""
    counts = cv2.calcHist([channel], [0], mask, [256], [0, 256]).ravel()
    return np.asarray(counts / max(1.0, counts.sum()), dtype=np.float32)


def _visible_mask(level: _Pixels, inscribed: _Mask) -> _Mask:
    """Mask of what is lit: neither black nor far darker than the bright parts, and no mere speck."""
    bright = int(np.searchsorted(np.cumsum(_histogram(level, inscribed)), 0.95))
    lit = (level > max(_BLACK_LEVEL, _LIT_FRACTION * bright)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8)


def _fit_field_circle(visible: _Mask) -> tuple[float, float, float] | None:
    """Centre and radius of the circle whose arc bounds the visible part, or None without an arc to go by.

    Photos are cut along straight lines, which touch the box around the visible part. The rest of the outline is the
    arc, which tells how large the field was before half of it was cut off.
    """
    contours, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0, :]
    low, high = outline.min(axis=0), outline.max(axis=0)
    points = outline[((outline > low + 2) & (outline < high - 2)).all(axis=1)].astype(np.float64)
    # Three rounds: notches and shadows are left out by and by, and the arc remains.
    for most_off_px in (np.inf, 6.0, 2.0):
        if len(points) < 30:
            return None
        middle = points.mean(axis=0)
        shifted = points - middle
        *center, radius = fit_circle(shifted)
        off = np.abs(np.linalg.norm(shifted - center, axis=1) - radius)
        points = points[off <= most_off_px]
    # The square is no larger than it must be, so a smaller circle is not the field's. Where an arc touches the
    # box, its middle is left out, so what remains of a flat one is short.
    if not 0.47 * _SIDE_PX < radius < 2 * _SIDE_PX or len(points) < 0.3 * radius:
        return None
    return float(middle[0] + center[0]), float(middle[1] + center[1]), radius + 0.5


def _measure_focus(green: _Pixels, visible: _Mask) -> tuple[float, float]:
    """Sharpness ratio and contrast fraction.

    Fine is what a Gaussian of 2 px keeps and one of 4 px takes away, in pixels of the 384; coarser is twice that.
    """
    relative, inner = _local_contrast(green, visible)
    fine, within = _band_pass(relative), inner > 0.5
    smaller, within_smaller = (
        np.asarray(cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)
        for part in (relative, inner)
    )
    coarse = _std(_band_pass(smaller)[within_smaller > 0.5])
    along = cv2.Sobel(fine, cv2.CV_32F, 1, 0, ksize=1)[within]
    down = cv2.Sobel(fine, cv2.CV_32F, 0, 1, ksize=1)[within]
    # The structure tensor says how much weaker detail is in its weakest direction: motion blurs along one alone.
    across, upright, mixed = (float(part) / max(1, len(along)) for part in (along @ along, down @ down, along @ down))
    least = (across + upright) / 2 - np.hypot((across - upright) / 2, mixed)
    evenness = (max(0.0, least) + _EPSILON) / ((across + upright) / 2 + _EPSILON)
    ratio = (_std(fine[within]) ** 2 + _BAND_FLOOR**2) / (coarse**2 + _BAND_FLOOR**2)
    return float(np.sqrt(ratio * evenness)), coarse


def _local_contrast(green: _Pixels, visible: _Mask) -> tuple[_Floats, _Floats]:
    """Green over the brightness around it, 1 outside the visible part; and a mask without the border of that part."""
    # Around the border, brightness is averaged over what is visible alone.
    mask = visible.astype(np.float32)
    lit = (green.astype(np.float32) + _NOISE_LEVEL) * mask
    small = [cv2.resize(part, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for part in (lit, mask)]
    above, below = (cv2.GaussianBlur(part, (0, 0), 3) for part in small)
    local = cv2.resize(above / np.maximum(below, 1e-3), green.shape[::-1], interpolation=cv2.INTER_LINEAR)
    relative = np.where(visible > 0, lit / np.maximum(local, 1), np.float32(1))
    inner = cv2.erode(mask, np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(relative, dtype=np.float32), np.asarray(inner, dtype=np.float32)


def _band_pass(picture: _Floats) -> _Floats:
    narrow, wide = (cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1, 2))
    return np.asarray(narrow - wide, dtype=np.float32)


def _std(values: _Floats) -> float:
    return float(values.std()) if len(values) else 0.0


def _fundus_score(half: _Pixels, visible: _Mask, field: _Mask, texture: float) -> float:
    """Likeness to a fundus photo: the product of four cues, each from 0 to 1."""
    small = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(visible, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    red, green, blue = np.ascontiguousarray(small[mask > 0].T, dtype=np.float32)
    total = red + green + blue + 1
    red_share, green_share = red / total, green / total
    ordered = ((red + 2 >= green) & (green + 2 >= blue)).mean()
    color = _linear_ramp(float(np.median(red_share)), 0.34, 0.42) * _linear_ramp(float(ordered), 0.4, 0.8)
    even = _linear_ramp(float(red_share.std()), 0.18, 0.1) * _linear_ramp(float(green_share.std()), 0.1, 0.055)
    smooth = _linear_ramp(texture, 0.11, 0.04)
    # What is left of the box around the visible part outside the field circle is dark in a photo with a round field.
    left, top, width, height = cv2.boundingRect(visible)
    box = (slice(top, top + height), slice(left, left + width))
    corners = field[box] == 0
    dark = float((visible[box][corners] == 0).mean()) if corners.sum() > 50 else 0.0
    return color * even * smooth * (0.4 + 0.6 * _linear_ramp(dark, 0.3, 0.8))


def _linear_ramp(value: float, nothing: float, full: float) -> float:
    """Rise (or fall) straight from 0 at `nothing` to 1 at `full`."""
    return min(1.0, max(0.0, (value - nothing) / (full - nothing)))
