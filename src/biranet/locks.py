"""Files that one process has for itself."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from filelock import lock_descriptor, unlock_descriptor

from biranet.errors import InputError


@contextmanager
def exclusive_file(path: Path, *, wait: bool = False) -> Iterator[TextIO | None]:
    """Open a file for this process alone, among the processes of this machine.

    The system lets go of it when the process ends, however it ends, and with it those it has forked meanwhile, such as
    the workers of a data loader.

    Args:
        path: The file, UTF-8 with line feeds; it and its folder are made where they are missing.
        wait: Wait for a process that holds it.

    Yields:
        The file, to read and to append to; None where another process holds it and `wait` is not given.

    Raises:
        InputError: If the file cannot be opened, or its file system has no locks.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "log.txt"
        >>> with exclusive_file(place) as mine, exclusive_file(place) as other:
        ...     mine is None, other is None
        (False, True)
    """
    with ExitStack() as stack:
        locked = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            while locked is None:
                file = stack.enter_context(path.open("a+", encoding="utf-8", errors="replace", newline="\n"))
                if not lock_descriptor(file.fileno(), blocking=wait):
                    break
                if _is_same_file(path, file):
                    locked = file
                else:
                    file.close()
        except OSError as error:
            raise InputError(
                f"cannot lock {path}: {error.strerror or error}; choose a folder with room that can be written, on a "
                "file system with locks, such as a disk of this machine"
            ) from error
        try:
            yield locked
        finally:
            if locked is not None:
                unlock_descriptor(locked.fileno())  # a process that was started meanwhile would hold on to it


def _is_same_file(path: Path, file: TextIO) -> bool:
    """Whether an open file is the one of that name: before it was ours, another process may have deleted it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
