"""The audit: what in a manifest would make results too good to be true, or give people away.

A pure function of the manifest's table, and one that reads all images. The command line prints the findings of both
and writes them to `audit.json`; training asks the first before it begins, and holds each image against its digest when
it reads it.
"""

import dataclasses
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from biranet.console import progress_bar
from biranet.errors import InputError
from biranet.files import printable
from biranet.images import PREPARED_SHA256, read_image
from biranet.manifest import (
    GROUP_FROM,
    GUESSED_FROM,
    OWN_GROUP,
    ROW_SHA256,
    SPLITS,
    fold_columns,
    graded_photos,
    read_manifest,
)
from biranet.outputs import file_kind, holds_keys
from biranet.photos import CONTRADICTORY, HEADER_GROUP, PREPARATION_NAME
from biranet.photos.copies import connected_components, near_identical_pairs
from biranet.photos.findings import Finding, summarize_cases
from biranet.photos.prepare import read_preparation
from biranet.words import EYES, split_eye_suffix

AUDIT_NAME = "audit.json"
"""The file in the prepared folder that holds all findings."""

AUDIT = file_kind("an audit", lambda path: holds_keys(path, "photos", "refused", "findings"))
"""What `as_json` is written to."""

COPIES = ("byte-identical files", "near-identical photos")
CONFLICTING_GRADES = "conflicting grades"
"""Kinds of findings on photos that are there more than once, and on grades of theirs."""

_NEEDED_COLUMNS = ("file", "status", "grade", "group", "eye")
_MAX_PHOTOS_OF_EYE = 10
_INFLATED = "Results on it would be too good to be true"


def audit(
    table: pd.DataFrame | Path | str,
    columns: Sequence[str] | None = None,
) -> list[Finding]:
    """Look for copies, contradictions, leaks between parts, patients that are not known for certain, and identifiers.

    Copies and contradictions are looked for among all photos, leaks among those that are graded and usable.

    Args:
        table: A manifest, or its prepared folder. What columns that an older version lacks would show is not found, and
            a finding says so.
        columns: Columns with the splits to look at; `split` and all folds when not given.

    Returns:
        What was found, first what training is refused for; empty where all is well.

    Raises:
        InputError: If the folder holds no manifest, or the table is none.

    Example:
        >>> import biranet
        >>> table = pd.DataFrame({
        ...     "file": ["a.jpg", "b.jpg"], "status": "ok", "grade": [0, 2], "group": ["1", "2"], "eye": "left",
        ...     "split": "", "official_split": "", "sha256": "00", "fingerprint": "01" * 120,
        ...     "identifiers": ["", "EXIF: date"],
        ... })
        >>> [(finding.kind, finding.count, finding.refuses) for finding in biranet.audit(table)]
        [('byte-identical files', 1, False), ('conflicting grades', 1, False), ('identifiers', 1, False)]
    """
    table = table if isinstance(table, pd.DataFrame) else read_manifest(Path(table))
    columns = ["split", *fold_columns(table)] if columns is None else list(columns)
    missing = [name for name in (*_NEEDED_COLUMNS, *columns) if name not in table]
    if missing:
        raise InputError(
            f"the table has no column {missing[0]!r}; give a manifest, or the prepared folder that holds it"
        )
    return audit_manifest(table, columns, find_duplicate_sets(table))


def audit_manifest(table: pd.DataFrame, columns: Sequence[str], duplicate_sets: npt.NDArray[np.int64]) -> list[Finding]:
    """Audit a manifest as `audit` does, its copies being known.

    Args:
        table: The manifest.
        columns: Columns with the splits to look at.
        duplicate_sets: What `find_duplicate_sets` gives for this table, (rows,), int64.
    """
    findings: list[Finding] = []
    for column in columns:
        findings += _leaks(table, duplicate_sets, column)
    findings += _copies(table, duplicate_sets)
    findings += _patients(table)
    findings += _identifiers(table)
    return findings + _missing_evidence(table)


