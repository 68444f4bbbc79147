"""The picture of a photo in which lesions were looked for: their outlines on its own pixels, a colour a kind."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.grades import DISCLAIMER
from biranet.learning.lesions.finder import LesionMaps
from biranet.learning.transforms import Pixels
from biranet.lesion_kinds import DISC, KINDS
from biranet.photos.sheet import Caption, Picture, draw_sheet

COLORS = {
    "MA": ("light blue", (86, 200, 255)),
    "HE": ("green", (0, 230, 120)),
    "EX": ("yellow", (255, 235, 60)),
    "SE": ("pink", (255, 140, 220)),
    DISC: ("white", (255, 255, 255)),
}
"""Colour of each kind, in words and as RGB: all of them brighter than a retina, and told apart by the colour-blind too,
but for light blue and pink, by their lightness."""

_LINE_FRACTION = 1 / 1200
"""Width of a line, of the photo's longer side."""


def outline(photo: Pixels, maps: LesionMaps, thresholds: Mapping[str, float]) -> Pixels:
    """Draw the outlines of lesions into a photo, around what they surround, so that it stays to be seen.

    Args:
        photo: The upright photo, (H, W, 3), uint8, RGB.
        maps: What was found in it.
        thresholds: By kind, from which share on a cell counts; kinds that are not named are not drawn.

    Returns:
        Another photo of the same shape.
    """
    drawn = photo.copy()
    rows, columns = maps.cut.window()
    width_px = max(1, round(_LINE_FRACTION * max(photo.shape)))
    around = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    for kind, threshold in thresholds.items():
        lesion = (maps.cut.sample(maps.shares[KINDS.index(kind)]) >= threshold).astype(np.uint8)
        line = cv2.dilate(lesion, around) > lesion
        drawn[rows, columns][line] = COLORS[kind][1]
    return drawn


def draw_lesions(
    photo: NDArray[np.uint8], maps: LesionMaps, thresholds: Mapping[str, float], told: Mapping[str, str], name: str
) -> Picture:
    """Draw a photo as it was taken, with the outlines of what was found in it.

    Args:
        photo: The upright photo, (H, W, 3), uint8, RGB.
        maps: What was found in it.
        thresholds: As for `outline`.
        told: What was found, in words, by kind.
        name: The photo's name.
    """
    words = [f"{COLORS[kind][0].capitalize()}: {each}." for kind, each in told.items() if kind in thresholds]
    words += [f"{each}." for kind, each in told.items() if kind not in thresholds]
    lines = (*words, "A program drew these outlines, not an ophthalmologist.", DISCLAIMER)
    caption = Caption("Lesions", lines, (name,), "The photo as it was taken, with outlines")
    return draw_sheet(outline(photo, maps, thresholds), maps.cut, (), caption)
