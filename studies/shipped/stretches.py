"""Measure the model that ships by stretches of the numbering, whose visits are in order of time.

OMP_NUM_THREADS=1 python -m studies.shipped.stretches prepared --backbone-weights FILE [--out FOLDER]

Visits of one time are alike, so folds of visits are too easy: other visits of the same days have taught what answers.
Here each fifth of the numbering, visits whole, is answered for by a network of the same recipe that has learned from
the other four. Given again, the command goes on where it was stopped. In the working folder, that of make.py:

    stretches/      the five runs, and their answers

The answers, before any rule, and what was measured of them go to results/stretches/, by the names that make.py uses;
there too what can be promised of missed photos (missed.json; studies/lesion_grades/bound.py), and how all differs from
what make.py has measured (from_visits.json). Networks and rules are as there: rules of a stretch are fitted on the
answers for the others, which are of networks that had learned from it. card.py and page.py put the figures on the card
and into docs/model.md.
"""

import argparse
import dataclasses
from collections.abc import Sequence

import pandas as pd

from biranet.config import TrainConfig
from biranet.files import write_json
from biranet.learning.shipped_models import DEFAULT
from biranet.locks import exclusive_file
from biranet.manifest import FOLD_PREFIX, graded_photos, read_manifest
from biranet.tables import write_table
from biranet.version import software_version
from studies.commands import exit_status_of, run_as_command
from studies.lesion_grades.bound import halve_folds, promise
from studies.shipped.make import answer_fold
from studies.shipped.measured import (
    ANSWERS_NAME,
    MEASURED_NAME,
    OTHER_FOLDS,
    STRETCHES_NAME,
    compare_with_visits,
    decide_answers,
    measure_answers,
)
from studies.shipped.steps import FOLDS, copy_with_manifest, read_config, training_parser
from studies.stretches import stretch_of
from studies.trainings import fingerprint_of_inputs, mark_folder

MISSED_NAME = "missed.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = training_parser(__doc__).parse_args(arguments)
    return exit_status_of(__file__, lambda: measure(given, read_config(given)))


def measure(given: argparse.Namespace, config: TrainConfig) -> None:
    """Do what this file is for."""
    out, results = given.out / STRETCHES_NAME, given.results / STRETCHES_NAME
    with exclusive_file(out / "lock", wait=True):
        mark_folder(out, fingerprint_of_inputs(given.prepared, config))
        folds = copy_with_manifest(given.prepared, out / "folds", divide_by_stretch(read_manifest(given.prepared)))
    answers = [answer_fold(folds, dataclasses.replace(config, fold=fold), out) for fold in range(FOLDS)]
    software = software_version()  # before a table is written, which would be a change
    write_table(results / ANSWERS_NAME, pd.concat([pd.read_csv(path, dtype=str) for path in answers]))
    decided = decide_answers(results, config.calibration)
    write_json(results / MISSED_NAME, {"software": software, **promise(decided, halve_folds(decided))})
    compare_with_visits(given.results, config.calibration, software)
    measure_answers(
        decided,
        out / "report",
        results / MEASURED_NAME,
        title=f"{DEFAULT}, by stretches of the numbering",
        method=OTHER_FOLDS,
        on=f"{FOLDS} stretches of the numbering, every photo by models that had not seen its stretch",
    )


def divide_by_stretch(table: pd.DataFrame) -> pd.DataFrame:
    """Give the manifest of photos folds, each of which answers for a stretch and learns from the others."""
    photos = graded_photos(table)
    stretch = pd.Series(stretch_of(photos, FOLDS), photos.index)
    folds = {}
    for fold in range(FOLDS):
        parts = stretch.map({other: "test" if other == fold else "train" for other in range(FOLDS)})
        folds[f"{FOLD_PREFIX}{fold}"] = parts.reindex(table.index, fill_value="")
    return table.assign(**folds, split="")


if __name__ == "__main__":
    run_as_command(main)