def _missing_evidence(table: pd.DataFrame) -> list[Finding]:
    """What cannot be checked, since an older version or a plain photo left it out."""
    usable = table[table["status"] == "ok"]
    imaged = table[_text_column(table, "prepared") != ""]
    findings = [
        summarize_cases(
            "no fingerprint",
            [[file] for file in usable.loc[_rows_without(usable, "fingerprint"), "file"]],
            "{first} has no fingerprint, so its near-identical copies are not found; {n} such in all. Prepare the "
            "photos again with this version; a photo without any detail in its field never gets one",
        ),
        summarize_cases(
            "image without digest",
            [[file] for file in imaged.loc[_rows_without(imaged, PREPARED_SHA256, ROW_SHA256), "file"]],
            "nothing tells whether the prepared image of {first} is its own, and the one that was stored; {n} such "
            "in all. Run `biranet prepare` again, which makes them anew",
        ),
    ]
    return [finding for finding in findings if finding.count]


def audit_images(prepared: Path, table: pd.DataFrame) -> list[Finding]:
    """Read all images of a prepared folder, with a progress bar.

    Each is held against its digest in the manifest, and the size that `preparation.json` says.

    Args:
        prepared: The prepared folder.
        table: Its manifest.

    Returns:
        Findings that refuse: `preparation.json` is missing or damaged; an image is missing, cannot be read, is not the
        one that was stored, or has another size.
    """
    try:
        size_px, preparation = read_preparation(prepared).size_px, []
    except InputError as error:
        size_px, preparation = 0, [Finding("no preparation", True, 1, [[PREPARATION_NAME]], str(error))]
    digests = _text_column(table, PREPARED_SHA256)
    changed, resized = [], []
    rows = zip(table["file"], table["status"], table["prepared"], digests, strict=True)
    for file, status, name, digest in progress_bar(rows, desc="images", total=len(table), unit="photo", leave=False):
        if name or status == "ok":
            try:
                with Image.open(io.BytesIO(read_image(prepared / name, digest))) as image:
                    if size_px and image.size != (size_px, size_px):
                        resized.append([file])
            except (OSError, Image.DecompressionBombError):
                changed.append([file])
    sentence = (
        "the prepared image of {first} is missing, or not the one that was stored; {n} such in all. "
        "Run `biranet prepare` again to restore it"
    )
    other_size = (
        f"the prepared image of {{first}} does not have the {size_px} px that {PREPARATION_NAME} says; {{n}} such in "
        "all. Prepare the photos again into another folder"
    )
    images = [
        summarize_cases("image missing or changed", changed, sentence),
        summarize_cases("image of another size", resized, other_size),
    ]
    return preparation + [dataclasses.replace(finding, refuses=True) for finding in images if finding.count]


