"""The table of `biranet lesions`: a row a photo, the sentences that tell of one, and its picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from biranet.errors import PhotoError
from biranet.files import write_bytes
from biranet.inference.addresses import Address, open_source
from biranet.inference.inputs import PhotoList, table_kind
from biranet.inference.lesion_findings import QUADRANTS, Finding, describe_lesions, find_disc
from biranet.inference.pictures import picture_name
from biranet.learning.lesions.finder import LesionFinder, LesionMaps
from biranet.lesion_kinds import DISC, KINDS, LESIONS
from biranet.photos.formats import PhotoFile
from biranet.photos.read import decode_photo
from biranet.public_paths import public_name

_OF_KIND = {
    "count": int,
    "disc_areas": float,
    **{quadrant.replace(" ", "_"): int for quadrant in QUADRANTS},
    "nearest_macula": float,
}

COLUMNS = {
    "file": str,
    "status": str,
    "reason": str,
    "pixels_across": int,
    **{f"{kind}_{name}": what for kind in LESIONS for name, what in _OF_KIND.items()},
    "not_told": str,
}
"""Columns of the table. Areas are told in areas of the optic disc, distances in its diameters."""

LESIONS_TABLE = table_kind("a table of lesions", tuple(COLUMNS))


def lesion_rows(
    finder: LesionFinder, photos: PhotoList, pictures: Path | None = None
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Find the lesions of photos.

    Args:
        finder: What finds them.
        photos: The photos.
        pictures: Folder for a picture of each, if any.

    Yields:
        For each photo its row of the table, and what it says in sentences.
    """
    for file in photos.files:
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"file": str(file), "status": "ok", "reason": "", "not_told": ""}
        name = public_name(file) if not isinstance(file, Address) else file.name
        try:
            if reason := photos.refused.get(file):
                raise PhotoError("unreadable", reason)
            opened = open_source(file)
            maps = finder.find(opened.data)
        except PhotoError as error:
            yield row | {"status": error.status, "reason": str(error)}, [f"{name}: {error}"]
            continue
        findings = describe_lesions(maps, finder.info.thresholds)
        told = [f"{name}, {maps.seen_px} pixels across the field:"]
        for kind, finding in findings.items():
            row |= {f"{kind}_{column}": value for column, value in zip(_OF_KIND, _values(finding), strict=True)}
            told.append(f"  {describe_finding(LESIONS[kind], finding)}")
        reasons = dict.fromkeys(finding.not_told for finding in findings.values() if finding.not_told)
        told += [f"  {reason[0].upper()}{reason[1:]}." for reason in reasons]
        if pictures is not None:
            path = pictures / picture_name(str(file))
            told += _save_picture(path, name, opened, maps, finder.info.thresholds, findings)
        yield row | {"pixels_across": maps.seen_px, "not_told": "; ".join(reasons)}, told


def _save_picture(
    path: Path,
    name: str,
    photo: PhotoFile,
    maps: LesionMaps,
    thresholds: Mapping[str, float],
    findings: Mapping[str, Finding],
) -> list[str]:
    """Draw the picture of a photo; where it cannot be read at its full size, say so."""
    from biranet.inference.lesion_drawing import draw_lesions  # what draws letters is for pictures alone

    told = {kind: describe_finding(LESIONS[kind], finding) for kind, finding in findings.items()}
    shown = {kind: thresholds[kind] for kind, finding in findings.items() if finding.count is not None}
    if find_disc(maps.shares[KINDS.index(DISC)], thresholds[DISC]):
        shown[DISC], told[DISC] = thresholds[DISC], "the optic disc"
    try:
        pixels = decode_photo(photo, None).pixels
    except (PhotoError, MemoryError) as error:
        return [f"  No picture: {error if isinstance(error, PhotoError) else 'it takes more memory than there is'}."]
    write_bytes(path, draw_lesions(pixels, maps, shown, told, name).jpeg())
    return []


def _values(finding: Finding) -> list[float | None]:
    quadrants = [finding.by_quadrant.get(name) for name in QUADRANTS]
    return [finding.count, finding.disc_areas, *quadrants, finding.nearest]


def describe_finding(name: str, finding: Finding) -> str:
    """Say what was found of one kind of lesion.

    Example:
        >>> describe_finding("hard exudates", Finding(3, 0.25, dict(zip(QUADRANTS, (1, 0, 0, 2))), 0.8))
        'hard exudates: 3, 0.25 disc areas; 1 upper temporal, 2 lower nasal; the nearest 0.8 disc diameters from the \
macula'
        >>> describe_finding("microaneurysms", Finding(None))
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
