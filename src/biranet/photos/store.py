"""One photo file into a prepared folder: its image is stored, and what became of it is told in cells of the manifest.

Worker processes import this module and what it needs, so it stays free of tables and label files.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from biranet.errors import PhotoError
from biranet.files import write_bytes
from biranet.images import PREPARED_SHA256, image_digest, image_path, is_image_path, is_sha256, read_image
from biranet.photos import HEADER_GROUP
from biranet.photos.file_state import FILE_STATE_COLUMNS
from biranet.photos.fingerprint import FINGERPRINT_BYTES
from biranet.photos.formats import PhotoFile
from biranet.photos.journal import Outcome
from biranet.photos.prepare import Preparation, prepare_file
from biranet.photos.privacy.metadata import identifiers, patient_and_eye
from biranet.photos.quality import QUALITY_COLUMNS, Quality
from biranet.photos.read import read_source

GEOMETRY_COLUMNS = ("width_px", "height_px", "field_left_px", "field_top_px", "field_side_px")
"""Columns of the manifest after `biranet.manifest.MANIFEST_COLUMNS`: the photo's size, and its field."""

HEADER_COLUMNS = ("identifiers", HEADER_GROUP, "header_eye")
"""What the file's header holds: kinds of identifiers; a DICOM's patient as keyed hash, and its eye."""

MEASURED_COLUMNS = (
    *(*GEOMETRY_COLUMNS, *FILE_STATE_COLUMNS, *QUALITY_COLUMNS),
    *("fingerprint", *HEADER_COLUMNS, PREPARED_SHA256),
)
"""All columns that preparing fills in, after `biranet.manifest.MANIFEST_COLUMNS`."""

OUTCOME_COLUMNS = ("prepared", "status", "reason", "sha256", *MEASURED_COLUMNS)
"""What an outcome holds."""

_PIXELS = re.compile(r"-?[0-9]{0,9}")
_FINGERPRINT = re.compile(rf"([0-9a-f]{{{2 * FINGERPRINT_BYTES}}})?")
_EMPTY_OUTCOME = dict.fromkeys(OUTCOME_COLUMNS, "")


@dataclass(frozen=True)
class StoreTask:
    """A photo file to prepare.

    Attributes:
        file: Its name in the manifest.
        source: Where it is.
        out: The prepared folder.
        preparation: Size and quality.
        file_state: The file as last seen, by `FILE_STATE_COLUMNS`.
        candidates: Outcomes of this file and of others of the same length: one of them may be of the same photo.
        refused: Why the file must not be read; empty where it may.
    """

    file: str
    source: Path
    out: Path
    preparation: Preparation
    file_state: Outcome
    candidates: list[Outcome]
    refused: str = ""


def store_photo(task: StoreTask) -> tuple[str, Outcome]:
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
        return task.file, _EMPTY_OUTCOME | task.file_state | {"status": error.status, "reason": str(error)}
    sha256 = hashlib.sha256(data).hexdigest()
    for outcome in task.candidates:
        if outcome["sha256"] == sha256 and is_still_valid(task.out, outcome):
            return task.file, outcome | task.file_state
    file = PhotoFile(data)
    group, eye = patient_and_eye(file)
    header = {"identifiers": identifiers(file), HEADER_GROUP: group, "header_eye": eye}
    outcome_so_far = _EMPTY_OUTCOME | task.file_state | {"sha256": sha256} | header
    try:
        prepared = prepare_file(file, task.preparation)
    except PhotoError as error:
        return task.file, outcome_so_far | {"status": error.status, "reason": str(error)}
    image = image_path(sha256)
    _remove_special_file(task.out / image)
    # Waiting for the disk at every photo would cost a tenth of the time; the run waits once, before its manifest.
    write_bytes(task.out / image, prepared.jpeg, synced=False)
    measures = {} if prepared.quality is None else prepared.quality.cells()
    stored = {
        "prepared": image,
        "status": "ok",
        "width_px": str(prepared.width_px),
        "height_px": str(prepared.height_px),
        "field_left_px": str(prepared.field.left_px),
        "field_top_px": str(prepared.field.top_px),
        "field_side_px": str(prepared.field.side_px),
        "fingerprint": prepared.fingerprint,
        PREPARED_SHA256: image_digest(prepared.jpeg),
    }
    return task.file, outcome_so_far | measures | stored


def is_still_valid(out: Path, outcome: Outcome) -> bool:
    """Whether an outcome still stands: its cells are sound, and its image, if it has one, is the one that was stored.

    An unreadable photo is always tried again: permissions change, and what reads more kinds of files can be installed.
    """
    if outcome["status"] not in ("ok", "no_field") or not _is_well_formed(outcome):
        return False
    if outcome["status"] == "no_field":
        return outcome["prepared"] == ""
    if not is_image_path(outcome["prepared"], outcome["sha256"]) or not outcome[PREPARED_SHA256]:
        return False
    try:
        read_image(out / outcome["prepared"], outcome[PREPARED_SHA256])
    except OSError:
        return False
    return True


def _is_well_formed(outcome: Mapping[str, str]) -> bool:
    """Whether hash and measures have the form in which they were written: anyone may have edited a manifest."""
    try:
        measured = any(outcome[name] for name in QUALITY_COLUMNS)
        quality = Quality.from_cells(outcome) if measured else None
    except ValueError:
        return False
    as_written = quality is None or (
        quality.is_possible() and quality.cells() == {name: outcome[name] for name in QUALITY_COLUMNS}
    )
    pixels = all(_PIXELS.fullmatch(outcome[name]) for name in GEOMETRY_COLUMNS)
    printed = _FINGERPRINT.fullmatch(outcome["fingerprint"]) is not None
    return is_sha256(outcome["sha256"]) and as_written and pixels and printed


def _remove_special_file(path: Path) -> None:
    """Take away a link, a pipe or a device that stands in the place of an image: none is to be written through."""
    if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
        with suppress(OSError):
            path.unlink()
