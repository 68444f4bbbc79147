"""Which files a test has this process open to read."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Note the files that this process opens to read meanwhile, one entry each time."""
    paths: list[str] = []
    watching = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], str | Path):
            path, mode, flags = arguments
            if "r" in str(mode) or (mode is None and not flags & (os.O_WRONLY | os.O_RDWR)):  # by open, or by os.open
                paths.append(str(path))

    sys.addaudithook(note)  # there is no taking it back
    try:
        yield paths
    finally:
        watching = False
