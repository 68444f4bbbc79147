"""Compare the same heads in two runs: on photographs shown at two sizes, or by trainings of two lengths.

python -m studies.claims.between FIRST OTHER

FIRST, OTHER: results of run.py, of the same photographs and seeds. What is found goes to OTHER.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biranet.errors import InputError
from biranet.files import read_json, write_json
from biranet.version import software_version
from studies.claims.arms import ARMS, lengthened
from studies.claims.run import ANSWERS_NAME, SUMS_NAME
from studies.claims.sums import compare_runs
from studies.commands import command_parser, exit_status_of, run_as_command

BETWEEN_NAME = "between.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    for name in ("first", "other"):
        parser.add_argument(name, metavar=name.upper(), type=Path)
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: compare(given.first, given.other))


def compare(first: Path, other: Path) -> None:
    """Write how each arm that does something else in another run differs from the first.

    Raises:
        InputError: If they are not of the same photographs, seeds and folds, or no arm does something else.
    """
    software = software_version()  # before a file is written, which would be a change
    sums, other_sums = (read_json(folder / SUMS_NAME) for folder in (first, other))
    arms = [arm for arm in other_sums["arms"] if arm in sums["arms"]]
    # Figures that were made before there were longer trainings do not say that theirs are none.
    if bool(sums.get("longer")) != bool(other_sums.get("longer")):
        arms = [arm for arm in arms if ARMS[arm] != lengthened(ARMS[arm])]  # the others do the same in both
    if not arms:
        raise InputError(f"no arm of {other} does something else than in {first}; give another run")
    first_answers, other_answers = (pd.read_csv(folder / ANSWERS_NAME) for folder in (first, other))
    write_json(
        other / BETWEEN_NAME,
        {"software": software, "first": sums["software"], "arms": compare_runs(first_answers, other_answers, arms)},
    )


if __name__ == "__main__":
    run_as_command(main)
