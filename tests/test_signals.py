"""Every command ends in good order at the first signal that asks for it, and at once at the second."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

SCRIPT = """
import sys, time
from pathlib import Path
from biranet.cli import main
from biranet.commands.models import Models

def sleep(seconds):
    # A signal that comes just before the system sleeps is seen after: so no sleep is long.
    for _ in range(100 * seconds):
        time.sleep(0.01)

def begin(seconds):
    Path("begun").touch()
    sleep(seconds)

class SlowEnd:
    def __del__(self):
        begin(1)

def run(how):
    if how == "twice":
        try:
            begin(60)
        except KeyboardInterrupt:
            Path("stopping").touch()
            sleep(60)
    elif how == "finaliser":
        end = SlowEnd()
        del end
        sleep(60)
    elif how == "other":
        try:
            begin(60)
        except KeyboardInterrupt:
            raise ImportError("a library has made this of it") from None
    elif how == "text":
        exec("begin(60)")
    begin(60)

Models.run = lambda self: run(sys.argv[1])  # it imports nothing large
main(["models"])
"""

STOPPED = (130, "biranet: stopped\n")


@pytest.fixture
def begun(tmp_path, wait_for):
    """Function that gives a command that is under way."""
    (tmp_path / "script.py").write_text(SCRIPT)

    @contextmanager
    def begin(how="plain", before=()):
        with subprocess.Popen(
            [*before, sys.executable, "-m", "script", how], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_for((tmp_path / "begun").exists)
            yield process
            process.kill()

    return begin


def end(process):
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_a_command_in_good_order(begun, number):
    with begun() as process:
        process.send_signal(number)
        assert end(process) == STOPPED


@pytest.mark.parametrize("how", ["finaliser", "other", "text"])
def test_no_signal_is_lost(begun, how):
    """Neither where an object is finalised, which no exception leaves, nor where another error is made of it, nor in
    code made of text, by which Python would end as if nobody had caught it.
    """
    with begun(how) as process:
        process.send_signal(signal.SIGTERM)
        assert end(process) == STOPPED


def test_the_second_signal_ends_a_command_at_once(begun, wait_for, tmp_path):
    with begun("twice") as process:
        process.send_signal(signal.SIGTERM)
        wait_for((tmp_path / "stopping").exists)
        process.send_signal(signal.SIGTERM)
        assert end(process) == (-signal.SIGTERM, "")


def test_what_nohup_ignores_stays_ignored(begun):
    with begun(before=["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert end(process) == STOPPED


def test_ctrl_c_while_a_finished_command_leaves_is_quiet(tmp_path, wait_for):
    leave = "import atexit, pathlib, time; atexit.register(time.sleep, 60); atexit.register(pathlib.Path('left').touch)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{leave}; from biranet.cli import main; main()", "--version"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_for((tmp_path / "left").exists)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=50)[1] == b""
    assert process.returncode == -signal.SIGINT
