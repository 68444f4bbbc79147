"""Measure the model that ships with a lesion branch by stretches of the numbering.

OMP_NUM_THREADS=1 python -m studies.shipped_lesions.stretches prepared FOLDER --graded TABLE [--work FOLDER]

As studies/shipped/stretches.py measures the network alone, whose answers for stretches are corrected here. What is
given, and the working folder, are those of make.py. Lesion heads are trained anew, each without the stretch that is
answered for and that of the photo. What was measured goes to results/stretches/, by the names that make.py uses,
and how it differs from what make.py has measured (from_visits.json). card.py and page.py put it on the card and into
docs/lesions.md.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from biranet.decisions.predictions import read_predictions
from biranet.version import software_version
from studies.commands import exit_status_of, run_as_command
from studies.lesion_grades.divisions import Folds
from studies.shipped.card import RESULTS as RESULTS_ALONE
from studies.shipped.measured import ANSWERS_NAME, STRETCHES_NAME, compare_with_visits
from studies.shipped_lesions.answers import join_answers
from studies.shipped_lesions.begin import Begun, begin, lesions_parser
from studies.shipped_lesions.grades import measure_grades
from studies.stretches import number_of

DIVISION = "stretches"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = lesions_parser(__doc__).parse_args(arguments)
    return exit_status_of(__file__, lambda: measure(begin(given), RESULTS_ALONE / STRETCHES_NAME / ANSWERS_NAME))


def measure(begun: Begun, answers: Path) -> None:
    """Do what this file is for.

    Args:
        begun: What was given.
        answers: Those that are corrected, each with its stretch.
    """
    results, software = begun.given.results / STRETCHES_NAME, software_version()
    folds = stretches_of_answers(begun.own, read_predictions(answers))
    kept = begun.look(DIVISION, folds, results)
    photos = join_answers(begun.own, DIVISION, folds, kept, answers)
    measure_grades(photos, begun.config, begun.given.work / "report_stretches", results)
    compare_with_visits(begun.given.results, begun.config.calibration, software)


def stretches_of_answers(photos: pd.DataFrame, answers: pd.DataFrame) -> Folds:
    """Find the stretch of each photo: that of its visit, or of the last visit that began before it and has answers.

    Args:
        photos: With the columns `file` and `group`.
        answers: Predictions, with their stretch in the column `fold`; they may be of a part of the photos.

    Example:
        >>> answers = pd.DataFrame({"group": ["a", "a", "c"], "fold": ["0", "0", "1"]})
        >>> photos = pd.DataFrame({"file": ["1.jpg", "3.jpg", "5.jpg", "4.jpg", "6.jpg"], "group": list("acbad")})
        >>> stretches_of_answers(photos, answers)  # the visits begin in the order a, c, b, d
        array([0, 1, 1, 0, 1])
    """
    begun = photos["file"].map(number_of).groupby(photos["group"]).min().sort_values()
    known = begun.index.to_series().map(dict(zip(answers["group"], answers["fold"].astype(int), strict=True)))
    return photos["group"].map(known.ffill().bfill()).to_numpy(np.int64)


if __name__ == "__main__":
    run_as_command(main)
