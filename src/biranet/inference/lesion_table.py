"""The table of `biranet lesions`: a row a photo, the sentences that tell of one, and its picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from biranet.errors import PhotoError
from biranet.files import write_bytes
from biranet.inference.addresses import Address, open_source
from biranet.inference.grader import Grader
from biranet.inference.inputs import PhotoList, table_kind
from biranet.inference.lesion_findings import QUADRANTS, LesionFinding, describe_finding
from biranet.inference.lesion_reader import LesionReader
from biranet.inference.lesions import Lesions
from biranet.inference.loading import PhotoTask
from biranet.inference.pictures import picture_name
from biranet.lesion_kinds import LESIONS
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
    reader: LesionReader, photos: PhotoList, pictures: "Pictures | None" = None
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Find the lesions of photos.

    Args:
        reader: What finds them.
        photos: The photos.
        pictures: How to draw each, if at all.

    Yields:
        For each photo its row of the table, and what it says in sentences.
    """
    for file in photos.files:
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"file": str(file), "status": "ok", "reason": "", "not_told": ""}
        name = public_name(file) if not isinstance(file, Address) else file.name
        try:
            if reason := photos.refused.get(file):
                raise PhotoError("unreadable", reason)
            data = open_source(file).data  # read once, for its picture, too
            lesions = reader.find(data, name=name)
        except PhotoError as error:
            yield row | {"status": error.status, "reason": str(error)}, [f"{name}: {error}"]
            continue
        lines = [f"{name}, {lesions.maps.seen_px} pixels across the field:"]
        for kind, finding in lesions.findings.items():
            row |= {f"{kind}_{column}": value for column, value in zip(_OF_KIND, _values(finding), strict=True)}
            lines.append(f"  {describe_finding(LESIONS[kind], finding)}")
        reasons = dict.fromkeys(finding.not_told for finding in lesions.findings.values() if finding.not_told)
        lines += [f"  {reason[0].upper()}{reason[1:]}." for reason in reasons]
        if pictures is not None:
            lines += _save_picture(pictures.folder / picture_name(str(file)), data, lesions, pictures)
        yield row | {"pixels_across": lesions.maps.seen_px, "not_told": "; ".join(reasons)}, lines


class Pictures(NamedTuple):
    """How photos are drawn.

    Attributes:
        folder: Where to.
        opacity: How strongly colours cover the lesions, from 0 to 1.
        grader: Says grade, score and evidence of each.
    """

    folder: Path
    opacity: float
    grader: Grader


def _save_picture(path: Path, photo: bytes, lesions: Lesions, how: Pictures) -> list[str]:
    """Draw the picture of a photo; where it cannot be read at its full size, say so."""
    tasks = [PhotoTask(photo, name=lesions.file)]
    [[(_, answer)]] = how.grader.grade_tasks(tasks, batch_size=1, workers=0, keep_ungradable=False)
    try:
        picture = lesions.picture(answer, opacity=how.opacity)
    except (PhotoError, MemoryError) as error:
        return [f"  No picture: {error if isinstance(error, PhotoError) else 'it takes more memory than there is'}."]
    write_bytes(path, picture.jpeg())
    return []


def _values(finding: LesionFinding) -> list[float | None]:
    quadrants = [finding.by_quadrant.get(name) for name in QUADRANTS]
    return [finding.count, finding.disc_areas, *quadrants, finding.nearest]
