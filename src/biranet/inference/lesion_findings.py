"""What maps of lesions say in words and numbers: how many, how large, and where about the macula."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.lesion_kinds import CONNECTIVITY, DISC, KINDS, LESIONS

MACULA_AWAY, MACULA_BELOW = 2.5, 0.3
"""Where the macula lies from the middle of the disc, in disc diameters: towards the temples, and below."""

DISC_SIDES = (0.06, 0.25)
"""Diameters that a disc can have, as shares of the field's side; about 0.13 in a photo of 50 degrees."""

QUADRANTS = ("upper temporal", "upper nasal", "lower temporal", "lower nasal")

NEEDED_PX = {"MA": 768, "HE": 384, "EX": 256, "SE": 384}
"""Pixels across the field below which lesions of a kind are not looked for, as studies/lesions/page.py finds them."""

_Cells = npt.NDArray[np.float64]


class OpticDisc(NamedTuple):
    """The optic disc.

    Attributes:
        x: Of its middle, in cells of the map.
        y: Likewise.
        area: In cells.
        diameter: Of a circle of that area.
    """

    x: float
    y: float
    area: float
    diameter: float


@dataclass(frozen=True)
class LesionFinding:
    """What was found of one kind of lesion.

    Attributes:
        count: How many there are that touch no other; None where the photo is too small to see them.
        disc_areas: Their area, in areas of the optic disc; None where no disc was found.
        by_quadrant: How many have their middle in each of `QUADRANTS` about the macula; empty where it was not found.
        nearest: Disc diameters from the macula to the nearest one; None where there is none, or no macula.
        not_told: Why something is not told, a sentence; empty where all is.

    Example:
        >>> import biranet
        >>> biranet.LesionFinding(3, disc_areas=0.25).count
        3
    """

    count: int | None
    disc_areas: float | None = None
    by_quadrant: Mapping[str, int] = field(default_factory=dict)
    nearest: float | None = None
    not_told: str = ""


def describe_lesions(
    maps: LesionMaps, thresholds: Mapping[str, float], needed_px: Mapping[str, int] = NEEDED_PX
) -> dict[str, LesionFinding]:
    """Count and measure the lesions of a photo.

    Args:
        maps: What was found in it.
        thresholds: From which share on a cell counts as lesion, by kind.
        needed_px: Pixels across the field below which a kind is not looked for.

    Returns:
        The findings by kind, the disc left out.
    """
    disc = find_disc(maps.shares[KINDS.index(DISC)], thresholds[DISC])
    macula, why_not = find_macula(disc, maps.shares.shape[-1])
    findings = {}
    for kind, name in LESIONS.items():
        if maps.seen_px < needed_px[kind]:
            findings[kind] = LesionFinding(
                None,
                not_told=f"too small to see {name}: {maps.seen_px} pixels across the field, and {needed_px[kind]} are "
                "needed",
            )
        else:
            drawn = maps.shares[KINDS.index(kind)] >= thresholds[kind]
            findings[kind] = _describe(drawn, disc, macula, why_not)
    return findings


def find_disc(shares: npt.NDArray[np.float32], threshold: float) -> OpticDisc | None:
    """Find the optic disc: the largest part of its map, where that has the size of one.

    Args:
        shares: (h, w) of the square.
        threshold: From which share on a cell counts.
    """
    count, _, stats, centers = cv2.connectedComponentsWithStats(
        (shares >= threshold).astype(np.uint8), connectivity=CONNECTIVITY
    )
    if count == 1:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    area = float(stats[largest, cv2.CC_STAT_AREA])
    diameter = 2 * float(np.sqrt(area / np.pi))
    if not DISC_SIDES[0] <= diameter / shares.shape[-1] <= DISC_SIDES[1]:
        return None
    x, y = centers[largest] + 0.5
    return OpticDisc(float(x), float(y), area, diameter)


def find_macula(disc: OpticDisc | None, cells: int) -> tuple[_Cells | None, str]:
    """Say where the macula lies, by where the disc does; nobody has looked for the macula itself.

    Args:
        disc: The disc.
        cells: Side of the square, in cells.

    Returns:
        x and y of the macula, in cells, and why it cannot be told; one of them.
    """
    if disc is None:
        return None, "no optic disc was found, so neither disc areas nor the place of the macula are known"
    towards_middle = cells / 2 - disc.x
    if abs(towards_middle) < disc.diameter:
        return None, "the optic disc lies in the middle of the photo, so it does not tell on which side the macula is"
    macula = np.array(
        [disc.x + np.sign(towards_middle) * MACULA_AWAY * disc.diameter, disc.y + MACULA_BELOW * disc.diameter]
    )
    if not (macula > 0).all() or not (macula < cells).all():
        return None, "the macula lies outside the photo, as far as the optic disc tells"
    return macula, ""


def _describe(
    drawn: npt.NDArray[np.bool_], disc: OpticDisc | None, macula: _Cells | None, why_not: str
) -> LesionFinding:
    count, _, _, centers = cv2.connectedComponentsWithStats(drawn.astype(np.uint8), connectivity=CONNECTIVITY)
    areas = None if disc is None else float(drawn.sum()) / disc.area
    if macula is None or disc is None:
        return LesionFinding(count - 1, areas, not_told=why_not)
    middles = centers[1:] + 0.5
    nasal = np.sign(disc.x - macula[0])
    is_nasal, is_lower = (middles[:, 0] - macula[0]) * nasal > 0, middles[:, 1] > macula[1]
    numbers = np.bincount(2 * is_lower + is_nasal, minlength=4)
    cells = np.argwhere(drawn)[:, ::-1] + 0.5
    nearest = float(np.hypot(*(cells - macula).T).min() / disc.diameter) if len(cells) else None
    return LesionFinding(count - 1, areas, dict(zip(QUADRANTS, numbers.tolist(), strict=True)), nearest)


def describe_finding(name: str, finding: LesionFinding) -> str:
    """Say what was found of one kind of lesion.

    Example:
        >>> describe_finding("hard exudates", LesionFinding(3, 0.25, dict(zip(QUADRANTS, (1, 0, 0, 2))), 0.8))
        'hard exudates: 3, 0.25 disc areas; 1 upper temporal, 2 lower nasal; the nearest 0.8 disc diameters from the \
macula'
        >>> describe_finding("microaneurysms", LesionFinding(None))
        'microaneurysms: not looked for'
    """
    if finding.count is None:
        return f"{name}: not looked for"
    parts = [f"{name}: {finding.count}"]
    if finding.count:
        if finding.disc_areas is not None:
            parts[0] += f", {finding.disc_areas:.2g} disc areas"
        if quadrants := [f"{number} {quadrant}" for quadrant, number in finding.by_quadrant.items() if number]:
            parts.append(", ".join(quadrants))
        if finding.nearest is not None:
            parts.append(f"the nearest {finding.nearest:.1f} disc diameters from the macula")
    return "; ".join(parts)
