"""Outlines of lesions for the report's worst mistakes, on the photos as they were taken, or as they were prepared."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biranet.errors import InputError, PhotoError
from biranet.inference.lesion_drawing import COLORS, outline
from biranet.inference.lesions import Lesions
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.transforms import Pixels, resize
from biranet.lesion_kinds import DISC, LESIONS
from biranet.photos.cut import Cut, scaled_px
from biranet.photos.field import Field
from biranet.photos.store import GEOMETRY_COLUMNS
from biranet.reports.report import LESIONS_SIZE_PX, Overlay

if TYPE_CHECKING:
    import pandas as pd


def draw_lesion_panel(find: Callable[[Path], Lesions], photos: Path, row: "pd.Series[Any]") -> Overlay:
    """Draw the lesions of a photo that was prepared, as it was taken, with how many of each kind there are.

    Args:
        find: Finds them in a file.
        photos: Folder of the photos as they were taken.
        row: Of the manifest: which photo.

    Raises:
        InputError: If the photo is not there, or another one is.
    """
    path = photos / row["file"]
    try:
        lesions = find(path)
    except PhotoError as error:
        raise InputError(f"cannot draw the lesions of {path}: {error}; name the folder that was prepared") from error
    if lesions.sha256 != row["sha256"]:
        raise InputError(f"{path} is not the photo that was prepared; name the folder that was")
    return _overlay(lesions, lesions.outlined(most_px=LESIONS_SIZE_PX))


def draw_own_lesions(
    image: Pixels, shares: NDArray[np.float32], thresholds: Mapping[str, float], row: "pd.Series[Any]"
) -> Overlay:
    """Draw the lesions that a model itself found in a photo on what it saw, with how many of each kind there are.

    Args:
        image: What it saw, (H, H, 3), uint8, RGB.
        shares: What it found, (5, h, w).
        thresholds: Its own, by kind.
        row: Of the manifest: which photo, and how it was cut.
    """
    width_px, height_px, left_px, top_px, side_px = (int(row[name]) for name in GEOMETRY_COLUMNS)
    cut = Cut(Field(left_px, top_px, side_px), width_px, height_px)
    maps = LesionMaps(shares, cut, len(image))
    lesions = Lesions(row["file"], maps, thresholds, Path(row["file"]), row["sha256"])
    scale = min(1.0, LESIONS_SIZE_PX / len(image))
    on_image = dataclasses.replace(maps, cut=Cut.whole(len(image)))
    smaller = resize(image, scaled_px(len(image), scale))
    return _overlay(lesions, outline(smaller, on_image, lesions.drawn, scale=scale))


def _overlay(lesions: Lesions, outlined: Pixels) -> Overlay:
    drawn, not_told = lesions.drawn, _too_small(lesions)
    counts = {kind: f" {each.count}" for kind, each in lesions.findings.items()}
    names = {**LESIONS, DISC: "optic disc"}
    words = {kind: f"{names[kind]}{counts.get(kind, '')} ({share:.2f})" for kind, share in drawn.items()}
    label = f"lesions, {lesions.maps.seen_px} pixels across the field, outlined from the share in brackets on"
    label = f"{label if drawn else 'lesions'}{not_told}"
    alt_text = ", ".join(f"{COLORS[kind][0]}: {each}" for kind, each in words.items())
    legend = [("#" + bytes(COLORS[kind][1]).hex(), each) for kind, each in words.items()]
    return Overlay(label, outlined, alt_text or "nothing is outlined", legend)


def _too_small(lesions: Lesions) -> str:
    """Name the kinds that were not looked for, since the image is too small."""
    kinds = [LESIONS[kind] for kind in lesions.unseen]
    return f"; too small to see {', '.join(kinds)}" if kinds else ""
