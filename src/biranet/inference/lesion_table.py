"""The table of `biranet lesions`: a row a photo, and the sentences that tell of one."""

from collections.abc import Iterator, Mapping

from biranet.errors import PhotoError
from biranet.inference.inputs import PhotoList, table_kind
from biranet.inference.lesion_findings import QUADRANTS, Finding, describe_lesions
from biranet.learning.lesions.finder import LesionFinder
from biranet.lesion_kinds import LESIONS
from biranet.public_paths import public_name

_OF_KIND = ("count", "disc_areas", *(quadrant.replace(" ", "_") for quadrant in QUADRANTS), "nearest_macula")

COLUMNS = (
    "file", "status", "reason", "pixels_across",
    *(f"{kind}_{name}" for kind in LESIONS for name in _OF_KIND), "not_told",
)  # fmt: skip
"""Columns of the table. Areas are told in areas of the optic disc, distances in its diameters."""

LESIONS_TABLE = table_kind("a table of lesions", COLUMNS)


def lesion_rows(finder: LesionFinder, photos: PhotoList) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Find the lesions of photos.

    Args:
        finder: What finds them.
        photos: The photos.

    Yields:
        For each photo its row of the table, and what it says in sentences.
    """
    for file in photos.files:
        row = dict.fromkeys(COLUMNS, "") | {"file": str(file), "status": "ok"}
        try:
            if reason := photos.refused.get(file):
                raise PhotoError("unreadable", reason)
            maps = finder.find(file)
        except PhotoError as error:
            yield row | {"status": error.status, "reason": str(error)}, [f"{public_name(file)}: {error}"]
            continue
        findings = describe_lesions(maps, finder.info.thresholds)
        told = [f"{public_name(file)}, {maps.seen_px} pixels across the field:"]
        for kind, finding in findings.items():
            row |= {f"{kind}_{name}": cell for name, cell in zip(_OF_KIND, _cells(finding), strict=True)}
            told.append(f"  {describe_finding(LESIONS[kind], finding)}")
        reasons = dict.fromkeys(finding.not_told for finding in findings.values() if finding.not_told)
        told += [f"  {reason[0].upper()}{reason[1:]}." for reason in reasons]
        yield row | {"pixels_across": str(maps.seen_px), "not_told": "; ".join(reasons)}, told


def _cells(finding: Finding) -> list[str]:
    quadrants: Mapping[str, int] = finding.by_quadrant
    return [
        "" if finding.count is None else str(finding.count),
        "" if finding.disc_areas is None else f"{finding.disc_areas:.4f}",
        *(str(quadrants[name]) if quadrants else "" for name in QUADRANTS),
        "" if finding.nearest is None else f"{finding.nearest:.2f}",
    ]


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
