"""Do the same thing to many photos in several processes, with bounded memory and a clean end."""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import cv2

from biranet.errors import InputError
from biranet.setting_names import setting
from biranet.signals import stop_signals_blocked

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of these settings in glibc's malloc.h."""

_LARGEST_KEPT_BYTES, _KEPT_BYTES = 32 * 2**20, 128 * 2**20

_BATCH = 4
"""Tasks that go to a worker at a time: handing them over one by one would cost as much as a twentieth of a photo."""

_CONTEXT = multiprocessing.get_context("spawn")
"""Processes start anew, because a fork would copy the threads of OpenCV half."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    *,
    in_order: bool = False,
    context: BaseContext = _CONTEXT,
) -> Generator[Result, None, None]:
    """Apply a function to tasks, in processes if there are workers.

    Only a few tasks a worker are under way at a time, so memory does not grow with their number. Closing the generator
    drops what has not begun and waits for what has. Where a task fails, what is under way is finished and given first.

    Args:
        function: A function of a module, which a new process can import.
        tasks: What to apply it to.
        workers: Processes; 0 stays in this one.
        in_order: Give the results in the order of the tasks; else as they come, which never waits for a slow one.
        context: How processes are started.

    Yields:
        Results. Where a task fails and they come in order, none of later tasks.

    Raises:
        InputError: If a worker dies, or none can start, for which the sentence of `check_main_guard` is the reason.

    Example:
        >>> list(map_in_processes(abs, [-1, 2], workers=0))
        [1, 2]
    """
    if not workers:
        _keep_freed_memory()
        yield from map(function, tasks)
        return
    waiting = iter(tasks)
    running: list[Future[list[Result]]] = []
    exit_if_starting()
    pool = _make_pool(workers, context)
    failure: Exception | None = None
    try:
        while True:
            while failure is None and len(running) < 2 * workers and (batch := list(islice(waiting, _BATCH))):
                with _start_errors(), stop_signals_blocked():
                    running.append(pool.submit(_run_batch, function, batch))
            if not running or (in_order and failure is not None):
                break
            finished = set(running[:1]) if in_order else wait(running, return_when=FIRST_COMPLETED).done
            running = [future for future in running if future not in finished]
            for future in finished:
                try:
                    results = future.result()
                except Exception as error:
                    # Not yet raised: what others have finished meanwhile shall not be lost.
                    failure = failure or error
                else:
                    yield from results
        if failure is not None:
            raise failure
    except BrokenProcessPool as error:
        check_main_guard(context)
        raise InputError(
            "a worker process was ended from outside or ran out of memory; run it again, perhaps with fewer "
            f"{setting('workers')}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _make_pool(workers: int, context: BaseContext) -> ProcessPoolExecutor:
    if context.get_start_method() == "fork":
        cv2.setNumThreads(1)  # ends the threads of OpenCV: a fork would copy them half, and wait for them for ever
    with _start_errors(), stop_signals_blocked():
        return ProcessPoolExecutor(workers, context, initializer=_start_worker)


@contextmanager
def _start_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"worker processes cannot be started: {error.strerror or error}; prepare in this one with "
            f"{setting('workers', 0)}"
        ) from error


def _run_batch(function: Callable[[Task], Result], batch: list[Task]) -> list[Result]:
    return [function(task) for task in batch]


def _start_worker() -> None:
    # A signal to a whole job, as a scheduler sends it, is for the main process, which needs its workers until it stops.
    os.setpgrp()
    # A fork has the main process' handlers; this is how the pool ends its workers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_up_worker()
    end_with_main_process()


@cache
def set_up_worker() -> None:
    """Let this process, which is one of many that prepare photos, use one processor, and memory again."""
    cv2.setNumThreads(1)
    _keep_freed_memory()


def end_with_main_process() -> None:
    """Let this worker process end when its main process does, in whatever way.

    A main process that is killed cannot tell its workers: without this they would wait for ever, or until they next
    look for it.
    """
    main = multiprocessing.parent_process()
    if main is not None:
        threading.Thread(target=_end_after, args=(main,), daemon=True).start()


def _end_after(main: BaseProcess) -> None:
    # A forked worker holds the pipes of those forked before it, so they end one after the other.
    main.join()
    os._exit(1)


def check_main_guard(context: BaseContext | None = None) -> None:
    """Refuse to start workers from a script that each of them would run again, before anything waits for them.

    All but a fork begin by importing the script of the main process. Where the call that starts them does not stand
    below `if __name__ == "__main__":`, they come to it too, and die of it, while the main process may wait to tell them
    more. So the first of them is one that nothing is told.

    Args:
        context: How they will be started; as by default when not given.

    Raises:
        InputError: If they could not start.
    """
    exit_if_starting()
    context = context or multiprocessing.get_context()
    method = context.get_start_method()
    if method != "fork" and not _can_start(method):
        raise InputError(
            "worker processes cannot start, since each of them runs this script from its beginning; put the call below "
            '`if __name__ == "__main__":` in the file of the script, or use one process: workers=0'
        )


@cache
def _can_start(method: str) -> bool:
    """Whether a process that is started anew comes to its end."""
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=int, daemon=True)
    process.start()
    process.join()
    return bool(process.exitcode == 0)


def exit_if_starting() -> None:
    """End this process without a word if it is a worker that still imports the script; its main process tells why."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(1)


def _keep_freed_memory() -> None:
    """Let this process keep the memory of one photo for the next.

    Left to itself, glibc gives megabytes back to the system as soon as they are freed, and the system fills them with
    zeros when they are asked for again: a sixth of the time of preparing a photo. Other systems are left as they are.
    """
    with suppress(OSError, AttributeError):
        setting = ctypes.CDLL(None).mallopt
        setting(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        setting(_M_TRIM_THRESHOLD, _KEPT_BYTES)
