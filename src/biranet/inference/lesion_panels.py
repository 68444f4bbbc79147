"""Outlines of lesions for the report's worst mistakes, on the photos as they were taken."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from biranet.errors import InputError, PhotoError
from biranet.inference.lesion_drawing import COLORS
from biranet.inference.lesion_reader import LesionReader
from biranet.inference.lesions import Lesions
from biranet.lesion_kinds import DISC, LESIONS
from biranet.reports.report import LESIONS_SIZE_PX, Overlay

if TYPE_CHECKING:
    import pandas as pd


def draw_lesion_panel(reader: LesionReader, photos: Path, row: "pd.Series[Any]") -> Overlay:
    """Draw the lesions of a photo that was prepared, as it was taken, with how many of each kind there are.

    Args:
        reader: What finds them.
        photos: Folder of the photos as they were taken.
        row: Of the manifest: which photo.

    Raises:
        InputError: If the photo is not there, or another one is.
    """
    path = photos / row["file"]
    try:
        found = reader.find(path)
    except PhotoError as error:
        raise InputError(f"cannot draw the lesions of {path}: {error}; name the folder that was prepared") from error
    if found.sha256 != row["sha256"]:
        raise InputError(f"{path} is not the photo that was prepared; name the folder that was")
    drawn, not_told = found.drawn, _too_small(found)
    counts = {kind: f" {each.count}" for kind, each in found.findings.items()}
    names = {**LESIONS, DISC: "optic disc"}
    words = {kind: f"{names[kind]}{counts.get(kind, '')} ({share:.2f})" for kind, share in drawn.items()}
    label = f"lesions, {found.maps.seen_px} pixels across the field, outlined from the share in brackets on"
    label = f"{label if drawn else 'lesions'}{not_told}"
    told = ", ".join(f"{COLORS[kind][0]}: {each}" for kind, each in words.items())
    legend = [("#" + bytes(COLORS[kind][1]).hex(), each) for kind, each in words.items()]
    return Overlay(label, found.outlined(most_px=LESIONS_SIZE_PX), told or "nothing is outlined", legend)


def _too_small(found: Lesions) -> str:
    """Name the kinds that were not looked for, since the image is too small."""
    kinds = [LESIONS[kind] for kind, each in found.findings.items() if each.count is None]
    return f"; too small to see {', '.join(kinds)}" if kinds else ""
