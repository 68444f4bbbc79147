"""Sets whose labels are lists of a name and a grade: DDR, FGADR and the domains of GDRBench."""

import re
from pathlib import Path, PurePosixPath

from biranet.errors import InputError
from biranet.photos.datasets.layout import PhotoFolder, Place, Rows, named, published
from biranet.photos.datasets.parts import among_part
from biranet.photos.datasets.rows import list_rows
from biranet.scale import UNGRADABLE_IN_SET

_DDR_LISTS = {"train.txt": "train", "valid.txt": "validation", "test.txt": "test"}
_DDR_UNGRADABLE = "5"
_DDR_NAME = re.compile(r"(\d{3}-\d{4}-\d{3}|\d{17})\.\w+")
_GDRBENCH_LIST = re.compile(
    r"(?P<domain>APTOS|DDR|DEEPDR|EYEPACS|FGADR|IDRID|MESSIDOR|RLDR)_(?:(?P<train>train)|(?P<validation>crossval))\.txt"
)
_OF_EYEPACS = ("EYEPACS", "RLDR")
_DEEPDR_NAME = re.compile(r"(?P<patient>\d+)_(?P<eye>[lr])\d")


def _first_name(path: Path) -> str:
    """The first name in a list; empty where the file is something else."""
    try:
        return next((name for _, name, text in list_rows(path) if text.isdigit()), "")
    except InputError:
        return ""


def _ddr_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.label_files if path.name in _DDR_LISTS and _DDR_NAME.fullmatch(_first_name(path))]


def _read_ddr(folder: PhotoFolder, path: Path) -> Rows:
    split = _DDR_LISTS[path.name]
    in_part = among_part(split)

    def among(file: str) -> bool:
        # The other two tasks of the set come with some of the same photos.
        return in_part(file) and "lesion_" not in file

    for place, name, text in list_rows(path):
        photo = folder.photo(
            folder.find(name, place, among=among),
            UNGRADABLE_IN_SET if text == _DDR_UNGRADABLE else folder.graded(text, place),
            split=split,
            source="ddr",
        )
        yield photo, place


def _fgadr_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.label_files if path.name == "DR_Seg_Grading_Label.csv"]


def _read_fgadr(folder: PhotoFolder, path: Path) -> Rows:
    for place, name, text in list_rows(path, separator=","):
        # Masks of the lesions have the names of their photos.
        file = folder.find(name, place, among=lambda file: "_Masks/" not in file)
        yield folder.photo(file, folder.graded(text, place), source="fgadr"), place


def _gdrbench_files(folder: PhotoFolder) -> list[Path]:
    return [
        path
        for path in folder.label_files
        if (parts := _GDRBENCH_LIST.fullmatch(path.name)) and _first_name(path).startswith(f"{parts['domain']}/")
    ]


def _read_gdrbench(folder: PhotoFolder, path: Path) -> Rows:
    parts = _GDRBENCH_LIST.fullmatch(path.name)
    domain, split = (parts["domain"], parts.lastgroup or "") if parts else ("", "")
    for place, name, text in list_rows(path):
        file = _gdrbench_photo(folder, name, place)
        group, eye = _gdrbench_patient(domain, name)
        photo = folder.photo(
            file,
            folder.graded(text, place),
            group=group,
            eye=eye,
            split=split,
            source=domain,
        )
        yield photo, place


def _gdrbench_patient(domain: str, name: str) -> tuple[str, str]:
    """Patient and eye of a photo; both empty where the domain's names do not say them."""
    shot = _DEEPDR_NAME.fullmatch(PurePosixPath(name).stem)
    if domain == "DEEPDR" and shot:
        return f"{domain} {shot['patient']}", {"l": "left", "r": "right"}[shot["eye"]]
    # RLDR is a part of EyePACS: patients have the same numbers, and so the same groups.
    return (domain in _OF_EYEPACS and named(name)) or ("", "")


def _gdrbench_photo(folder: PhotoFolder, name: str, place: Place) -> str:
    def among(file: str) -> bool:
        return not f"/{file}".rpartition("/masks/")[1]

    file = folder.find(name, place, among=among)
    if folder.holds(file):
        return file
    # Where the folder of photos is that of one domain, the list still begins with its name.
    below = folder.find(name.partition("/")[2] or name, place, among=among)
    return below if folder.holds(below) else file


DDR = published(
    "one of the lists train.txt, valid.txt and test.txt, of names such as 007-0004-000.jpg", _ddr_files, _read_ddr
)
FGADR = published("the list DR_Seg_Grading_Label.csv", _fgadr_files, _read_fgadr)
GDRBENCH = published(
    "a list of one domain, named DOMAIN_train.txt or DOMAIN_crossval.txt", _gdrbench_files, _read_gdrbench
)
