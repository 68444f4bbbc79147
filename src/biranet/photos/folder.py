"""From a folder of photos to prepared squares and a manifest: one run, or many that each go on where the last ended.

A prepared folder holds `manifest.csv`, `preparation.json` and `images/<two digits>/<sha256 of the photo file>.jpg`.
While a run lasts, `progress.jsonl` gets one line a photo, so a killed run loses only the few photos under way.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from biranet.cluster import Cluster
from biranet.console import progress_bar
from biranet.errors import InputError
from biranet.files import write_json
from biranet.grades import GRADES
from biranet.images import PREPARED_SHA256
from biranet.manifest import (
    FOLD_PREFIX,
    GROUP_FROM,
    MANIFEST_COLUMNS,
    MANIFEST_NAME,
    OFFICIAL_SPLIT,
    OWN_GROUP,
    ROW_SHA256,
    row_digest,
)
from biranet.outputs import write_lock
from biranet.photos import CONTACT_SHEET_NAME, CONTRADICTORY, HEADER_GROUP, PREPARATION_NAME
from biranet.photos.contact_sheet import write_contact_sheet
from biranet.photos.datasets import OUTSIDE, LabeledPhoto, Labels, LabelSource, outside, read_labels, remarks
from biranet.photos.file_state import FILE_STATE_COLUMNS, file_state
from biranet.photos.journal import Journal, open_journal
from biranet.photos.node import store_on_node, with_whole_paths
from biranet.photos.output_folder import check_output_folder, check_ownership, check_preparation, delete_orphans
from biranet.photos.parallel import exit_if_starting, map_in_processes
from biranet.photos.prepare import Preparation
from biranet.photos.quality import QUALITY_COLUMNS, Quality, why_ungradable
from biranet.photos.store import (
    MEASURED_COLUMNS,
    OUTCOME_COLUMNS,
    StoreTask,
    is_still_valid,
    store_photo,
)
from biranet.setting_names import setting
from biranet.tables import free_columns, read_rows, write_rows

_STANDARD_COLUMNS = (*MANIFEST_COLUMNS, GROUP_FROM, *MEASURED_COLUMNS, ROW_SHA256)
_MAX_FAILURES = 10


class Tally:
    """What is counted while the rows of a manifest pass by.

    Attributes:
        statuses: Number of photos by status.
        grades: Number of photos that are `ok`, by grade as text.
        groups_from: Number of photos by where their group comes from, see `biranet.manifest.GROUPS_FROM`.
        first_by_origin: The first photo and its group, for each of these.
        failures: File, status and reason of the first photos that are not `ok`.
        images: Places of the prepared images.
    """

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.grades: Counter[str] = Counter()
        self.groups_from: Counter[str] = Counter()
        self.first_by_origin: dict[str, tuple[str, str]] = {}
        self.failures: list[tuple[str, str, str]] = []
        self.images: set[str] = set()

    def count(self, rows: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
        """Count rows, and pass them on."""
        for row in rows:
            self.statuses[row["status"]] += 1
            self.images.add(row["prepared"])
            if row["status"] == "ok" and row["grade"]:
                self.grades[row["grade"]] += 1
            self.groups_from[row[GROUP_FROM]] += 1
            self.first_by_origin.setdefault(row[GROUP_FROM], (row["file"], row["group"]))
            if row["status"] != "ok" and len(self.failures) < _MAX_FAILURES:
                self.failures.append((row["file"], row["status"], row["reason"]))
            yield row


@dataclass(frozen=True)
class Summary:
    """What became of a folder of photos.

    Attributes:
        labels: The photos as listed, and how their labels were recognised.
        tally: What was counted of them.
        remarks: What is odd about the grades, in sentences; nothing where their meaning was given.
        has_contact_sheet: Whether there is a contact sheet, for which at least one photo must have been measured.
        split_dropped: Whether the manifest had a split and lost it, because photos or labels have changed.
        deleted_images: Number of images that were deleted, because no row names them any more.
    """

    labels: Labels
    tally: Tally
    remarks: tuple[str, ...]
    has_contact_sheet: bool
    split_dropped: bool
    deleted_images: int

    @property
    def photos(self) -> int:
        """Number of photos in all."""
        return sum(self.tally.statuses.values())

    @property
    def grades(self) -> tuple[int, ...]:
        """Number of photos that are `ok` and have each grade, (K,)."""
        return tuple(self.tally.grades[str(grade)] for grade in GRADES)


def prepare_folder(
    photos: Path,
    out: Path,
    *,
    labels: LabelSource | None = None,
    size_px: int = 610,
    keep_ungradable: bool = False,
    workers: int | Cluster = 0,
) -> Summary:
    """Prepare all photos of a folder, or those that are new or changed since the last run.

    A photo that cannot be used becomes a row with a status and a reason. Labels are always taken anew. An image that is
    missing or not what was stored is made again, and one that no row names any more is deleted. A split that
    `biranet split` wrote stays as long as the photos and their labels do not change. Memory grows with the number of
    photos only by their names and labels.

    Args:
        photos: Folder of photos.
        out: The prepared folder, new or from an earlier run at the same size.
        labels: Where the labels stand; among the photos when not given.
        size_px: Side of the prepared squares, at least 32.
        keep_ungradable: Give ungradable photos the status `ok`; the reason stays.
        workers: Processes that prepare photos, 0 for this one; or a Ray cluster, see `biranet.cluster.open_cluster`,
            all nodes of which have both folders under the same paths. The result is the same for all of them.

    Returns:
        What became of the photos; the manifest is in `out`.

    Raises:
        InputError: If folder, labels or size are wrong, `out` holds something that is not ours where we would write,
            another run is at work in it, or the disk is full.
    """
    if isinstance(workers, int) and workers < 0:
        raise InputError(f"{setting('workers')} must be at least 0, not {workers}")
    exit_if_starting()
    Preparation(size_px=size_px)  # before the labels of a large folder are read
    listed = read_labels(photos, labels)
    preparation = Preparation(size_px=size_px, already_cropped=listed.already_cropped)
    check_output_folder(photos, out)
    check_ownership(out)
    with write_lock(out, folder=True), open_journal(out, OUTCOME_COLUMNS) as journal:
        check_preparation(out, preparation)
        write_json(out / PREPARATION_NAME, preparation.as_dict())
        split = _load_earlier(out / MANIFEST_NAME, journal)
        with progress_bar(total=len(listed.photos), unit="photo") as bar:
            tasks = _pending_tasks(photos, listed, out, preparation, journal, bar.update)
            _store_photos(tasks, journal, workers, bar.update)
        names = _extra_column_names(listed.photos)
        rows = partial(_manifest_rows, listed.photos, names, journal, keep_ungradable=keep_ungradable)
        split_kept = _write_manifest(out / MANIFEST_NAME, [*_STANDARD_COLUMNS, *names.values()], rows, split=split)
        tally = Tally()
        has_contact_sheet = write_contact_sheet(out, tally.count(rows()), out / CONTACT_SHEET_NAME)
        deleted_images = delete_orphans(out, tally.images, resumed=journal.resumed)
    # Where the meaning of the labels was given, their grades are meant so.
    odd = () if labels and labels.grades else remarks([tally.grades[str(grade)] for grade in GRADES])
    return Summary(listed, tally, tuple(odd), has_contact_sheet, split and not split_kept, deleted_images)


def _store_photos(
    tasks: Iterable[StoreTask], journal: Journal, workers: int | Cluster, done: Callable[[], object]
) -> None:
    """Prepare what is left to do, each photo in the journal as soon as it is stored; `done` is called for each."""
    unsynced = journal.resumed
    if isinstance(workers, Cluster):
        results = workers.map(store_on_node, map(with_whole_paths, tasks))
    else:
        results = map_in_processes(store_photo, tasks, workers)
    with closing(results) as outcomes:
        for file, outcome in outcomes:
            journal.add(file, outcome)
            done()
            unsynced = unsynced or outcome["status"] == "ok"
    if unsynced:
        # The manifest must not name an image that a power failure could still take away.
        os.sync()


def _load_earlier(path: Path, journal: Journal) -> bool:
    """Take what an earlier run found into the journal, and tell whether its manifest has a split that we made.

    A manifest of an older version, which lacks some of what is found today, tells nothing, and neither does a row whose
    cells are not those that were stored together: these photos are done again.
    """
    split = False
    if path.exists():
        for row in read_rows(path, MANIFEST_COLUMNS):
            split = split or any(row[name] != row[OFFICIAL_SPLIT] for name in row if _is_split_column(name))
            usable = row.keys() >= set(OUTCOME_COLUMNS) and row.get(ROW_SHA256) == row_digest(row)
            if not usable or journal.find(row["file"]) is not None:
                continue
            outcome = {name: row[name] for name in OUTCOME_COLUMNS}
            if row["prepared"]:
                # Whether a prepared photo is gradable is decided anew, from its measures.
                outcome |= {"status": "ok", "reason": ""}
            journal.remember(row["file"], outcome)
    return split


def _pending_tasks(
    photos: Path,
    listed: Labels,
    out: Path,
    preparation: Preparation,
    journal: Journal,
    passed: Callable[[], object],
) -> Iterator[StoreTask]:
    """What is left to do, found out as it is asked for; `passed` is called for each photo that is done already."""
    for photo in listed.photos:
        state = file_state(photos / photo.file)
        outcome = journal.find(photo.file)
        if outcome and state.items() <= outcome.items() and is_still_valid(out, outcome):
            passed()
            continue
        candidates = journal.same_length(state["source_bytes"]) if state["source_bytes"] else []
        if outcome:
            candidates.insert(0, outcome)
        refused = _refusal(photos, photo.file, listed.hints)
        yield StoreTask(photo.file, photos / photo.file, out, preparation, state, candidates, refused)


def _refusal(photos: Path, file: str, hints: Mapping[str, str]) -> str:
    """Why a photo must not be read, or which one may be meant in its place."""
    if outside(photos, file):
        return OUTSIDE
    return f"no such file, {hints[file]}" if file in hints else ""


def _extra_column_names(listed: list[LabeledPhoto]) -> dict[str, str]:
    """Columns of the manifest for the further columns of the labels, whose names may be taken by ours."""
    names = (name for photo in listed for name in photo.extra_columns)
    return free_columns(names, _STANDARD_COLUMNS, _is_split_column)


def _manifest_rows(
    listed: list[LabeledPhoto], names: Mapping[str, str], journal: Journal, *, keep_ungradable: bool
) -> Iterator[dict[str, str]]:
    """The rows of the manifest, in the order of the labels."""
    empty = dict.fromkeys((*_STANDARD_COLUMNS, *names.values()), "")
    for photo in listed:
        row = empty | (journal.find(photo.file) or {})
        if row["status"] == "ok":
            measured = any(row[name] for name in QUALITY_COLUMNS)
            row["reason"] = photo.ungradable or (why_ungradable(Quality.from_cells(row)) if measured else "")
            if row["reason"] and not keep_ungradable:
                row["status"] = "ungradable"
        row |= {
            "file": photo.file,
            "grade": "" if photo.grade is None else str(photo.grade),
            "group": photo.group or row[HEADER_GROUP] or photo.file,
            GROUP_FROM: photo.group_from or ("header" if row[HEADER_GROUP] else OWN_GROUP),
            "eye": photo.eye or row["header_eye"].replace(CONTRADICTORY, ""),
            "source": photo.source,
            "split": photo.split,
            OFFICIAL_SPLIT: photo.split,
        }
        row[ROW_SHA256] = row_digest(row)
        yield row | {names[name]: value for name, value in photo.extra_columns.items()}


def _write_manifest(
    path: Path, header: list[str], rows: Callable[[], Iterator[dict[str, str]]], *, split: bool
) -> bool:
    """Write the manifest, with the split of an earlier one if that has the same photos; tell whether it was kept."""
    if not (split and _equal_except_split(path, rows())):
        write_rows(path, header, rows())
        return False
    folds = [name for name in next(_split_cells(path)) if name not in header]
    write_rows(path, [*header, *folds], (row | part for row, part in zip(rows(), _split_cells(path), strict=True)))
    return True


def _is_split_column(name: str) -> bool:
    return name == "split" or name.startswith(FOLD_PREFIX)


def _split_cells(path: Path) -> Iterator[dict[str, str]]:
    """The split of a manifest, row by row."""
    return ({name: value for name, value in row.items() if _is_split_column(name)} for row in read_rows(path))


def _equal_except_split(path: Path, rows: Iterator[dict[str, str]]) -> bool:
    """Whether a manifest holds these photos with these labels; the parts of an official split are among the rows.

    When and where the files were last seen does not matter, nor what an older version did not write down.
    """
    old = read_rows(path)
    for row in rows:
        was = next(old, {})
        of_no_matter = {
            *FILE_STATE_COLUMNS,
            PREPARED_SHA256,
            ROW_SHA256,
            *(name for name in _STANDARD_COLUMNS if name not in was),
        }
        theirs, ours = (
            {name: value for name, value in each.items() if name not in of_no_matter and not _is_split_column(name)}
            for each in (was, row)
        )
        if not was or theirs != ours:
            return False
    return next(old, None) is None
