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
    return "k" + hmac.new(_key(_key_path()), text.encode(), hashlib.sha256).hexdigest()[:16]


def _key_path() -> Path:
    # The standard for these folders says that a relative path is to be ignored.
    base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    return (base if base.is_absolute() else Path.home() / ".config") / "biranet" / "group.key"


@functools.cache
def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the secret key for groups cannot be read from or written to {path}: {error.strerror or error}; "
            "make the folder writable, or name another one with XDG_CONFIG_HOME"
        ) from error
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
