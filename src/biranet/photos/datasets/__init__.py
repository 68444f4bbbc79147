"""Read the labels of a folder of photos, in any of the layouts that people publish.

A layout is one entry of `DATASETS`: how it is recognised, and how it is read. `docs/datasets.md` lists them. A new one
is a file like `eyepacs.py`, an entry here, its name in `biranet.commands.photos.DatasetName` and its rows in the docs.
"""

from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.aptos import APTOS
from biranet.photos.datasets.classes import CLASSES
from biranet.photos.datasets.ddr import DDR
from biranet.photos.datasets.deepdrid import DEEPDRID
from biranet.photos.datasets.eyepacs import EYEPACS
from biranet.photos.datasets.fgadr import FGADR
from biranet.photos.datasets.gdrbench import GDRBENCH
from biranet.photos.datasets.generic import FOLDER, TABLE
from biranet.photos.datasets.idrid import IDRID
from biranet.photos.datasets.labels import LabeledPhoto, Labels, LabelSource, SourceRow
from biranet.photos.datasets.layout import Layout
from biranet.photos.datasets.lists import TWO_LISTS
from biranet.photos.datasets.messidor2 import MESSIDOR2
from biranet.photos.datasets.patients import guess_patients
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.retinamnist import RETINAMNIST
from biranet.photos.datasets.scan import OUTSIDE, outside, refuse_prepared
from biranet.scale import Scale, remarks
from biranet.text_files import refuse_packed

__all__ = [
    "DATASETS", "OUTSIDE", "LabelSource", "LabeledPhoto", "Labels", "PhotoFolder", "SourceRow", "outside",
    "read_labels", "refuse_prepared", "remarks",
]  # fmt: skip

PUBLISHED: dict[str, Layout] = {
    "eyepacs": EYEPACS,
    "aptos": APTOS,
    "messidor2": MESSIDOR2,
    "idrid": IDRID,
    "ddr": DDR,
    "deepdrid": DEEPDRID,
    "fgadr": FGADR,
    "retinamnist": RETINAMNIST,
    "gdrbench": GDRBENCH,
    "lists": TWO_LISTS,
}
"""Layouts of data sets as they are published."""

GENERIC: dict[str, Layout] = {"csv": TABLE, "classes": CLASSES, "folder": FOLDER}
"""Layouts of anything else, in the order in which `auto` asks them; `folder` takes whatever has no labels."""

DATASETS: dict[str, Layout] = PUBLISHED | GENERIC
"""All layouts by name. `auto` asks the published ones first."""


def read_labels(photos: Path, source: LabelSource | None = None) -> Labels:
    """List the photos of a folder with their labels.

    Args:
        photos: Folder of photos, searched with everything below it.
        source: Where the labels stand; among the photos when not given.

    Returns:
        The photos, and how they were recognised.

    Raises:
        InputError: If folder, labels or a value in them are wrong; the sentence names file, row and value.
    """
    source = source or LabelSource()
    folder = _open(photos, source)
    name, why = _choose_layout(folder, source.dataset)
    layout = DATASETS[name]
    listed = guess_patients(_collect(folder, layout), classes=layout is CLASSES)
    folder.scale.refuse_unused()
    # An archive holds its photos itself: what lies beside it is not looked through.
    if layout.already_cropped:
        return Labels(listed, name, why, layout.already_cropped)
    files = dict.fromkeys(photo.file for photo in listed)
    return Labels(
        listed,
        name,
        why,
        layout.already_cropped,
        unlisted=sum(file not in files for file in folder.files),
        hints={file: hint for file in files if not folder.has_photo(file) and (hint := folder.hint(file))},
        skipped=folder.skipped,
        unused_label_files=_unused_label_files(folder, name, listed),
    )


def _unused_label_files(folder: PhotoFolder, dataset: str, listed: list[LabeledPhoto]) -> tuple[str, ...]:
    """List the files that may hold labels, where none was used and no photo has a grade."""
    if dataset not in ("folder", "classes") or any(photo.grade is not None for photo in listed):
        return ()
    return tuple(folder.unused_label_files())


