"""How the commands of the studies begin and end."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from biranet.errors import BiranetError, InterruptedRunError

ROOT = Path(__file__).resolve().parents[1]


def command_parser(doc: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command; its description is the first line of the docstring of its file."""
    return argparse.ArgumentParser(description=(doc or "").splitlines()[0])


def add_photos_and_weights(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains is given."""
    parser.add_argument("prepared", metavar="PREPARED", type=Path)
    parser.add_argument("--backbone-weights", metavar="FILE", type=Path)


def exit_status_of(file: str, work: Callable[[], None]) -> int:
    """Do the work of a command, and say in one sentence what ended it early.

    Args:
        file: The `__file__` of the command.
        work: The work.

    Returns:
        The exit status.
    """
    name = Path(file).resolve().relative_to(ROOT).as_posix()
    try:
        work()
    except (InterruptedRunError, KeyboardInterrupt):
        print(f"{name}: stopped; the same command goes on from here", file=sys.stderr)
        return InterruptedRunError.exit_status
    except BiranetError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def run_as_command(main: Callable[[], int]) -> NoReturn:
    """Run a command as what this process is for."""
    # Between two trainings too a signal ends the command by its own status; what is finished is on the disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
