"""Signals: the main process finishes its batch before it obeys them, its workers leave them to it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import cv2


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of stopping at once; a second one acts as if nobody had asked.

    Yields:
        The signals that came; empty as long as none did.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_worker(_number: int) -> None:
    """Set a worker process of a data loader up.

    Ctrl-C reaches every process of the terminal, and a job scheduler ends all processes of a job. Only the main one may act
    on it, and it needs its workers until the batch is done and the state is saved. Workers end when it does.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
