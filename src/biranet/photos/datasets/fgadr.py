"""FGADR: one list of `name,grade` without a header; and the masks of its lesions."""

from collections.abc import Iterator
from pathlib import Path

from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.masks import masks_in_folders
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

FGADR_MASKS = masks_in_folders(
    "fgadr",
    "masks such as Seg-set/Microaneurysms_Masks/0000_1.png",
    photo=r"Original_Images/(?P<id>[^/]+)\.png",
    mask=r"(?P<kind>Microaneurysms|Hemohedge|HardExudate|SoftExudate)_Masks/(?P<id>[^/]+)\.png",
    # The second is spelled so in the data set.
    kinds={"Microaneurysms": "MA", "Hemohedge": "HE", "HardExudate": "EX", "SoftExudate": "SE"},
)
