"""The tables of eyes and patients beside that of photos, and what is said of them at the end."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from biranet.decisions.patients import PATIENT_DECISIONS, EyeAnswer, PatientAnswer, Subject, sources
from biranet.files import printable
from biranet.manifest import GUESSED_FROM
from biranet.typed_tables import Columns, Row, Value, write_typed
from biranet.words import EYES, counted

EYE_TYPES: Columns = {
    **dict.fromkeys(("patient", "eye", "status", "reason"), str), "predicted_grade": int,
    **dict.fromkeys(("decision", "action", "file"), str), "photos": int, "gradable": int,
    **dict.fromkeys(("patient_from", "eye_from"), str),
}  # fmt: skip
"""Columns of the table of eyes, and what stands in them; `file` is the photo that answers."""
EYE_COLUMNS = tuple(EYE_TYPES)

PATIENT_TYPES: Columns = {
    "patient": str, "predicted_grade": int, "decision": str, "worst_eye": str,
    "left_status": str, "left_grade": int, "left_decision": str,
    "right_status": str, "right_grade": int, "right_decision": str,
    "reason": str, "action": str, "photos": int, "gradable": int, "patient_from": str, "eye_from": str,
}  # fmt: skip
"""Columns of the table of patients, and what stands in them."""
PATIENT_COLUMNS = tuple(PATIENT_TYPES)


def write_patients(
    eyes: Path,
    patients: Path,
    answers: Callable[[], Iterable[PatientAnswer]],
    tally: "PatientTally",
    written: Callable[[str], object] = str,
) -> None:
    """Write the tables of eyes and patients, each whole or not at all, in memory for one patient.

    Args:
        eyes: Where the table of eyes shall stand.
        patients: Where that of patients shall stand.
        answers: Gives the patients. Where there is none, nothing is written.
        tally: Counts what is decided for them.
        written: Is told the SHA-256 of each table before it gets its name.

    Raises:
        InputError: If a table cannot be written.
    """
    # Whatever happens now, tables of an earlier run would be taken for those of this one.
    for path in (eyes, patients):
        path.unlink(missing_ok=True)
    if next(iter(answers()), None) is None:
        return
    rows = (eye_row(patient, eye) for patient in answers() for eye in patient.eyes)
    write_typed(eyes, EYE_TYPES, rows, written)
    write_typed(patients, PATIENT_TYPES, map(patient_row, tally.count_patients(answers())), written)


def eye_row(patient: PatientAnswer, eye: EyeAnswer) -> Row:
    """Make the row of an eye: values by the names in `EYE_TYPES`, None where there is none."""
    origins = sources(eye.photos or patient.photos)
    # A missing eye has no photo that could say where it is known from.
    origins = origins if eye.photos else (origins[0], "")
    values = (eye.eye, eye.status, eye.reason, eye.grade, eye.decision, eye.action, eye.file)
    return dict(zip(EYE_TYPES, (patient.patient, *values, len(eye.photos), eye.gradable, *origins), strict=True))


def patient_row(patient: PatientAnswer) -> Row:
    """Make the row of a patient: values by the names in `PATIENT_TYPES`, None where there is none."""
    by_eye = {each.eye: each for each in patient.eyes}
    values: list[Value] = [patient.patient, patient.grade, patient.decision, patient.worst_eye]
    for eye in EYES:
        values += [by_eye[eye].status, by_eye[eye].grade, by_eye[eye].decision]
    gradable = sum(eye.gradable for eye in patient.eyes)
    values += [patient.reason, patient.action, len(patient.photos), gradable, *sources(patient.photos)]
    return dict(zip(PATIENT_TYPES, values, strict=True))


class PatientTally:
    """What is counted of photos and patients while their rows pass by.

    Args:
        is_shard: Whether the photos are a shard of all: then patients whom only headers tell may have photos in others.
    """

    def __init__(self, *, is_shard: bool = False) -> None:
        self._is_shard = is_shard
        self._photos = self._unknown = self._divided = self._problems = 0
        self._guessed = dict.fromkeys(("patient", "eye"), 0)
        self._first_problem = ""
        self._decisions: Counter[str] = Counter()

    def count_photo(self, file: str, subject: Subject) -> bool:
        """Count a photo; tell whether it counts for the answer of a patient."""
        divided = self._is_shard and subject.patient_from == "header"
        self._photos += 1
        self._unknown += not subject.patient
        self._divided += divided
        for what in self._guessed:
            self._guessed[what] += getattr(subject, f"{what}_from") in GUESSED_FROM
        if subject.problem:
            self._problems += 1
            self._first_problem = self._first_problem or f"{printable(file)}: {subject.problem}; it was not used"
        return bool(subject.patient) and not divided

    def count_patients(self, answers: Iterable[PatientAnswer]) -> Iterator[PatientAnswer]:
        """Count patients, and pass them on."""
        for answer in answers:
            self._decisions[answer.decision] += 1
            yield answer

    def describe(self, table: Path) -> Iterator[str]:
        """Say what was decided for patients, and what is guessed, contradicts or is not known.

        Args:
            table: The table of patients, as it shall be named.

        Yields:
            Sentences; nothing where no patient and no contradiction is known.
        """
        if counts := self._decisions:
            decided = ", ".join(f"{counts[each]} {each}" for each in reversed(PATIENT_DECISIONS) if counts[each])
            patients = counts.total()
            yield f"{patients} patient{'s' * (patients != 1)}: {decided}: {printable(str(table))}"
            if self._unknown:
                yield (
                    f"Of {self._unknown} of {self._photos} photos the patient is not known: they are in no patient's "
                    "answer."
                )
        if self._divided:
            yield (
                f"The patient of {counted(self._divided, 'photo')} stands in headers alone: they are in no patient's "
                "answer, since other shards may hold photos of the same; name patients in the list."
            )
        if any(self._guessed.values()):
            photos = " and ".join(
                f"the {what} of {count} photo{'s' * (count != 1)}" for what, count in self._guessed.items() if count
            )
            yield f"Known by names alone, which is a guess and marked as one: {photos}."
        if self._problems:
            such = counted(self._problems, "such photo")
            yield f"{self._first_problem}. {such} in all: say in a list whose they are."
