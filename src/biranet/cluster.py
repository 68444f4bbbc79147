"""A Ray cluster that works for this process: one of its own, or one that runs already; quiet, and left as it was found.

Ray itself is imported when a cluster is asked for.
"""

import io
import logging
import os
import secrets
import signal
import socket
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from biranet.errors import BiranetError, InputError
from biranet.extras import require_extras
from biranet.signals import current_handlers, stop_signals_blocked
from biranet.temporary_folders import temporary_folder

LOCAL = "local"
"""In place of an address: a cluster of this process alone, which nobody else sees and which ends with it."""

RUNNING = "auto"
"""In place of an address: the cluster that this machine is a node of."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # the other levels stand in the logs of the session, too
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Settings that Ray reads from the environment when it starts."""

_STDERR = 2

_BATCH = 4
"""Tasks that go to a worker at a time, as in `biranet.photos.parallel`."""

RETRIES = 3
"""How often a task is given to another worker after its own has died."""

_LONGEST_PATH = 20
"""Longest name of a folder for temporary files below which the names of Ray's sockets have at most 107 characters."""

_PREFIX = "biranet-ray-"
"""How folders for the logs and sockets of a local cluster are called."""

_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of gRPC says first; a server's answer begins with a frame of settings, too."""

_GO_ON = "run the same command again: it goes on where it was"

Task = TypeVar("Task")
Result = TypeVar("Result")


class Cluster:
    """A Ray cluster; made by `open_cluster`. It is started or joined when it gets its first work.

    Args:
        settings: For `ray.init`.
        closing: What is to be done at the end is put there.
    """

    def __init__(self, settings: dict[str, Any], closing: ExitStack) -> None:
        self._settings, self._closing = settings, closing

    @property
    def cpus(self) -> int:
        """Number of processors, or of workers of a local cluster; at least 1."""
        return max(self._count("CPU"), 1)

    @property
    def gpus(self) -> int:
        """Number of GPUs."""
        return self._count("GPU")

    def _count(self, what: str) -> int:
        return int(self.connect().cluster_resources().get(what, 0))

    def connect(self) -> Any:
        """Start or join the cluster, where that was not done yet.

        Returns:
            The module of Ray.

        Raises:
            InputError: If it cannot be.
        """
        ray = import_ray()
        if not ray.is_initialized():
            settings = dict(self._settings)
            if settings["address"] == LOCAL:
                self._closing.enter_context(_own_token())
                settings["_temp_dir"] = str(self._closing.enter_context(temporary_folder(_short_folder(), _PREFIX)))
            # Also where this process is stopped while it connects.
            self._closing.callback(ray.shutdown)
            _connect(ray, settings)
        return ray

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Generator[Result, None, None]:
        """Apply a function to tasks on all processors, with few of them under way at a time.

        A task whose worker dies is given to another one. Where a task fails, what is under way is finished and given
        first.

        Args:
            function: A function of a module that is installed on all nodes.
            tasks: What to apply it to; where they name files, by whole paths that all nodes share.

        Yields:
            Results, as they come.

        Raises:
            InputError: If the workers of one task died again and again.
        """
        waiting = iter(tasks)
        batch = list(islice(waiting, _BATCH))
        if not batch:
            return
        ray = self.connect()
        run = ray.remote(_run_batch).options(num_cpus=1, max_retries=RETRIES)
        running = list[Any]()
        failure: BaseException | None = None
        while True:
            # Asked each time, since nodes come and go.
            while failure is None and batch and len(running) < 2 * self.cpus:
                running.append(run.remote(function, batch))
                batch = list(islice(waiting, _BATCH))
            if not running:
                break
            finished, running = ray.wait(running)
            for reference in finished:
                try:
                    results = ray.get(reference)
                except Exception as error:
                    failure = failure or plain_error(error)
                else:
                    yield from results
        if failure is not None:
            raise failure


def _run_batch(function: Callable[[Task], Result], batch: list[Task]) -> list[Result]:
    return [function(task) for task in batch]


def plain_error(error: BaseException) -> BaseException:
    """Find what a worker raised in what Ray has made of it, or say in one sentence that workers died."""
    from ray.exceptions import RayError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BiranetError) and not isinstance(cause, RayError):
            return cause
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, RayError):
            return InputError(f"a worker of the cluster failed: {cause.strerror}; mend that, and {_GO_ON}")
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(error, RayError) and not hasattr(error, "cause"):
        return InputError(
            f"worker processes of the cluster were ended from outside or ran out of memory, {RETRIES + 1} times at the "
            f"same photos; give each worker more memory, and {_GO_ON}"
        )
    return error


