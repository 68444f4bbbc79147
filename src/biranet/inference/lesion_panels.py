"""Outlines of lesions for the report's worst mistakes, on the images as they were prepared."""

from pathlib import Path

from biranet.inference.lesion_drawing import COLORS
from biranet.inference.lesions import LesionReader, Lesions
from biranet.lesion_kinds import DISC, LESIONS
from biranet.reports.report import Overlay


def draw_lesion_panel(reader: LesionReader, image: Path) -> Overlay:
    """Draw the lesions of a prepared image, with how many of each kind there are.

    Args:
        reader: What finds them.
        image: The prepared image.

    Raises:
        PhotoError: If it cannot be read.
    """
    found = reader.find(image)
    drawn, not_told = found.drawn, _too_small(found)
    words = {kind: f"{LESIONS[kind]} {found.findings[kind].count}" for kind in LESIONS if kind in drawn}
    words |= {DISC: "optic disc"} if DISC in drawn else {}
    shares = ", ".join(f"{kind} {share:.2f}" for kind, share in drawn.items())
    label = (
        f"lesions, {found.maps.seen_px} pixels across the field, outlined from shares of a cell of {shares}{not_told}"
    )
    told = ", ".join(f"{COLORS[kind][0]}: {each}" for kind, each in words.items())
    legend = [("#" + bytes(COLORS[kind][1]).hex(), each) for kind, each in words.items()]
    return Overlay(label if drawn else f"lesions{not_told}", found.outlined(), told or "nothing is outlined", legend)


def _too_small(found: Lesions) -> str:
    """Name the kinds that were not looked for, since the image is too small."""
    kinds = [LESIONS[kind] for kind, each in found.findings.items() if each.count is None]
    return f"; too small to see {', '.join(kinds)}" if kinds else ""
