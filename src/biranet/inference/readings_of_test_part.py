"""How often a test part was read: one line a reading, beside the manifest, where every run on these photos meets it.

A test part is honest once. Whoever looks at its figures, changes something and looks again has begun to learn from it,
and no interval shows that; so the report says how often it was read before.
"""

import errno
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biranet.files import parse_json

READINGS_NAME = "test_readings.jsonl"


@dataclass(frozen=True)
class Readings:
    """How often a test part had been read before.

    Attributes:
        by_run: Times by this checkpoint, or another one in its folder.
        by_others: Times by other runs.
        recorded: Whether this reading could be written down.
    """

    by_run: int
    by_others: int
    recorded: bool

    def sentence(self) -> str:
        """Say it in one sentence.

        Example:
            >>> Readings(by_run=0, by_others=0, recorded=True).sentence()
            'The test part had not been read before.'
            >>> Readings(by_run=1, by_others=3, recorded=True).sentence()[:77]
            'The test part had been read once before by this run and 3 times by other runs'
        """
        unknown = "" if self.recorded else " This reading could not be written down: the prepared folder is read-only."
        if not self.by_run + self.by_others:
            return f"The test part had not been read before.{unknown}"
        times = {count: "once" if count == 1 else f"{count} times" for count in (self.by_run, self.by_others)}
        by_whom = [f"{times[self.by_run]} before by this run"] * (self.by_run > 0)
        by_whom += [f"{times[self.by_others]}{'' if self.by_run else ' before'} by other runs"] * (self.by_others > 0)
        return (
            f"The test part had been read {' and '.join(by_whom)}: whatever was changed because of what was seen "
            f"makes these figures too good.{unknown}"
        )


def record_reading(prepared: Path, column: str, checkpoint: Path, digest: str) -> Readings:
    """Write down that a test part is read, and count the earlier readings.

    The folder of a run is known again by a hash of its path, which is nothing to give away; earlier versions wrote it
    out.

    Args:
        prepared: The prepared folder.
        column: Column of its manifest with the split.
        checkpoint: The model that is measured; its folder stands for the run.
        digest: SHA-256 of the bytes it was loaded from.

    Returns:
        How often the part was read before.
    """
    path, folder = prepared / READINGS_NAME, str(checkpoint.resolve().parent)
    run = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()[:16]
    before = [row for row in _read(path) if row.get("split_column") == column]
    earlier = [row["run"] in (run, folder) or row.get("sha256") == digest for row in before]
    row = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "split_column": column,
        "run": run,
        "checkpoint": checkpoint.name,
        "sha256": digest,
    }
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no regular file")
        # Lines are only ever added, so that two evaluations at once lose none.
        with path.open("a", encoding="utf-8") as file:
            # The line before may have been cut by a kill; an empty line is none.
            file.write(f"\n{json.dumps(row)}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return Readings(sum(earlier), len(earlier) - sum(earlier), recorded=False)
    return Readings(sum(earlier), len(earlier) - sum(earlier), recorded=True)


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole; a kill may have cut the last one."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = parse_json(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "run" in row:
            rows.append(row)
    return rows
