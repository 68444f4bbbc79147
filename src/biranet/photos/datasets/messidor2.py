"""Messidor-2, with the adjudicated grades that Google published on Kaggle."""

import posixpath
from collections.abc import Iterator
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.scale import UNGRADABLE_IN_SET
from biranet.tables import read_header
from biranet.words import EYES

_COLUMNS = (("image_id", "adjudicated_dr_grade"), ("id_code", "diagnosis"))
"""Columns with name and grade, in the two versions that were published."""

_GRADABLE = "adjudicated_gradable"
_EXAMINATIONS_NAME = "messidor-2.csv"


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [path for columns in _COLUMNS for path in folder.tables_with(*columns, _GRADABLE)]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    columns = next(columns for columns in _COLUMNS if columns[0] in folder.headers[path])
    examinations = _read_examinations(folder)
    for row, (name, grade), extra_columns in table_rows(path, columns):
        gradable = extra_columns[_GRADABLE].strip()
        if gradable not in ("0", "1"):
            raise InputError(f"{row}, column {_GRADABLE!r}: {gradable!r} is neither 0 nor 1")
        group, eye = examinations.get(posixpath.splitext(name)[0], ("", ""))
        yield LabelEntry(
            folder.find(name, row),
            folder.parse_grade_cell(grade, row, columns[1]) if gradable == "1" else UNGRADABLE_IN_SET,
            row,
            group=group,
            eye=eye,
            source="messidor2",
            extra_columns=extra_columns,
        )


def _read_examinations(folder: PhotoFolder) -> dict[str, tuple[str, str]]:
    """Read group and eye of photos, by name without suffix, from the table of pairs that comes with the photos."""
    paths = {*folder.label_files, *folder.label_files_inside}
    if folder.labels is not None:
        paths.add(folder.labels.parent / _EXAMINATIONS_NAME)
    examinations: dict[str, tuple[str, str]] = {}
    for path in sorted(paths):
        if path.suffix.lower() == ".csv" and set(read_header(path)) == set(EYES):
            for _, names, _ in table_rows(path, EYES):
                stems = [posixpath.splitext(name)[0] for name in names]
                group = stems[0] or stems[1]
                examinations |= {stem: (group, eye) for stem, eye in zip(stems, EYES, strict=True)}
    return examinations


MESSIDOR2 = published_layout(
    "a table with the columns image_id and adjudicated_dr_grade, or id_code and diagnosis, and adjudicated_gradable",
    _label_files,
    _read,
)
