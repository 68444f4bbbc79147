"""Sets of clinics and challenges whose labels are tables: Messidor-2, IDRiD and DeepDRiD."""

import posixpath
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.layout import PhotoFolder, Rows, published
from biranet.photos.datasets.parts import among_part, part_named
from biranet.photos.datasets.rows import all_match, table_rows
from biranet.photos.metadata import comment_group
from biranet.scale import UNGRADABLE_IN_SET, Graded
from biranet.tables import read_header

_HEAD_BYTES = 262_144
"""The comment of a JPEG lies before its pixels; what cameras write there is shorter."""

_MESSIDOR_COLUMNS = (("image_id", "adjudicated_dr_grade"), ("id_code", "diagnosis"))
_DEEPDRID_EYES = {"left": "left_eye_DR_Level", "right": "right_eye_DR_Level"}


def _messidor_files(folder: PhotoFolder) -> list[Path]:
    return [path for columns in _MESSIDOR_COLUMNS for path in folder.tables(*columns, "adjudicated_gradable")]


def _read_messidor(folder: PhotoFolder, path: Path) -> Rows:
    columns = next(columns for columns in _MESSIDOR_COLUMNS if columns[0] in folder.headers[path])
    examinations = _messidor_pairs(folder)
    for place, (name, text), further in table_rows(path, columns):
        gradable = further["adjudicated_gradable"].strip()
        if gradable not in ("0", "1"):
            raise InputError(f"{place}, column 'adjudicated_gradable': {gradable!r} is neither 0 nor 1")
        group, eye = examinations.get(posixpath.splitext(name)[0], ("", ""))
        photo = folder.photo(
            folder.find(name, place),
            folder.graded(text, place, columns[1]) if gradable == "1" else UNGRADABLE_IN_SET,
            group=group,
            eye=eye,
            source="messidor2",
            further=further,
        )
        yield photo, place


def _messidor_pairs(folder: PhotoFolder) -> dict[str, tuple[str, str]]:
    """Group and eye of photos, by name without suffix, from the table of examinations that comes with the photos."""
    nearby = {*folder.label_files, *folder.label_files_inside}
    if folder.labels is not None:
        nearby.add(folder.labels.parent / "messidor-2.csv")
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(nearby):
        if path.suffix.lower() == ".csv" and set(read_header(path)) == {"left", "right"}:
            for _, names, _ in table_rows(path, ("left", "right")):
                stems = [posixpath.splitext(name)[0] for name in names]
                group = stems[0] or stems[1]
                found |= {stem: (group, eye) for stem, eye in zip(stems, ("left", "right"), strict=True)}
    return found


def _idrid_files(folder: PhotoFolder) -> list[Path]:
    # Messidor has these columns as well, and another scale; the names of the photos tell this set.
    tables = folder.tables("Image name", "Retinopathy grade")
    return [path for path in tables if all_match(path, "Image name", r"IDRiD_\d+(\..*)?")]


def _read_idrid(folder: PhotoFolder, path: Path) -> Rows:
    split = part_named(path.stem)
    in_part = among_part(split)
    # `b. Testing Set` may itself be the folder of photos, and its names are those of the other part.
    top = folder.path.resolve().name
    above = f"{top}/" if top.endswith(" Set") else ""

    def among(file: str) -> bool:
        # The other two tasks of the set come with some of the same photos.
        return in_part(above + file) and "A. Segmentation/" not in file and "C. Localization/" not in file

    for place, (name, text), further in table_rows(path, ("Image name", "Retinopathy grade")):
        file = folder.find(name, place, among=among)
        label = folder.graded(text, place, "Retinopathy grade")
        group = comment_group(folder.head(file, _HEAD_BYTES))
        yield folder.photo(file, label, group=group, split=split, source="idrid", further=further), place


def _deepdrid_files(folder: PhotoFolder) -> list[Path]:
    tests = folder.tables("image_id", "DR_Levels")
    return folder.tables("image_id", *_DEEPDRID_EYES.values()) + [
        path for path in tests if all_match(path, "image_id", r"\d+_[lr]\d(\..*)?")
    ]


def _read_deepdrid(folder: PhotoFolder, path: Path) -> Rows:
    if "DR_Levels" in folder.headers[path]:
        yield from _read_deepdrid_test(folder, path)
        return
    split = part_named(path.stem)
    for place, values, further in table_rows(path, ("patient_id", "image_id", *_DEEPDRID_EYES.values())):
        patient, name, *texts = values
        grades = {
            eye: folder.graded(text, place, column)
            for (eye, column), text in zip(_DEEPDRID_EYES.items(), texts, strict=True)
            if text
        }
        # The name says the eye as well, but not always the same one; the grade is of the eye whose column is filled.
        eye = _shot_eye(name) if len(grades) != 1 else next(iter(grades))
        photo = folder.photo(
            folder.find(name, place, among=among_part(split)),
            grades.get(eye, Graded()),
            group=patient,
            eye=eye,
            split=split,
            source="deepdrid",
            further=further,
        )
        yield photo, place


def _read_deepdrid_test(folder: PhotoFolder, path: Path) -> Rows:
    """The labels of the test photos, which were published after the challenge, in a shape of their own."""
    for place, (name, text), further in table_rows(path, ("image_id", "DR_Levels")):
        patient = name.rpartition("_")[0]
        photo = folder.photo(
            folder.find(name, place, among=among_part("test")),
            folder.graded(text, place, "DR_Levels"),
            group=patient,
            eye=_shot_eye(name),
            split="test",
            source="deepdrid",
            further=further,
        )
        yield photo, place


def _shot_eye(name: str) -> str:
    return {"l": "left", "r": "right"}.get(name.rpartition("_")[2][:1].lower(), "")


MESSIDOR2 = published(
    "a table with the columns image_id and adjudicated_dr_grade, or id_code and diagnosis, and adjudicated_gradable",
    _messidor_files,
    _read_messidor,
)
IDRID = published(
    "a table with the columns Image name, of names such as IDRiD_001, and Retinopathy grade", _idrid_files, _read_idrid
)
DEEPDRID = published(
    "a table with the columns image_id, left_eye_DR_Level and right_eye_DR_Level, or image_id, of names such as 347_l1 "
    "and DR_Levels",
    _deepdrid_files,
    _read_deepdrid,
)
