"""The one door for outputs: every command asks here before it writes, and while it writes no other does.

An output replaces nothing but what the same command wrote before, which is told by its content; none of the files that
are read; and nothing but a regular file. Links are followed.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from biranet.errors import InputError
from biranet.files import read_json, unreadable
from biranet.locks import exclusive_file

LOCK_NAME = ".biranet.lock"
"""In a folder, while a process is at work on it; what a killed one leaves keeps nobody out."""


@dataclass(frozen=True)
class OutputKind:
    """A kind of output.

    Attributes:
        what: What it is, such as `a table of grades`.
        find_unowned: Finds what an output at a path would replace although the same command did not write it: a regular
            file itself, or something in a folder that is not empty; None where there is nothing.
        folder: Whether it is a folder.
    """

    what: str
    find_unowned: Callable[[Path], Path | None]
    folder: bool = False

    @property
    def noun(self) -> str:
        """What people name for it."""
        return "folder" if self.folder else "file"


def file_kind(what: str, is_own: Callable[[Path], bool]) -> OutputKind:
    """A kind of file.

    Args:
        what: What it is.
        is_own: Whether a regular file, which is not empty, is one that the same command wrote.
    """
    return OutputKind(what, lambda path: None if is_own(path) else path)


def folder_kind(
    what: str,
    parts: Mapping[str, Callable[[Path], bool]],
    shared: Mapping[str, Callable[[Path], bool]] = MappingProxyType({}),
) -> OutputKind:
    """A kind of folder, which is known by what stands in it; one that holds none of these parts must hold nothing.

    Args:
        what: What it is.
        parts: By the names in it: whether what stands there is what the same command wrote.
        shared: Further ones, which other commands write as well, so that the folder is not known by them.
    """
    is_own = {**parts, **shared}

    def find_unowned(folder: Path) -> Path | None:
        if not any((folder / name).exists() for name in parts):
            return next(visible(folder), None)
        present = (folder / name for name in is_own if (folder / name).exists())
        # Pipes and devices are not asked: they might never answer.
        others = (path for path in present if not ((path.is_file() or path.is_dir()) and is_own[path.name](path)))
        return next(others, None)

    return OutputKind(what, find_unowned, folder=True)


@contextmanager
def claim_output(out: Path, kind: OutputKind, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """Ask whether an output may be written, and keep all others from it meanwhile.

    Args:
        out: Where it shall stand.
        kind: What it is.
        inputs: What the command reads: files, and folders.

    Yields:
        The place to write to, at the end of all links.

    Raises:
        InputError: As `check_output`; or another process is at work there, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> note = file_kind("a note", lambda path: path.read_text().startswith("note: "))
        >>> place = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with claim_output(place, note) as file:
        ...     _ = file.write_text("note: all of it")
        >>> check_output(place, note)
        >>> _ = place.write_text("thesis")
        >>> check_output(place, note)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: ...note.txt is not a note of biranet's, and stays as it is; name another file
    """
    inputs = tuple(inputs)
    check_output(out, kind, inputs)
    with write_lock(out, folder=kind.folder):
        check_output(out, kind, inputs)  # what has changed until nobody else could change it
        yield Path(os.path.realpath(out))


def check_output(out: Path, kind: OutputKind, inputs: Iterable[Path] = ()) -> None:
    """Refuse a place where an output would replace something else.

    Args:
        out: Where it shall stand.
        kind: What it is.
        inputs: What the command reads: files, and folders.

    Raises:
        InputError: If it is one of the inputs, a folder in place of a file or a file in place of a folder, a device, a
            pipe or a socket; or holds something that the same command did not write.
    """
    try:
        state = out.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(out, error) from error
    if stat.S_ISDIR(state.st_mode) != kind.folder:
        raise InputError(f"{out} is a {'file' if kind.folder else 'folder'}; name a {kind.noun} for {kind.what}")
    if not (kind.folder or stat.S_ISREG(state.st_mode)):
        raise InputError(f"{out} is a device, a pipe or a socket; name a file for {kind.what}")
    if any(_is_same(state, path) for path in inputs):
        raise InputError(f"{out} is to be read, and {kind.what} would replace it; name another {kind.noun}")
    try:
        unowned = kind.find_unowned(out) if kind.folder or state.st_size else None
    except OSError as error:
        raise unreadable(out, error, f"name another {kind.noun}") from error
    if unowned is not None and kind.folder:
        raise InputError(
            f"{out} holds other things than {kind.what} of biranet's, such as {unowned.name}; "
            "name a folder that is new or empty"
        )
    if unowned is not None:
        raise InputError(f"{out} is not {kind.what} of biranet's, and stays as it is; name another file")


@contextmanager
def write_lock(out: Path, *, folder: bool) -> Iterator[None]:
    """Keep all other processes of this program from writing to a file or a folder; the system ends it with the process.

    Args:
        out: The file or folder; a folder is made where it is missing, and deleted again where it stays empty.
        folder: Which of them it is.

    Raises:
        InputError: If another process is at work there, or nothing can be written there.
    """
    target = Path(os.path.realpath(out))
    directory = target if folder else target.parent
    # Beside a file, under a name of one length, however long the file's own is.
    key = hashlib.sha256(os.fsencode(target.name.casefold())).hexdigest()[:16]
    name = LOCK_NAME if folder else f".{key}{LOCK_NAME}"
    new_folders = [each for each in (directory, *directory.parents) if not each.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(exclusive_file(directory / name))
            except InputError as error:
                cause = error.__cause__
                if isinstance(cause, OSError) and cause.errno not in _NO_LOCKS:
                    raise _cannot_write(out, cause) from cause
                raise
            if lock is None:
                raise InputError(
                    f"another biranet is at work on {out}; wait until it has ended, or name another "
                    f"{'folder' if folder else 'file'}"
                )
            try:
                yield
            finally:
                with suppress(OSError):
                    (directory / name).unlink()
    finally:
        for each in new_folders:
            with suppress(OSError):  # it holds something
                each.rmdir()


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems that have no locks."""


def visible(folder: Path) -> Iterator[Path]:
    """What a folder holds, in order of the names, but for hidden files: what systems leave in it, and locks."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def head_of(path: Path) -> bytes:
    """Read the beginning of a file, in which it says what it is; nothing where it is no regular file or unreadable."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(_HEAD_BYTES)
    return b""


_HEAD_BYTES = 65_536


def holds_keys(path: Path, *keys: str) -> bool:
    """Whether a file is a JSON object with these keys."""
    with suppress(InputError):
        stored = read_json(path)
        return isinstance(stored, dict) and set(keys) <= stored.keys()
    return False


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path leads to a folder, or to a place in it."""
    resolved = Path(os.path.realpath(path))
    with suppress(OSError):
        state = folder.stat()
        return any(_is_same(state, each) for each in (resolved, *resolved.parents))
    return False


def _is_same(state: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(state, path.stat())
    except OSError:
        return False


def _cannot_write(out: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {out}: {error.strerror or error}; make room or choose another place")