def _open(photos: Path, source: LabelSource) -> PhotoFolder:
    if not photos.exists():
        raise InputError(f"there is no folder {photos}")
    if not photos.is_dir():
        raise InputError(f"{photos} is not a folder; give the folder that holds the photographs")
    refuse_prepared(photos)
    if source.file is not None and not source.file.exists():
        raise InputError(f"there is no label file {source.file}")
    if source.file is not None and source.file.suffix.lower() != ".npz":
        refuse_packed(source.file)
    return PhotoFolder(photos, source.file, source.columns, Scale(source.grades, source.ungradable))


def _choose_layout(folder: PhotoFolder, dataset: str) -> tuple[str, str]:
    """Return the name of the layout to read a folder by, and why it is that one."""
    if dataset not in ("auto", *DATASETS):
        raise InputError(f"there is no dataset layout {dataset!r}; known are: auto, {', '.join(DATASETS)}")
    if folder.columns:
        if dataset not in ("auto", "csv"):
            raise InputError(f"the layout {dataset!r} has its own columns; leave out --columns, or say --dataset csv")
        if folder.labels is None:
            raise InputError("--columns names columns of a table, but none was given; name it with --labels")
        return "csv", "its columns were named"
    return _recognize(folder) if dataset == "auto" else (dataset, "it was asked for")


def _recognize(folder: PhotoFolder) -> tuple[str, str]:
    """Find the layout of a folder, and by what it is known."""
    matches = {name: why for name, layout in PUBLISHED.items() if (why := layout.recognizes(folder))}
    if len(matches) > 1:
        first, second = list(matches)[:2]
        raise InputError(
            f"{folder.labels or folder.path} could be {first} ({matches[first]}) or {second} ({matches[second]}); "
            f"say which with --dataset {first} or --dataset {second}"
        )
    if matches:
        return matches.popitem()
    for name, layout in GENERIC.items():
        if why := layout.recognizes(folder):
            return name, why
    signatures = "; ".join(f"{name} has {layout.signature}" for name, layout in DATASETS.items())
    raise InputError(f"no layout fits {folder.labels or folder.path}; looked for: {signatures}")


def _collect(folder: PhotoFolder, layout: Layout) -> list[LabeledPhoto]:
    """Read all photos of a layout, and refuse labels that contradict each other or belong to other photos."""
    if not layout.already_cropped and not folder.files:
        skipped = f"; {folder.skipped}" if folder.skipped else ""
        raise InputError(f"{folder.path} holds no photographs (no file ends in .jpg, .png, .tif or the like){skipped}")
    photos: dict[str, LabeledPhoto] = {}
    rows: dict[str, SourceRow] = {}
    for entry in layout.read(folder):
        photo, row = folder.photo(entry), entry.row
        if row is not None:
            if photo.file in photos:
                raise InputError(_describe_repeat(photo, row, photos[photo.file], rows[photo.file]))
            rows[photo.file] = row
        photos[photo.file] = photo
    where = folder.labels or folder.path
    if not photos:
        raise InputError(f"{where} names no photos")
    if not layout.already_cropped and not any(map(folder.has_photo, photos)):
        hint = next((f", {hint}" for file in photos if (hint := folder.hint(file))), "")
        raise InputError(
            f"none of the photos that {where} names is in {folder.path}, for example {next(iter(photos))!r}{hint}"
        )
    return list(photos.values())


def _describe_repeat(photo: LabeledPhoto, row: SourceRow, first: LabeledPhoto, first_row: SourceRow) -> str:
    other_row = f"row {first_row.number}" if first_row.path == row.path else str(first_row)
    if photo.grade == first.grade:
        return f"{row}: the photo {photo.file!r} stands in {other_row} too; leave one of the rows"
    grades = ["no grade" if grade is None else f"grade {grade}" for grade in (photo.grade, first.grade)]
    return f"{row}: the photo {photo.file!r} has {grades[0]} here and {grades[1]} in {other_row}; leave the right row"
