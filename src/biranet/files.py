"""Files: whole or not there when written, regular and of bounded length when read."""

import errno
import json
import os
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from biranet.errors import InputError

LONGEST_JSON_BYTES = 256_000_000
"""Longest JSON file of ours that is read: findings on a million photos have some hundred megabytes."""


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


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Read a file that comes from outside: a regular one, and no longer than it may be.

    A pipe or a device is never waited for, and a file is never read beyond its limit, whatever its length was before.

    Args:
        path: The file; a link is followed.
        limit_bytes: How many bytes it may have at most.

    Returns:
        All of its bytes.

    Raises:
        OSError: If it is missing, cannot be read, is no regular file (EINVAL) or is longer (EFBIG).

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "note.txt"
        >>> write_bytes(place, b"all of it")
        >>> read_regular(place, 100)
        b'all of it'
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write to it; O_BINARY is Windows'.
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with os.fdopen(opened, "rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {limit_bytes / 1e6:,.0f} MB", str(path))
    return data


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from a file that anyone may have written.

    Raises:
        ValueError: If it is not JSON, or nested more deeply than can be parsed.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML from a file that anyone may have written.

    Raises:
        ValueError: If it is not TOML, or nested more deeply than can be parsed.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        InputError: If it is missing or not JSON.
    """
    try:
        return parse_json(read_regular(path, LONGEST_JSON_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); it may have been edited by hand") from error
