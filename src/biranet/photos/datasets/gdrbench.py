"""GDRBench: eight data sets, its domains, each with lists of `name grade`."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from biranet.photos.datasets.labels import LabelEntry, SourceRow
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import list_rows
from biranet.photos.datasets.signatures import first_name
from biranet.words import parse_eye, split_eye_suffix

_LIST = re.compile(
    r"(?P<domain>APTOS|DDR|DEEPDR|EYEPACS|FGADR|IDRID|MESSIDOR|RLDR)_(?:(?P<train>train)|(?P<validation>crossval))\.txt"
)
_EYEPACS_DOMAINS = ("EYEPACS", "RLDR")
_DEEPDR_NAME = re.compile(r"(?P<patient>\d+)_(?P<eye>[lr])\d")


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [
        path
        for path in folder.label_files
        if (parts := _LIST.fullmatch(path.name)) and first_name(path).startswith(f"{parts['domain']}/")
    ]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    parts = _LIST.fullmatch(path.name)
    domain, split = (parts["domain"], parts.lastgroup or "") if parts else ("", "")
    for row, name, grade in list_rows(path):
        group, eye = _patient_and_eye(domain, name)
        yield LabelEntry(
            _find(folder, name, row),
            folder.parse_grade_cell(grade, row),
            row,
            group=group,
            eye=eye,
            split=split,
            source=domain,
        )


def _patient_and_eye(domain: str, name: str) -> tuple[str, str]:
    """Read patient and eye from the name of a photo; both are empty where the domain's names do not say them."""
    shot = _DEEPDR_NAME.fullmatch(PurePosixPath(name).stem)
    if domain == "DEEPDR" and shot:
        return f"{domain} {shot['patient']}", parse_eye(shot["eye"])
    # RLDR is a part of EyePACS: patients have the same numbers, and so the same groups.
    return split_eye_suffix(name) if domain in _EYEPACS_DOMAINS else ("", "")


def _find(folder: PhotoFolder, name: str, row: SourceRow) -> str:
    def accept(file: str) -> bool:
        return not f"/{file}".rpartition("/masks/")[1]

    file = folder.find(name, row, accept=accept)
    if folder.has_photo(file):
        return file
    # Where the folder of photos is that of one domain, the list still begins with its name.
    below = folder.find(name.partition("/")[2] or name, row, accept=accept)
    return below if folder.has_photo(below) else file


GDRBENCH = published_layout("a list of one domain, named DOMAIN_train.txt or DOMAIN_crossval.txt", _label_files, _read)
