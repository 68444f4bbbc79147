"""Draw a map of what the network made of a photo over the photo, as regions with contours."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from biranet.config import OVERLAY_OPACITY
from biranet.errors import InputError
from biranet.photos.cut import Cut, scaled_px

BANDS = 10
"""Regions between the ends of a scale: contours are drawn at each tenth of it."""

_MIN_RANGE_FRACTION = 0.05
"""Part of its scale to which a map is stretched at least: of a flat one, noise would become regions."""
_CONTOUR_FRACTION = 1 / 900
"""Width of a contour, of the photo's longer side."""
_ROUNDING = 1e-3
_GREY = (150, 150, 150)

COLORS: npt.NDArray[np.uint8] = np.asarray(
    cv2.applyColorMap(np.rint(np.linspace(0, 255, BANDS)[:, None]).astype(np.uint8), cv2.COLORMAP_CIVIDIS), np.uint8
)[:, 0, ::-1]
"""Colours (BANDS, 3) of the regions, RGB, the lowest first: cividis, which rises evenly in lightness and reads the same
with and without colour blindness."""

SIGNED_COLORS = np.array(
    [
        *((5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240)),
        *((253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31)),
    ],
    np.uint8,
)
"""Colours of the regions of a signed map, blue below 0 and red above, the further from 0 the darker: ColorBrewer's
RdBu, which is told apart with colour blindness too."""


@dataclass(frozen=True, eq=False)
class NamedMap:
    """A map of a photo to draw over it.

    Attributes:
        name: What it shows, such as `attention of stream A`.
        values: Map (h, w) of the square that the network sees, of any resolution.
        low: Value at the lower end of its scale, which is drawn in the darkest colour.
        high: Value at the upper end, above `low`.
        signed: Whether it is drawn in two colours that meet at 0; `low` is then `-high`.

    Example:
        >>> import biranet
        >>> flat = biranet.NamedMap("attention", np.array([[0.41, 0.43], [0.40, 0.42]]))
        >>> stretched = flat.stretched()
        >>> round(stretched.low, 2), round(stretched.high, 2)
        (0.39, 0.44)
    """

    name: str
    values: npt.NDArray[np.floating]
    low: float = 0.0
    high: float = 1.0
    signed: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.values.ndim != 2 or self.values.size == 0 or not np.isfinite(self.values).all():
            raise InputError(
                f"the map {self.name!r} must be numbers (h, w), all finite; its shape is {self.values.shape}"
            )
        if not -np.inf < self.low < self.high < np.inf:
            raise InputError(f"the scale of the map {self.name!r} must go up, not from {self.low} to {self.high}")
        if self.signed and self.low != -self.high:
            raise InputError(
                f"the scale of the map {self.name!r}, which is signed, must be as long below 0 as above, not from "
                f"{self.low} to {self.high}"
            )

    @property
    def colors(self) -> npt.NDArray[np.uint8]:
        """Colours (BANDS, 3) of its regions, RGB, the lowest first."""
        return SIGNED_COLORS if self.signed else COLORS

    def stretched(self) -> "NamedMap":
        """The same map on a scale between its own lowest and highest value, at least a twentieth of its scale long.

        The scale of a signed map stays as long below 0 as above.
        """
        lowest, highest = float(self.values.min()), float(self.values.max())
        least = _MIN_RANGE_FRACTION * (self.high - self.low)
        if self.signed:
            most = max(highest, -lowest, least / 2)
            return replace(self, low=-most, high=most)
        missing = max(0.0, least - (highest - lowest))
        # Not in the middle, which is a contour: what hardly varies is to lie within one region.
        return replace(self, low=lowest - 0.45 * missing, high=highest + 0.55 * missing)


def draw_map(
    photo: npt.NDArray[np.uint8], cut: Cut, shown: NamedMap, *, opacity: float = OVERLAY_OPACITY, scale: float = 1
) -> npt.NDArray[np.uint8]:
    """Draw a map over a photo: ten regions between the ends of its scale, with contours between them.

    What lies outside the square that the network sees stays as it is; a grey line is around it.

    Args:
        photo: The upright photo (H, W, 3), uint8, RGB.
        cut: Where the square lies in it.
        shown: The map.
        opacity: How strongly the colours cover the photo, from 0, contours alone, to 1.
        scale: Pixels a side of `photo` for each one that `cut` speaks of.

    Returns:
        Pixels (H, W, 3), uint8, RGB.

    Example:
        >>> black = np.zeros((4, 4, 3), np.uint8)
        >>> low, high = (draw_map(black, Cut.whole(4), NamedMap("", np.full((2, 2), v))).mean() for v in (0.0, 1.0))
        >>> bool(low < high)
        True
    """
    drawn = photo.copy()
    window = cut.window(scale)
    width_px = _contour_px(max(photo.shape))
    colors, contours, is_contour = _color_regions(cut, shown, scale, width_px)
    part = cv2.addWeighted(photo[window], 1 - opacity, colors, opacity, 0)
    cv2.copyTo(contours, is_contour, part)
    drawn[window] = part
    _outline(drawn, cut, scale, width_px)
    return drawn


