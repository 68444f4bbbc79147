"""FGADR: one list of `name,grade` without a header."""

from collections.abc import Iterator
from pathlib import Path

from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import list_rows

_LIST = "DR_Seg_Grading_Label.csv"


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.label_files if path.name == _LIST]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    for row, name, grade in list_rows(path, separator=","):
        # Masks of the lesions have the names of their photos.
        file = folder.find(name, row, accept=lambda file: "_Masks/" not in file)
        yield LabelEntry(file, folder.parse_grade_cell(grade, row), row, source="fgadr")


FGADR = published_layout(f"the list {_LIST}", _label_files, _read)
