"""What several commands share: the folder they read, and checks of paths and numbers."""

import csv
import dataclasses
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, get_type_hints

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


GRADES_EXAMPLE = "mild=1,moderate=2"
"""What `--grades` looks like."""


def read_pairs(text: str, flag: str, example: str) -> dict[str, str]:
    """Read `left=right,left=right`; a pair that holds a comma stands in double quotes."""
    pairs = {}
    for item in next(csv.reader([text]), []):
        ours, equals, theirs = (part.strip() for part in item.partition("="))
        if not (ours and equals and theirs):
            raise InputError(f"{flag} is a list such as {example}, and {item!r} is no part of one")
        if ours in pairs:
            raise InputError(f"{flag} names {ours!r} twice")
        pairs[ours] = theirs
    return pairs


def check_paths(command: Any, words: Sequence[str]) -> None:
    """Refuse paths that no file system takes, and files that are named like folders.

    Args:
        command: With its settings.
        words: Its part of the command line.

    Raises:
        InputError: If there is one.
    """
    named_as_folders = {
        Path(word.partition("=")[2] if word.startswith("--") else word) for word in words if word.endswith("/")
    }
    for path, is_file in _paths(command):
        try:
            path.lstat()
        except ValueError:
            raise InputError(f"no file or folder can be called {str(path)!r}: it holds a zero byte") from None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
                raise InputError(f"no file or folder can be called {path}: {error.strerror}") from None
        if path in named_as_folders and (is_file or os.path.isfile(path)):  # noqa: PTH113 - Path.is_file may raise
            raise InputError(f"{path}/ is named as a folder, but it is a file; leave out the slash at its end")


def _paths(settings: Any) -> Iterator[tuple[Path, bool]]:
    """The paths among settings, each with whether it can only be a file."""
    hints = get_type_hints(type(settings), include_extras=True)
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if dataclasses.is_dataclass(value):
            yield from _paths(value)
        metavars = {getattr(each, "metavar", None) for each in getattr(hints[item.name], "__metadata__", ())}
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path):
                yield path, "FILE" in metavars
