"""The picture of a photo in which lesions were looked for: their outlines on its own pixels, a colour a kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.config import check_opacity
from biranet.grades import DISCLAIMER
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.transforms import Pixels
from biranet.lesion_kinds import CONNECTIVITY, DISC, KINDS
from biranet.photos.cut import Cut, scaled_px
from biranet.photos.overlay import NamedMap
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


class Graded(NamedTuple):
    """What a model that grades says of a photo in which lesions were looked for.

    Attributes:
        caption: In words.
        cut: How the square that it saw lies in the photo.
        maps: What moved its answer, on that square.
    """

    caption: Caption
    cut: Cut
    maps: Sequence[NamedMap] = ()


LESIONS_NOTE = "A program drew these outlines, not an ophthalmologist."

_LINE_FRACTION = 1 / 1200
"""Width of a line, of the photo's longer side."""
_EDGE = 0.35
"""Where the edge of a lesion lies between a cell that counts, 1, and one that does not, 0: cells that touch by a corner
are one lesion, and there interpolation gives 0.352 or more."""


def outline(
    photo: Pixels,
    maps: LesionMaps,
    thresholds: Mapping[str, float],
    *,
    opacity: float = 0.0,
    scale: float = 1,
) -> Pixels:
    """Draw the outlines of lesions into a photo, around what they surround, so that it stays to be seen.

    Args:
        photo: The upright photo, (H, W, 3), uint8, RGB.
        maps: What was found in it.
        thresholds: By kind, from which share on a cell counts; kinds that are not named are not drawn.
        opacity: How strongly its colour covers what an outline surrounds, from 0, not at all, to 1.
        scale: Pixels a side of `photo` for each one of the photo as it was taken.

    Returns:
        Another photo of the same shape.

    Raises:
        InputError: If the opacity is no number from 0 to 1.
    """
    check_opacity(opacity)
    drawn = photo.copy()
    part = drawn[maps.cut.window(scale)]
    for kind, lesion, line in _lesions_and_lines(maps, thresholds, max(photo.shape), scale):
        color = np.array(COLORS[kind][1], np.float32)
        part[lesion] = np.rint((1 - opacity) * part[lesion] + opacity * color)
        part[line] = color
    return drawn


def outline_layer(maps: LesionMaps, thresholds: Mapping[str, float], scale: float = 1) -> Pixels:
    """Draw the outlines of lesions as a layer to lay over the photo, as `outline` does.

    Args:
        maps: What was found in the photo.
        thresholds: As for `outline`.
        scale: Pixels a side of the layer for each one of the photo.

    Returns:
        Pixels (H, W, 4), uint8, RGBA: transparent but for the outlines.
    """
    height_px, width_px = (scaled_px(side, scale) for side in (maps.cut.height_px, maps.cut.width_px))
    layer = np.zeros((height_px, width_px, 4), np.uint8)
    part = layer[maps.cut.window(scale)]
    for kind, _, line in _lesions_and_lines(maps, thresholds, max(layer.shape), scale):
        part[line] = (*COLORS[kind][1], 255)
    return layer


_Flags = NDArray[np.bool_]


def _lesions_and_lines(
    maps: LesionMaps, thresholds: Mapping[str, float], longer_side_px: int, scale: float
) -> Iterator[tuple[str, _Flags, _Flags]]:
    """Give of each kind where lesions lie in the square, and where the lines around them."""
    width_px = max(2, round(_LINE_FRACTION * longer_side_px))
    around = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    for kind, threshold in thresholds.items():
        cells = (maps.shares[KINDS.index(kind)] >= threshold).astype(np.uint8)
        if kind == DISC:
            cells = _largest_part(cells)  # there is one, and `find_disc` takes no other for it
        # Not from where on the interpolated share reaches the threshold: beside peaks it does where no cell counts.
        lesion = (maps.cut.sample(cells.astype(np.float32), scale) >= _EDGE).astype(np.uint8)
        yield kind, lesion > 0, cv2.dilate(lesion, around) > lesion


def _largest_part(drawn: Pixels) -> Pixels:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=CONNECTIVITY)
    if count == 1:
        return drawn
    return np.asarray(labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax(), np.uint8)


def draw_lesions(
    photo: NDArray[np.uint8],
    maps: LesionMaps,
    thresholds: Mapping[str, float],
    findings: Mapping[str, str],
    graded: Graded,
    *,
    opacity: float = 0.0,
) -> Picture:
    """Draw a photo as it was taken, with the outlines of what was found in it.

    Args:
        photo: The upright photo, (H, W, 3), uint8, RGB.
        maps: What was found in it.
        thresholds: As for `outline`.
        findings: What was found, in words, by kind.
        graded: What a model that grades says of it.
        opacity: As for `outline`.
    """
    caption = tell_lesions(graded.caption, thresholds, findings)
    heading = "The photo as it was taken, with outlines"
    caption = caption._replace(lines=(*caption.lines, DISCLAIMER), heading=heading)
    drawn = outline(photo, maps, thresholds, opacity=opacity)
    return draw_sheet(photo, graded.cut, graded.maps, caption, first=drawn)


def tell_lesions(caption: Caption, thresholds: Mapping[str, float], findings: Mapping[str, str]) -> Caption:
    """Add to what is written under a picture what its outlines are.

    Args:
        caption: What is written already.
        thresholds: As for `outline`.
        findings: What was found, in words, by kind.
    """
    words = [f"{COLORS[kind][0].capitalize()}: {each}." for kind, each in findings.items() if kind in thresholds]
    colors = [*[None] * len(caption.lines), *(COLORS[kind][1] for kind in findings if kind in thresholds)]
    words += [f"{each[0].upper()}{each[1:]}." for kind, each in findings.items() if kind not in thresholds]
    notes = (describe_scale(thresholds), LESIONS_NOTE)
    return caption._replace(lines=(*caption.lines, *words, *notes), colors=colors)


def describe_scale(thresholds: Mapping[str, float]) -> str:
    """Say from which share of a cell on there is an outline.

    Example:
        >>> describe_scale({"MA": 0.25, "OD": 0.5})
        'Outlined are cells of which, as far as the network can tell, at least this share is it: 0.25 light blue, 0.50 \
white.'
        >>> describe_scale({})
        'Nothing is outlined.'
    """
    if not thresholds:
        return "Nothing is outlined."
    shares = ", ".join(f"{share:.2f} {COLORS[kind][0]}" for kind, share in thresholds.items())
    return f"Outlined are cells of which, as far as the network can tell, at least this share is it: {shares}."
