"""Which biranet this is and how it was called, for reports: release, commit, command line."""

import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from biranet.public_paths import public_argument

MEASURED_WITH_FACT, DATE_FACT, COMMAND_FACT = "Measured with", "Date", "Command"
"""The names of what `how_measured` says."""


def software_version() -> str:
    """Name the release, and the commit in a checkout.

    Returns:
        For example `0.1.0`, or `0.1.0, commit 1a2b3c4d5e6f`, or `0.1.0, commit 1a2b3c4d5e6f with changes`.

    Example:
        >>> software_version().startswith(version("biranet"))
        True
    """
    release = version("biranet")
    here = Path(__file__)
    # Installed below somebody else's checkout, this file is not one of theirs.
    if not _git(here.parent, "ls-files", here.name):
        return release
    changes = " with changes" if _git(here.parent, "status", "--porcelain", "--untracked-files=no") else ""
    return f"{release}, commit {_git(here.parent, 'rev-parse', '--short=12', 'HEAD')}{changes}"


def how_measured(*packages: str) -> dict[str, str]:
    """Say by what, when and how a report was made.

    Args:
        *packages: What computed the figures beside those of all reports.

    Returns:
        The release, the day (UTC) and the command as one would type it again, by name; files and folders
        that were named with all of their path stand there by their own names.
    """
    versions = (f"{name} {version(name)}" for name in ("numpy", "pandas", *packages))
    return {
        MEASURED_WITH_FACT: ", ".join([f"biranet {software_version()}", *versions]),
        DATE_FACT: time.strftime("%Y-%m-%d", time.gmtime()),
        COMMAND_FACT: shlex.join([*_program(Path(sys.argv[0])), *map(public_argument, sys.argv[1:])]),
    }


def _program(path: Path) -> list[str]:
    """What to type for a program: its name, or `python -m` where a package was run."""
    return ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]


def _git(folder: Path, *arguments: str) -> str:
    """What git says; nothing where it is not installed or knows no checkout here."""
    try:
        process = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
