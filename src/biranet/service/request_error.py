"""Why a request gets no answer, in one sentence and a status of HTTP."""

import traceback
from pathlib import Path

from biranet.errors import BiranetError

BUSY, OVERDUE, FAULT, GONE = 503, 504, 500, 499
"""Statuses: no room or no worker now; a photo took too long; what nobody foresaw; the client went away."""

RETRY_AFTER_SECONDS = 2
"""When to ask again after `BUSY`."""

NO_THREAD = "no thread can be started; try fewer --workers, or end other programs"
"""What whoever starts the service is told where the system gives it no further thread."""


class RequestError(BiranetError):
    """A request that gets no answer.

    Attributes:
        status: Status of HTTP.
        reason: What is wrong, in one sentence; also the text of the error.
        passes: Whether `BUSY` is a matter of waiting. Where a process was lost, the photo may be what ended it.
    """

    def __init__(self, status: int, reason: str, *, passes: bool = True) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.passes = passes

    def __str__(self) -> str:
        return self.reason

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        if self.status == BUSY and self.passes:
            return {"retry-after": str(RETRY_AFTER_SECONDS)}
        return {"www-authenticate": "Bearer"} if self.status == 401 else {}


def code_position(error: BaseException) -> str:
    """Say what kind of error came from where; what it says itself may hold the name of a photo."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def describe_fault(position: str) -> str:
    """Say that something came up which nobody foresaw.

    Args:
        position: From `code_position`.
    """
    return f"this is a fault of biranet ({position}); please report it"