def draw_layer(cut: Cut, shown: NamedMap, *, scale: float = 1) -> npt.NDArray[np.uint8]:
    """Draw the regions of a map, with their contours, as a layer to lay over the photo, as `draw_map` does.

    Args:
        cut: Where the square that the network sees lies in the photo.
        shown: The map.
        scale: Pixels a side of the layer for each one of the photo.

    Returns:
        Pixels (H, W, 4), uint8, RGBA: transparent where the network saw nothing of the photo, else opaque.

    Example:
        >>> draw_layer(Cut.whole(4), NamedMap("", np.eye(2)), scale=2).shape
        (8, 8, 4)
    """
    height_px, width_px = (scaled_px(side, scale) for side in (cut.height_px, cut.width_px))
    layer = np.zeros((height_px, width_px, 4), np.uint8)
    window = cut.window(scale)
    colors, contours, is_contour = _color_regions(cut, shown, scale, _contour_px(max(layer.shape)))
    cv2.copyTo(contours, is_contour, colors)
    layer[window][..., :3] = colors
    layer[window][..., 3] = 255
    if cut.field.circle is not None:
        rows, columns = window
        layer[window] *= cut.field.circle.scaled(scale).mask(colors.shape[:2], columns.start, rows.start)[..., None]
    return layer


def _contour_px(longer_side_px: int) -> int:
    return max(2, round(_CONTOUR_FRACTION * longer_side_px))


def _color_regions(
    cut: Cut, shown: NamedMap, scale: float, contour_px: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Colour the regions of a map in the window of the photo that the square shows.

    Returns:
        The colours of the regions (h, w, 3), those of contours, and where these are (h, w), else 0.
    """
    # The scale is put into the map, not into the millions of pixels read from it: weights add up to 1. They do so but
    # for rounding, which must not decide between two regions where a map is flat, at 0.5 for example.
    tenths = np.clip((shown.values - shown.low) / (shown.high - shown.low), 0, 1) * BANDS + _ROUNDING
    tenths = cut.sample(tenths, scale)
    regions = np.clip(tenths, 0, BANDS - 1, out=tenths).astype(np.uint8)
    table = np.zeros((256, 1, 3), np.uint8)
    table[:BANDS, 0] = shown.colors
    around = np.ones((contour_px, contour_px), np.uint8)
    above = cv2.dilate(regions, around)
    is_contour = cv2.compare(above, cv2.erode(regions, around), cv2.CMP_NE)
    colors, contours = (np.asarray(cv2.applyColorMap(each, table), np.uint8) for each in (regions, above))
    return colors, contours, np.asarray(is_contour, np.uint8)


def _outline(drawn: npt.NDArray[np.uint8], cut: Cut, scale: float, width_px: int) -> None:
    """Draw a line around what the network sees; nothing where that is the whole photo."""
    rows, columns = cut.window(scale)
    height, width = drawn.shape[:2]
    # Beside the square, not over it.
    for start, stop, length, vertical in ((rows.start, rows.stop, height, 1), (columns.start, columns.stop, width, 0)):
        for line in (slice(max(0, start - width_px), start), slice(stop, min(length, stop + width_px))):
            drawn[(line, columns) if vertical else (rows, line)] = _GREY
    if cut.field.circle is not None:
        part = drawn[rows, columns]
        field = cut.field.circle.scaled(scale).mask(part.shape[:2], columns.start, rows.start).astype(np.uint8)
        around = cv2.dilate(field, np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)) > field
        part[around] = _GREY


def attention_maps(attention: npt.NDArray[np.floating]) -> list[NamedMap]:
    """Name the attention of each stream, on the scale from 0 to 1 that all photos share.

    Args:
        attention: Masks (streams, h, w) in [0, 1].

    Example:
        >>> [each.name for each in attention_maps(np.zeros((2, 3, 3)))], attention_maps(np.zeros((1, 3, 3)))[0].name
        (['attention of stream A', 'attention of stream B'], 'attention')
    """
    if len(attention) == 1:
        return [NamedMap("attention", attention[0])]
    return [NamedMap(f"attention of stream {chr(ord('A') + stream)}", mask) for stream, mask in enumerate(attention)]


EVIDENCE_RANGE = 0.3
"""Ends of the scale of evidence that all photos share."""


def evidence_map(evidence: npt.NDArray[np.floating]) -> NamedMap:
    """Name the evidence, on a scale that all photos share.

    Args:
        evidence: (h, w), in units of log-odds.

    Example:
        >>> evidence_map(np.zeros((3, 3))).signed
        True
    """
    name = "evidence (red: refer, blue: do not)"
    return NamedMap(name, evidence, -EVIDENCE_RANGE, EVIDENCE_RANGE, signed=True)


def draw_attention(prepared: npt.NDArray[np.uint8], attention: npt.NDArray[np.floating]) -> list[npt.NDArray[np.uint8]]:
    """Draw the attention of each stream over a prepared photo, on the scale from 0 to 1.

    Args:
        prepared: What the network saw, (H, H, 3), uint8, RGB.
        attention: Masks (streams, h, w) in [0, 1].

    Returns:
        A picture like `prepared` for each stream.
    """
    cut = Cut.whole(len(prepared))
    return [draw_map(prepared, cut, each) for each in attention_maps(attention)]
