"""From a folder of photos to prepared squares and a manifest: one run, or many that each go on where the last ended.

A prepared folder holds `manifest.csv`, `preparation.json` and `images/<two digits>/<sha256 of the photo file>.jpg`.
While a run lasts, `progress.jsonl` gets one line a photo, so a killed run loses nothing. `prepare_photo` is the one way
from a photo to the bytes of its prepared image, for this folder and for grading; `decode_prepared` is the one way back.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from tqdm import tqdm

from biranet.errors import InputError, PhotoError
from biranet.files import read_json, write_bytes, write_json
from biranet.manifest import COLUMNS, FOLD_PREFIX, MANIFEST_NAME, OFFICIAL_SPLIT, read_manifest, write_manifest
from biranet.photos.datasets import PREPARATION_NAME, LabelledPhoto, read_labels
from biranet.photos.field import Field, cut_field, find_field
from biranet.photos.parallel import in_processes
from biranet.photos.read import read_photo, read_source
from biranet.tables import read_table

VERSION = 1
"""Rises whenever the same photo would give other pixels."""

JPEG_QUALITY = 95
"""Quality of the stored JPEG, always with full colour resolution (4:4:4)."""

GEOMETRY_COLUMNS = (
    "width_px", "height_px", "field_left_px", "field_top_px", "field_side_px", "source_bytes", "source_mtime_ns",
)  # fmt: skip
"""Columns of the manifest after `biranet.manifest.COLUMNS`: the photo's size, its field, and the file as last seen."""

_JOURNAL_NAME = "progress.jsonl"
_OUTCOME = ("prepared", "status", "reason", "sha256", *GEOMETRY_COLUMNS)
_SEEN = ("source_bytes", "source_mtime_ns")

Outcome = dict[str, str]
"""What became of a photo: the cells of `_OUTCOME`."""


