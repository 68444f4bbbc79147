"""What several commands share: the folder they read, and checks of paths and numbers."""

import csv
import dataclasses
import errno
import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

from tyro.conf import Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from biranet.cluster import LOCAL, Cluster, open_cluster
from biranet.config import ComputeConfig, Device
from biranet.errors import InputError

PreparedFolder = Annotated[Positional[Path], arg(metavar="PREPARED")]

RayAddress = Annotated[
    str | None,
    arg(metavar="[ADDRESS]"),
    PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="[ADDRESS]",
        instance_from_str=lambda words: words[0] if words else LOCAL,
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [value or "None"],
    ),
]
"""A flag with or without the address of a Ray cluster; None where the flag is not there."""


INPUTS = "PHOTO|FOLDER|TABLE"
"""What stands for paths that may be addresses too, and are texts for that."""


FILE_OR_FOLDER = "FILE|FOLDER"
"""What stands for the path of a table, which may be a folder of parts."""


class Command(ABC):
    """What every command has."""

    @abstractmethod
    def run(self) -> int:
        """Do the work and return the exit status: 0, or 1 where some photos failed."""

    def next_step(self) -> str:
        """What comes after the work, as one can paste it; nothing where that is open."""
        return ""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> Self | None:
        """Read the defaults of the flags from what other flags name; None where the defaults of the fields hold.

        Args:
            arguments: The words after the command.
        """
        return None


def command_line(*words: object) -> str:
    """Write a command of this program as a shell takes it.

    Example:
        >>> command_line("audit", Path("my photos"))
        "biranet audit 'my photos'"
    """
    return shlex.join(["biranet", *map(str, words)])


@dataclass(frozen=True)
class Computing(ComputeConfig):
    """The flags of commands by which a network computes."""

    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU; the same as --device cpu."""

    def resolve(self) -> ComputeConfig:
        """Resolve `--no-cuda` into the device.

        Raises:
            InputError: If the flags contradict each other.
        """
        return ComputeConfig(self.workers, combine_device(self.device, no_cuda=self.no_cuda))


def combine_device(device: Device, *, no_cuda: bool) -> Device:
    """Combine `--device` with `--no-cuda`.

    Raises:
        InputError: If they contradict each other.
    """
    if no_cuda and device not in ("auto", "cpu"):
        raise InputError(f"--no-cuda contradicts --device {device}; leave one of them out")
    return "cpu" if no_cuda else device


def check_counts(**counts: tuple[int, int]) -> None:
    """Refuse flags whose value is below the lowest; both by the flag's name."""
    for name, (value, lowest) in counts.items():
        if value < lowest:
            raise InputError(f"--{name.replace('_', '-')} must be at least {lowest}, not {value}")


@contextmanager
def open_workers(workers: int, ray: str | None) -> Iterator[int | Cluster]:
    """Find who works: as many processes of this machine as `--workers` says, or the cluster that `--ray` names."""
    if ray is None:
        yield workers
    else:
        with open_cluster(ray, workers) as cluster:
            yield cluster


def check_title(title: str) -> str:
    """Put a title on one line; an empty one means that none was given.

    Raises:
        InputError: If it holds nothing but spaces.
    """
    line = " ".join(title.split())
    if title and not line:
        raise InputError("--title holds only spaces; give a title, or leave it out")
    return line


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
                yield path, "FILE" in metavars or (FILE_OR_FOLDER in metavars and _is_table_name(path))
            elif INPUTS in metavars and "://" not in path:
                yield Path(path), False


def _is_table_name(path: Path) -> bool:
    from biranet.typed_tables import TABLE_FORMATS

    return path.suffix.lower() in TABLE_FORMATS
