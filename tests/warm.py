"""Processes that need not import torch first: forks of one process that has.

A command that is stopped by signals, or that runs beside another one, needs a process of its own; to import torch anew
for each would cost far more than what it is to do. Run as a script, this file is the process that is forked.
"""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def unmeasured() -> dict[str, str]:
    """The environment of a process of which no coverage is measured.

    A signal in the middle of coverage's own locked part would leave it waiting for ever, a kill loses what it found,
    and what imports much takes half as long again.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class Warm:
    """The process that is forked; it ends with the block."""

    def __enter__(self) -> "Warm":
        self._folder = tempfile.TemporaryDirectory(prefix="warm")
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=unmeasured()
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        self._folder.cleanup()

    def start(self, *words: object, program: str | Path = "biranet", home: Path | None = None) -> "Fork":
        """Start `python -m PROGRAM WORDS`, or a program that is a file, in a session of its own.

        Args:
            words: What the program is told.
            program: Name of a module, or a file.
            home: Folder that it shall take for the home of whoever runs it, and for the place of temporary files.
        """
        place = Path(tempfile.mkdtemp(dir=self._folder.name))
        for name in ("out", "err"):
            (place / name).touch()
        assert self._process.stdin and self._process.stdout
        places = {} if home is None else {"HOME": str(home), "TMPDIR": str(home)}
        request = json.dumps([str(Path.cwd()), str(place), [str(word) for word in (program, *words)], places])
        print(request, file=self._process.stdin, flush=True)
        return Fork(int(self._process.stdout.readline()), place)


class Fork:
    """A process with the interface of `subprocess.Popen`; what it says stands in two files.

    Attributes:
        pid: Its number.
        out: File with what it has said so far.
        returncode: How it ended; None before `poll` has seen it.
    """

    def __init__(self, pid: int, place: Path) -> None:
        self.pid, self.out, self._err, self._ended = pid, place / "out", place / "err", place / "ended"
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and self._ended.exists():
            self.returncode = int(self._ended.read_text())
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for its end and return what it said, to standard output and to standard error."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"no end after {timeout} s: {self._err.read_text()}")
            time.sleep(0.005)
        return self.out.read_text(), self._err.read_text()


def _serve() -> None:
    """Fork for each line of standard input: one process that waits, and writes how the other, the command, ended."""
    import biranet.inference.grader
    import biranet.learning.train
    import biranet.reports.report  # noqa: F401

    for line in iter(sys.stdin.readline, ""):
        if os.fork():
            continue
        cwd, place, words, places = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.update(places)
            _become(cwd, Path(place), words)
            return
        print(child, flush=True)
        ended = Path(place, "ended")
        ended.with_suffix(".part").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        ended.with_suffix(".part").rename(ended)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _become(cwd: str, place: Path, words: list[str]) -> None:
    """Go on as the command, to its end."""
    os.setsid()
    os.chdir(cwd)
    for number, path in enumerate((os.devnull, place / "out", place / "err")):
        file = os.open(path, os.O_RDWR)
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.argv = words
    if words[0].endswith(".py"):
        sys.path[0] = str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.path[0] = cwd
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
