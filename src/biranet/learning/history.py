"""What a training tells of its epochs, in `history.jsonl`; no torch here."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from biranet.errors import InputError
from biranet.files import read_regular, unreadable

HISTORY_NAME = "history.jsonl"

MAX_HISTORY_BYTES = 100_000_000
"""Half a million epochs."""

_EPOCH: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, int | Annotated[float, Field(allow_inf_nan=False)] | None])


def read_history(run: Path) -> list[dict[str, Any]]:
    """Read the epochs of a run, oldest first; empty where none is finished.

    Raises:
        InputError: If the history cannot be read, or a line of it is not that of an epoch.
    """
    path = run / HISTORY_NAME
    if not path.exists():
        return []
    try:
        lines = read_regular(path, MAX_HISTORY_BYTES).decode().splitlines()
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_EPOCH.validate_json(line, strict=True))
            rows[-1]["epoch"] // 1
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, line {number} is not that of an epoch: the file was cut or edited; restore it, or delete it, "
                "which loses what it tells of the epochs, and nothing else"
            ) from error
    return rows
