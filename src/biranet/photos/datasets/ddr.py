"""DDR: three lists of `name grade`, in which grade 5 is ungradable; and the masks of its lesions."""

import re
from collections.abc import Iterator
from pathlib import Path

from biranet.lesion_kinds import LESIONS
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.masks import masks_in_folders
from biranet.photos.datasets.parts import SPLIT_NAMES, accept_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import list_rows
from biranet.photos.datasets.signatures import first_name
from biranet.scale import UNGRADABLE_IN_SET

_LISTS = ("train.txt", "valid.txt", "test.txt")
_PHOTO_NAME = re.compile(r"(\d{3}-\d{4}-\d{3}|\d{17})\.\w+")
_UNGRADABLE = "5"


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.label_files if path.name in _LISTS and _PHOTO_NAME.fullmatch(first_name(path))]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    split = SPLIT_NAMES[path.stem]
    is_in_part = accept_part(split)

    def accept(file: str) -> bool:
        # The other two tasks of the set come with some of the same photos.
        return is_in_part(file) and "lesion_" not in file

    for row, name, grade in list_rows(path):
        yield LabelEntry(
            folder.find(name, row, accept=accept),
            UNGRADABLE_IN_SET if grade == _UNGRADABLE else folder.parse_grade_cell(grade, row),
            row,
            split=split,
            source="ddr",
        )


DDR = published_layout(
    "one of the lists train.txt, valid.txt and test.txt, of names such as 007-0004-000.jpg", _label_files, _read
)

DDR_MASKS = masks_in_folders(
    "ddr",
    "masks such as lesion_segmentation/train/label/MA/007-3399-200.tif",
    photo=r"(?P<part>train|valid|test)/image/(?P<id>[^/]+)\.jpg",
    # The folder has a name of its own in the part `valid`.
    mask=r"(?P<part>train|valid|test)/(?:segmentation )?label/(?P<kind>MA|HE|EX|SE)/(?P<id>[^/]+)\.tif",
    kinds={kind: kind for kind in LESIONS},
)
