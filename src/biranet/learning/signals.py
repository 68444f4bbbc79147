"""Signals: the main process finishes its batch before it obeys them, its workers leave them to it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import cv2

from biranet.errors import InputError
from biranet.photos.parallel import end_with_main_process


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


@contextmanager
def living_workers(advice: str) -> Iterator[None]:
    """Say in one sentence that a worker process of a data loader died, which it does where memory runs out.

    Args:
        advice: What to do then.

    Raises:
        InputError: If one died.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # Only workers are connected to; one that dies handing a batch over breaks the connection before torch notices.
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"a process that loads photos was ended from outside or ran out of memory; {advice}"
        ) from error


def start_worker(_number: int) -> None:
    """Set a worker process of a data loader up.

    Ctrl-C, and a signal to a whole job, reach every process of the group. Only the main one may act on it, and it needs
    its workers until the batch is done and the state is saved, so they leave the group. They end when it does.
    """
    os.setpgrp()
    end_with_main_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SIGTERM stays with torch, whose handler lets the main process end a worker without calling that an error.
    cv2.setNumThreads(1)
