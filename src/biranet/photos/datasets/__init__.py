"""Read the labels of a folder of photos, in any of the layouts that people publish.

A layout is one entry of `DATASETS`: how it is recognised, and how it is read. `docs/datasets.md` lists them.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.retinamnist import RETINAMNIST
from biranet.photos.datasets.classes import CLASSES
from biranet.photos.datasets.deepdrid import DEEPDRID, IDRID, MESSIDOR2
from biranet.photos.datasets.generic import FOLDER, TABLE, TWO_LISTS
from biranet.photos.datasets.eyepacs import APTOS, EYEPACS
from biranet.photos.datasets.layout import LabelledPhoto, Labels, Layout, PhotoFolder, Place
from biranet.photos.datasets.gdrbench import DDR, FGADR, GDRBENCH
from biranet.photos.datasets.patients import guess_patients
from biranet.photos.datasets.scan import OUTSIDE, outside, refuse_prepared
from biranet.scale import Scale, remarks
from biranet.texts import refuse_packed

__all__ = [
    "DATASETS", "OUTSIDE", "LabelledPhoto", "Labels", "PhotoFolder", "Place", "outside", "read_labels",
    "refuse_prepared", "remarks",
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

GENERAL: dict[str, Layout] = {"csv": TABLE, "classes": CLASSES, "folder": FOLDER}
"""Layouts of anything else, in the order in which `auto` asks them; `folder` takes whatever has no labels."""

DATASETS: dict[str, Layout] = PUBLISHED | GENERAL
"""All layouts by name. `auto` asks the published ones first."""


def read_labels(
    photos: Path,
    labels: Path | None = None,
    dataset: str = "auto",
    columns: Mapping[str, str] | None = None,
    grades: Mapping[str, str] | None = None,
    ungradable: Collection[str] = (),
) -> Labels:
    """List the photos of a folder with what is known of them.

    Args:
        photos: Folder of photos, searched with everything below it.
        labels: Label file, or a folder with label files; None where they lie among the photos, or where names and
            folders say all.
        dataset: A key of `DATASETS`, or `auto` for the one that recognises the layout.
        columns: For a table with columns of any name: our column (`file`, `grade`, `group`, `eye`, `split`, `source`),
            and theirs.
        grades: Where the labels are on another scale or in other words: their values, and the grade of each.
        ungradable: Values of the grade that mean that nobody could grade the photo.

    Returns:
        The photos, and how they were recognised.

    Raises:
        InputError: If folder, labels or a value in them are wrong; the sentence names file, row and value.
    """
    folder = _open(photos, labels, columns or {}, Scale(grades, ungradable))
    if dataset not in ("auto", *DATASETS):
        raise InputError(f"there is no dataset layout {dataset!r}; known are: auto, {', '.join(DATASETS)}")
    if folder.columns:
        if dataset not in ("auto", "csv"):
            raise InputError(f"the layout {dataset!r} has its own columns; leave out --columns, or say --dataset csv")
        if labels is None:
            raise InputError("--columns names columns of a table, but none was given; name it with --labels")
        dataset, why = "csv", "its columns were named"
    elif dataset == "auto":
        dataset, why = _recognise(folder)
    else:
        why = "it was asked for"
    layout = DATASETS[dataset]
    found = guess_patients(_collect(folder, layout), classes=layout is CLASSES)
    folder.scale.refuse_unused()
    named = {photo.file for photo in found}
    # An archive holds its photos itself: what lies beside it is not looked through.
    if layout.already_cropped:
        return Labels(found, dataset, why, layout.already_cropped)
    return Labels(
        found,
        dataset,
        why,
        layout.already_cropped,
        unlisted=sum(file not in named for file in folder.files),
        hints={file: hint for file in named if not folder.holds(file) and (hint := folder.hint(file))},
        passed_by=folder.passed_by,
        unused=_unused(folder, dataset, found),
    )


def _unused(folder: PhotoFolder, dataset: str, found: list[LabelledPhoto]) -> tuple[str, ...]:
    """Files that may hold labels, where none was used and no photo has a grade."""
    if dataset not in ("folder", "classes") or any(photo.grade is not None for photo in found):
        return ()
    return tuple(folder.unused_labels())


def _open(photos: Path, labels: Path | None, columns: Mapping[str, str], scale: Scale) -> PhotoFolder:
    if not photos.exists():
        raise InputError(f"there is no folder {photos}")
    if not photos.is_dir():
        raise InputError(f"{photos} is not a folder; give the folder that holds the photographs")
    refuse_prepared(photos)
    if labels is not None and not labels.exists():
        raise InputError(f"there is no label file {labels}")
    if labels is not None and labels.suffix.lower() != ".npz":
        refuse_packed(labels)
    return PhotoFolder(photos, labels, columns, scale)


def _recognise(folder: PhotoFolder) -> tuple[str, str]:
    """Find the layout of a folder, and by what it is known."""
    found = {name: why for name, layout in PUBLISHED.items() if (why := layout.recognises(folder))}
    if len(found) > 1:
        first, second = list(found)[:2]
        raise InputError(
            f"{folder.labels or folder.path} could be {first} ({found[first]}) or {second} ({found[second]}); "
            f"say which with --dataset {first} or --dataset {second}"
        )
    for name, layout in GENERAL.items() if not found else ():
        if why := layout.recognises(folder):
            return name, why
    if not found:
        known = "; ".join(f"{name} has {layout.marks}" for name, layout in DATASETS.items())
        raise InputError(f"no layout fits {folder.labels or folder.path}; looked for: {known}")
    return next(iter(found.items()))


def _collect(folder: PhotoFolder, layout: Layout) -> list[LabelledPhoto]:
    """Read all photos of a layout, and refuse labels that contradict each other or belong to other photos."""
    if not layout.already_cropped and not folder.files:
        passed_by = f"; {folder.passed_by}" if folder.passed_by else ""
        raise InputError(
            f"{folder.path} holds no photographs (no file ends in .jpg, .png, .tif or the like){passed_by}"
        )
    found: dict[str, LabelledPhoto] = {}
    places: dict[str, Place] = {}
    for photo, place in layout.read(folder):
        if place is not None:
            if photo.file in found:
                raise InputError(_twice(photo, place, found[photo.file], places[photo.file]))
            places[photo.file] = place
        found[photo.file] = photo
    where = folder.labels or folder.path
    if not found:
        raise InputError(f"{where} names no photos")
    if not layout.already_cropped and not any(folder.holds(file) for file in found):
        hint = next((f", {hint}" for file in found if (hint := folder.hint(file))), "")
        raise InputError(
            f"none of the photos that {where} names is in {folder.path}, for example {next(iter(found))!r}{hint}"
        )
    return list(found.values())


def _twice(photo: LabelledPhoto, place: Place, first: LabelledPhoto, first_place: Place) -> str:
    there = f"row {first_place.row}" if first_place.path == place.path else str(first_place)
    if photo.grade == first.grade:
        return f"{place}: the photo {photo.file!r} stands in {there} too; leave one of the rows"
    grades = ["no grade" if grade is None else f"grade {grade}" for grade in (photo.grade, first.grade)]
    return f"{place}: the photo {photo.file!r} has {grades[0]} here and {grades[1]} in {there}; leave the right row"
