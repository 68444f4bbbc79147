"""Files that are either whole or not there: written beside their place, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from biranet.errors import InputError


@contextmanager
def whole_file(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Write a file so that a kill or a full disk never leaves half of it.

    Args:
        path: Where the file shall stand; missing parent folders are made.
        synced: Wait until the bytes are on the disk before the file gets its name, so that a power failure does not
            leave half of it either. Who writes thousands of files does without, and calls `os.sync` before anything
            names them.

    Yields:
        A path beside `path` to write to. It is renamed when the block ends, deleted when it raises.

    Raises:
        InputError: If the file cannot be written (no space, no permission).

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with whole_file(place) as beside:
        ...     _ = beside.write_text("all of it")
        >>> place.read_text()
        'all of it'
    """
    # The suffix stays last: libraries choose a file format by it.
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if synced:
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged, "
            "so make room or choose another place and run the command again"
        ) from error
    finally:
        # Where the folder itself is impossible, this fails too, and would hide the sentence above.
        with suppress(OSError):
            beside.unlink()


def printable(name: str) -> str:
    r"""Write a file's name on one line of a terminal: line breaks, and orders to the terminal, are written out.

    Example:
        >>> print(printable("a\nb.jpg"), printable("ü.jpg"))
        'a\nb.jpg' ü.jpg
    """
    return name if name.isprintable() else ascii(name)


def write_bytes(path: Path, data: bytes, *, synced: bool = True) -> None:
    """Write bytes whole or not at all; see `whole_file`."""
    with whole_file(path, synced=synced) as beside:
        beside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; paths become strings, NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False, default=str, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        InputError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); it may have been edited by hand") from error
