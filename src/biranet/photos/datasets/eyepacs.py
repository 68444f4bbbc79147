"""The two Kaggle competitions: EyePACS 2015 and APTOS 2019."""

import re
from pathlib import Path

from biranet.photos.datasets.layout import PhotoFolder, Rows, published
from biranet.photos.datasets.parts import part_named
from biranet.photos.datasets.rows import all_match, table_rows
from biranet.scale import Graded


def _is_sample(path: Path) -> bool:
    """The example of a submission looks like labels; all its grades are 0."""
    return re.sub(r"[^a-z]", "", path.stem.lower()).startswith("samplesubmission")


def _eyepacs_files(folder: PhotoFolder) -> list[Path]:
    # Many tables have these columns; the names of the photos tell this set.
    return [
        path
        for path in folder.tables("image", "level")
        if not _is_sample(path) and all_match(path, "image", r"\d+_(left|right)(\..*)?")
    ]


def _read_eyepacs(folder: PhotoFolder, path: Path) -> Rows:
    # Only the labels of the test photos, published after the competition, say which leaderboard they counted for.
    split = "test" if "Usage" in folder.headers[path] else part_named(path.stem)
    for place, (name, level), further in table_rows(path, ("image", "level")):
        file = folder.find(name, place)
        label = folder.graded(level, place, "level")
        patient = name.partition("_")[0]
        yield folder.photo(file, label, group=patient, split=split, source="eyepacs", further=further), place


def _aptos_files(folder: PhotoFolder) -> list[Path]:
    found = []
    for path in folder.tables("id_code"):
        header = set(folder.headers[path])
        # Other sets come with these columns as well; the names of the photos tell them apart.
        fits = (header == {"id_code"} or "diagnosis" in header) and not _is_sample(path)
        if fits and all_match(path, "id_code", r"[0-9a-f]{12}(\..*)?"):
            found.append(path)
    return found


def _read_aptos(folder: PhotoFolder, path: Path) -> Rows:
    graded_columns = ("diagnosis",) if "diagnosis" in folder.headers[path] else ()
    for place, (name, *diagnosis), further in table_rows(path, ("id_code", *graded_columns)):
        file = folder.find(name, place)
        label = folder.graded(diagnosis[0], place, "diagnosis") if diagnosis else Graded()
        yield folder.photo(file, label, split=part_named(path.stem), source="aptos", further=further), place


EYEPACS = published(
    "a table with the columns image, of names such as 10_left, and level", _eyepacs_files, _read_eyepacs
)
APTOS = published(
    "a table with the columns id_code, of 12 hexadecimal digits, and diagnosis", _aptos_files, _read_aptos
)
