"""A fingerprint by which copies of a photo are found, however they were stored, resized, turned or mirrored.

The photo is laid out in rings about the centre of its field. Turning it shifts every ring along itself, mirroring turns
the ring's direction around, and neither changes the strength of the ring's waves: these strengths are the fingerprint.
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from biranet.photos.circle import fit_circle

_COARSE_PX = 128
_NORMALIZED_PX = 96
"""Side of the picture in which the field fills the square and from which the rings are taken."""
_RINGS, _FREQUENCIES = 10, 12
_RING_RADII = np.linspace(0.12, 0.86, _RINGS)
"""Radii of the rings as shares of the field's. The rim is left out: there copies differ most."""
_WEIGHTS = np.sqrt(np.arange(1, _FREQUENCIES + 1))
"""Of the waves with 1, 2, … crests a ring. Natural pictures have more of the slow ones, and tell less by them."""
QUANTIZATION_STEPS = 512
"""Whole numbers for a strength of 1; all strengths of a photo have the sum of squares 1, so few pass 255 / 512."""
_MIN_STRENGTH = 1.0
"""Below it the field shows nothing but noise; a single bright spot on a plain field has 1.2, photographs 1.4 to 2.8."""

FINGERPRINT_BYTES = _RINGS * _FREQUENCIES
"""Length of a fingerprint."""

_Floats = npt.NDArray[np.float32]


