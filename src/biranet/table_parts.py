"""A table that is a folder of Parquet parts, as grading on a cluster writes it: which files it is.

Beside the parts there are `_grading.json`, by which the folder is known, and `_checkpoint/`, Ray's own, in which a file
named like the part has the ids of its photos. Readers of Parquet pass by what begins with an underscore.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biranet.errors import InputError
from biranet.files import sha256_of

if TYPE_CHECKING:
    import pandas as pd

MARK_NAME, CHECKPOINT_NAME = "_grading.json", "_checkpoint"

OWN_PREFIX = "biranet_"
"""Beginning of the names of columns that a part has beside those of the table."""

PART = re.compile(r"[0-9a-f]{32}_[0-9]{6}\.parquet")
"""Names that Ray gives to parts: a number for the run, and one for the piece of work."""

PENDING = ".pending.parquet"
"""End of the name of a checkpoint whose part is being written."""


def is_table_folder(path: Path) -> bool:
    """Whether a path leads to a folder of parts."""
    return os.path.isfile(path / MARK_NAME)  # noqa: PTH113 - Path.is_file may raise


def parts_in(folder: Path) -> Iterator[Path]:
    """The finished parts of a folder, in order of their names."""
    # In this order: a part is pending before it is there.
    parts = [each for each in sorted(folder.glob("*.parquet")) if PART.fullmatch(each.name)]
    unfinished = {each.name.removesuffix(PENDING) for each in (folder / CHECKPOINT_NAME).glob(f"*{PENDING}")}
    return (each for each in parts if each.name.removesuffix(".parquet") not in unfinished)


def table_sha256(path: Path) -> str:
    """Sum up the content of a table; of a folder of parts, what `sha256sum *.parquet | sha256sum` in it says.

    Raises:
        InputError: If it cannot be read.
    """
    if not is_table_folder(path):
        return sha256_of(path)
    digest = hashlib.sha256()
    for part in parts_in(path):
        digest.update(f"{sha256_of(part)}  {part.name}\n".encode())
    return digest.hexdigest()


def join_parts(folder: Path, parts: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    """Make one table of the parts of a folder, without the columns that a run keeps for itself.

    Args:
        folder: The folder, for the error.
        parts: Its parts, as they were read.

    Returns:
        The table; its first row is row 1.

    Raises:
        InputError: If the parts have not all the same columns.
    """
    import pandas as pd

    if any(not part.columns.equals(parts[0].columns) for part in parts):
        raise InputError(
            f"{folder} holds parts with different columns, as a run that was stopped can leave them; run its command "
            "again"
        )
    table = pd.concat(parts or [pd.DataFrame()])
    own = [name for name in map(str, table.columns) if name.startswith(OWN_PREFIX)]
    return table.drop(columns=own).set_axis(pd.RangeIndex(1, len(table) + 1, name="row"))
