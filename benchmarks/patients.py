"""How right are answers for patients? Photographs of both eyes, graded by the model that ships, against the worse eye.

python benchmarks/patients.py LABELS --name-pattern PATTERN [--source NAME] [--checkpoint FILE] [--out results.json]

LABELS: a table with the columns `file`, `grade` and `group`, the patient, beside its photographs; with --source, only
rows with that in the column `source`. The pattern tells the eye from the name. A patient is referable whose worse eye
is. Sensitivities and specificities have the 95 % intervals of `biranet.measure`. No photo is named in the results.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import biranet
from biranet.decisions.patients import PATIENT_DECISIONS, PatientAnswer, Subject, answer_patients
from biranet.grades import REFERABLE_GRADE
from biranet.inference.subjects import read_names, subjects_in
from biranet.learning.shipped_models import DEFAULT
from biranet.photos.datasets.name_pattern import NamePattern
from biranet.tables import read_table
from records import start_record, write_record

SENT_ON = {
    "refer": {"refer"},
    "refer or ask a human": {"refer", "ask a human"},
    "not sent home": set(PATIENT_DECISIONS[1:]),
}
"""What may count as positive, from the narrowest."""


def measure(labels: Path, source: str, pattern: str, checkpoint: Path | None) -> dict[str, Any]:
    table = read_table(labels, ("file", "grade", "group"))
    table = table[table["source"] == source] if source else table
    files = [labels.parent / name for name in table["file"]]
    subjects: dict[Path, Subject] = dict(zip(files, subjects_in(table, labels), strict=True))
    read_names(files, NamePattern(pattern), subjects)
    grader = biranet.load(checkpoint)
    photos = [answer.for_patient() for answer in grader.grade_many(files, subjects=subjects)]
    patients = answer_patients(photos)
    truth = table["grade"].map(int).groupby(table["group"].str.strip()).max()
    return {
        "model": str(checkpoint or DEFAULT),
        "photos": len(photos),
        "not graded": sum(photo.grade is None for photo in photos),
        **summarize(patients, [int(truth[each.patient]) for each in patients]),
        "decisions for photos": dict(Counter(photo.decision or "none" for photo in photos)),
    }


def summarize(patients: list[PatientAnswer], truth: list[int]) -> dict[str, Any]:
    """Figures about all patients, none of them named."""
    referable = Counter(
        answer.decision for answer, grade in zip(patients, truth, strict=True) if grade >= REFERABLE_GRADE
    )
    decisions = Counter(answer.decision for answer in patients)
    eyes = Counter(eye.status for answer in patients for eye in answer.eyes)
    return {
        "patients": len(patients),
        "referable": referable.total(),
        "eyes": dict(eyes),
        "decisions": {
            each: {"patients": decisions[each], "referable": referable[each]} for each in reversed(PATIENT_DECISIONS)
        },
        "positive": {name: shares(patients, truth, sent) for name, sent in SENT_ON.items()},
    }


def shares(patients: list[PatientAnswer], truth: list[int], sent: set[str]) -> dict[str, Any]:
    """Sensitivity and specificity where these decisions count as positive."""
    positive = [REFERABLE_GRADE if answer.decision in sent else 0 for answer in patients]
    figures = biranet.measure(truth, positive)
    return {
        name: {
            "value": round(figures[f"referable_{name}"], 4),
            "ci": [round(end, 4) for end in figures["ci"][f"referable_{name}"]],
        }
        for name in ("sensitivity", "specificity")
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--name-pattern", required=True)
    parser.add_argument("--source", default="")
    parser.add_argument("--checkpoint", type=Path)
    start_record(parser)
    given = parser.parse_args()
    results = measure(given.labels, given.source, given.name_pattern, given.checkpoint)
    write_record(results, given.out, ("numpy", "onnxruntime"))
