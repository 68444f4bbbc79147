"""RetinaMNIST: photos and labels as arrays in one file."""

from pathlib import Path
from typing import Any

import numpy as np

from biranet.errors import InputError
from biranet.photos.datasets.layout import PhotoFolder, Place, Rows, published
from biranet.photos.npz import ArraysError, open_arrays

_PARTS = {"train": "train", "val": "validation", "test": "test"}
"""Parts as the names of the arrays have them, and as the manifest has them."""


def _parts(path: Path) -> list[str]:
    """The parts that an `.npz` file holds; none where it is something else."""
    try:
        with open_arrays(path) as arrays:
            return [part for part in _PARTS if {f"{part}_images", f"{part}_labels"} <= arrays.names]
    except (OSError, ArraysError):
        return []


def _array_files(folder: PhotoFolder) -> list[Path]:
    return [
        path
        for path in folder.label_files
        if path.suffix.lower() == ".npz"
        and _may_be_retinamnist(path.name.lower(), given=path == folder.labels)
        and _parts(path)
    ]


def _may_be_retinamnist(name: str, *, given: bool) -> bool:
    # All sets of MedMNIST have these arrays; only this one holds grades. A file of another name must be given.
    return name.startswith("retinamnist") or (given and ("mnist" not in name or "retinamnist" in name))


def _read_arrays(folder: PhotoFolder, path: Path) -> Rows:
    files = _array_files(folder)
    if len(files) > 1:
        raise InputError(f"{files[0]} and {files[1]} hold the same photos; name one of them with --labels")
    if not path.resolve().is_relative_to(folder.path.resolve()):
        raise InputError(f"{path} holds the photos as well as the labels; give the folder that it is in as PHOTOS")
    inside = path.resolve().relative_to(folder.path.resolve()).as_posix()
    for part in _parts(path):
        for item, label in enumerate(_read_labels(path, part)):
            place = Place(path / f"{part}_labels", item)
            photo = folder.photo(
                f"{inside}/{part}_images/{item:04d}",
                folder.graded(str(label), place),
                split=_PARTS[part],
                source="retinamnist",
            )
            yield photo, place


def _read_labels(path: Path, part: str) -> list[Any]:
    """The labels of a part, as many as it has photos, which are not read for that."""
    try:
        with open_arrays(path) as arrays:
            shape, dtype = arrays.head(f"{part}_images")
            if len(shape) not in (3, 4) or dtype != np.uint8:
                raise InputError(f"{path}: {part}_images is an array {shape} of {dtype}, not of pictures of 8 bits")
            count = shape[0]
            labelled, _ = arrays.head(f"{part}_labels")
            if labelled not in ((count,), (count, 1)):
                raise InputError(f"{path}: {part}_images holds {count} photos, {part}_labels an array {labelled}")
            labels: list[Any] = arrays.read(f"{part}_labels", _LONGEST_LABELS_BYTES).reshape(-1).tolist()
    except (OSError, ArraysError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return labels


_LONGEST_LABELS_BYTES = 100_000_000


RETINAMNIST = published(
    "an array file with train_images and train_labels, or those of val or test",
    _array_files,
    _read_arrays,
    already_cropped=True,
)
