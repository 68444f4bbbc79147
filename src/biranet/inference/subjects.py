"""Whose photos they are, before any is read: by the columns of a list, and by names under a stated pattern."""

import dataclasses
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from biranet.decisions.patients import ENTERED, NOBODY, Subject
from biranet.errors import InputError
from biranet.files import printable
from biranet.inference.addresses import Address
from biranet.manifest import GROUP_FROM, OWN_GROUP
from biranet.photos.datasets.name_pattern import NamePattern
from biranet.tables import parse_cells
from biranet.words import counted, is_empty, parse_eye, split_eye_suffix

if TYPE_CHECKING:
    import pandas as pd

PathT = TypeVar("PathT", bound=Path | Address)

_PATIENT_COLUMNS = ("patient", "group")
_LABELS, _NAME = "labels", "name"


def subjects_in(table: "pd.DataFrame", path: Path) -> list[Subject]:
    """Read whose photos a table names.

    Args:
        table: From `biranet.tables.read_table`. A column `patient`, or else `group`, names the patient; `eye` the eye.
            Where `group_from` says that a group was guessed, or that the photo is a group of its own, it stays so.
        path: The file, for the error.

    Returns:
        One subject a row.

    Raises:
        InputError: If an eye is none; the sentence names file, row and column.
    """
    nothing = [""] * len(table)
    column = _patient_column(table)
    patients = nothing if column is None else table[column].str.strip().tolist()
    origins = table[GROUP_FROM].tolist() if column == "group" and GROUP_FROM in table else nothing
    eyes = parse_cells(table, "eye", path, parse_eye) if "eye" in table else nothing
    return [_subject(*cells) for cells in zip(patients, origins, eyes, strict=True)]


def _patient_column(table: "pd.DataFrame") -> str | None:
    return next((name for name in _PATIENT_COLUMNS if name in table), None)


def further_columns(table: "pd.DataFrame") -> tuple[str, ...]:
    """Name the columns of a table that tell neither the photo nor whose it is.

    Example:
        >>> import pandas as pd
        >>> further_columns(pd.DataFrame(columns=["file", "patient", "eye", "camera"]))
        ('camera',)
    """
    column = _patient_column(table)
    read = {"file", "eye", column, *([GROUP_FROM] if column == "group" else [])}
    return tuple(str(name) for name in table.columns if name not in read)


def overlooked_columns(table: "pd.DataFrame", path: Path | Address) -> list[str]:
    """Say which columns of a table seem to tell patient or eye and do not, since they are called otherwise.

    Example:
        >>> import pandas as pd
        >>> overlooked_columns(pd.DataFrame(columns=["file", "Patient", "eye"]), Path("list.csv"))
        ["list.csv has a column 'Patient', by which no patient is known; call it patient where it tells that"]
    """
    sentences = []
    for what, is_known, names in (
        ("patient", _patient_column(table) is not None, _LIKE_PATIENT),
        ("eye", "eye" in table, _LIKE_EYE),
    ):
        like = [name for name in table if "".join(filter(str.isalnum, str(name).casefold())) in names]
        if like and not is_known:
            sentences.append(
                f"{path} has a column {printable(repr(like[0]))}, by which no {what} is known; call it {what} where it "
                "tells that"
            )
    return sentences


_LIKE_PATIENT = frozenset({"patient", "patientid", "pid", "subject", "subjectid", "person", "personid", "group"})
_LIKE_EYE = frozenset({"eye", "laterality", "side", "eyeside"})


def _subject(patient: str, origin: str, eye: str) -> Subject:
    patient = "" if is_empty(patient) or origin == OWN_GROUP else patient
    # What a person once entered is a list by now, which may be off by a row.
    origin = _LABELS if origin in ("", ENTERED) else origin
    return Subject(patient, origin if patient else "", eye, _LABELS if eye else "")


