"""Signals that ask a process to stop: a command obeys the first one in good order, and the second at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a scheduler that ends the job, a terminal that is closed; Windows has no SIGHUP."""


def current_handlers() -> dict[signal.Signals, Any]:
    """The signals that stop this process, with their handlers; not those it was told to ignore, as `nohup` does."""
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    return {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Let processes started meanwhile not have Ctrl-C at all, not even while they start.

    Ctrl-C reaches the whole group of processes, and so does SIGHUP: the main one ends the run, the workers finish what
    they have begun. Nor does the process that keeps count of semaphores, which Python starts with the first pool and
    protects from Ctrl-C alone. SIGTERM is how the pool itself ends workers.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING} - {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stop_by_interrupt() -> Iterator[list[int]]:
    """Let the first stopping signal arrive as KeyboardInterrupt, and the second end the process at once.

    Errors while objects are finalised, which torch has where its workers cannot start, are shown with `python -X dev`
    only.

    Yields:
        The signals that came; empty as long as none did.
    """
    arrived: list[int] = []
    before, unraisable, main_thread = current_handlers(), sys.unraisablehook, threading.get_ident()

    def stop(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    def repeat(lost: Any) -> None:
        if lost.exc_type is KeyboardInterrupt:
            # It came while an object was finalised, where no exception goes any further; so it comes once more, after.
            threading.Timer(0.05, signal.pthread_kill, (main_thread, arrived.pop())).start()
        elif sys.flags.dev_mode:
            unraisable(lost)

    for number in before:
        signal.signal(number, stop)
    sys.unraisablehook = repeat
    try:
        yield arrived
    finally:
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_quietly() -> None:
    """Let Ctrl-C end a process whose work is done without a traceback: with torch it takes a second to leave."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def forget_interrupts() -> None:
    """Have the process end with the status it is given.

    Python remembers an interrupt that left code made of text, as dataclasses and named tuples have it, and `python -m`
    then ends by SIGINT, whoever has caught the interrupt. Running such code anew forgets it.
    """
    exec("")


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect stopping signals instead of stopping at once; a second one acts as if nobody had asked.

    Yields:
        The signals that came; empty as long as none did.
    """
    arrived: list[int] = []
    before = current_handlers()

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
