"""The two Kaggle competitions: EyePACS 2015 and APTOS 2019."""

import re
from pathlib import Path

from biranet.photos.datasets.layout import PhotoFolder, Rows, graded, published
from biranet.photos.datasets.parts import part_named
from biranet.photos.datasets.rows import table_rows


def _is_sample(path: Path) -> bool:
    """The example of a submission looks like labels; all its grades are 0."""
    return re.sub(r"[^a-z]", "", path.stem.lower()).startswith("samplesubmission")


def _eyepacs_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.tables("image", "level") if not _is_sample(path)]


def _read_eyepacs(folder: PhotoFolder, path: Path) -> Rows:
    # Only the labels of the test photos, published after the competition, say which leaderboard they counted for.
    split = "test" if "Usage" in folder.headers[path] else part_named(path.stem)
    for place, (name, level), further in table_rows(path, ("image", "level")):
        file = folder.find(name, place, any_suffix=True)
        grade = graded(level, place, "level")
        yield folder.photo(file, grade, split=split, source="eyepacs", further=further), place


def _aptos_files(folder: PhotoFolder) -> list[Path]:
    found = []
    for path in folder.tables("id_code"):
        header = set(folder.headers[path])
        # Other sets come with these columns as well; the names of the photos tell them apart.
        if (header == {"id_code"} or "diagnosis" in header) and not _is_sample(path):
            names = (values[0] for _, values, _ in table_rows(path, ("id_code",)))
            if re.fullmatch(r"[0-9a-f]{12}(\.png)?", next(names)):
                found.append(path)
    return found


def _read_aptos(folder: PhotoFolder, path: Path) -> Rows:
    graded_columns = ("diagnosis",) if "diagnosis" in folder.headers[path] else ()
    for place, (name, *diagnosis), further in table_rows(path, ("id_code", *graded_columns)):
        file = folder.find(name, place, any_suffix=True)
        grade = graded(diagnosis[0], place, "diagnosis") if diagnosis else None
        yield folder.photo(file, grade, split=part_named(path.stem), source="aptos", further=further), place


EYEPACS = published("a table with the columns image and level", _eyepacs_files, _read_eyepacs)
APTOS = published(
    "a table with the columns id_code, of 12 hexadecimal digits, and diagnosis", _aptos_files, _read_aptos
)
