"""Folders for files that nobody needs after the process: they go with it; where it was killed, with the next one."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from biranet.errors import InputError
from biranet.locks import exclusive_file

_LOCK = ".biranet.lock"
"""In such a folder: locked while its process lives, and empty until it is locked for the first time."""

_ENDED = "ended\n"
"""Stands in it once another process has found that its own has ended."""

_ENDING_S = 600
"""How long, in seconds, what that process had started may go on writing into the folder, and would make it anew."""


@contextmanager
def temporary_folder(within: Path, prefix: str) -> Iterator[Path]:
    """Make a folder for this process, and delete what processes that were killed have left in theirs.

    Args:
        within: Where.
        prefix: How the names of such folders begin.

    Yields:
        The folder, which is deleted at the end.

    Raises:
        InputError: If nothing can be written there, or there are no locks.

    Example:
        >>> with temporary_folder(Path(tempfile.gettempdir()), "biranet-doctest-") as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    for left in within.glob(f"{prefix}*"):
        with suppress(OSError, InputError):
            _delete_left(left)
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    except OSError as error:
        raise InputError(f"cannot write in {within}: {error.strerror or error}; make room, or set TMPDIR") from error
    try:
        with exclusive_file(folder / _LOCK) as lock:
            if lock is not None:
                lock.write("in use\n")
                lock.flush()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _delete_left(folder: Path) -> None:
    """Empty a folder of ours whose process has ended, and delete it a while later."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or not (folder / _LOCK).stat().st_size:
        return
    with exclusive_file(folder / _LOCK) as lock:
        if lock is None:
            return
        lock.seek(0)
        was_ended = _ENDED in lock.read()
        is_over = was_ended and time.time() - (folder / _LOCK).stat().st_mtime > _ENDING_S
        if not was_ended:
            lock.write(_ENDED)
        for each in folder.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            elif each.name != _LOCK:
                each.unlink(missing_ok=True)
        # Without the lock, nobody would know it as ours.
        if is_over and [each.name for each in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
            folder.rmdir()
