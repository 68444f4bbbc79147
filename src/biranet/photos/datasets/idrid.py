"""IDRiD, the Indian Diabetic Retinopathy Image Dataset: its grading task, and the masks of its segmentation task."""

from collections.abc import Iterator
from pathlib import Path

from biranet.lesion_kinds import KINDS
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.masks import masks_in_folders
from biranet.photos.datasets.parts import accept_part, find_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.photos.datasets.signatures import all_names_match
from biranet.photos.privacy.metadata import group_from_comment

_COLUMNS = ("Image name", "Retinopathy grade")

_START_BYTES = 262_144
"""The comment of a JPEG lies before its pixels; what cameras write there is shorter."""


def _label_files(folder: PhotoFolder) -> list[Path]:
    # Messidor has these columns as well, and another scale; the names of the photos tell this set.
    return [path for path in folder.tables_with(*_COLUMNS) if all_names_match(path, _COLUMNS[0], r"IDRiD_\d+(\..*)?")]


def _visit(folder: PhotoFolder, file: str) -> str:
    return group_from_comment(folder.read_start(file, _START_BYTES))


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    split = find_part(path.stem)
    is_in_part = accept_part(split)
    # `b. Testing Set` may itself be the folder of photos, and its names are those of the other part.
    top = folder.path.resolve().name
    above = f"{top}/" if top.endswith(" Set") else ""

    def accept(file: str) -> bool:
        # The other two tasks of the set come with some of the same photos.
        return is_in_part(above + file) and "A. Segmentation/" not in file and "C. Localization/" not in file

    for row, (name, grade), extra_columns in table_rows(path, _COLUMNS):
        file = folder.find(name, row, accept=accept)
        yield LabelEntry(
            file,
            folder.parse_grade_cell(grade, row, _COLUMNS[1]),
            row,
            group=_visit(folder, file),
            split=split,
            source="idrid",
            extra_columns=extra_columns,
        )


IDRID = published_layout(
    "a table with the columns Image name, of names such as IDRiD_001, and Retinopathy grade", _label_files, _read
)

IDRID_MASKS = masks_in_folders(
    "idrid",
    "masks such as 2. All Segmentation Groundtruths/a. Training Set/1. Microaneurysms/IDRiD_01_MA.tif",
    photo=r"1\. Original Images/(?P<part>[ab]\. \w+ Set)/(?P<id>IDRiD_\d\d)\.jpg",
    mask=r"2\. All Segmentation Groundtruths/(?P<part>[ab]\. \w+ Set)/[^/]+/"
    r"(?P<id>IDRiD_\d\d)_(?P<kind>MA|HE|EX|SE|OD)\.tif",
    kinds={kind: kind for kind in KINDS},
    group=_visit,
)
