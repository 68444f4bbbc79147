"""The eye that a drawn photo shows: anatomy without lesions, and the brushes to paint on it.

An eye is laid out in eye coordinates: the field is the unit circle, x points to the nose, y down. It is painted in one
plane, how much light comes back; the pigment's palette gives each brightness its colour. Shapes become masks by integer
drawing and 8-bit blurs and are laid over the picture by plain arithmetic, which every machine does alike.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Random = np.random.Generator

DISC_RADIUS = 0.135
AVASCULAR_RADIUS = 0.13
RETINA_LEVEL = 0.42
"""Brightness of the bare retina."""

VEIN_TRANSMITTANCE = 0.44
"""Share of the light that passes a vein."""
_ARTERY_TRANSMITTANCE = 0.62

_SUPERSAMPLING = 2
"""Masks are this much larger than the photo and averaged down, which keeps thin vessels smooth."""
_SUBPIXEL_BITS = 4
"""Fraction bits of the coordinates given to OpenCV."""
_LESION_RADIUS = 0.86
"""Lesions lie within this distance of the field's centre."""


class _Fork(NamedTuple):
    """How a branch leaves its parent: how far along it, to which side (-1 or 1), and how wide and long it grows."""

    position: float
    side: int
    width: float
    length: float


class Eye:
    """Where an eye lies in a photo, its large vessels, and brushes in eye coordinates.

    Attributes:
        shape: Height and width of the photo in pixels.
        center: x and y of the field's centre in pixels.
        radius: Radius of the field in pixels.
        disc: Centre of the optic disc in eye coordinates.
        fovea: Centre of the macula in eye coordinates.
        veins: The four large veins as (path, width at its start, width at its end) in eye coordinates.
    """

    def __init__(self, seed: int, shape: tuple[int, int]) -> None:
        # Two streams of chance: the patient and the camera are those of both eyes, the rest is this eye's own.
        patient, random = np.random.default_rng([seed // 2, 1]), np.random.default_rng([seed, 2])
        height, width = self.shape = shape
        cut = patient.random() < 0.4 and width > 1.15 * height
        share = patient.uniform(1.04, 1.16) if cut else patient.uniform(0.86, 0.97)
        self.radius = min(share * height, 0.97 * width) / 2
        slack = np.array([width / 2 - self.radius, 0.02 * height if cut else max(height / 2 - self.radius, 0)])
        self.center = np.array([width, height]) / 2 + random.uniform(-0.7, 0.7, 2) * slack
        tilt, mirror = random.uniform(-0.12, 0.12), (1 if seed % 2 else -1)
        along, aside = np.cos(tilt), np.sin(tilt)
        self._axes = self.radius * np.array([[mirror * along, aside], [-mirror * aside, along]])
        self.fovea = random.uniform((-0.40, -0.04), (-0.02, 0.10))
        self.disc = self.fovea + random.uniform((0.62, -0.12), (0.70, -0.02))
        self.veins: list[tuple[Points, float, float]] = []
        self._veins, self._arteries, self._reflex = self.blank(), self.blank(), self.blank()
        caliber = patient.uniform(0.85, 1.15)
        for vein in (False, True):
            for side in (-1, 1):
                for nasal in (False, True):
                    self._arcade(random, vein, side, nasal, caliber)

    def blank(self) -> Pixels:
        """Make an empty mask to draw on."""
        return np.zeros((self.shape[0] * _SUPERSAMPLING, self.shape[1] * _SUPERSAMPLING), np.uint8)

    def pixels(self, points: Points) -> Points:
        """Turn eye coordinates (n, 2) into photo pixels (n, 2)."""
        return np.asarray(self.center + points @ self._axes.T)

    def stroke(self, mask: Pixels, path: Points, width: float, end_width: float | None = None) -> None:
        """Draw a line of a width in field radii, which narrows to `end_width` where given."""
        points = self._to_fixed_point(path)
        pieces = 1 if end_width is None else max(1, len(path) // 5)
        for piece in range(pieces):
            here = width if end_width is None else width + (end_width - width) * piece / pieces
            first, last = ((len(path) - 1) * turn // pieces for turn in (piece, piece + 1))
            thickness = max(1, round(here * self.radius * _SUPERSAMPLING))
            cv2.polylines(mask, [points[first : last + 1]], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def fill(self, mask: Pixels, outline: Points) -> None:
        """Fill a polygon."""
        cv2.fillPoly(mask, [self._to_fixed_point(outline)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)

    def blob(self, random: Random, mask: Pixels, position: Points, radius: float, roughness: float = 0.0) -> None:
        """Fill a roundish patch whose outline varies by about `roughness` of its radius."""
        angles = np.arange(18) * (2 * np.pi / 18)
        waves = sum(np.sin(wave * angles + random.uniform(0, 6)) / wave for wave in (2, 3, 5))
        reach = radius * (1 + roughness * waves)
        self.fill(mask, position + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))

    def absorb(self, image: Floats, mask: Pixels, transmittance: float, blur: float = 0.0) -> None:
        """Darken an image to `transmittance` where the mask is; `blur` its edge by that many field radii."""
        window, layer = self._layer(mask, blur)
        image[window] *= 1 - layer * (1 - transmittance)

    def cover(self, image: Floats, mask: Pixels, level: float, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Paint brightness `level` where the mask is; `blur` its edge by that many field radii."""
        window, layer = self._layer(mask, blur)
        image[window] += opacity * layer * (level - image[window])

    def lesion_positions(self, random: Random, count: int, quadrant: int | None = None) -> Points:
        """Find places (count, 2) for lesions in the visible field or a quadrant of it, off the disc and the fovea."""
        free = np.empty((0, 2))
        first, span = (0.0, 2 * np.pi) if quadrant is None else (quadrant * np.pi / 2, np.pi / 2)
        while len(free) < count:
            turn, reach = first + span * random.random(4 * count), _LESION_RADIUS * np.sqrt(random.random(4 * count))
            points = reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
            rows, margin = self.pixels(points)[:, 1], 0.04 * self.radius
            good = (rows > margin) & (rows < self.shape[0] - margin)
            good &= np.hypot(*(points - self.disc).T) > 1.35 * DISC_RADIUS
            good &= np.hypot(*(points - self.fovea).T) > 0.08
            free = np.concatenate([free, points[good]])
        return free[:count]

    def ground(self, seed: int) -> Floats:
        """Paint the eye evenly lit: pigment, choroid, macula, disc and vessels; (H, W), 0 to 1."""
        patient, random = np.random.default_rng([seed // 2, 4]), np.random.default_rng([seed, 5])
        image: Floats = np.float32(RETINA_LEVEL) * (
            1 + 0.06 * self.smooth_noise(random, 0.25) + 0.05 * self.smooth_noise(random, 0.045)
        )
        # Bright ridges of random texture are the choroid between its vessels, seen where the pigment is thin.
        image *= 1 + patient.uniform(0.0, 0.35) * (0.18 - np.abs(self.smooth_noise(random, 0.11)))
        image *= 1 - 0.33 * patient.uniform(0.7, 1.3) * self._radial_falloff(self.fovea, 0.26)

        disc, cup = self.blank(), self.blank()
        turn = np.arange(40) * (2 * np.pi / 40)
        ring = DISC_RADIUS * np.stack([np.cos(turn), patient.uniform(1.04, 1.18) * np.sin(turn)], 1)
        self.fill(disc, self.disc + ring)
        self.fill(cup, self.disc + (-0.01, 0.0) + patient.uniform(0.35, 0.6) * ring)
        image += 0.25 * self._radial_falloff(self.disc, 0.24) * (0.75 - image)
        self.cover(image, disc, patient.uniform(0.70, 0.80), 0.9, blur=0.014)
        self.cover(image, cup, 0.94, 0.8, blur=0.022)
        self.absorb(image, self._arteries, _ARTERY_TRANSMITTANCE)
        self.absorb(image, self._veins, VEIN_TRANSMITTANCE)
        self.cover(image, self._reflex, 0.5, 0.3)
        return image

    def smooth_noise(self, random: Random, cell: float) -> Floats:
        """Make a smooth random texture (H, W) from -1 to 1 whose patches measure `cell` field radii."""
        cell_px = max(cell * self.radius, 2.0)
        rows, columns = (int(side / cell_px) + 3 for side in self.shape)
        grid = random.integers(0, 256, (rows, columns), np.uint8)
        rough = cv2.resize(grid, (4 * columns, 4 * rows), interpolation=cv2.INTER_LINEAR_EXACT)
        smooth = cv2.GaussianBlur(rough, (0, 0), 1.6)
        return np.asarray(
            2 * _to_unit_range(cv2.resize(smooth, self.shape[::-1], interpolation=cv2.INTER_LINEAR_EXACT)) - 1
        )

    def offsets_from_center(self, position: Points | None = None) -> tuple[Floats, Floats]:
        """Measure right (1, W) and down (H, 1) from the field's centre, or a place in the eye, in field radii."""
        x, y = self.pixels(np.zeros(2) if position is None else position) / self.radius
        columns, rows = (np.arange(side) / self.radius for side in self.shape[::-1])
        return (columns - x).astype(np.float32)[None, :], (rows - y).astype(np.float32)[:, None]

    def _radial_falloff(self, position: Points, radius: float) -> Floats:
        across, down = self.offsets_from_center(position)
        return np.asarray(1 / (1 + (across**2 + down**2) / radius**2) ** 2)

    def _to_fixed_point(self, points: Points) -> NDArray[np.int32]:
        return np.rint((self.pixels(points) + 0.5) * (_SUPERSAMPLING << _SUBPIXEL_BITS)).astype(np.int32)

    def _layer(self, mask: Pixels, blur: float) -> tuple[tuple[slice, slice], Floats]:
        """Average a mask down to the photo; only the window of the photo where it holds anything, for speed."""
        sigma = max(blur * self.radius, 0.45)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return (slice(0), slice(0)), np.zeros((0, 0), np.float32)
        margin = int(4 * sigma) + 2
        rows = slice(
            max(top // _SUPERSAMPLING - margin, 0), min((top + height) // _SUPERSAMPLING + margin, self.shape[0])
        )
        columns = slice(
            max(left // _SUPERSAMPLING - margin, 0), min((left + width) // _SUPERSAMPLING + margin, self.shape[1])
        )
        part = mask[
            _SUPERSAMPLING * rows.start : _SUPERSAMPLING * rows.stop,
            _SUPERSAMPLING * columns.start : _SUPERSAMPLING * columns.stop,
        ]
        small = cv2.resize(part, None, fx=1 / _SUPERSAMPLING, fy=1 / _SUPERSAMPLING, interpolation=cv2.INTER_AREA)
        return (rows, columns), _to_unit_range(cv2.GaussianBlur(small, (0, 0), sigma))

    def _arcade(self, random: Random, vein: bool, side: int, nasal: bool, caliber: float) -> None:
        """Grow one of the eight large vessels from the disc, around the macula or to the nose, with its branches."""
        mask = self._veins if vein else self._arteries
        width = caliber * random.uniform(0.022, 0.028) * (1.25 if vein else 0.9) * (0.8 if nasal else 1.0)
        apart = 0.08 if vein else 0.0
        if nasal:
            bends = np.array([(0, 0), (0.05 + apart, side * 0.22), (0.22, side * 0.42), (0.5 + apart, side * 0.8)])
            knots = self.disc + bends
        else:
            top = side * (random.uniform(0.48, 0.62) + apart)
            bends = np.array([(0, 0), (0.02 - apart, top * 0.9), (0.22, top * 1.25), (-1.0, top * 0.75)])
            knots = np.array([self.disc, self.disc, self.fovea, self.fovea]) + bends
        knots = knots + random.normal(0, 0.04, (4, 2)) * np.array([[0.3], [1], [1], [1]])
        t = np.linspace(0, 1, 36)[:, None]
        path = (
            (1 - t) ** 3 * knots[0] + 3 * t * (1 - t) ** 2 * knots[1] + 3 * t**2 * (1 - t) * knots[2] + t**3 * knots[3]
        )
        waves = np.sin(t * random.uniform(8, 22, 2) + random.uniform(0, 6, 2)) * np.sin(np.pi * t)
        path = path + waves * random.uniform(0.008, 0.022)
        self.stroke(mask, path, width, 0.45 * width)
        if vein:
            self.veins.append((path, width, 0.45 * width))
        else:
            self.stroke(self._reflex, path[3:24], 0.3 * width)
        turn = random.choice([-1, 1])
        for position in np.linspace(0.16, 0.8, 2 if nasal else 4) + random.uniform(-0.05, 0.05):
            turn = -turn
            here = width * (1 - 0.55 * position)
            length = random.uniform(0.3, 0.75) * (1.1 - 0.4 * position)
            fork = _Fork(position, turn, here * random.uniform(0.45, 0.75), length)
            self._branch(random, mask, path, fork, twigs=True)

    def _branch(self, random: Random, mask: Pixels, parent: Points, fork: _Fork, *, twigs: bool) -> None:
        """Grow a vessel out of another, and perhaps twigs out of it."""
        index = min(int(fork.position * (len(parent) - 1)), len(parent) - 2)
        along = parent[index + 1] - parent[index]
        steps = max(5, int(fork.length / 0.04))
        angle = fork.side * random.uniform(0.5, 0.95)
        headings = np.arctan2(along[1], along[0]) + angle * (1 - random.uniform(0, 0.7) * np.arange(steps) / steps)
        headings += np.cumsum(random.normal(0, 0.14, steps))
        path = parent[index] + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0) * (fork.length / steps)
        path = np.concatenate([parent[index : index + 1], path])
        inside = np.flatnonzero(np.hypot(*(path - self.fovea).T) < AVASCULAR_RADIUS)
        path = path[: inside[0]] if len(inside) else path
        if len(path) < 4:
            return
        width = max(fork.width, 0.007)
        self.stroke(mask, path, width, 0.6 * width)
        if twigs:
            for where in random.uniform(0.2, 0.75, random.integers(0, 3)):
                twig = _Fork(where, random.choice([-1, 1]), 0.65 * width, 0.5 * fork.length)
                self._branch(random, mask, path, twig, twigs=False)


def _to_unit_range(levels: NDArray[Any]) -> Floats:
    return levels.astype(np.float32) / np.float32(255)


def palette(patient: Random, levels: int) -> Floats:
    """Choose a pigment: the colour of each of `levels` brightnesses from 0 to 1, (levels, 3), RGB, 0 to 1.

    What darkens the ground is blood and pigment, which leave most of the red and least of the green; what is brighter
    than the ground pales to the yellow of exudates and the disc's rim, and to the white of its cup.
    """
    green = np.arange(levels) / (levels - 1)
    red, green_share, blue_share = patient.uniform((0.66, 0.8, 0.25), (0.86, 1.06, 0.75))
    ground = np.array([red, RETINA_LEVEL * green_share, RETINA_LEVEL * blue_share])
    rim = np.array([0.98, 0.77, patient.uniform(0.32, 0.54)])
    cup = np.array([1.0, 0.94, patient.uniform(0.58, 0.82)])
    root = np.sqrt(np.minimum(green / RETINA_LEVEL, 1))
    dark = ground * np.stack([(root + np.sqrt(root)) / 2, root**2, root * np.sqrt(root)], 1)
    stops = np.stack([ground, ground, rim, cup, np.ones(3)])
    pale = np.stack([np.interp(green, [0, RETINA_LEVEL, 0.75, 0.94, 1], stops[:, channel]) for channel in range(3)], 1)
    return np.asarray(np.where(green[:, None] < RETINA_LEVEL, dark, pale), np.float32)
