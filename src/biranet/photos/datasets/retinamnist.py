"""RetinaMNIST: photos and labels as arrays in one file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biranet.errors import InputError
from biranet.photos.datasets.labels import LabelEntry, SourceRow
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.parts import SPLIT_NAMES
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.formats.npz import ArraysError, open_arrays

_PARTS = ("train", "val", "test")
"""How the names of the arrays begin."""

_MAX_LABELS_BYTES = 100_000_000


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [
        path
        for path in folder.label_files
        if path.suffix.lower() == ".npz"
        and _may_be_retinamnist(path.name.lower(), is_given=path == folder.labels)
        and _parts(path)
    ]


def _may_be_retinamnist(name: str, *, is_given: bool) -> bool:
    # All sets of MedMNIST have these arrays; only this one holds grades. A file of another name must be given.
    return name.startswith("retinamnist") or (is_given and ("mnist" not in name or "retinamnist" in name))


def _parts(path: Path) -> list[str]:
    """List the parts that an `.npz` file holds; none where it is something else."""
    try:
        with open_arrays(path) as arrays:
            return [part for part in _PARTS if {f"{part}_images", f"{part}_labels"} <= arrays.names]
    except (OSError, ArraysError):
        return []


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    paths = _label_files(folder)
    if len(paths) > 1:
        raise InputError(f"{paths[0]} and {paths[1]} hold the same photos; name one of them with --labels")
    if not path.resolve().is_relative_to(folder.path.resolve()):
        raise InputError(f"{path} holds the photos as well as the labels; give the folder that it is in as PHOTOS")
    inside = path.resolve().relative_to(folder.path.resolve()).as_posix()
    for part in _parts(path):
        for item, label in enumerate(_read_part(path, part)):
            row = SourceRow(path / f"{part}_labels", item)
            yield LabelEntry(
                f"{inside}/{part}_images/{item:04d}",
                folder.parse_grade_cell(str(label), row),
                row,
                split=SPLIT_NAMES[part],
                source="retinamnist",
            )


def _read_part(path: Path, part: str) -> list[Any]:
    """Read the labels of a part, as many as it has photos, which are not read for that."""
    try:
        with open_arrays(path) as arrays:
            shape, dtype = arrays.head(f"{part}_images")
            if len(shape) not in (3, 4) or dtype != np.uint8:
                raise InputError(f"{path}: {part}_images is an array {shape} of {dtype}, not of pictures of 8 bits")
            count = shape[0]
            labels_shape, _ = arrays.head(f"{part}_labels")
            if labels_shape not in ((count,), (count, 1)):
                raise InputError(f"{path}: {part}_images holds {count} photos, {part}_labels an array {labels_shape}")
            labels: list[Any] = arrays.read(f"{part}_labels", _MAX_LABELS_BYTES).reshape(-1).tolist()
    except (OSError, ArraysError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return labels


RETINAMNIST = published_layout(
    "an array file with train_images and train_labels, or those of val or test",
    _label_files,
    _read,
    already_cropped=True,
)