def find_duplicate_sets(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Number what the photos show: rows with the same bytes, or linked by near-identical ones, have the same number.

    Args:
        table: A manifest; without a column `fingerprint` only identical bytes count.

    Returns:
        Numbers (rows,), int64, from 0.
    """
    near = near_identical_pairs(_text_column(table, "fingerprint").tolist())
    return connected_components(len(table), np.concatenate([_equal_pairs(table, "sha256"), near]))


def _leaks(table: pd.DataFrame, duplicate_sets: npt.NDArray[np.int64], column: str) -> list[Finding]:
    """What stands in more than one part of a split; `duplicate_sets` numbers what the photos show."""
    numbers = pd.Series(duplicate_sets, table.index)
    photos = graded_photos(table)
    photos = photos[photos[column].isin(SPLITS)]
    if photos[column].nunique() < 2:
        return []
    where = "" if column == "split" else f" ({column})"
    findings: list[Finding] = []
    reported: set[frozenset[str]] = set()
    for kind, what, key in (
        ("group", "the group {key}", photos["group"]),
        ("patient in headers", "the patient {key} in the headers of files", _text_column(photos, HEADER_GROUP)),
        ("byte-identical photo", "byte-identical photos with sha256 {key}", _text_column(photos, "sha256")),
        ("near-identical photo", "one photo in near-identical copies", numbers[photos.index]),
    ):
        # Rows are gathered only for keys that are divided, hardly ever any: to do so for every key takes seconds.
        is_divided = (photos[column].groupby(key).transform("nunique") > 1) & (key != "")
        divided = [
            (name, part)
            for name, part in photos[is_divided].groupby(key[is_divided], sort=False)
            if frozenset(part["file"]) not in reported
        ]
        if not divided:
            continue
        # What is divided as a whole group, or as identical bytes, need not be told again as near-identical.
        reported |= {frozenset(part["file"]) for _, part in divided}
        name, part = divided[0]
        first = part.drop_duplicates(column)
        names = " and ".join(
            f"{printable(file)} ({field})" for file, field in zip(first["file"], first[column], strict=True)
        )
        findings.append(
            Finding(
                f"{kind} in several parts{where}",
                True,
                len(divided),
                [part["file"].tolist() for _, part in divided],
                f"{what.format(key=name)} stands in more than one part of the split{where}: {names}; "
                f"{len(divided)} such in all. {_INFLATED}: make a new split with `biranet split`",
            )
        )
    return findings


def _copies(table: pd.DataFrame, duplicate_sets: npt.NDArray[np.int64]) -> list[Finding]:
    """Copies, and what their labels contradict."""
    identical, sets = (
        connected_components(len(table), _equal_pairs(table, "sha256")),
        _positions_by_number(duplicate_sets),
    )
    files = table["file"].to_numpy()
    findings = [
        summarize_cases(
            COPIES[0],
            [files[rows].tolist() for rows in _positions_by_number(identical)],
            "{first} are the same file, byte for byte; {n} such in all. A photo counts as often as it is there: delete "
            "the copies, or keep them where that is meant; a split keeps them together",
        ),
        summarize_cases(
            COPIES[1],
            [files[rows].tolist() for rows in sets if len(set(identical[rows])) > 1],
            "{first} show the same, compressed, resized, turned or exposed anew; {n} such in all. Look at them side by "
            "side and keep one of each; a split keeps them together",
        ),
        summarize_cases(
            CONFLICTING_GRADES,
            [files[rows].tolist() for rows in sets if table["grade"].iloc[rows].nunique() > 1],
            "{first} show the same and have different grades; {n} such in all. One must be wrong: ask for the right "
            "one, or leave these photos out",
        ),
        summarize_cases(
            "one eye as left and right",
            [files[rows].tolist() for rows in sets if set(EYES) <= set(table["eye"].iloc[rows])],
            "{first} show the same and are called left here and right there; {n} such in all. One must be wrong, or "
            "mirrored: correct the labels",
        ),
        summarize_cases(
            "eye other than in the header",
            [[file] for file in files[_opposite_eyes(table["eye"], _text_column(table, "header_eye"))]],
            "{first} is called left or right by its labels and the other by the header of its file; {n} such in all. "
            "One must be wrong: correct the labels",
        ),
        summarize_cases(
            "eye other than in the name",
            [[file] for file in files[_opposite_eyes(table["eye"], table["file"].map(_eye_in_name))]],
            "{first} is called left or right by its labels and the other by the end of its name; {n} such in all. "
            "One must be wrong: correct the labels, unless the name means something else",
        ),
        summarize_cases(
            "both eyes in the header",
            [[file] for file in files[np.asarray(_text_column(table, "header_eye") == CONTRADICTORY)]],
            "{first} is called left in one place of the header of its file and right in another; {n} such in all. "
            "None of it was used: say in the labels which eye it is",
        ),
    ]
    return [finding for finding in findings if finding.count]


def _opposite_eyes(eyes: "pd.Series[str]", others: "pd.Series[str]") -> npt.NDArray[np.bool_]:
    """Which rows (n,) are left by one and right by the other."""
    return np.asarray(eyes.isin(EYES) & others.isin(EYES) & (eyes != others))


def _eye_in_name(file: str) -> str:
    return split_eye_suffix(file)[1]


def _patients(table: pd.DataFrame) -> list[Finding]:
    """Patients that may be others than the groups say: all that keeps parts apart rests on them."""
    origin = _text_column(table, GROUP_FROM)
    shots = table.groupby(["group", "eye"])["file"].transform("size")
    many = table["eye"].isin(EYES) & (shots > _MAX_PHOTOS_OF_EYE)
    guessed = _files_by(table[origin.isin(GUESSED_FROM)], ["group"])
    findings = [
        summarize_cases(
            "guessed patients",
            [files for files in guessed if len(files) > 1],
            "{first} are taken for photos of one patient by the names of files or folders; {n} such patients in all. "
            "Where that is wrong, one patient may stand in several parts: look at the column group, or name patients "
            "in a column group of the labels",
        ),
        summarize_cases(
            "guessed patients of one photo",
            [files for files in guessed if len(files) == 1],
            "{first} is taken for the only photo of its patient by the names of files or folders; {n} such in all. "
            "Where that is wrong, one patient may stand in several parts: name patients in a column group of labels",
        ),
        summarize_cases(
            "unknown patients",
            [[file] for file in table["file"][origin == OWN_GROUP]],
            "{first} is of an unknown patient; {n} such in all. Each is its own group, so two photos of one patient "
            "may stand in several parts: name patients in a column group of the labels",
        ),
        summarize_cases(
            "many photos of one eye in a group",
            _files_by(table[many], ["group", "eye"]),
            "{first} are all of one eye of one group; {n} such in all. Look whether this group is one patient",
        ),
    ]
    return [finding for finding in findings if finding.count]


def _files_by(table: pd.DataFrame, columns: list[str]) -> list[list[str]]:
    return [files.tolist() for _, files in table.groupby(columns, sort=False)["file"]]


def _identifiers(table: pd.DataFrame) -> list[Finding]:
    texts = _text_column(table, "identifiers")
    files = table.loc[texts != "", "file"].tolist()
    if not files:
        return []
    findings = [source.partition(": ") for cell in texts[texts != ""] for source in cell.split("; ")]
    kinds = Counter(f"{source}: {kind}" for source, _, names in findings for kind in names.split(", "))
    counts = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
    sentence = (
        f"{{first}} holds in its header what looks like a person, a date or a place; {{n}} such in all: {counts}. "
        "None of it was carried over into the prepared folder; clean the originals before you give them away"
    )
    return [summarize_cases("identifiers", [[file] for file in files], sentence)]


def _text_column(table: pd.DataFrame, column: str) -> "pd.Series[str]":
    """A column of texts; empty where an older version did not write it."""
    return table[column] if column in table else pd.Series("", index=table.index, dtype=object)


def _rows_without(table: pd.DataFrame, *columns: str) -> npt.NDArray[np.bool_]:
    """Which rows (n,) have an empty cell in one of these columns."""
    lacking = np.zeros(len(table), np.bool_)
    for column in columns:
        lacking |= np.asarray(_text_column(table, column) == "")
    return lacking


def _equal_pairs(table: pd.DataFrame, column: str) -> npt.NDArray[np.int64]:
    """Pairs (m, 2) of rows with the same text, each with the first of them."""
    cells = _text_column(table, column).to_numpy()
    named = np.flatnonzero(cells != "")
    numbers, texts = pd.factorize(cells[named])
    first = np.full(len(texts), len(cells))
    np.minimum.at(first, numbers, named)
    return np.column_stack([first[numbers], named]).astype(np.int64)


def _positions_by_number(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Positions that share a number, for all numbers that occur twice or more, in order."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))
