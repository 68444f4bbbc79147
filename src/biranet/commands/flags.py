"""What several commands share: the folder they read, and checks of numbers."""

from pathlib import Path
from typing import Annotated, Protocol

from tyro.conf import Positional, arg

from biranet.errors import InputError

PreparedFolder = Annotated[Positional[Path], arg(metavar="PREPARED")]


class Command(Protocol):
    """What every command has."""

    def run(self) -> int:
        """Do the work and return the exit status: 0, or 1 where some photos failed."""


def check_counts(**counts: tuple[int, int]) -> None:
    """Refuse flags whose value is below the lowest; both by the flag's name."""
    for name, (value, lowest) in counts.items():
        if value < lowest:
            raise InputError(f"--{name.replace('_', '-')} must be at least {lowest}, not {value}")
