"""The manifest: one row per photo that was given to `biranet prepare`, in `manifest.csv` of the prepared folder."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biranet.errors import InputError
from biranet.files import printable
from biranet.grades import parse_grade
from biranet.images import PREPARED_SHA256, is_image_path
from biranet.tables import parse_cells, read_table, write_table
from biranet.words import parse_eye

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_NAME = "manifest.csv"

OFFICIAL_SPLIT = "official_split"
"""Column with the part that the data set was published with; empty without one. `biranet split` starts from it."""

MANIFEST_COLUMNS = (
    "file", "prepared", "status", "reason", "grade", "group", "eye", "source", "split", "sha256", OFFICIAL_SPLIT,
)  # fmt: skip
"""The columns every manifest has, in this order; crop geometry and the label file's further columns follow."""

GROUP_FROM = "group_from"
"""Column that says where the group comes from, one of `GROUPS_FROM`; manifests of older versions lack it."""

GUESSED_FROM = ("name", "folder")
"""Where a group is guessed from: the name of the file, or the folder it lies in."""

OWN_GROUP = "photo"
"""What `GROUP_FROM` says of a photo of whose patient nothing is known, so that it is its own group."""

GROUPS_FROM = ("labels", "data set", "header", *GUESSED_FROM, OWN_GROUP)
"""Where a group comes from: a column of the labels, what the data set publishes, the header of a DICOM file; a guess;
or nowhere."""

ROW_SHA256 = "row_sha256"
"""Column with the `row_digest` of the row; empty where an older version did not write it."""

STATUSES = ("ok", "ungradable", "unreadable", "no_field")
"""What became of a photo. Only `ok` photos are trained on and evaluated."""

SPLITS = ("train", "validation", "calibration", "test")
"""The parts of a split: train learns, validation chooses, calibration sets thresholds, test is read once."""

FOLD_PREFIX = "fold_"
"""Columns `fold_0`, `fold_1`, … each hold a whole split, in which that fold is the test part."""


def read_manifest(prepared: Path) -> "pd.DataFrame":
    """Read the manifest of a prepared folder.

    Args:
        prepared: The folder that `biranet prepare` wrote.

    Returns:
        The table: `grade` as `Int64` (missing where not graded), `eye` as left, right or empty, all else strings.

    Raises:
        InputError: If the folder or the manifest is missing, a value is not allowed, a photo stands there twice, or an
            image is not where that of the photo belongs.
    """
    import pandas as pd

    path = prepared / MANIFEST_NAME
    if not os.path.lexists(path):
        raise InputError(
            f"{prepared} holds no {MANIFEST_NAME}; "
            f"make it from your photographs with: biranet prepare PHOTOS {prepared}"
        )
    if not path.is_file():
        # A pipe would be waited for.
        raise InputError(f"{path} is no regular file; take it away, and run `biranet prepare` again")
    table = read_table(path, MANIFEST_COLUMNS)
    grades, eyes = parse_cells(table, "grade", path, parse_grade), parse_cells(table, "eye", path, parse_eye)
    table["grade"] = pd.Series(grades, index=table.index, dtype="Int64")
    table["eye"] = pd.Series(eyes, index=table.index, dtype=object)
    _check_values(table, path)
    _check_unique(table, path)
    _check_image_paths(table, path)
    if ROW_SHA256 in table:
        _check_digests(table, path)
    return table


def _check_values(table: "pd.DataFrame", path: Path) -> None:
    """Refuse values other than those that a column may have."""
    allowed_in: dict[str, tuple[str, ...]] = {"status": STATUSES}
    if GROUP_FROM in table:
        allowed_in[GROUP_FROM] = ("", *GROUPS_FROM)
    allowed_in |= dict.fromkeys(("split", OFFICIAL_SPLIT, *fold_columns(table)), ("", *SPLITS))
    for column, allowed in allowed_in.items():
        invalid = table.loc[~table[column].isin(allowed), column]
        if len(invalid):
            row, value = invalid.index[0], invalid.iloc[0]
            choices = ", ".join(name for name in allowed if name)
            raise InputError(f"{path}, row {row}, column {column!r}: {value!r} is not one of {choices}")


def _check_unique(table: "pd.DataFrame", path: Path) -> None:
    """Refuse a photo that stands in two rows."""
    repeated = table.loc[table["file"].duplicated(), "file"]
    if len(repeated):
        row, file = repeated.index[0], repeated.iloc[0]
        first = table.index[table["file"] == file][0]
        raise InputError(
            f"{path}: the photo {file!r} stands in row {first} and again in row {row}; leave the right row"
        )


