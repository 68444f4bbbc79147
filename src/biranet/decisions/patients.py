"""From photos to eyes and patients: which photo answers, and what is decided where one is missing or they disagree.

The reading of a screening programme: nobody is sent home on a photo that could not be graded, on an eye that nobody
photographed, or against a photo that says otherwise. `docs/patients.md` has the rules in words. Everything here is a
function of the answers for photos, whatever their order, and knows neither files nor tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from biranet.grades import DECISIONS
from biranet.words import EYES

RETAKE = "retake"
"""What is decided for an eye of which no photo can be graded, and for a patient with such an eye and no graver one."""

PATIENT_DECISIONS = (DECISIONS[0], RETAKE, *DECISIONS[1:])
"""What can be decided for an eye and a patient, the gravest last."""

UNKNOWN_EYE = "unknown"
"""Stands in place of the eye of photos of which nobody knows it."""

MAX_DIFFERENCE = 1
"""Grades by which gradable photos of one eye may differ; from more on a human is asked."""

ENTERED = "entered"
"""What a person said of this very photo counts more than its name and its header."""

OVER_HEADER = "entered over header"
"""An eye that was entered, where the header of the file says the other one."""

_NO_REFERRAL, _HUMAN, _ = DECISIONS


@dataclass(frozen=True)
class Subject:
    """Whose photo it is, and where that is known from.

    Attributes:
        patient: The patient; empty where nothing tells.
        patient_from: `labels`, `header`, `name`, which is a guess, or `entered`: a person said it of this very photo,
            which counts more than its name and its header. Empty without a patient, but where a person said that.
        eye: `left`, `right`, or empty.
        eye_from: As `patient_from`; `entered over header` where the header says the other eye.
        header_patient: The patient whom the header of the file names, as keyed hash; empty where it names none.
        problem: What contradicts or could not be read, in one clause; it was not used.

    Example:
        >>> import biranet
        >>> biranet.Subject("P1", "labels", eye="left", eye_from="header").eye
        'left'
    """

    patient: str = ""
    patient_from: str = ""
    eye: str = ""
    eye_from: str = ""
    header_patient: str = ""
    problem: str = ""


NOBODY = Subject()
"""Of a photo of which nothing is known."""


@dataclass(frozen=True)
class PhotoAnswer:
    """What is known of one photo.

    Attributes:
        file: Its name.
        subject: Whose it is.
        grade: 0 to 4; None for a photo that cannot be used, which is called ungradable here, whatever the reason.
        decision: One of `biranet.grades.DECISIONS`; empty without a grade.
        expected_grade: Mean of the grades, each with its probability, in [0, 4]; None without a grade.
        margin: How far the photo is from being ungradable, 1 at the limit, more for a better one; None where that was
            not measured.
        action: What to do now for a photo that cannot be used.

    Example:
        >>> import biranet
        >>> photo = biranet.draw_photo(grade=0, seed=2) // 9
        >>> [answer] = biranet.load().grade_patient(left=[photo]).photos
        >>> answer.grade, answer.action
        (None, 'retake: too dark (more light, or a wider pupil)')
    """

    file: str
    subject: Subject
    grade: int | None = None
    decision: str = ""
    expected_grade: float | None = None
    margin: float | None = None
    action: str = ""


@dataclass(frozen=True)
class EyeAnswer:
    """What is said of one eye.

    Attributes:
        eye: `left`, `right` or `unknown`.
        status: `ok`, `ungradable` where no photo of it is gradable, `missing` where there is none.
        reason: Why the status is not `ok`, or the decision not that of one photo, and whether an eye was entered that
            is not that of the header.
        grade: The grade of the photo that answers; None where none does.
        decision: One of `PATIENT_DECISIONS`; empty for ungradable photos of an unknown eye, which say nothing.
        action: What to do now; empty where the decision says all.
        photos: The photos, the one that answers first.
        gradable: How many of them are gradable.

    Example:
        >>> import biranet
        >>> _, right = biranet.load().grade_patient(left=[biranet.draw_photo(grade=4, seed=7)]).eyes
        >>> right.eye, right.status, right.decision, right.action
        ('right', 'missing', 'retake', 'photograph the right eye')
    """

    eye: str
    status: str
    reason: str
    grade: int | None
    decision: str
    action: str
    photos: tuple[PhotoAnswer, ...]
    gradable: int

    @property
    def file(self) -> str:
        """The photo that answers; empty where none does."""
        return self.photos[0].file if self.gradable else ""


@dataclass(frozen=True)
class PatientAnswer:
    """What is said of one patient.

    Attributes:
        patient: The patient.
        eyes: Left and right, and `unknown` where there are photos of an unknown eye.
        grade: The highest grade of the eyes, or of those that are gradable; None where none is.
        decision: One of `PATIENT_DECISIONS`.
        reason: What contradicts, or why eyes have no grade.
        action: What to do now, eye by eye.

    Example:
        >>> import biranet
        >>> grader = biranet.load()
        >>> dark = biranet.draw_photo(grade=0, seed=2) // 9
        >>> patient = grader.grade_patient(left=[biranet.draw_photo(grade=4, seed=7)], right=[dark])
        >>> [(eye.eye, eye.status, eye.decision) for eye in patient.eyes]
        [('left', 'ok', 'refer'), ('right', 'ungradable', 'retake')]
        >>> patient.decision, patient.action
        ('refer', 'right eye: retake: too dark (more light, or a wider pupil)')
    """

    patient: str
    eyes: tuple[EyeAnswer, ...]
    grade: int | None
    decision: str
    reason: str
    action: str

    @property
    def worst_eye(self) -> str:
        """The eye with the highest grade; `both` where left and right have it, empty where none is gradable."""
        worst = [each.eye for each in self.eyes if each.grade is not None and each.grade == self.grade]
        return "both" if set(EYES) <= set(worst) else "".join(worst[:1])

    @property
    def photos(self) -> tuple[PhotoAnswer, ...]:
        """The photos, eye by eye."""
        return tuple(photo for eye in self.eyes for photo in eye.photos)


def answer_patients(photos: Iterable[PhotoAnswer]) -> list[PatientAnswer]:
    """Say what is to be said of each patient.

    Args:
        photos: Photos in any order. Those of unknown patients are left out.

    Returns:
        The patients by name.
    """
    by_patient: dict[str, list[PhotoAnswer]] = {}
    for photo in photos:
        if photo.subject.patient:
            by_patient.setdefault(photo.subject.patient, []).append(photo)
    return [answer_patient(patient, by_patient[patient]) for patient in sorted(by_patient)]


def answer_patient(patient: str, photos: Sequence[PhotoAnswer]) -> PatientAnswer:
    """Say what is to be said of one patient: the gravest of what is decided for the eyes.

    Args:
        patient: The patient.
        photos: The photos of this patient, in any order; of either eye or none. One that is named twice counts once.

    Returns:
        The answer. An eye without a gradable photo never yields `do not refer`. Where the headers of the files name
        several patients, a human is asked at least, unless each of these headers names this patient, or a
        person entered the patient of its file.

    Source:
        Ours: the reading of a screening programme, in `docs/patients.md`.
    """
    photos = _each_once(photos)
    by_eye = {eye: [photo for photo in photos if photo.subject.eye == eye] for eye in (*EYES, "")}
    eyes = tuple(answer_eye(eye, by_eye[eye]) for eye in EYES)
    if by_eye[""]:
        eyes += (_answer_unknown_eye(by_eye[""]),)
    decisions = [eye.decision for eye in eyes if eye.decision]
    reasons = [f"{eye.eye} eye: {eye.reason}" for eye in eyes if eye.reason]
    actions = [f"{eye.eye} eye: {eye.action}" for eye in eyes if eye.action]
    named = [photo.subject for photo in photos if photo.subject.header_patient]
    if (people := len({subject.header_patient for subject in named})) > 1:
        reasons.append(f"the headers of its files name {people} patients")
        if all(subject.patient_from == ENTERED or subject.header_patient == patient for subject in named):
            reasons[-1] += ", and one was entered"
        else:
            decisions.append(_HUMAN)
            actions.append("find out whose photos these are")
    grades = [eye.grade for eye in eyes if eye.grade is not None]
    return PatientAnswer(
        patient,
        eyes,
        max(grades, default=None),
        max(decisions, key=PATIENT_DECISIONS.index),
        "; ".join(reasons),
        "; ".join(actions),
    )


def _each_once(photos: Sequence[PhotoAnswer]) -> list[PhotoAnswer]:
    """Leave out what repeats a photo with its answer; photos without a name are all different ones."""
    # Without its measures: the last digits of the same photo may differ, where it was graded beside others.
    once: dict[object, PhotoAnswer] = {}
    for number, photo in enumerate(photos):
        once.setdefault((photo.file, photo.subject, photo.grade, photo.decision) if photo.file else number, photo)
    return list(once.values())


_AGAINST = "it was entered, the header of the file says the other eye"


def answer_eye(eye: str, photos: Sequence[PhotoAnswer]) -> EyeAnswer:
    """Say what is to be said of one eye.

    Args:
        eye: `left` or `right`.
        photos: Its photos, in any order.

    Returns:
        The answer of the best gradable photo. A human is asked where gradable photos differ by more than
        `MAX_DIFFERENCE` grades, and where the best one is not to be referred but another one is not so sure.

    Source:
        Ours: the reading of a screening programme, in `docs/patients.md`.
    """
    ordered = tuple(sorted(photos, key=_best_first))
    gradable = [photo for photo in ordered if photo.grade is not None]
    entered = [_AGAINST] if any(photo.subject.eye_from == OVER_HEADER for photo in photos) else []
    if not gradable:
        actions = "; ".join(dict.fromkeys(photo.action for photo in ordered if photo.action))
        status, reason = ("ungradable", "no photo is gradable") if ordered else ("missing", "no photo")
        reason = "; ".join([reason, *entered])
        return EyeAnswer(eye, status, reason, None, RETAKE, actions or f"photograph the {eye} eye", ordered, 0)
    best = gradable[0]
    grades = [photo.grade for photo in gradable if photo.grade is not None]
    decision, reason = best.decision, ""
    if max(grades) - min(grades) > MAX_DIFFERENCE:
        decision, reason = _HUMAN, f"gradable photos give grades {min(grades)} and {max(grades)}"
    elif decision == _NO_REFERRAL and (others := {photo.decision for photo in gradable} - {_NO_REFERRAL}):
        decision, reason = _HUMAN, f"another photo says: {max(others, key=DECISIONS.index)}"
    action = "look at all its photos" if reason else ""
    reason = "; ".join([reason, *entered] if reason else entered)
    return EyeAnswer(eye, "ok", reason, best.grade, decision, action, ordered, len(gradable))


def _answer_unknown_eye(photos: Sequence[PhotoAnswer]) -> EyeAnswer:
    """Say the gravest of what is decided on photos of an unknown eye, since they may be of different eyes.

    None answers for an eye, so left and right stay missing for all they say.
    """
    ordered = tuple(sorted(photos, key=_gravest_first))
    grades = [photo.grade for photo in ordered if photo.grade is not None]
    decisions = [photo.decision for photo in ordered if photo.decision]
    problems = dict.fromkeys(photo.subject.problem for photo in ordered if photo.subject.problem)
    reason = "; ".join(sorted(problems)) or "nothing says which eye"
    return EyeAnswer(
        UNKNOWN_EYE,
        "ok" if grades else "ungradable",
        reason,
        max(grades, default=None),
        max(decisions, key=DECISIONS.index, default=""),
        "say which eye each photo shows",
        ordered,
        len(grades),
    )


def _best_first(photo: PhotoAnswer) -> tuple[bool, float, int, float, str]:
    """Gradable photos first, the furthest from being ungradable first; of equals the graver one."""
    gravity = -1 if photo.grade is None else DECISIONS.index(photo.decision)
    expected = -1.0 if photo.expected_grade is None else photo.expected_grade
    return photo.grade is None, -(photo.margin or 0.0), -gravity, -expected, photo.file


def _gravest_first(photo: PhotoAnswer) -> tuple[bool, int, int, str]:
    """Gradable photos first, the gravest decision first; of equals the highest grade."""
    if photo.grade is None:
        return True, 0, 0, photo.file
    return False, -DECISIONS.index(photo.decision), -photo.grade, photo.file


def sources(photos: Iterable[PhotoAnswer]) -> tuple[str, str]:
    """Say where patient and eye of some photos are known from.

    Args:
        photos: Photos of one patient.

    Returns:
        The sources of the patient and those of the eye, each once, with commas between.
    """
    subjects = [photo.subject for photo in photos]
    patient = sorted({subject.patient_from for subject in subjects} - {""})
    eye = sorted({subject.eye_from for subject in subjects} - {""})
    return ", ".join(patient), ", ".join(eye)
