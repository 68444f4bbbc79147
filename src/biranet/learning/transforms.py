"""Resizing of prepared photos, and the random changes of training.

Everything here is a function of its arguments: randomness comes in as a generator, never from global state.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def resize(photo: Pixels, size_px: int) -> Pixels:
    """Resize a square photo; averages when it shrinks, so that small lesions fade instead of vanishing by chance.

    Args:
        photo: (H, H, 3), uint8.
        size_px: New side in pixels.
    """
    if photo.shape[0] == size_px:
        return photo
    smaller = size_px < photo.shape[0]
    resized = cv2.resize(photo, (size_px, size_px), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)


def flip(photo: Pixels, random: "np.random.Generator") -> Pixels:
    """Mirror left and right half the time, as the published recipe does."""
    return photo[:, ::-1] if random.random() < 0.5 else photo


def augment_fundus(photo: Pixels, random: "np.random.Generator") -> Pixels:
    """Change a photo as another camera, eye or pose would, without touching what its grade depends on.

    Flips, any rotation (the field is round), scale 0.9 to 1.1, brightness, contrast and colour by a few percent. Black
    stays black: light and colour act as gains and a gamma, not as offsets.

    Args:
        photo: RGB, (H, H, 3), uint8.
        random: Source of the randomness; the same state gives the same picture.

    Returns:
        A new photo of the same shape.
    """
    side = photo.shape[0]
    turned = cv2.warpAffine(photo, draw_turn(side, random), (side, side), flags=cv2.INTER_LINEAR)
    return relight(np.asarray(turned, np.uint8), random)


def draw_turn(side: int, random: "np.random.Generator") -> NDArray[np.float64]:
    """Draw how a square of so many pixels a side is turned, scaled and mirrored, as a matrix (2, 3) of OpenCV."""
    angle_degrees = random.uniform(-180, 180)
    scale = np.exp(random.uniform(-0.1, 0.1))
    mirror = random.random() < 0.5
    center = (side - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((center, center), angle_degrees, scale), np.float64)
    if mirror:
        matrix = matrix @ np.array([[-1, 0, 2 * center], [0, 1, 0], [0, 0, 1]])
    return matrix


def relight(photo: Pixels, random: "np.random.Generator") -> Pixels:
    """Change brightness, contrast and colour as another camera would; black stays black."""
    gain = np.exp(random.uniform(-0.15, 0.15) + random.uniform(-0.05, 0.05, size=3))
    gamma = np.exp(random.uniform(-0.15, 0.15))
    levels = (np.arange(256) / 255) ** gamma
    table = np.clip(255 * levels[:, None] * gain, 0, 255).round().astype(np.uint8)
    return cv2.LUT(photo, table[None]).astype(np.uint8, copy=False)


AUGMENTATIONS = {"none": None, "flips": flip, "fundus": augment_fundus}
"""Augmentations by the name they have in a recipe."""