def fingerprint(square: npt.NDArray[np.uint8]) -> str:
    """Describe what a photo shows, so that its copies can be found among many.

    Args:
        square: Pixels (S, S, 3), uint8, RGB: the square around the field, padded with black, S about 384.

    Returns:
        `FINGERPRINT_BYTES` bytes as 240 hexadecimal digits; empty where the field is so plain that nothing can be told
        from it.

    Source:
        The Fourier-Mellin idea of Casasent and Psaltis, Applied Optics 15 (1976) 1795-1799, without its step for size,
        since the field gives the size. The details are ours.

    Example:
        >>> square = np.zeros((384, 384, 3), np.uint8)
        >>> _ = cv2.circle(square, (192, 192), 180, (150, 80, 40), -1)
        >>> fingerprint(square)
        ''
        >>> _ = cv2.circle(square, (120, 160), 30, (250, 220, 120), -1)
        >>> len(fingerprint(square)), fingerprint(square) == fingerprint(np.rot90(square))
        (240, True)
    """
    gray = cv2.cvtColor(np.ascontiguousarray(square), cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(gray, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    rings = _resample_polar(
        _normalize_illumination(_normalize_geometry(coarse)), 96, _NORMALIZED_PX // 2, _NORMALIZED_PX / 2
    )
    waves = np.fft.rfft(rings, axis=0)[1 : _FREQUENCIES + 1] / len(rings)
    strengths = np.abs(waves @ _ring_windows()).T * _WEIGHTS
    norm = float(np.linalg.norm(strengths))
    if norm < _MIN_STRENGTH:
        return ""
    return np.rint(strengths * (QUANTIZATION_STEPS / norm)).clip(0, 255).astype(np.uint8).tobytes().hex()


def _normalize_geometry(coarse: _Floats) -> _Floats:
    """Scale and shift so that the field's circle fills the square, even where the photo shows only a part of it."""
    x, y, radius = _field_circle(coarse)
    scale = _NORMALIZED_PX / 2 / radius
    shift_x, shift_y = (_NORMALIZED_PX / 2 - 0.5 - scale * center for center in (x, y))
    move = np.array([[scale, 0, shift_x], [0, scale, shift_y]], np.float32)
    return np.asarray(
        cv2.warpAffine(coarse, move, (_NORMALIZED_PX, _NORMALIZED_PX), flags=cv2.INTER_LINEAR), np.float32
    )


def _field_circle(coarse: _Floats) -> tuple[float, float, float]:
    """Centre x, y and radius of the field, from the steepest step to darkness along rays from the middle."""
    half, angles, radii = _COARSE_PX / 2, 96, 80
    reach = 1.25 * half
    rays = np.log(_resample_polar(coarse, angles, radii, reach) + 6)
    steps = rays[:, :-4] - rays[:, 4:]
    inner = int(0.45 * radii)
    steepest = steps[:, inner:].argmax(axis=1)
    clear = steps[np.arange(angles), inner + steepest] > 0.35
    radius = (steepest + inner + 2) * reach / radii
    angle = np.arange(angles) * (2 * np.pi / angles)
    outline = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    # Where the photo's own edge cuts the field, the rays end early, inside the circle.
    arc = outline[clear & (np.abs(outline) < half - 2).all(axis=1)].astype(np.float32)
    x, y, fitted = 0.0, 0.0, half
    for _ in range(2):
        if len(arc) < angles // 4:
            break
        # The smallest circle around them all finds the arc; the circle of least squares through the arc is steadier.
        # Then once more without what lies outside it, such as a tag on the rim.
        (x, y), around = cv2.minEnclosingCircle(arc)
        arc = arc[np.hypot(arc[:, 0] - x, arc[:, 1] - y) > around - 3]
        x, y, fitted = fit_circle(arc)
        arc = arc[np.hypot(arc[:, 0] - x, arc[:, 1] - y) < fitted + 1]
    if not 0.6 * half < fitted < 1.6 * half:
        x, y, fitted = 0.0, 0.0, half
    return x + half - 0.5, y + half - 0.5, fitted


def _normalize_illumination(upright: _Floats) -> _Floats:
    """Normalize local brightness and contrast: what is left is how much brighter a place is than those around it."""
    quarter = _NORMALIZED_PX // 5
    ground = float(np.median(upright[quarter:-quarter, quarter:-quarter]))
    lit = np.clip((upright / (0.3 * ground + 1) - 0.7) / 0.6, 0, 1).astype(np.float32)
    lit = np.asarray(
        cv2.erode(lit, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=0),  # the rim is no detail
        np.float32,
    )
    level = np.log(upright + 6).astype(np.float32)
    share = _local_mean(lit) + 1e-3
    detail = (level - _local_mean(level * lit) / share) * lit
    detail = detail / np.sqrt(_local_mean(detail * detail) / share + 1e-5)
    return np.asarray(cv2.GaussianBlur(np.clip(detail, -3, 3), (0, 0), 1), np.float32)


def _local_mean(values: _Floats) -> _Floats:
    """Mean over the surroundings of every pixel: two box filters, nearly a Gaussian of 4 pixels, for less time."""
    for _ in range(2):
        values = np.asarray(cv2.blur(values, (9, 9), borderType=cv2.BORDER_CONSTANT), np.float32)
    return values


def _resample_polar(picture: _Floats, angles: int, radii: int, reach_px: float) -> _Floats:
    """The picture along rays from its middle, (angles, radii); black beyond its edges."""
    maps = _polar_maps(len(picture), angles, radii, reach_px)
    return np.asarray(cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


@functools.cache
def _polar_maps(side_px: int, angles: int, radii: int, reach_px: float) -> tuple[_Floats, _Floats]:
    angle = np.arange(angles)[:, None] * (2 * np.pi / angles)
    radius = np.arange(radii) * (reach_px / radii)
    middle = side_px / 2 - 0.5
    x, y = (middle + radius * turn(angle) for turn in (np.cos, np.sin))
    return x.astype(np.float32), y.astype(np.float32)


@functools.cache
def _ring_windows() -> npt.NDArray[np.float64]:
    """Weights (radii, rings) with which the values at all radii are averaged into rings."""
    radii, centers = np.arange(_NORMALIZED_PX // 2)[:, None], _RING_RADII * _NORMALIZED_PX / 2
    weights = np.maximum(0, 1 - np.abs(radii - centers) / (centers[1] - centers[0]))
    return np.asarray(weights / weights.sum(axis=0))
