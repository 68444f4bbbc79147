"""The tables of eyes and patients beside that of photos, and what is said of them at the end."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from biranet.decisions.patients import PATIENT_DECISIONS, EyeAnswer, PatientAnswer, PhotoAnswer, sources
from biranet.files import printable
from biranet.manifest import GUESSED_FROM
from biranet.tables import write_rows
from biranet.words import EYES

EYE_COLUMNS = (
    "patient", "eye", "status", "reason", "predicted_grade", "decision", "action", "file", "photos", "gradable",
    "patient_from", "eye_from",
)  # fmt: skip
"""Columns of the table of eyes; `file` is the photo that answers."""

PATIENT_COLUMNS = (
    "patient", "predicted_grade", "decision", "worst_eye", "left_status", "left_grade", "left_decision", "right_status",
    "right_grade", "right_decision", "reason", "action", "photos", "gradable", "patient_from", "eye_from",
)  # fmt: skip
"""Columns of the table of patients."""


def write_patients(eyes: Path, patients: Path, answers: Sequence[PatientAnswer]) -> None:
    """Write the tables of eyes and patients, each whole or not at all.

    Args:
        eyes: Where the table of eyes shall stand.
        patients: Where that of patients shall stand.
        answers: The patients. Where there is none, nothing is written.

    Raises:
        InputError: If a table cannot be written.
    """
    # Whatever happens now, tables of an earlier run would be taken for those of this one.
    for path in (eyes, patients):
        path.unlink(missing_ok=True)
    if not answers:
        return
    write_rows(eyes, EYE_COLUMNS, (_eye_row(patient, eye) for patient in answers for eye in patient.eyes))
    write_rows(patients, PATIENT_COLUMNS, map(_patient_row, answers))


def _eye_row(patient: PatientAnswer, eye: EyeAnswer) -> dict[str, str]:
    counts = str(len(eye.photos)), str(eye.gradable)
    grade, origins = _grade(eye.grade), sources(eye.photos or patient.photos)
    # A missing eye has no photo that could say where it is known from.
    origins = origins if eye.photos else (origins[0], "")
    cells = (eye.eye, eye.status, eye.reason, grade, eye.decision, eye.action, eye.file, *counts, *origins)
    return dict(zip(EYE_COLUMNS, (patient.patient, *cells), strict=True))


def _patient_row(patient: PatientAnswer) -> dict[str, str]:
    by_eye = {each.eye: each for each in patient.eyes}
    cells = [patient.patient, _grade(patient.grade), patient.decision, patient.worst_eye]
    for eye in EYES:
        cells += [by_eye[eye].status, _grade(by_eye[eye].grade), by_eye[eye].decision]
    gradable = sum(eye.gradable for eye in patient.eyes)
    cells += [patient.reason, patient.action, str(len(patient.photos)), str(gradable), *sources(patient.photos)]
    return dict(zip(PATIENT_COLUMNS, cells, strict=True))


def _grade(grade: int | None) -> str:
    return "" if grade is None else str(grade)


def describe_patients(answers: Sequence[PatientAnswer], photos: Sequence[PhotoAnswer], table: Path) -> Iterator[str]:
    """Say what was decided for patients, and what is guessed, contradicts or is not known.

    Args:
        answers: The patients.
        photos: All photos.
        table: The table of patients, as it shall be named.

    Yields:
        Sentences; nothing where no patient and no contradiction is known.
    """
    if answers:
        counts = Counter(each.decision for each in answers)
        decided = ", ".join(f"{counts[each]} {each}" for each in reversed(PATIENT_DECISIONS) if counts[each])
        yield f"{len(answers)} patient{'s' * (len(answers) != 1)}: {decided}: {printable(str(table))}"
        if unknown := sum(not photo.subject.patient for photo in photos):
            yield f"Of {unknown} of {len(photos)} photos the patient is not known: they are in no patient's answer."
    guessed = {
        what: sum(getattr(photo.subject, f"{what}_from") in GUESSED_FROM for photo in photos)
        for what in ("patient", "eye")
    }
    if any(guessed.values()):
        counted = " and ".join(
            f"the {what} of {count} photo{'s' * (count != 1)}" for what, count in guessed.items() if count
        )
        yield f"Known by names alone, which is a guess and marked as one: {counted}."
    problems = [photo for photo in photos if photo.subject.problem]
    if problems:
        first = problems[0]
        yield (
            f"{printable(first.file)}: {first.subject.problem}; it was not used. {len(problems)} such "
            f"photo{'s' * (len(problems) != 1)} in all: say in a list whose they are."
        )
