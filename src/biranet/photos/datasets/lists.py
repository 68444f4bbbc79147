"""The two lists of `name grade` that came with the original release of BiRA-Net."""

from collections.abc import Iterator
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import Layout
from biranet.photos.datasets.parts import find_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import list_rows

_LISTS = ("TrainSet.txt", "ValidSet.txt")


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.label_files if path.name in _LISTS]


def _recognizes(folder: PhotoFolder) -> str:
    names = {path.name for path in _label_files(folder)}
    return f"{' and '.join(sorted(names))} lie there" if names else ""


def _read(folder: PhotoFolder) -> Iterator[LabelEntry]:
    # A list that was named may be called anything.
    named = folder.labels is not None and not folder.labels.is_dir()
    paths = folder.label_files if named else _label_files(folder)
    if not paths:
        raise InputError(f"{folder.labels or folder.path} holds neither of the lists {' and '.join(_LISTS)}")
    for path in paths:
        split = find_part(path.name) if path.name in _LISTS else ""
        for row, name, grade in list_rows(path):
            yield LabelEntry(folder.find(name, row), folder.parse_grade_cell(grade, row), row, split=split)


TWO_LISTS = Layout(f"the lists {' and '.join(_LISTS)}", _recognizes, _read)