def _check_image_paths(table: "pd.DataFrame", path: Path) -> None:
    """Refuse an image elsewhere than where that of the photo belongs."""
    for row, image, sha256 in zip(table.index, table["prepared"], table["sha256"], strict=True):
        if image and not is_image_path(image, sha256):
            raise InputError(
                f"{path}, row {row}, column 'prepared': {image!r} is not where the image of this photo stands, by its "
                "sha256; run `biranet prepare` again to restore it"
            )


def _check_digests(table: "pd.DataFrame", path: Path) -> None:
    """Refuse a row whose cells are not those that were stored together."""
    names = [name for name in _DIGESTED_COLUMNS if name in table]
    rows = zip(*(table[name] for name in names), strict=True)
    for row, cells, digest in zip(table.index, rows, table[ROW_SHA256], strict=True):
        if digest and digest != row_digest(dict(zip(names, cells, strict=True))):
            raise InputError(
                f"{path}, row {row}: the hashes and the fingerprint are not those that were stored for "
                f"{printable(cells[0])}; the rows were mixed up, so run `biranet prepare` again to restore it"
            )


_DIGESTED_COLUMNS = ("file", "sha256", PREPARED_SHA256, "fingerprint")


def row_digest(row: Mapping[str, str]) -> str:
    """Sum up which photo a row tells of, and what is stored of it, so that no cells change rows unnoticed.

    Args:
        row: The cells of a manifest by column; those of a photo that has no image may be empty or missing.

    Returns:
        SHA-256 over name, hashes and fingerprint.
    """
    return hashlib.sha256("\0".join(row.get(name, "") for name in _DIGESTED_COLUMNS).encode()).hexdigest()


def write_manifest(prepared: Path, table: "pd.DataFrame") -> None:
    """Write the manifest of a prepared folder, the fixed columns first.

    Args:
        prepared: The prepared folder.
        table: Rows with at least `MANIFEST_COLUMNS`.
    """
    extra_columns = [name for name in table.columns if name not in MANIFEST_COLUMNS]
    write_table(prepared / MANIFEST_NAME, table[[*MANIFEST_COLUMNS, *extra_columns]])


def graded_photos(table: "pd.DataFrame") -> "pd.DataFrame":
    """Select the rows that can be learned from or scored: status `ok`, with a grade."""
    return table[(table["status"] == "ok") & table["grade"].notna()]


def select_part(table: "pd.DataFrame", part: str, column: str, prepared: Path) -> "pd.DataFrame":
    """Select the photos of one part of a split that have a grade.

    Args:
        table: The manifest, or rows of it.
        part: `train`, `validation`, `calibration`, `test`, or `all`.
        column: Column with the split.
        prepared: The prepared folder, for the errors.

    Returns:
        Its rows, numbered anew; at least one.

    Raises:
        InputError: If there is no such column, or the part is empty.
    """
    photos = graded_photos(table)
    if part != "all" and column not in photos:
        raise InputError(f"{prepared} has no split {column!r}; make folds with: biranet split {prepared} --folds 5")
    selected = photos if part == "all" else photos[photos[column] == part]
    if part == "all" and selected.empty:
        raise InputError(f"{prepared} has no graded photos; give grades with: biranet prepare … --labels FILE")
    if selected.empty:
        counts = photos.loc[photos[column] != "", column].value_counts()
        parts = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none; run biranet split"
        raise InputError(f"{prepared} has no graded photos in the part {part!r}; its parts are: {parts}")
    return selected.reset_index(drop=True)


def training_set_digest(table: "pd.DataFrame", column: str) -> str:
    """Sum up which photos a model learns from, or is chosen on, under a split.

    Args:
        table: A manifest.
        column: Column with the split.

    Returns:
        SHA-256 over the hashes of the photos in the train and validation parts; their order does not matter.
    """
    photos = graded_photos(table)
    hashes = photos.loc[photos[column].isin(["train", "validation"]), "sha256"]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def photos_digest(table: "pd.DataFrame", columns: Sequence[str]) -> str:
    """Sum up what something depends on of a table of photos.

    Args:
        table: A manifest, or some of its rows.
        columns: What it depends on.

    Returns:
        SHA-256 over these columns of all rows, in their order.
    """
    return hashlib.sha256(table[list(columns)].to_csv(index=False).encode()).hexdigest()


def fold_columns(table: "pd.DataFrame") -> list[str]:
    """List the columns that hold the splits of folds, in order."""
    return [name for name in table.columns if name.startswith(FOLD_PREFIX)]
