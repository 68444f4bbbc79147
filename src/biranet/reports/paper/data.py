"""The methods of a report: what was measured, and how its photographs came to stand where they did."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from biranet.grades import GRADE_NAMES, GRADES, REFERABLE_GRADE
from biranet.reports.fact_kinds import (
    AuditFact,
    GradesFact,
    LeftOutFact,
    ModelFact,
    PatientsFact,
    PhotosFact,
    SplitFact,
)
from biranet.reports.facts import (
    AUDIT_FACT,
    DIVISION_FACT,
    GRADES_FACT,
    LEFT_OUT_FACT,
    MODEL_FACT,
    PHOTOS_FACT,
    SPLIT_FACT,
    Fact,
)
from biranet.reports.fold_facts import DivisionFact
from biranet.reports.pages.page import percent
from biranet.reports.paper.patients import by_patient, divided_patients, guess_of, patients_of, photos_and_patients
from biranet.reports.paper.references import DATA_SETS
from biranet.reports.paper.wording import as_markdown, enumerate_words, number_word
from biranet.words import counted

_LEFT_OUT = {
    "ungradable": "as ungradable",
    "unreadable": "as unreadable",
    "no_field": "as no illuminated field was found",
    "ungraded": "for want of a reference grade",
}
_PARTS = {
    "train": "for training",
    "validation": "for the choice of the epoch",
    "calibration": "for calibration",
    "test": "for testing",
}


def describe_data(table: pd.DataFrame, metrics: Mapping[str, Any], facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say which photographs were measured, sentence by sentence.

    Args:
        table: A predictions table.
        metrics: The content of its `metrics.json`.
        facts: What is known of the answers.
    """
    patients = patients_of(facts)
    photos = f"{photos_and_patients(metrics, patients)}{_origin(table)}"
    division, model = facts.get(DIVISION_FACT), facts.get(MODEL_FACT)
    if isinstance(division, DivisionFact):
        folds = number_word(division.folds)
        yield f"A {folds}-fold cross-validation was carried out on {photos}."
        yield from _describe_left_out(facts.get(LEFT_OUT_FACT))
        seeded = "" if division.seed is None else f" (random seed {division.seed})"
        yield (
            f"The photographs were divided into {folds} folds {by_patient(patients)}{seeded}, so that "
            f"{_apart(patients)}; the photographs of each fold were graded by a model that had been trained on other "
            "folds alone."
        )
    else:
        subject = "The predictions for" if model is None else "The model was evaluated on"
        yield f"{subject} {photos}{' were evaluated' if model is None else ''}."
        yield from _describe_left_out(facts.get(LEFT_OUT_FACT))
        yield from _describe_part(facts)
    yield from _describe_search(facts)
    yield from _describe_grades(metrics, facts.get(GRADES_FACT))
    if metrics["groups"] == metrics["n"]:
        unknown = "Patients were not known, so every" if patients.all_unknown else "Every"
        yield f"{unknown} photograph was counted as that of a patient of its own."
    if isinstance(model, ModelFact):
        size = f"{model.image_size} × {model.image_size}"
        yield f"The square around the illuminated field was cut out of each photograph and scaled to {size} pixels."


def _apart(patients: PatientsFact) -> str:
    """What a division into folds has kept apart."""
    if patients.all_unknown:
        return "photographs of one patient may have stood in several folds"
    if patients.unknown:
        return "all photographs of a known patient stood in one fold, those of unknown ones being divided singly"
    return f"all photographs of {'what was taken for one' if patients.guessed else 'a'} patient stood in one fold"


def _origin(table: pd.DataFrame) -> str:
    sources = sorted(set(table["source"].astype(str))) if "source" in table else []
    named = [f"{DATA_SETS[source][0]} [@{DATA_SETS[source][1]}]" for source in sources if source in DATA_SETS]
    return f" from {enumerate_words(named)}" if named and len(named) == len(sources) else ""


def _describe_left_out(fact: Fact | None) -> Iterator[str]:
    if isinstance(fact, LeftOutFact) and fact.reasons:
        out = sum(fact.reasons.values())
        reasons = [f"{count:,} {_LEFT_OUT.get(why, as_markdown(why))}" for why, count in fact.reasons.items()]
        yield (
            f"Of {counted(fact.listed, 'photograph')} at hand, {out:,} ({percent(out / fact.listed)}) "
            f"{'was' if out == 1 else 'were'} left out: {enumerate_words(reasons)}."
        )


def _describe_part(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say which part of a division was measured; nothing of photographs that the model was not trained among."""
    photos, split = facts.get(PHOTOS_FACT), facts.get(SPLIT_FACT)
    if not (isinstance(photos, PhotosFact) and isinstance(split, SplitFact) and split.trained_by and photos.column):
        return
    whole = sum(split.parts.values())
    parts = [f"{count:,} ({percent(count / whole)}) {_PARTS[part]}" for part, count in split.parts.items()]
    by = by_patient(divided_patients(facts))
    yield f"{counted(whole, 'photograph')} had been divided {by}: {enumerate_words(parts)}."
    if photos.part in _PARTS:
        yield f"Those {_PARTS[photos.part]} are reported here."


def _describe_search(facts: Mapping[str, Fact]) -> Iterator[str]:
    audit, divided = facts.get(AUDIT_FACT), divided_patients(facts)
    if not (isinstance(audit, AuditFact) and divided and not audit.leaks):
        return
    if divided.all_unknown:
        by, nothing = "file hash and perceptual hash", "no photograph and no copy of one"
    else:
        guess = guess_of(divided)
        patient = f"no {'known ' if divided.unknown else ''}patient{f', {guess},' if guess else ''}"
        by, nothing = "file hash, perceptual hash and patient", f"no photograph, no copy of one and {patient}"
    yield (
        f"An automatic search by {by} found {nothing} both among those that a model had learned from and those that it "
        "was tested on."
    )


def _describe_grades(metrics: Mapping[str, Any], values: Fact | None) -> Iterator[str]:
    counts = [sum(row) for row in metrics["confusion_matrix"]]
    by_grade = [
        f"{counts[grade]:,} ({percent(counts[grade] / metrics['n'])}) "
        f"{'no retinopathy' if grade == 0 else GRADE_NAMES[grade]} (grade {grade})"
        for grade in GRADES
        if counts[grade]
    ]
    referable = sum(counts[REFERABLE_GRADE:])
    yield (
        "On the International Clinical Diabetic Retinopathy scale [@wilkinson2003scale], the reference grades were: "
        f"{enumerate_words(by_grade)}."
    )
    yield (
        f"Referable retinopathy was defined as grade {REFERABLE_GRADE} or above, and {counted(referable, 'photograph')}"
        f" ({percent(referable / metrics['n'])}) had it."
    )
    if isinstance(values, GradesFact):
        yield f"The values of the tables were translated to grades as follows: {as_markdown(values.values)}."
