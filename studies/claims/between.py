"""Compare the same heads on photographs shown at two sizes.

python -m studies.claims.sizes SMALL LARGE

SMALL, LARGE: results of run.py at two sizes, of the same photographs and seeds. What is found goes to LARGE.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biranet.files import read_json, write_json
from biranet.version import software_version
from studies.claims.run import ANSWERS_NAME, SUMS_NAME
from studies.claims.sums import compare_sizes
from studies.commands import command_parser, exit_status_of, run_as_command

SIZES_NAME = "sizes.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    for name in ("small", "large"):
        parser.add_argument(name, metavar=name.upper(), type=Path)
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: compare(given.small, given.large))


def compare(small: Path, large: Path) -> None:
    """Write how each arm differs between two sizes.

    Raises:
        InputError: If they are not of the same photographs, seeds and folds.
    """
    software = software_version()  # before a file is written, which would be a change
    arms = [arm for arm in read_json(large / SUMS_NAME)["arms"] if arm in read_json(small / SUMS_NAME)["arms"]]
    small_answers, large_answers = (pd.read_csv(folder / ANSWERS_NAME) for folder in (small, large))
    found = compare_sizes(small_answers, large_answers, arms)
    write_json(large / SIZES_NAME, {"software": software, "arms": found})


if __name__ == "__main__":
    run_as_command(main)
