"""Do the same thing to many photos in several processes, with bounded memory and a clean end."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import TypeVar

import cv2

from biranet.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[Result, None, None]:
    """Apply a function to tasks, in processes if there is more than one worker.

    Only a few tasks a worker are under way at a time, so memory does not grow with their number. Closing the generator
    drops what has not begun and waits for what has.

    Args:
        function: A function of a module, which a new process can import.
        tasks: What to apply it to.
        workers: Processes, at least 1; 1 stays in this process.

    Yields:
        Results: in the order of the tasks with one worker, as they come with more.

    Raises:
        InputError: If a worker dies.

    Example:
        >>> list(in_processes(abs, [-1, 2], workers=1))
        [1, 2]
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    waiting = iter(tasks)
    running: set[Future[Result]] = set()
    # Processes start anew (spawn), because a fork would copy the threads of OpenCV half.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        while True:
            with _interrupts_held():
                running |= {pool.submit(function, task) for task in islice(waiting, 4 * workers - len(running))}
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process died, most likely for lack of memory; run the command again with fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait a moment, and let processes started meanwhile not have it at all, not even while they start.

    Ctrl-C reaches the whole group of processes: the main one ends the run, the workers finish what they have begun.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    main = multiprocessing.parent_process()
    if main is not None:
        # A main process that is killed cannot tell its workers: without this they would wait for ever.
        threading.Thread(target=_end_with, args=(main,), daemon=True).start()


def _end_with(main: BaseProcess) -> None:
    main.join()
    os._exit(1)
