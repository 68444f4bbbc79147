import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from biranet.errors import InputError
from biranet.photos.parallel import map_in_processes
from warm import unmeasured

SCRIPT = """
import sys, time
from pathlib import Path
from biranet.photos.parallel import map_in_processes

def slow(number):
    time.sleep(0.05)
    return number

if __name__ == "__main__":
    for number in map_in_processes(slow, range(1000), workers=2):
        Path(f"{number}.done").touch()
"""


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_task_is_done_once(workers):
    assert sorted(map_in_processes(abs, range(-40, 0), workers)) == list(range(1, 41))
    assert list(map_in_processes(abs, [], workers)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_no_workers_mean_this_process_and_one_means_one_other(workers):
    found = set(map_in_processes(_own_process, range(5), workers))
    assert len(found) == 1
    assert (os.getpid() in found) == (workers == 0)


def _own_process(_task):
    return os.getpid()


def test_tasks_are_not_taken_before_they_are_needed():
    taken = []
    results = map_in_processes(abs, (taken.append(number) or number for number in range(1000)), workers=2)
    next(results)
    assert len(taken) <= 16
    results.close()
    assert len(taken) <= 16


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_task_comes_out_as_it_is(workers):
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_processes(int, ["1", "x"], workers))


def test_what_is_finished_before_a_failure_is_given_first():
    found = set()
    # The tasks behind the failure never end, so that this ends shows that no more of them were begun.
    tasks = itertools.chain(map(str, range(4)), ["x"] * 4, map(str, itertools.count(4)))
    with pytest.raises(ValueError, match="invalid literal"):
        for number in map_in_processes(int, tasks, workers=2):
            found.add(number)
    assert {0, 1, 2, 3} <= found


def test_a_worker_that_dies_is_one_sentence():
    with pytest.raises(
        InputError, match="was ended from outside or ran out of memory; run it again, perhaps with fewer"
    ):
        list(map_in_processes(os._exit, [3, 3], workers=2))


def _waits(seconds):
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_results_come_in_order_where_that_is_asked_for(start):
    tasks = [0.3, *(0.001 * number for number in range(20))]
    # Threads of OpenCV in this process, as whoever reads photographs has them; a fork must not wait for its copies.
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 0)
    context = multiprocessing.get_context(start)
    assert list(map_in_processes(_waits, tasks, workers=2, in_order=True, context=context)) == tasks


def test_in_order_nothing_comes_after_a_failure():
    found = []
    with pytest.raises(ValueError, match="invalid literal"):
        for number in map_in_processes(int, [*"0123", "x", *"567890123"], workers=2, in_order=True):
            found.append(number)
    assert found == [0, 1, 2, 3]


@pytest.fixture
def child(tmp_path, wait_for):
    """A run of slow tasks under way, in a session of its own."""
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(),
    ) as process:
        wait_for(lambda: any(tmp_path.glob("*.done")))
        yield process
        process.kill()


def test_ctrl_c_ends_the_run_and_its_workers_without_their_tracebacks(child, session_lives, wait_for):
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode != 0
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors
    wait_for(lambda: not session_lives(child.pid))


def test_workers_do_not_outlive_a_killed_run(child, session_lives, wait_for):
    child.kill()
    wait_for(lambda: not session_lives(child.pid))
