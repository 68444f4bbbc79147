"""Keyed hashes in place of what identifies someone, and the secret key of this user that they are made with."""

import functools
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from biranet.errors import InputError

KEY_BYTES = 32
"""Length of the secret key."""

_SPARE: list[bytes] = []
"""The key of `use_spare_key`, if there is one."""


def keyed_hash(text: str) -> str:
    """Turn a text that identifies someone into a name for a group, which nobody without the key can trace back.

    The key is made once for every user and stays in `$XDG_CONFIG_HOME/biranet/group.key` (`~/.config` where that is not
    set). So a prepared folder can be given away, and nobody can find the identity numbers in it by trying them all.

    Args:
        text: For example a patient's number.

    Returns:
        `k` and 16 hexadecimal digits: HMAC-SHA256, shortened. Equal texts give equal hashes under one key.

    Raises:
        InputError: If the key cannot be read or made.
    """
    return "k" + hmac.new(_user_key(), text.encode(), hashlib.sha256).hexdigest()[:16]


def use_spare_key(key: bytes) -> None:
    """Have this process make its keyed hashes with another key wherever that of the user cannot be read or made.

    Args:
        key: `KEY_BYTES` random bytes, the same in all processes whose hashes are to be compared.
    """
    _SPARE[:] = [key]


def key_problem() -> str:
    """Say why the key of this user cannot be read or made, without making it; empty where it can."""
    try:
        path = _key_path()
        folder = next(folder for folder in path.parents if folder.exists())
        if path.exists():
            _key(path)
        elif not os.access(folder, os.W_OK | os.X_OK):
            return str(_no_key(path, f"{folder} is not writable"))
    except OSError as error:
        return str(_no_key(path, error.strerror))
    except InputError as error:
        return str(error)
    return ""


def _user_key() -> bytes:
    try:
        return _key(_key_path())
    except InputError:
        if _SPARE:
            return _SPARE[0]
        raise


def _key_path() -> Path:
    # The standard for these folders says that a relative path is to be ignored.
    base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    try:
        return (base if base.is_absolute() else Path.home() / ".config") / "biranet" / "group.key"
    except RuntimeError as error:  # a user without a home, as in a container
        raise _no_key(Path("~/.config/biranet/group.key"), "this user has no home") from error


def _no_key(path: Path, reason: object) -> InputError:
    return InputError(
        f"the secret key for groups cannot be read from or written to {path}: {reason}; "
        "make the folder writable, or name another one with XDG_CONFIG_HOME"
    )


@functools.cache
def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise _no_key(path, error.strerror or error) from error
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{path} is not a key of {KEY_BYTES} bytes; put back a copy, or delete it and prepare all photos anew"
        )
    return key


def _make_key(path: Path) -> None:
    """Write a new key whole, readable to its user alone; where two processes do so at once, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces what is there.
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