@dataclass(frozen=True)
class Preparation:
    """How photos are prepared; it travels in the checkpoint, which refuses photos prepared otherwise.

    Attributes:
        version: Version of the method.
        size_px: Side of the prepared square.
        jpeg_quality: JPEG quality, 1 to 95.
    """

    version: int = VERSION
    size_px: int = 610
    jpeg_quality: int = JPEG_QUALITY

    def __post_init__(self) -> None:
        """Refuse sizes that no network could use."""
        if self.size_px < 32:
            raise InputError(f"--size must be at least 32 pixels, not {self.size_px}")

    def as_dict(self) -> dict[str, int]:
        """Return the settings as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str) -> "Preparation":
        """Build from plain values.

        Args:
            values: As `as_dict` gives them.
            origin: Where they come from, for the error.

        Raises:
            InputError: If they are not the settings of this version.
        """
        try:
            preparation = cls(**{name: int(value) for name, value in values.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{origin} does not hold the settings of a preparation: {error}") from error
        if preparation.version != VERSION:
            raise InputError(
                f"{origin} was made by version {preparation.version} of the preparation, this is version {VERSION}; "
                "prepare the photographs anew into another folder"
            )
        return preparation


@dataclass(frozen=True)
class Prepared:
    """A prepared photo.

    Attributes:
        jpeg: Bytes of the prepared image, without metadata.
        field: The square that was cut.
        width_px: Width of the upright photo.
        height_px: Height of the upright photo.
        sha256: Hash of the photo file's bytes, hexadecimal.
    """

    jpeg: bytes
    field: Field
    width_px: int
    height_px: int
    sha256: str


def prepare_photo(source: Path | bytes, preparation: Preparation) -> Prepared:
    """Prepare one photo: read it, cut it to its field, and encode the square.

    Args:
        source: A picture file, or its bytes.
        preparation: Size and quality.

    Returns:
        The bytes to store or to grade, with what is known of the photo.

    Raises:
        PhotoError: If the photo cannot be read or has no field.
    """
    data = read_source(source)
    photo = read_photo(data)
    field = find_field(photo)
    square = cut_field(photo, field, preparation.size_px)
    encoded = io.BytesIO()
    Image.fromarray(square).save(encoded, "JPEG", quality=preparation.jpeg_quality, subsampling=0)
    height_px, width_px = photo.shape[:2]
    return Prepared(encoded.getvalue(), field, width_px, height_px, hashlib.sha256(data).hexdigest())


def decode_prepared(jpeg: bytes) -> npt.NDArray[np.uint8]:
    """Decode the bytes of a prepared image; training and grading both come through here.

    Args:
        jpeg: Bytes from `prepare_photo`, or of a file below `images/`.

    Returns:
        Pixels (H, W, 3), uint8, RGB.

    Raises:
        PhotoError: If the bytes are not a whole picture.
    """
    return read_photo(jpeg)


def read_preparation(prepared_dir: Path) -> Preparation:
    """Read how a prepared folder was made.

    Raises:
        InputError: If the folder is not a prepared one, or another version made it.
    """
    path = prepared_dir / PREPARATION_NAME
    if not path.is_file():
        raise InputError(
            f"{prepared_dir} holds no {PREPARATION_NAME}; make it with: biranet prepare PHOTOS {prepared_dir}"
        )
    return Preparation.from_dict(read_json(path), str(path))


def prepare_folder(
    photos: Path,
    out: Path,
    *,
    labels: Path | None = None,
    dataset: str = "auto",
    size_px: int = 610,
    workers: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Prepare all photos of a folder, or those that are new or changed since the last run.

    A photo that cannot be used becomes a row with a status and a reason. Labels are always taken anew. A split that
    `biranet split` wrote stays as long as nothing else in the manifest changes.

    Args:
        photos: Folder of photos.
        out: The prepared folder, new or from an earlier run at the same size.
        labels: Label file, see `biranet.photos.datasets.read_labels`.
        dataset: Layout of the labels, a key of `biranet.photos.datasets.DATASETS` or `auto`.
        size_px: Side of the prepared squares, at least 32.
        workers: Processes that prepare photos; the result is the same for any number.
        progress: Show a bar where standard error is a terminal.

    Returns:
        The manifest, as `biranet.manifest.read_manifest` gives it.

    Raises:
        InputError: If folder, labels or size are wrong, or the disk is full.
    """
    preparation = Preparation(size_px=size_px)
    if workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
    listed = read_labels(photos, labels, dataset)
    _check_out(photos, out, preparation)
    write_json(out / PREPARATION_NAME, preparation.as_dict())
    killed = (out / _JOURNAL_NAME).exists()
    earlier = _earlier_outcomes(out)
    same_size: dict[str, list[Outcome]] = {}
    for outcome in earlier.values():
        same_size.setdefault(outcome["source_bytes"], []).append(outcome)
    done: dict[str, Outcome] = {}
    tasks = []
    for photo in listed:
        seen = _look_at(photos / photo.file)
        outcome = earlier.get(photo.file, {})
        if seen["source_bytes"] and seen.items() <= outcome.items() and _still_there(out, outcome):
            done[photo.file] = outcome
        else:
            known = same_size.get(seen["source_bytes"], []) if seen["source_bytes"] else []
            tasks.append(_Task(photos, photo.file, out, preparation, seen, known))
    bar = tqdm(total=len(listed), initial=len(done), unit="photo", disable=None if progress else True)
    with bar, _journal(out) as journal, closing(in_processes(_prepare_one, tasks, workers)) as outcomes:
        for file, outcome in outcomes:
            done[file] = outcome
            journal.write(json.dumps({"file": file, **outcome}) + "\n")
            journal.flush()
            bar.update()
    _write(out, [_row(photo, done[photo.file]) for photo in listed])
    if killed:
        for partial in out.rglob(".*.partial.*"):
            partial.unlink(missing_ok=True)
    (out / _JOURNAL_NAME).unlink()
    return read_manifest(out)


@dataclass(frozen=True)
class _Task:
    photos: Path
    file: str
    out: Path
    preparation: Preparation
    seen: Outcome
    known: list[Outcome]
    """Outcomes of files of the same length: one of them may be the same photo under another name."""


def _check_out(photos: Path, out: Path, preparation: Preparation) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder for the prepared photos")
    if out.resolve() == photos.resolve():
        raise InputError(f"{out} holds the photographs; name another folder for the prepared photos")
    if (out / PREPARATION_NAME).exists():
        made = read_preparation(out)
        if made != preparation:
            raise InputError(
                f"{out} was prepared at {made.size_px} px and JPEG quality {made.jpeg_quality}, not at "
                f"{preparation.size_px} px and {preparation.jpeg_quality}; "
                f"name another folder, or give --size {made.size_px}"
            )
    elif (out / MANIFEST_NAME).exists():
        raise InputError(f"{out} holds a {MANIFEST_NAME} that is not ours; name another folder for the prepared photos")


