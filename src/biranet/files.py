"""Files: whole or not there when written, regular and of bounded length when read."""

import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import lock_descriptor

from biranet.errors import InputError

MAX_JSON_BYTES = 256_000_000
"""Longest JSON file of ours that is read: findings on a million photos have some hundred megabytes."""


@contextmanager
def atomic_write(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Write a file so that a kill or a full disk never leaves half of it.

    It is written beside its place, under a new name that nobody could have guessed, and renamed when the block ends. A
    link stays, and what it leads to is written; a file that is replaced keeps its mode. What killed processes have left
    in the folder is deleted.

    Args:
        path: Where the file shall stand; missing parent folders are made.
        synced: Wait until the bytes are on the disk before the file gets its name, so that a power failure does not
            leave half of it either. Who writes thousands of files does without, and calls `os.sync` before anything
            names them.

    Yields:
        The file to write to. Where the block raises, it is deleted, and what was there before stays.

    Raises:
        InputError: If the file cannot be written (no space, no permission), or a folder, a device or a pipe stands
            there. Errors that the block has elsewhere, such as with a file that it reads, pass through.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with atomic_write(place) as file:
        ...     _ = file.write(b"all of it")
        >>> place.read_text()
        'all of it'
    """
    with _write_errors_of(path):
        target = Path(os.path.realpath(path))
        old = _replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent not in _CLEANED_FOLDERS:
            _CLEANED_FOLDERS.add(target.parent)
            delete_partials(target.parent)
        temporary, number = _open_temporary(target, 0o666 if old is None else 0o600)
    file = io.BufferedWriter(_Output(number, path))
    try:
        yield file
        with _write_errors_of(path):
            file.flush()
            if synced:
                os.fsync(number)
            if old is not None:
                _copy_mode(temporary, old)
            if os.name == "nt":  # which renames no open file; elsewhere it stays open, and so locked, until it is named
                file.close()
            temporary.replace(target)
    finally:
        # Whatever fails here would hide what has happened.
        with suppress(OSError, InputError):
            file.close()
        with suppress(OSError):
            temporary.unlink()


_PARTIAL = re.compile(r"\..*\.biranet-[0-9a-f]{8}\.partial")
"""Names of files that `atomic_write` has not finished."""

_CLEANED_FOLDERS: set[Path] = set()
"""Folders in which this process has looked for what others have left: once is enough."""


def delete_partials(folder: Path) -> None:
    """Delete what killed processes have left half-written in a folder, and nothing else: what lives is locked."""
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 (names only: the folder may be large)
            if _PARTIAL.fullmatch(name):
                with suppress(OSError):
                    _delete_abandoned(folder / name)


def _delete_abandoned(temporary: Path) -> None:
    number = os.open(temporary, os.O_RDWR | _NO_LINK | getattr(os, "O_NONBLOCK", 0))
    try:
        state = os.fstat(number)
        own = not hasattr(os, "geteuid") or state.st_uid == os.geteuid()
        if stat.S_ISREG(state.st_mode) and own and lock_descriptor(number, blocking=False):
            temporary.unlink()
    finally:
        os.close(number)


_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class _Output(io.FileIO):
    """What is written to; its errors name the output, so that those of what is read meanwhile are told apart."""

    def __init__(self, number: int, path: Path) -> None:
        super().__init__(number, "wb")
        self.path = path

    def write(self, data: Any, /) -> int:
        with _write_errors_of(self.path):
            return super().write(data)


@contextmanager
def _write_errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged, "
            "so make room or choose another place and run the command again"
        ) from error


def _replaceable(target: Path) -> os.stat_result | None:
    """What stands at a place that no link leads on from; None where nothing does."""
    try:
        old = target.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if stat.S_ISLNK(old.st_mode):
        raise OSError(errno.ELOOP, "it is a link that leads to itself")
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return old


def _open_temporary(target: Path, mode: int) -> tuple[Path, int]:
    """Make the file that is written in place of `target`: its path, and its descriptor, locked while it lives."""
    while True:
        # Short, so that it is legal wherever the target's own name is.
        temporary = target.with_name(f".{target.stem[:24]}.biranet-{secrets.token_hex(4)}.partial")
        number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, mode)
        try:
            locked = lock_descriptor(number, blocking=False)
        except OSError:  # a file system without locks: nobody can tell what is left there, so nobody deletes it
            return temporary, number
        # Between opening and locking, another process may have taken it for one that was left.
        if locked and temporary.exists():
            return temporary, number
        os.close(number)


def _copy_mode(temporary: Path, old: os.stat_result) -> None:
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (temporary.stat().st_uid, temporary.stat().st_gid):
        with suppress(OSError):  # only root can
            os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(stat.S_IMODE(old.st_mode) & 0o777)


def printable(name: str) -> str:
    r"""Write a file's name on one line of a terminal: line breaks, and orders to the terminal, are written out.

    Example:
        >>> print(printable("a\nb.jpg"), printable("ü.jpg"))
        'a\nb.jpg' ü.jpg
    """
    return name if name.isprintable() else ascii(name)


def write_bytes(path: Path, data: bytes, *, synced: bool = True) -> None:
    """Write bytes whole or not at all; see `atomic_write`."""
    with atomic_write(path, synced=synced) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; paths become strings, NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False, default=str, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file that comes from outside, to read bytes: a regular one. A pipe or a device is never waited for.

    Raises:
        OSError: If it is missing, cannot be read, or is no regular file (EINVAL).
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write to it; O_BINARY is Windows'.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(number, "rb")


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
    parts, remaining_bytes = [], limit_bytes + 1
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # A read makes room for all that it asks for, so it asks for what there is.
        while size <= limit_bytes and (part := file.read(min(remaining_bytes, max(size + 1, 65_536)))):
            parts.append(part)
            remaining_bytes -= len(part)
    data = b"".join(parts)
    if max(size, len(data)) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {limit_bytes / 1e6:,.0f} MB", str(path))
    return data


def unreadable(path: Path | str, error: OSError, remedy: str = "") -> InputError:
    """Say in one sentence that a file or a folder cannot be read.

    Args:
        path: What cannot be read; what it is may stand before its path.
        error: What the system said.
        remedy: What to do.

    Example:
        >>> print(unreadable("a.csv", PermissionError(13, "Permission denied"), "name another file"))
        cannot read a.csv: Permission denied; name another file
    """
    return InputError("; ".join(filter(None, (f"cannot read {path}: {error.strerror or error}", remedy))))


def sha256_of(path: Path) -> str:
    """Sum up the content of a file.

    Raises:
        InputError: If it cannot be read, or is no regular file.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
"""What may be half of a character beyond the first 65,536, such as an emoji, without the other one."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from a file that anyone may have written.

    Raises:
        ValueError: If it is not JSON, nested more deeply than can be parsed, or holds half of a character, which no
            file in UTF-8 can pass on.
    """
    try:
        text = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        value = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
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


def read_toml(path: Path, what: str, remedy: str = "") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        what: What it is, for the error, such as `the recipe`.
        remedy: What to do where it cannot be read.

    Raises:
        InputError: If it is missing or not TOML.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise unreadable(f"{what} {path}", error, remedy) from error
    except ValueError as error:
        raise InputError(f"{what} {path} is not valid TOML: {error}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        InputError: If it is missing or not JSON.
    """
    try:
        return parse_json(read_regular(path, MAX_JSON_BYTES))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); it may have been edited by hand") from error
