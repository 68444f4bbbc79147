"""Fundus photographs drawn by code: graded, deterministic, free of patients; for the demo and the tests.

Lesions are added to an eye by the definitions of the grade, and a camera takes the photo. Two rules make the drawings
useful:

* Everything but the lesions depends on the seed alone, so one seed drawn at five grades is one eye growing worse.
* A camera exposes for the whole picture. So does this one: a photo with lesions gets the tone curve that gives it the
  histogram of the same eye without them, and colour follows brightness. Brightness and colour tell nothing about the
  grade; where the dark and the bright stand does.

Lesions are larger than in life against the field, so that they survive a prepared photo of 128 px.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.files import write_bytes
from biranet.grades import GRADES
from biranet.photos.drawn.eye import DISC_RADIUS, VEIN_TRANSMITTANCE, Eye, Floats, Pixels, Points, Random, palette
from biranet.tables import write_table

# The share of the light that passes blood in the retina and new vessels; the brightness of what covers the retina.
_HEMORRHAGE_TRANSMITTANCE = 0.28
_NEW_VESSEL_TRANSMITTANCE = 0.34
_EXUDATE = 0.84
_COTTON_WOOL = 0.80
_POOLED_BLOOD = 0.10

_Levels = NDArray[np.uint16]
_LEVELS = 4096
"""Steps of brightness before the camera's eight bits."""


class _Lesions:
    """The lesions of one grade on an eye, as masks by what they look like."""

    def __init__(self, eye: Eye, grade: int, seed: int) -> None:
        self.eye = eye
        self.random = np.random.default_rng([seed, 3])
        self.blood, self.beads, self.vessels, self.exudates, self.wool, self.pool = (eye.blank() for _ in range(6))
        severe = self.random.random() < 0.6 if grade == 4 else grade == 3
        if grade >= 1:
            self._microaneurysms()
        if grade >= 2:
            self._moderate()
        if severe:
            self._severe()
        if grade == 4:
            self._proliferative()

    def paint(self, ground: Floats) -> Floats:
        """Lay the lesions over a picture of the eye."""
        image = ground.copy()
        self.eye.absorb(image, self.beads, VEIN_TRANSMITTANCE)
        self.eye.cover(image, self.wool, _COTTON_WOOL, 0.7, blur=0.022)
        self.eye.cover(image, self.exudates, _EXUDATE)
        self.eye.absorb(image, self.blood, _HEMORRHAGE_TRANSMITTANCE, blur=0.005)
        self.eye.absorb(image, self.vessels, _NEW_VESSEL_TRANSMITTANCE)
        self.eye.cover(image, self.pool, _POOLED_BLOOD, 0.93, blur=0.006)
        return image

    def _randint(self, first: int, end: int) -> int:
        return int(self.random.integers(first, end))

    def _microaneurysms(self) -> None:
        for position in self.eye.lesion_positions(self.random, self._randint(8, 17)):
            self.eye.blob(self.random, self.blood, position, self.random.uniform(0.017, 0.022))

    def _hemorrhages(self, count: int, quadrant: int, largest: float) -> None:
        for position in self.eye.lesion_positions(self.random, count, quadrant):
            self.eye.blob(self.random, self.blood, position, self.random.uniform(0.017, largest), 0.22)

    def _moderate(self) -> None:
        """More than microaneurysms: some haemorrhages, and hard exudates or cotton-wool spots or both."""
        for quadrant in self.random.permutation(4)[: self._randint(2, 4)]:
            self._hemorrhages(self._randint(2, 5), quadrant, 0.05)
        kind = self._randint(0, 3)
        if kind != 0:
            for _ in range(self._randint(1, 4)):
                self._exudate_cluster()
        if kind != 1:
            for position in self.eye.lesion_positions(self.random, self._randint(2, 5)):
                self.eye.blob(self.random, self.wool, position, self.random.uniform(0.045, 0.075), 0.35)

    def _exudate_cluster(self) -> None:
        center = self.eye.fovea + self.random.normal(0, 0.25, 2)
        reach = self.random.uniform(0.07, 0.15)
        for turn in self.random.uniform(0, 6) + self.random.uniform(0, 4.5, self._randint(14, 32)):
            position = center + reach * self.random.uniform(0.3, 1.2) * np.array([np.cos(turn), np.sin(turn)])
            if np.hypot(*(position - self.eye.disc)) > 1.3 * DISC_RADIUS:
                self.eye.blob(self.random, self.exudates, position, 0.022 * self.random.uniform(0.4, 1.0), 0.3)

    def _severe(self) -> None:
        """The 4-2-1 rule: more than 20 haemorrhages in each quadrant, beading in two or more, IRMA in one or more."""
        for quadrant in range(4):
            self._hemorrhages(self._randint(21, 27), quadrant, 0.038)
        for number in self.random.permutation(4)[: self._randint(2, 5)]:
            path, width, end_width = self.eye.veins[number]
            for index in range(7, 30, 3):
                radius = 0.9 * (width + (end_width - width) * index / len(path))
                self.eye.blob(self.random, self.beads, path[index], radius)
        for position in self.eye.lesion_positions(self.random, self._randint(1, 4)):
            for _ in range(4):
                headings = self.random.uniform(0, 2 * np.pi) + np.cumsum(self.random.normal(0, 0.7, 12))
                path = position + 0.018 * np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0)
                self.eye.stroke(self.vessels, path, 0.010)

    def _proliferative(self) -> None:
        """New vessels at the disc or elsewhere, in front of the retina; often blood pooled there, with a level."""
        where = self._randint(0, 3)
        if where != 0:
            self._frond(self.eye.disc, 2 * np.pi, self.random.uniform(0.27, 0.36))
        if where != 1:
            for number in self.random.permutation(4)[: self._randint(1, 3)]:
                base = self.eye.veins[number][0][self._randint(12, 20)]
                self._frond(base, 4.0, self.random.uniform(0.25, 0.34))
        if self.random.random() < 0.7:
            half = self.random.uniform(0.18, 0.28)
            turn = np.linspace(0, np.pi, 24)
            depth = half * self.random.uniform(0.6, 1.0) * (1 + 0.04 * self.random.normal(0, 1, 24))
            position = self.eye.fovea + self.random.uniform((-0.3, -0.45), (0.3, 0.45))
            self.eye.fill(self.pool, position + np.stack([half * np.cos(turn), depth * np.sin(turn) ** 0.7], 1))

    def _frond(self, base: Points, fan: float, length: float) -> None:
        """Draw a fan of fine wandering loops that leave and return to a vessel."""
        towards_center = np.arctan2(-base[1], -base[0])
        theta = np.linspace(0, 2 * np.pi, 26)
        for turn in towards_center + fan * self.random.uniform(-0.5, 0.5, 13):
            reach = length * self.random.uniform(0.35, 1.1)
            out, across = reach * (1 - np.cos(theta)) / 2, reach * self.random.uniform(0.12, 0.35) * np.sin(theta)
            bend = turn + self.random.normal(0, 0.6) * out / reach
            bend += 0.12 * np.sin(theta * self.random.uniform(2, 5) + self.random.uniform(0, 6))
            loop = [out * np.cos(bend) - across * np.sin(bend), out * np.sin(bend) + across * np.cos(bend)]
            self.eye.stroke(self.vessels, base + np.stack(loop, 1), 0.012)


