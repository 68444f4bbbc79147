"""Lay an attention map over a prepared photo."""

import cv2
import numpy as np
import numpy.typing as npt

_OPACITY = 0.45


def overlay_attention(prepared: npt.NDArray[np.uint8], attention: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Colour a prepared photo by where the model looked.

    Attention is shown as it is, not stretched: 0 is the dark blue end of the colour map and 1 its yellow end on every
    photo, so two pictures can be compared and a flat map looks flat. The colour map (cividis) rises evenly in lightness
    and reads the same with and without colour blindness.

    Args:
        prepared: Pixels (H, W, 3), uint8, RGB.
        attention: Map (h, w), float, in [0, 1]; enlarged smoothly to (H, W).

    Returns:
        Pixels (H, W, 3), uint8, RGB: the photo with the map over it, the photo the stronger of the two.

    Example:
        >>> black = np.zeros((4, 4, 3), np.uint8)
        >>> low, high = (overlay_attention(black, np.full((2, 2), value)).mean() for value in (0.0, 1.0))
        >>> bool(low < high)
        True
    """
    height_px, width_px = prepared.shape[:2]
    enlarged = cv2.resize(attention.astype(np.float32), (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    # Cubic interpolation is smooth, but it overshoots a little beside a peak.
    levels = np.rint(enlarged.clip(0, 1) * 255).astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)[:, :, ::-1]
    blended = (1 - _OPACITY) * prepared + _OPACITY * colors
    return np.asarray(np.rint(blended), dtype=np.uint8)
