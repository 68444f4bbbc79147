"""DeepDRiD: two photos of each eye; the labels of the test photos were published later, in a shape of their own."""

from collections.abc import Iterator
from pathlib import Path

from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.parts import accept_part, find_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.photos.datasets.signatures import all_names_match
from biranet.scale import GradeLabel
from biranet.words import parse_eye

_GRADE_COLUMNS = {"left": "left_eye_DR_Level", "right": "right_eye_DR_Level"}
_TEST_COLUMNS = ("image_id", "DR_Levels")


def _label_files(folder: PhotoFolder) -> list[Path]:
    tests = folder.tables_with(*_TEST_COLUMNS)
    return folder.tables_with("image_id", *_GRADE_COLUMNS.values()) + [
        path for path in tests if all_names_match(path, "image_id", r"\d+_[lr]\d(\..*)?")
    ]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    read = _read_test if set(_TEST_COLUMNS) <= set(folder.headers[path]) else _read_training
    return read(folder, path)


def _read_training(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    split = find_part(path.stem)
    columns = ("patient_id", "image_id", *_GRADE_COLUMNS.values())
    for row, (patient, name, *texts), extra_columns in table_rows(path, columns):
        grades = {
            eye: folder.parse_grade_cell(text, row, column)
            for (eye, column), text in zip(_GRADE_COLUMNS.items(), texts, strict=True)
            if text
        }
        # The name says the eye as well, but not always the same one; the grade is of the eye whose column is filled.
        eye = next(iter(grades)) if len(grades) == 1 else _eye_of_shot(name)
        yield LabelEntry(
            folder.find(name, row, accept=accept_part(split)),
            grades.get(eye, GradeLabel()),
            row,
            group=patient,
            eye=eye,
            split=split,
            source="deepdrid",
            extra_columns=extra_columns,
        )


def _read_test(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    for row, (name, grade), extra_columns in table_rows(path, _TEST_COLUMNS):
        yield LabelEntry(
            folder.find(name, row, accept=accept_part("test")),
            folder.parse_grade_cell(grade, row, _TEST_COLUMNS[1]),
            row,
            group=name.rpartition("_")[0],
            eye=_eye_of_shot(name),
            split="test",
            source="deepdrid",
            extra_columns=extra_columns,
        )


def _eye_of_shot(name: str) -> str:
    """Read the eye from a name such as `347_l1`."""
    letter = name.rpartition("_")[2][:1].lower()
    return parse_eye(letter) if letter in ("l", "r") else ""


DEEPDRID = published_layout(
    "a table with the columns image_id, left_eye_DR_Level and right_eye_DR_Level, or image_id, of names such as 347_l1 "
    "and DR_Levels",
    _label_files,
    _read,
)
