"""Names of files and folders: which are taken, and how those in what is given away keep the machine and its user."""

import os
from collections.abc import Sequence
from pathlib import Path

from biranet.errors import InputError


def public_names(paths: Sequence[Path | str]) -> list[str]:
    """Name files or folders as they were typed; those with all of their path by the end of it that tells them apart.

    Example:
        >>> public_names(["runs/a/best.safetensors", "/home/me/best.safetensors"])
        ['runs/a/best.safetensors', 'best.safetensors']
        >>> public_names(["/home/me/fold_0/p.csv", "/home/me/fold_1/p.csv"])
        ['fold_0/p.csv', 'fold_1/p.csv']
    """
    parsed = [Path(path) for path in paths]
    for length in range(1, max((len(path.parts) for path in parsed), default=0) + 1):
        names = [
            Path(*path.parts[1:][-length:]).as_posix() if path.is_absolute() else str(text)
            for path, text in zip(parsed, paths, strict=True)
        ]
        if len(set(names)) == len(set(parsed)):
            break
    return names if parsed else []


def public_name(path: Path | str) -> str:
    """Name one file or folder; see `public_names`."""
    return public_names([path])[0]


def public_argument(word: str) -> str:
    """Write a word of a command line, which may be a file, or a flag with one.

    Example:
        >>> public_argument("--out=/home/me/report"), public_argument("/home/me/run"), public_argument("0.5")
        ('--out=report', 'run', '0.5')
    """
    flag, equals, value = word.partition("=")
    return flag + equals + public_name(value) if equals and Path(value).is_absolute() else public_name(word)


def check_utf8_name(name: str, subject: str) -> None:
    """Refuse a name that is no text: half of the libraries do, some of them after the work is done.

    Args:
        name: As the system gave it.
        subject: The same in the words of the sentence.

    Raises:
        InputError: If it is not UTF-8, or is and was read otherwise for want of a locale.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        pass
    else:
        return
    try:
        os.fsencode(name).decode()
    except UnicodeError:
        raise InputError(f"{subject} is not UTF-8; rename the file or the folder") from None
    raise InputError(f"{subject} is UTF-8, but the locale is not; set LANG to a UTF-8 locale, or PYTHONUTF8=1")