@contextmanager
def open_cluster(address: str = LOCAL, workers: int = 2) -> Iterator[Cluster]:
    """Connect to a Ray cluster, and leave it at the end.

    Where this process is connected to one already, that is taken, and stays connected.

    Args:
        address: `local` for a cluster of this process alone, whatever `RAY_ADDRESS` says and whatever cluster runs
            here; `auto` for the one that this machine is a node of; or `HOST:PORT` of its head.
        workers: Of a local cluster, from 1; another one has as many as it has.

    Yields:
        The cluster. Meanwhile, nothing that is printed to standard output is shown: Ray would write into it.

    Raises:
        InputError: If Ray is not installed, the address is none, or nobody answers there.
    """
    with require_extras("computing on a Ray cluster", "ray"):
        connected = import_ray().is_initialized()
    settings: dict[str, Any] = {"address": address}
    check_address(address)
    if not connected:
        _check_answer(address)
    if address == LOCAL:
        settings |= {"num_cpus": max(workers, 1), "include_dashboard": False}
    with ExitStack() as closing:
        closing.enter_context(redirect_stdout(io.StringIO()))
        yield Cluster(settings, closing)


def import_ray() -> Any:
    """Import Ray with Ray Data, quietly; `require_extras` is for who calls it."""
    os.environ.update(_QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future
        import ray
        import ray.data
        import ray.data.checkpoint

        # Its own handlers were set up by the import.
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


def check_address(address: str) -> None:
    """Refuse what is no address of a cluster, such as a folder of photos that stands behind `--ray`.

    Raises:
        InputError: If it is none.
    """
    if address in (LOCAL, RUNNING):
        return
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host or not host:
        raise InputError(
            f"{address!r} is no address of a Ray cluster; give HOST:PORT of its head, {RUNNING} on one of its nodes, "
            f"or {LOCAL} for a cluster of this process alone; photos stand before --ray"
        )


def _check_answer(address: str) -> None:
    """Refuse an address at which no cluster answers: Ray would try for minutes."""
    if address in (LOCAL, RUNNING):
        return
    host, _, port = address.rpartition(":")
    answer = b""
    with (
        suppress(OSError, UnicodeError),
        socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection,
    ):
        connection.sendall(_HTTP2_HELLO)
        answer = connection.recv(9)
    if answer[3:4] != bytes([4]):
        raise InputError(f"no Ray cluster answers at {address}; start its head there: ray start --head --port={port}")


def _connect(ray: Any, settings: dict[str, Any]) -> None:
    handlers = current_handlers()
    try:
        with stop_signals_blocked(), _descriptor_muted(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(**settings, log_to_driver=False, logging_level=logging.CRITICAL)
    except (Exception, SystemExit) as error:  # Ray raises errors of many kinds, and leaves the process
        reason = next(iter(str(error).splitlines()), "") if isinstance(error, Exception) else "it does not answer"
        address = settings["address"]
        if address == RUNNING and "--address" in reason:  # which is a flag of Ray's, not of ours
            raise InputError(
                "this machine is a node of no Ray cluster; start one: ray start --head, or join one: ray start "
                f"--address=HOST:PORT; or give {LOCAL} in place of {RUNNING}, for a cluster of this command alone"
            ) from error
        what = "start a Ray cluster of this process" if address == LOCAL else f"join the Ray cluster {address}"
        raise InputError(
            f"cannot {what}: {reason or type(error).__name__}; look whether it runs with the same versions of Ray and "
            "Python, and start this command on one of its nodes, with RAY_AUTH_MODE=token where it asks for a token"
        ) from error
    finally:
        for number, handler in handlers.items():  # Ray has one of its own for SIGTERM
            signal.signal(number, handler)


@contextmanager
def _own_token() -> Iterator[None]:
    """Have a local cluster ask for a token of its own, not for one that Ray would leave in the user's home."""
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _descriptor_muted() -> Iterator[None]:
    """Lose what is written to the descriptor of standard error: Ray's own libraries say there how they log."""
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


def _short_folder() -> Path:
    """The folder for temporary files; where that has too long a name, Ray's own."""
    usual = tempfile.gettempdir()
    return Path("/tmp" if len(usual) > _LONGEST_PATH else usual)