def _earlier_outcomes(out: Path) -> dict[str, Outcome]:
    """What earlier runs found, by file: the manifest, and the journal of a run that did not end."""
    found: dict[str, Outcome] = {}
    if (out / MANIFEST_NAME).exists():
        table = read_table(out / MANIFEST_NAME, (*COLUMNS, *GEOMETRY_COLUMNS))
        found = {row["file"]: {name: row[name] for name in _OUTCOME} for row in table.to_dict("records")}
    journal = out / _JOURNAL_NAME
    if journal.exists():
        for line in journal.read_bytes().splitlines():
            try:
                row = json.loads(line)
                found[row["file"]] = {name: row[name] for name in _OUTCOME}
            except (ValueError, KeyError, TypeError):
                continue  # The line that the kill tore; its photo is prepared again.
    return found


def _look_at(path: Path) -> Outcome:
    try:
        state = path.stat()
    except OSError:
        return dict.fromkeys(_SEEN, "")
    return dict(zip(_SEEN, (str(state.st_size), str(state.st_mtime_ns)), strict=True))


def _still_there(out: Path, outcome: Outcome) -> bool:
    return outcome["status"] != "ok" or (out / outcome["prepared"]).is_file()


def _prepare_one(task: _Task) -> tuple[str, Outcome]:
    nothing = dict.fromkeys(_OUTCOME, "")
    try:
        data = read_source(task.photos / task.file)
    except PhotoError as error:
        # Without a trace of the file as seen, so that it is tried again: permissions change without a new date.
        return task.file, nothing | {"status": error.status, "reason": str(error)}
    sha256 = hashlib.sha256(data).hexdigest()
    for outcome in task.known:
        if outcome["sha256"] == sha256 and _still_there(task.out, outcome):
            return task.file, outcome | task.seen
    found = nothing | task.seen | {"sha256": sha256}
    try:
        prepared = prepare_photo(data, task.preparation)
    except PhotoError as error:
        return task.file, found | {"status": error.status, "reason": str(error)}
    place = f"images/{sha256[:2]}/{sha256}.jpg"
    write_bytes(task.out / place, prepared.jpeg)
    return task.file, found | {
        "prepared": place,
        "status": "ok",
        "width_px": str(prepared.width_px),
        "height_px": str(prepared.height_px),
        "field_left_px": str(prepared.field.left_px),
        "field_top_px": str(prepared.field.top_px),
        "field_side_px": str(prepared.field.side_px),
    }


@contextmanager
def _journal(out: Path) -> Iterator[TextIO]:
    path = out / _JOURNAL_NAME
    try:
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as journal:
            journal.write("\n" if torn else "")
            yield journal
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; make room and run the command again, "
            "finished photos are kept"
        ) from error


def _row(photo: LabelledPhoto, outcome: Outcome) -> dict[str, str]:
    labels = dataclasses.asdict(photo)
    further = labels.pop("further")
    row = dict.fromkeys((*COLUMNS, *GEOMETRY_COLUMNS), "") | outcome | labels
    row[OFFICIAL_SPLIT] = photo.split
    row["grade"] = "" if photo.grade is None else str(photo.grade)
    for name, value in further.items():
        while name in row or name.startswith(FOLD_PREFIX):
            name = f"label_{name}"
        row[name] = value
    return row


def _write(out: Path, rows: list[dict[str, str]]) -> None:
    table = pd.DataFrame(rows)
    if (out / MANIFEST_NAME).exists():
        old = read_table(out / MANIFEST_NAME)
        divided = old["split"].tolist()
        old = old[[name for name in old.columns if name != "split" and not name.startswith(FOLD_PREFIX)]]
        new = table.drop(columns="split")
        same = list(old.columns) == list(new.columns) and old.to_numpy().tolist() == new.to_numpy().tolist()
        if same and all(split in ("", was) for split, was in zip(table["split"], divided, strict=True)):
            return
    write_manifest(out, table)
