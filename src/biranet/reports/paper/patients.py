"""How sentences of a paper speak of patients: as known, guessed, known of some photographs, or not known at all."""

from collections.abc import Mapping
from typing import Any

from biranet.reports.fact_kinds import PatientsFact, SplitFact
from biranet.reports.facts import DIVIDED_PATIENTS_FACT, DIVISION_FACT, PATIENTS_FACT, SPLIT_FACT, Fact
from biranet.reports.paper.wording import enumerate_words
from biranet.words import counted

_SOURCES = {"name": "files", "folder": "folders"}


def patients_of(facts: Mapping[str, Fact]) -> PatientsFact:
    """Return how the patients of the measured photos are known; all of them where nothing else is said."""
    fact = facts.get(PATIENTS_FACT)
    return fact if isinstance(fact, PatientsFact) else PatientsFact(0)


def divided_patients(facts: Mapping[str, Fact]) -> PatientsFact | None:
    """Return how those of the photos are known that were divided for the training; None of photos from elsewhere."""
    split, divided = facts.get(SPLIT_FACT), facts.get(DIVIDED_PATIENTS_FACT)
    if DIVISION_FACT in facts:
        return patients_of(facts)
    if isinstance(split, SplitFact) and split.trained_by:
        return divided if isinstance(divided, PatientsFact) else PatientsFact(0)
    return None


def guess_of(patients: PatientsFact) -> str:
    """Say what patients were guessed from; empty where none were.

    Example:
        >>> guess_of(PatientsFact(8, guessed=8, guessed_from=("name",)))
        'as guessed from the names of files'
    """
    if not patients.guessed:
        return ""
    some = "some of them " if patients.guessed + patients.unknown < patients.photos else ""
    return f"{some}as guessed from the names of {enumerate_words([_SOURCES[each] for each in patients.guessed_from])}"


def by_patient(patients: PatientsFact | None) -> str:
    """Say what was kept whole where photos were divided.

    Args:
        patients: How they are known; None where that is not known.

    Example:
        >>> by_patient(PatientsFact(24)), by_patient(PatientsFact(24, unknown=4)), by_patient(None)
        ('by patient', 'by patient, where known', 'by patient, as far as patients were known')
        >>> by_patient(PatientsFact(24, unknown=24))
        'photograph by photograph, as patients were not known'
    """
    if patients is None:
        return "by patient, as far as patients were known"
    if patients.all_unknown:
        return "photograph by photograph, as patients were not known"
    parts = ["by patient", "where known" if patients.unknown else "", guess_of(patients)]
    return ", ".join(filter(None, parts))


def photos_and_patients(metrics: Mapping[str, Any], patients: PatientsFact = PatientsFact(0)) -> str:  # noqa: B008 (frozen)
    """Count photographs and, where they are others, patients; in brackets, how these are known.

    Example:
        >>> photos_and_patients({"n": 24, "groups": 12}, PatientsFact(24, 2))
        '24 photographs of 12 patients (each photograph of an unknown patient counting as one)'
    """
    photos = counted(metrics["n"], "photograph")
    if metrics["groups"] == metrics["n"]:
        return photos
    return f"{photos} of {counted(metrics['groups'], 'patient')}{doubt_of(patients)}"


def doubt_of(patients: PatientsFact) -> str:
    """Say in brackets what makes a number of patients doubtful; empty where nothing does."""
    unknown = "each photograph of an unknown patient counting as one" if patients.unknown else ""
    doubts = "; ".join(filter(None, [guess_of(patients), unknown]))
    return f" ({doubts})" if doubts else ""
