"""One photo file into a prepared folder: its image is stored, and what became of it is told in cells of the manifest.

Worker processes import this module and what it needs, so it stays free of tables and label files.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from biranet.errors import PhotoError
from biranet.files import write_bytes
from biranet.photos import HEADER_GROUP
from biranet.photos.journal import Outcome
from biranet.photos.metadata import dicom_identity, identifiers
from biranet.photos.prepare import Preparation, prepare_photo
from biranet.photos.quality import QUALITY_COLUMNS
from biranet.photos.read import read_source

GEOMETRY_COLUMNS = (
    "width_px", "height_px", "field_left_px", "field_top_px", "field_side_px", "source_bytes", "source_mtime_ns",
)  # fmt: skip
"""Columns of the manifest after `biranet.manifest.COLUMNS`: the photo's size, its field, and the file as last seen."""

HEADER_COLUMNS = ("identifiers", HEADER_GROUP, "header_eye")
"""What the file's header holds: kinds of identifiers; a DICOM's patient as keyed hash, and its eye."""

MEASURED_COLUMNS = (*GEOMETRY_COLUMNS, *QUALITY_COLUMNS, "fingerprint", *HEADER_COLUMNS)
"""All columns that preparing fills in, after `biranet.manifest.COLUMNS`."""

OUTCOME_COLUMNS = ("prepared", "status", "reason", "sha256", *MEASURED_COLUMNS)
"""What an outcome holds."""

_JPEG_END = b"\xff\xd9"
_NOTHING = dict.fromkeys(OUTCOME_COLUMNS, "")


@dataclass(frozen=True)
class Task:
    """A photo file to prepare.

    Attributes:
        file: Its name in the manifest.
        source: Where it is.
        out: The prepared folder.
        preparation: Size and quality.
        seen: Length and date of the file as last seen.
        known: Outcomes of files of the same length: one of them may be the same photo under another name.
        refused: Why the file must not be read; empty where it may.
    """

    file: str
    source: Path
    out: Path
    preparation: Preparation
    seen: Outcome
    known: list[Outcome]
    refused: str = ""


def store_photo(task: Task) -> tuple[str, Outcome]:
    """Prepare a photo file and store its image, named by the hash of the file.

    Args:
        task: The file.

    Returns:
        The file's name, and what became of it; the status is `ok`, `unreadable` or `no_field`.

    Raises:
        InputError: If the image cannot be written.
    """
    try:
        if task.refused:
            raise PhotoError("unreadable", task.refused)
        data = read_source(task.source)
    except PhotoError as error:
        return task.file, _NOTHING | task.seen | {"status": error.status, "reason": str(error)}
    sha256 = hashlib.sha256(data).hexdigest()
    for outcome in task.known:
        if outcome["sha256"] == sha256 and still_stored(task.out, outcome):
            return task.file, outcome | task.seen
    group, eye = dicom_identity(data)
    header = {"identifiers": identifiers(data), HEADER_GROUP: group, "header_eye": eye}
    found = _NOTHING | task.seen | {"sha256": sha256} | header
    try:
        prepared = prepare_photo(data, task.preparation)
    except PhotoError as error:
        return task.file, found | {"status": error.status, "reason": str(error)}
    place = f"images/{sha256[:2]}/{sha256}.jpg"
    # Waiting for the disk at every photo would cost a tenth of the time; the run waits once, before its manifest.
    write_bytes(task.out / place, prepared.jpeg, synced=False)
    measures = {} if prepared.quality is None else prepared.quality.cells()
    stored = {
        "prepared": place,
        "status": "ok",
        "width_px": str(prepared.width_px),
        "height_px": str(prepared.height_px),
        "field_left_px": str(prepared.field.left_px),
        "field_top_px": str(prepared.field.top_px),
        "field_side_px": str(prepared.field.side_px),
        "fingerprint": prepared.fingerprint,
    }
    return task.file, found | measures | stored


def still_stored(out: Path, outcome: Outcome) -> bool:
    """Whether an outcome still stands: its image, if it has one, is in the prepared folder and has its end.

    An unreadable photo is always tried again: permissions change, and what reads more kinds of files can be installed.
    """
    if outcome["status"] != "ok":
        return outcome["status"] == "no_field"
    try:
        with (out / outcome["prepared"]).open("rb") as image:
            # A power failure in the middle of a run may have left a file that was written without its end.
            image.seek(-len(_JPEG_END), os.SEEK_END)
            return image.read() == _JPEG_END
    except OSError:
        return False