def _match_histogram(image: _Levels, model: _Levels, field: Pixels) -> Floats:
    """Find the tone curve (_LEVELS,) that brings the histogram of `image` in the field to that of `model`."""
    counts = [cv2.calcHist([levels], [0], field, [_LEVELS], [0, _LEVELS]).ravel() for levels in (image, model)]
    below, target = (np.cumsum(count.astype(np.float64)) - count / 2 for count in counts)
    # The small slope keeps the levels apart that the model does not have.
    curve = np.interp(below, target + np.arange(_LEVELS) * 1e-6, np.arange(_LEVELS))
    return np.asarray(curve, np.float32)


def draw_photo(grade: int, seed: int, width_px: int = 320, height_px: int = 256) -> Pixels:
    """Draw one fundus photograph.

    Args:
        grade: Grade of the lesions, 0 to 4.
        seed: At least 0. Seeds 2k and 2k + 1 are the left and the right eye of one drawn patient, taken by one camera.
        width_px: Width of the photo in pixels, at least 32.
        height_px: Height of the photo in pixels, at least 32.

    Returns:
        RGB photo (height_px, width_px, 3), uint8: a round lit field on a dark ground. The same arguments give the same
        photo.

    Raises:
        InputError: If the grade, the seed or the size is not allowed.

    Source:
        Lesions by the definitions of Wilkinson et al., Ophthalmology 110 (2003) 1677-1682, in our words: 0 none,
        1 microaneurysms only, 2 more than microaneurysms but less than severe, 3 any of more than 20 haemorrhages in
        each of four quadrants, venous beading in two, intraretinal microvascular abnormalities (IRMA) in one (here: all
        of them, in quadrants about the field's centre), 4 new vessels or preretinal haemorrhage. The drawing is ours.

    Example:
        >>> import biranet
        >>> biranet.draw_photo(grade=2, seed=7).shape
        (256, 320, 3)
    """
    _check_grade(grade)
    if seed < 0:
        raise InputError(f"the seed of a drawn photo must be at least 0, not {seed}")
    if min(width_px, height_px) < 32:
        raise InputError(f"a drawn photo must measure at least 32 x 32 px, not {width_px} x {height_px}")
    eye = Eye(seed, (height_px, width_px))
    patient, random = np.random.default_rng([seed // 2, 6]), np.random.default_rng([seed, 7])
    across, down = eye.offsets_from_center()
    away = across**2 + down**2
    light = 1 - random.uniform(0.12, 0.3) * away - random.uniform(0.0, 0.14) * away**2
    light += random.uniform(-0.1, 0.1) * across + random.uniform(-0.1, 0.1) * down
    light *= 1 + 0.06 * eye.smooth_noise(random, 0.5)
    ground = eye.ground(seed)
    levels = healthy = _quantize(ground * light)
    curve = np.arange(_LEVELS, dtype=np.float32)
    if grade:
        levels = _quantize(_Lesions(eye, grade, seed).paint(ground) * light)
        curve = _match_histogram(levels, healthy, (away <= 1).astype(np.uint8))
    return _render_photo(eye, levels, curve, patient, random)


def _render_photo(eye: Eye, levels: _Levels, curve: Floats, patient: Random, random: Random) -> Pixels:
    """Render what a camera makes of the light from an eye, (H, W, 3), uint8: contrast, color, stray light and noise."""
    # The camera's contrast, then the colours; both are tables over the levels, so they cost nothing.
    tone = curve / (_LEVELS - 1)
    tone *= 1 + random.uniform(-0.25, 0.3) * (1 - tone)
    colors = palette(patient, _LEVELS)[np.rint(tone * (_LEVELS - 1)).astype(np.int64)]
    colors *= random.uniform(0.72, 1.1)
    photo = colors[levels]
    across, down = eye.offsets_from_center()
    # Stray light from the edge of the pupil: a pale crescent on one side.
    side = random.uniform(0, 2 * np.pi)
    crescent = np.clip(across * float(np.cos(side)) + down * float(np.sin(side)) - 0.45, 0, 1) ** 2
    photo += random.uniform(0, 0.5) * crescent[..., None] * np.array([0.9, 0.6, 0.3], np.float32)
    np.clip(photo, 0, 1, out=photo)
    edge = np.clip((1 - np.sqrt(across**2 + down**2)) * eye.radius + 0.5, 0, 1)[..., None]
    photo *= edge
    photo += patient.uniform(0.008, 0.03)
    photo += random.uniform(0.004, 0.014) * random.standard_normal((*eye.shape, 1), np.float32) * (0.3 + edge)
    np.clip(photo, 0, 1, out=photo)
    photo *= 255
    return np.asarray(np.rint(photo, out=photo), np.uint8)


def _quantize(image: Floats) -> _Levels:
    return np.asarray(np.rint(np.clip(image, 0, 1) * (_LEVELS - 1)), np.uint16)


def draw_folder(
    out: Path,
    grades: Sequence[int],
    *,
    seed: int = 1,
    photos_per_group: int = 2,
    width_px: int = 320,
    height_px: int = 256,
) -> Path:
    """Draw a folder of graded photos with a label file, ready for `biranet prepare`.

    Args:
        out: Folder to write to; it is made where missing.
        grades: Grade of each photo, of at least one; the photos of a patient stand after each other, as those of
            `balanced_grades` do.
        seed: Which patients are drawn, at least 0; other seeds, other patients.
        photos_per_group: 2 for both eyes of a patient, 1 for one.
        width_px: Width of the photos in pixels.
        height_px: Height of the photos in pixels.

    Returns:
        The path of `labels.csv` in `out`, with the columns `file,grade,group,eye`. The photos lie beside it as JPEG.

    Raises:
        InputError: If a setting is not allowed or a file cannot be written.

    Example:
        >>> import tempfile
        >>> labels = draw_folder(Path(tempfile.mkdtemp()), [0, 4], width_px=64, height_px=64)
        >>> print(labels.read_text())
        file,grade,group,eye
        drawn_0001_left.jpg,0,drawn_0001,left
        drawn_0001_right.jpg,4,drawn_0001,right
        <BLANKLINE>
    """
    if not grades or seed < 0:
        raise InputError(
            f"the number of photos must be at least 1 and the seed at least 0, not {len(grades)} and {seed}"
        )
    if photos_per_group not in (1, 2):
        raise InputError(f"a drawn patient has 1 or 2 photos, not {photos_per_group}")
    for grade in grades:
        _check_grade(grade)
    rows = []
    for number, grade in enumerate(grades):
        patient = number // photos_per_group
        # With one photo a patient, left and right eyes alternate between patients.
        right = number % 2
        group, eye = f"drawn_{patient + 1:04d}", ("left", "right")[right]
        photo = draw_photo(grade, 2 * (seed * 1_000_000 + patient) + right, width_px, height_px)
        _, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        write_bytes(out / f"{group}_{eye}.jpg", data.tobytes())
        rows.append({"file": f"{group}_{eye}.jpg", "grade": grade, "group": group, "eye": eye})
    labels = out / "labels.csv"
    write_table(labels, pd.DataFrame(rows))
    return labels


def _check_grade(grade: int) -> None:
    if grade not in GRADES:
        raise InputError(f"{grade} is not a grade from {GRADES[0]} to {GRADES[-1]}")


def balanced_grades(count: int) -> list[int]:
    """Choose the grades of so many photos: equally frequent, and in both eyes of a patient one apart at most.

    Example:
        >>> balanced_grades(6)
        [0, 0, 1, 2, 2, 1]
    """
    # Over five patients every grade stands once left and once right, at most one grade from its fellow.
    right = ((0, 2, 1, 4, 3), (1, 0, 2, 3, 4), (0, 1, 3, 2, 4))
    cycle = [grade for order in right for pair in zip(GRADES, order, strict=True) for grade in pair]
    return [cycle[number % len(cycle)] for number in range(count)]
