"""APTOS: the Kaggle competition "APTOS 2019 Blindness Detection"."""

from collections.abc import Iterator
from pathlib import Path

from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.parts import find_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.photos.datasets.signatures import all_names_match, is_sample_submission
from biranet.scale import GradeLabel


def _label_files(folder: PhotoFolder) -> list[Path]:
    return [path for path in folder.tables_with("id_code") if _is_label_file(path, folder.headers[path])]


def _is_label_file(path: Path, header: tuple[str, ...]) -> bool:
    # Other sets come with these columns as well; the names of the photos tell them apart.
    if "diagnosis" not in header and set(header) != {"id_code"}:
        return False
    return not is_sample_submission(path) and all_names_match(path, "id_code", r"[0-9a-f]{12}(\..*)?")


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    grade_columns = ("diagnosis",) if "diagnosis" in folder.headers[path] else ()
    for row, (name, *grades), extra_columns in table_rows(path, ("id_code", *grade_columns)):
        yield LabelEntry(
            folder.find(name, row),
            folder.parse_grade_cell(grades[0], row, "diagnosis") if grades else GradeLabel(),
            row,
            split=find_part(path.stem),
            source="aptos",
            extra_columns=extra_columns,
        )


APTOS = published_layout(
    "a table with the columns id_code, of 12 hexadecimal digits, and diagnosis", _label_files, _read
)
