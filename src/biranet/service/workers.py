"""The worker processes, seen from the one that answers: started, fed, watched, and started again."""

import logging
import multiprocessing
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from biranet.errors import BiranetError, InputError
from biranet.learning.onnx_predictor import thread_count
from biranet.service.metrics import Metrics
from biranet.service.parcels import Parcel
from biranet.service.queue import ParcelQueue
from biranet.service.request_error import BUSY, FAULT, OVERDUE, RequestError
from biranet.service.settings import Settings
from biranet.service.worker import Failed, Fault, Loaded, send_parcels, work
from biranet.signals import stop_signals_blocked

LOG = logging.getLogger("biranet.service")

_CONTEXT = multiprocessing.get_context("spawn")
_PAUSE_SECONDS = 1.0
"""Before a worker is started again that could not load the model, or graded nothing."""


class Workers:
    """The worker processes, each fed by a thread of its own.

    Args:
        queue: What they grade.
        settings: How many they are, and what they do.
        metrics: Counts what happens to them.

    Attributes:
        loaded: The model that they have loaded; None before the first has.
        failure: Why none could load it at the beginning; None where one has.
    """

    def __init__(self, queue: ParcelQueue, settings: Settings, metrics: Metrics) -> None:
        self.loaded: Loaded | None = None
        self.failure: BiranetError | None = None
        self.metrics = metrics
        self.queue = queue
        self.settings = settings
        self._ready = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._feeders = [_Feeder(self) for _ in range(settings.workers)]

    def start(self) -> None:
        """Start all of them; they load the model meanwhile."""
        for feeder in self._feeders:
            feeder.start()

    @property
    def is_ready(self) -> bool:
        """Whether one of them can grade now."""
        return self._ready > 0 and not self._stopping.is_set()

    @property
    def is_stopping(self) -> bool:
        """Whether none is to be started again."""
        return self._stopping.is_set()

    def pause(self) -> None:
        """Wait a moment, or until the service stops."""
        self._stopping.wait(_PAUSE_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Wait until one has loaded the model, or none could; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.loaded is not None or self.failure is not None, seconds)

    def note_ready(self, loaded: Loaded) -> None:
        """Note that a worker can grade."""
        with self._changed:
            self.loaded = self.loaded or loaded
            self._ready += 1
            self.metrics.workers.set(self._ready)
            self._changed.notify_all()

    def note_failure(self, reason: str) -> None:
        """Note that a worker could not load the model."""
        LOG.error("a worker cannot load the model: %s", reason)
        with self._changed:
            self.failure = self.failure or InputError(reason)
            self._changed.notify_all()

    def note_lost(self) -> None:
        """Note that a worker that could grade is gone."""
        with self._changed:
            self._ready -= 1
            self.metrics.workers.set(self._ready)

    def stop(self) -> None:
        """Have them finish what waits, and end; what they do not finish in time is failed."""
        self._stopping.set()
        self.queue.close()
        for feeder in self._feeders:
            feeder.join(self.settings.limits.seconds)
        for feeder in self._feeders:
            feeder.kill()
        self.queue.give_up(RequestError(BUSY, "the service is being stopped; try again in a moment"))
        for feeder in self._feeders:
            feeder.join()


class _Feeder(threading.Thread):
    """Keeps one worker process alive, and feeds it."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(daemon=True)
        self._workers = workers
        self._process: BaseProcess | None = None
        self._is_overdue = False

    def run(self) -> None:
        workers = self._workers
        while not (workers.is_stopping and not workers.queue.waiting()):
            process, connection = self._start_process()
            with connection:
                was_useful = self._feed(connection)
            process.join(1)
            process.kill()
            process.join()
            if not workers.is_stopping:
                LOG.warning("worker %s ended with status %s; another one is started", process.pid, process.exitcode)
                workers.metrics.restarts.inc()
                if not was_useful:
                    workers.pause()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _start_process(self) -> tuple[BaseProcess, Connection]:
        settings = self._workers.settings
        threads = max(1, thread_count() // settings.workers)
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=work, args=(theirs, settings.model, threads), daemon=True)
        with stop_signals_blocked(), theirs:
            process.start()
        self._process = process
        return process, ours

    def _feed(self, connection: Connection) -> bool:
        """Feed the process until it is gone, or nothing is left to do; tell whether it has graded something."""
        workers = self._workers
        try:
            hello = connection.recv()
        except (EOFError, OSError):
            return False
        if isinstance(hello, Failed):
            workers.note_failure(hello.reason)
            return False
        workers.note_ready(hello)
        was_useful = False
        batch = workers.settings.limits.batch if workers.settings.across_requests else 1
        try:
            while parcels := workers.queue.take(batch):
                try:
                    answers = self._exchange(connection, parcels)
                except (EOFError, OSError):
                    self._fail(parcels)
                    return was_useful
                for parcel, answer in zip(parcels, answers, strict=True):
                    if isinstance(answer, Fault):
                        parcel.results.set_exception(
                            RequestError(FAULT, f"this is a fault of biranet ({answer.summary}); please report it")
                        )
                    else:
                        parcel.results.set_result(answer)
                was_useful = True
        finally:
            workers.note_lost()
        return was_useful

    def _exchange(self, connection: Connection, parcels: Sequence[Parcel]) -> list[object]:
        """Send parcels and receive what is said of them; a process that takes too long is killed."""
        photos = sum(len(parcel.photos) for parcel in parcels)
        self._workers.metrics.batches.observe(photos)
        self._is_overdue = False
        watch = threading.Timer(photos * self._workers.settings.limits.seconds, self._kill_overdue)
        watch.daemon = True
        watch.start()
        try:
            send_parcels(connection, parcels, together=self._workers.settings.across_requests)
            answers: list[object] = connection.recv()
        finally:
            watch.cancel()
        return answers

    def _kill_overdue(self) -> None:
        self._is_overdue = True
        self.kill()

    def _fail(self, parcels: Sequence[Parcel]) -> None:
        seconds = self._workers.settings.limits.seconds
        error = RequestError(BUSY, "the process that graded was ended; send the request again")
        if self._is_overdue:
            error = RequestError(OVERDUE, f"grading took longer than {seconds:g} seconds a photo")
        for parcel in parcels:
            parcel.results.set_exception(error)
