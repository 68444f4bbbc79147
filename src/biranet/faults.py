"""What nobody foresaw, told to a user: one sentence, and a file with the details that can be sent to us."""

import os
import platform
import re
import tempfile
import traceback
from pathlib import Path

from biranet.version import software_version

EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h: no status of a command that came to an end by itself."""

_OUT_OF_MEMORY = ("OutOfMemoryError", "not enough memory", "can't allocate memory", "Insufficient memory")
"""How torch and OpenCV say it, in the kind of the error or in its text."""

_WORKER_DIED = ("DataLoader worker", "Pin memory thread exited", "BrokenProcessPool")


def describe(error: BaseException, command: str) -> str:
    """Say in one sentence why a command ended, and write the details into a file.

    Args:
        error: What nobody caught.
        command: The command's name.

    Returns:
        The sentence.
    """
    kind, text = type(error).__name__, _first_line(error)
    summary = f"{kind}: {text}"
    if isinstance(error, MemoryError) or any(sign in summary for sign in _OUT_OF_MEMORY):
        why = "memory ran out; run it again with smaller batches, fewer workers or smaller photos"
    elif any(sign in summary for sign in _WORKER_DIED):
        why = "a worker process was ended from outside or ran out of memory; run it again, perhaps with fewer --workers"
    elif isinstance(error, OSError) and error.strerror:
        files = " -> ".join(str(file) for file in (error.filename, error.filename2) if file is not None)
        why = f"{files or 'the system refused'}: {error.strerror}"
    else:
        why = f"this is a fault of biranet ({summary})"
    details = _write_details(error, command)
    where = (
        f"the details are in {details}; please send it, after a look at what it says" if details else _last_frame(error)
    )
    return f"{why}; {where}"


def _first_line(error: BaseException) -> str:
    try:
        return next(iter(str(error).splitlines()), "")[:200]
    except Exception:  # an error that cannot be told is one all the same
        return ""


def _write_details(error: BaseException, command: str) -> str:
    """Write what helps to find a fault; returns where, or nothing where it cannot be written."""
    try:
        text = "\n".join(
            [
                f"biranet {software_version()}, Python {platform.python_version()}, {platform.platform()}",
                f"command: {command}",
                "".join(traceback.format_exception(error)),
            ]
        )
        # Only its owner may read it, and it does not say who that is.
        handle, name = tempfile.mkstemp(prefix="biranet-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_anonymize(text))
    except Exception:  # no disk, no memory, no descriptors: the sentence must come all the same
        return ""
    return name


def _anonymize(text: str) -> str:
    """Name our own code relative to the package, and what lies in the home of the user by `~`."""
    for folder, name, end in ((Path(__file__).parent.parent, "", "/"), (Path.home(), "~", r"(?![\w-]|\.\w)")):
        if folder != Path(folder.anchor):
            # Whole names only: neither a longer path that ends so, nor the home of somebody whose name begins so.
            text = re.sub(rf"(?<![\w.~-]){re.escape(str(folder))}{end}", name, text)
    return text


def _last_frame(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"it came from {Path(frames[0].filename).name}, line {frames[0].lineno}" if frames else "nobody knows where"