def read_names(files: Iterable[PathT], pattern: NamePattern, subjects: MutableMapping[PathT, Subject]) -> list[str]:
    """Add to what is known of files what their names say.

    Args:
        files: The files, each once.
        pattern: How names tell patient and eye.
        subjects: What lists say, by file; it is added to.

    Returns:
        How many names do not fit, and how many patients have photos in several folders, of which the pattern says
        nothing: a sentence each, nothing where there are none.

    Raises:
        InputError: If a name contradicts a list, fits in two ways, or none fits.

    Example:
        >>> files = [Path("a/1_left.jpg"), Path("b/1_left.jpg")]
        >>> read_names(files, NamePattern("{patient}_{eye}"), {})[0].partition(",")[0]
        'Photos of 1 patient lie in several folders'
        >>> read_names(files, NamePattern("{patient}/*_{eye}"), {})
        []
    """
    files, unfit = list(files), list[PathT]()
    folders: dict[str, str] = {}
    together: dict[str, tuple[str, str]] = {}
    for file in files:
        patient_and_eye = pattern.read(file.as_posix())
        if patient_and_eye is None:
            unfit.append(file)
            continue
        patient, eye = patient_and_eye
        named = Subject(patient, _NAME if patient else "", eye, _NAME if eye else "")
        subject = subjects.get(file, NOBODY)
        subjects[file] = agree(file, subject, named)
        if patient and not subject.patient and "/" not in pattern.text:
            folder = file.as_posix().rpartition("/")[0]
            if (first := folders.setdefault(patient, folder)) != folder:
                together.setdefault(patient, (first, folder))
    if unfit and len(unfit) == len(files):
        raise InputError(
            f"no name fits --name-pattern {pattern.text!r}, such as {printable(str(unfit[0]))}; correct it"
        )
    sentences = []
    if unfit:
        sentences.append(
            f"{len(unfit)} of {len(files)} names do not fit the pattern {pattern.text!r} and tell nothing, such as "
            f"{printable(str(unfit[0]))}"
        )
    if together:
        patient, two_folders = next(iter(together.items()))
        first, second = (printable(folder or ".") for folder in two_folders)
        sentences.append(
            f"Photos of {counted(len(together), 'patient')} lie in several folders, such as those of "
            f"{printable(repr(patient))} in {first} and {second}, and are taken for one patient's; where they are not, "
            "name patients in a list"
        )
    return sentences


def misleading_names(subjects: Mapping[PathT, Subject]) -> list[str]:
    """Say which files end in another eye than the list says, as `biranet audit` does; the list is believed.

    Args:
        subjects: What lists and patterns say, by file.

    Returns:
        One sentence; nothing where no name says otherwise.

    Example:
        >>> misleading_names({Path("macula_left.jpg"): Subject("P1", "labels", "right", "labels")})
        ['macula_left.jpg ends in left, and the list says right, which was used; 1 such in all']
    """
    wrong = [
        (file, named, subject.eye)
        for file, subject in subjects.items()
        if subject.eye and (named := split_eye_suffix(file.as_posix())[1]) and named != subject.eye
    ]
    if not wrong:
        return []
    file, named, eye = wrong[0]
    return [
        f"{printable(str(file))} ends in {named}, and the list says {eye}, which was used; {len(wrong)} such in all"
    ]


def agree(
    file: PathT, first: Subject, second: Subject, *, labels_source: str = "the list", way_out: str = ""
) -> Subject:
    """Put together what two sources say of a file; the first one is named where both say it.

    What a person entered counts alone.

    Args:
        file: The file, for the error.
        first: What is known.
        second: What is added.
        labels_source: What it is that says what counts as labels, for the error.
        way_out: What else can be done about a contradiction than to correct it, for the error.

    Returns:
        All that is known.

    Raises:
        InputError: If they contradict each other.

    Example:
        >>> agree(Path("a.jpg"), Subject("P1", "labels"), Subject("P1", "name", "left", "name"))
        Subject(patient='P1', patient_from='labels', eye='left', eye_from='name', header_patient='', problem='')
    """
    agreed = first
    for what in ("patient", "eye"):
        if getattr(first, f"{what}_from") == ENTERED:
            continue
        ours, theirs = getattr(first, what), getattr(second, what)
        if ours and theirs and ours != theirs:
            by, and_by = (_GUESSES.get(getattr(each, f"{what}_from"), labels_source) for each in (first, second))
            raise InputError(
                f"{printable(str(file))} is of the {what} {ours!r} by {by}, and of {theirs!r} by {and_by}; correct one "
                f"of them{way_out}"
            )
        if theirs and not ours:
            agreed = dataclasses.replace(agreed, **{what: theirs, f"{what}_from": getattr(second, f"{what}_from")})
    return agreed


_GUESSES = {_NAME: "its name", "folder": "its folder"}
"""Sources that are no list, request or whatever else was given, in words."""
