"""Runs the service: the socket, HTTP by uvicorn, and an end in good order."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from biranet.errors import InputError
from biranet.photos.privacy.pseudonyms import key_problem
from biranet.service.app import make_app
from biranet.service.connection import connection_of
from biranet.service.request_error import NO_THREAD
from biranet.service.service import Service
from biranet.service.settings import Settings
from biranet.signals import current_handlers

LOG = logging.getLogger("biranet.service")

_LOGGERS = {"biranet.service": logging.INFO, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}
"""Loggers whose messages are shown, from which level on."""

_FULL_SECONDS = 60
"""How often it is said at most that no more connections can be taken."""


def serve(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until a signal comes; then finish what was taken, and take no more.

    Args:
        settings: How.
        host: Where to listen.
        port: Its port; 0 takes one that is free.
        announce: Is told the address once photos can be graded.

    Raises:
        InputError: If nothing can listen there, the model cannot be loaded, or the system gives no thread.
    """
    _raise_file_limit()
    service = Service(settings)
    listener = _listen(host, port)
    config = uvicorn.Config(
        make_app(service),
        http=connection_of(settings.limits.seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would name photos
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=None,  # each step of a request has its own limit, and their sum is the queue's matter
    )
    server = _Server(config)
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listener.getsockname()[1]}"

    def watch() -> None:
        service.workers.start()
        while not service.workers.wait(1) and not server.should_exit:
            pass
        if service.workers.loaded is None:
            server.should_exit = True
        elif not server.should_exit:
            announce(address)

    with _logging(), contextlib.closing(listener):
        if problem := key_problem():
            LOG.warning("patients of DICOM headers get other names at each start, since %s", problem)
        starting = threading.Thread(target=watch, daemon=True)
        try:
            starting.start()
        except RuntimeError:  # the system gives no further thread
            raise InputError(NO_THREAD) from None
        try:
            asyncio.run(server.serve([listener]))
        finally:
            server.should_exit = True
            starting.join()
            service.workers.stop()
    if service.workers.loaded is None and service.workers.failure is not None:
        raise service.workers.failure


class _Server(uvicorn.Server):
    """Stops at the first signal when all is answered, and at the second at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before = current_handlers()
        for number in before:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        if self.force_exit:  # else asyncio of Python 3.12 and later waits for those who wait
            for connection in list(self.server_state.connections):
                connection.transport.abort()


def _raise_file_limit() -> None:
    """Have each connection, which is a file, not count against a limit that is meant for programs of one user."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):  # macOS may not take what it calls its limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"nothing can listen at {host}, port {port}: {reason}; give another --host or --port"
        ) from None
    return listener


class _Plain(logging.Formatter):
    """One line a message: no traceback, which may quote what a request brought."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        return ""


class _SeldomFull(logging.Filter):
    """Passes the word that no more connections can be taken once a minute; asyncio says it thousands of times."""

    _next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if "out of system resource" not in str(record.msg):
            return True
        passes = record.created >= self._next
        if passes:
            self._next = record.created + _FULL_SECONDS
        return passes


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_SeldomFull())
    loggers = {logging.getLogger(name): level for name, level in _LOGGERS.items()}
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger, level in loggers.items():
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
