"""The worker processes, seen from the one that answers: started, fed, watched, and started again."""

import logging
import multiprocessing
import secrets
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from biranet.errors import InputError
from biranet.learning.onnx_predictor import thread_count
from biranet.photos.privacy.pseudonyms import KEY_BYTES
from biranet.service.deadlines import Deadlines
from biranet.service.metrics import Metrics
from biranet.service.parcels import Parcel, PhotoResult
from biranet.service.queue import ParcelQueue
from biranet.service.request_error import BUSY, FAULT, NO_THREAD, OVERDUE, RequestError, describe_fault
from biranet.service.settings import Settings
from biranet.service.worker import Fault, ModelFailed, ModelLoaded, send_parcels, work
from biranet.signals import stop_signals_blocked

LOG = logging.getLogger("biranet.service")

_CONTEXT = multiprocessing.get_context("spawn")
_LOOK_SECONDS = 0.5
"""How often a feeder that has nothing to do looks whether its worker is still there."""
_TRIES = 3
"""How often a worker is started while none has ever loaded the model."""
_HANDED = 2
"""How many workers photos are handed to that are lost before they begin, as for want of memory."""
_LONGEST_PAUSE_SECONDS = 30
"""Before a worker is started again that cannot load the model: a second at first, and twice as long each time."""
_END_SECONDS = 1.0
"""How long a worker may take to end that has nothing left to do."""


class Workers:
    """The worker processes, each fed by a thread of its own.

    Args:
        queue: What they grade.
        settings: How many they are, and what they do.
        metrics: Counts what happens to them.

    Attributes:
        loaded: The model that they have loaded; None before the first has.
        failure: Why none can grade, nor soon will; None where one can, or starts.
        deadlines: End the processes that take too long.
    """

    def __init__(self, queue: ParcelQueue, settings: Settings, metrics: Metrics) -> None:
        self.loaded: ModelLoaded | None = None
        self.failure: InputError | None = None
        self._told = ""
        self.metrics = metrics
        self.queue = queue
        self.settings = settings
        self.spare_key = secrets.token_bytes(KEY_BYTES)  # for patients of headers, where none can be kept
        self._ready = self._early_ends = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self.deadlines = Deadlines()
        self._feeders = [_Feeder(self) for _ in range(settings.workers)]

    def start(self) -> None:
        """Start all of them; they load the model meanwhile."""
        try:
            for thread in (self.deadlines, *self._feeders):
                thread.start()
        except RuntimeError:  # the system gives no further thread
            self.note_failure(NO_THREAD)

    @property
    def is_ready(self) -> bool:
        """Whether one of them can grade now."""
        return self._ready > 0 and not self._stopping.is_set()

    @property
    def is_stopping(self) -> bool:
        """Whether none is to be started again."""
        return self._stopping.is_set()

    def pause(self, seconds: float) -> None:
        """Wait a moment, or until the service stops."""
        self._stopping.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Wait until one has loaded the model, or none could; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.loaded is not None or self.failure is not None, seconds)

    def note_ready(self, loaded: ModelLoaded) -> bool:
        """Note that a worker can grade; tell whether it may, since its model is that of all others."""
        with self._changed:
            self.loaded = self.loaded or loaded
            if loaded == self.loaded:
                self._ready += 1
                self.failure = None
                self.metrics.workers.set(self._ready)
                self._changed.notify_all()
                return True
        reason = "the file of the model holds another one now; start the service again"
        self.note_failure(reason, sentence=reason)
        return False

    def refusal(self) -> RequestError:
        """What requests are told where none can grade now."""
        sentence = self._told if self.failure is not None else ""
        return RequestError(BUSY, sentence or "no process can grade now; try again in a moment", passes=not sentence)

    def note_failure(self, reason: str, sentence: str = "") -> None:
        """Note that a worker could not load the model; where no other one can grade, nothing waits any longer.

        Args:
            reason: Why, for the log.
            sentence: Why, for clients, where waiting does not help; it names no file of this machine.
        """
        with self._changed:
            if self.loaded is not None:
                LOG.error("a worker cannot grade: %s", reason)
            if not self._ready:
                self.failure, self._told = InputError(reason), sentence
                self._changed.notify_all()
        if self.failure is not None:
            self.queue.fail_waiting(self.refusal())

    def note_early_end(self, how: str) -> None:
        """Note that a worker ended while it started, or could not be started; at the beginning that is tried again."""
        if self.is_stopping:
            return
        with self._changed:
            self._early_ends += 1
            is_failure = self.loaded is not None or self._early_ends >= _TRIES * self.settings.workers
        if is_failure:
            self.note_failure(f"the processes that grade {how}, perhaps for want of memory; try fewer --workers")

    def note_lost(self) -> None:
        """Note that a worker that could grade is gone."""
        with self._changed:
            self._ready -= 1
            self.metrics.workers.set(self._ready)

    def stop(self) -> None:
        """End them; what is not answered by now, nobody waits for."""
        self._stopping.set()
        self.queue.give_up(RequestError(BUSY, "the service is being stopped; try again in a moment"))
        deadline = time.monotonic() + _END_SECONDS
        started = [feeder for feeder in self._feeders if feeder.ident]
        for feeder in started:
            feeder.join(max(0.0, deadline - time.monotonic()))
            feeder.kill()
        for feeder in started:
            feeder.join()


class _Feeder(threading.Thread):
    """Keeps one worker process alive, and feeds it."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(daemon=True)
        self._workers = workers
        self._process: BaseProcess | None = None

    def run(self) -> None:
        workers, useless = self._workers, 0
        while not (workers.is_stopping and not workers.queue.waiting()):
            try:
                process, connection = self._start_process()
            except OSError as error:  # no file, process or memory is left now
                reason = error.strerror or type(error).__name__
                workers.note_early_end(f"cannot be started ({reason})")
                useless += 1
            else:
                with connection:
                    useless = 0 if self._feed(process, connection) else useless + 1
                process.join(_END_SECONDS)
                process.kill()
                process.join()
                reason = f"worker {process.pid} ended with status {process.exitcode}"
            if not workers.is_stopping:
                LOG.warning("%s; another worker is started", reason)
                workers.metrics.restarts.inc()
                if useless:
                    workers.pause(min(_LONGEST_PAUSE_SECONDS, 2 ** (useless - 1)))

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _start_process(self) -> tuple[BaseProcess, Connection]:
        settings = self._workers.settings
        threads = max(1, thread_count() // settings.workers)
        ours, theirs = _CONTEXT.Pipe()
        spare_key = self._workers.spare_key
        process = _CONTEXT.Process(target=work, args=(theirs, settings.model, threads, spare_key), daemon=True)
        with stop_signals_blocked(), theirs:
            try:
                process.start()
            except BaseException:
                ours.close()
                raise
        self._process = process
        return process, ours

    def _feed(self, process: BaseProcess, connection: Connection) -> bool:
        """Feed a process until it is gone, or nothing is left to do; tell whether it could grade."""
        workers = self._workers
        try:
            hello = connection.recv()
        except (EOFError, OSError):
            process.join(_END_SECONDS)
            workers.note_early_end(f"end with status {process.exitcode} while they start")
            return False
        if isinstance(hello, ModelFailed):
            workers.note_failure(
                hello.reason, sentence="the model can be loaded no more; the log of the service says why"
            )
            return False
        if not workers.note_ready(hello):
            return False
        batch = workers.settings.limits.batch if workers.settings.across_requests else 1
        try:
            while process.is_alive():
                parcels = workers.queue.take(batch, _LOOK_SECONDS)
                if parcels is None or (parcels and not self._grade(connection, parcels)):
                    break
        finally:
            workers.note_lost()
        return True

    def _grade(self, connection: Connection, parcels: Sequence[Parcel]) -> bool:
        """Have parcels graded; tell whether the process is still there."""
        workers = self._workers
        photos = sum(len(parcel.photos) for parcel in parcels)
        workers.metrics.batches.observe(photos)
        with workers.deadlines.limit(photos * workers.settings.limits.seconds, self.kill) as is_overdue:
            begun = False
            try:
                send_parcels(connection, parcels, together=workers.settings.across_requests)
                begun = True
                answers: list[list[PhotoResult] | Fault] = connection.recv()
            except (EOFError, OSError):
                if begun or is_overdue:
                    self._fail(parcels, is_overdue=bool(is_overdue))
                else:
                    self._hand_on(parcels)
                return False
        for parcel, answer in zip(parcels, answers, strict=True):
            if isinstance(answer, Fault):
                parcel.results.set_exception(RequestError(FAULT, describe_fault(answer.summary)))
            else:
                parcel.results.set_result(answer)
        return True

    def _hand_on(self, parcels: Sequence[Parcel]) -> None:
        """Leave to another process what this one did not begin, unless it ends every one that it is handed to."""
        for parcel in parcels:
            parcel.lost += 1
        self._fail([parcel for parcel in parcels if parcel.lost >= _HANDED], is_overdue=False)
        self._workers.queue.put_back([parcel for parcel in parcels if parcel.lost < _HANDED])

    def _fail(self, parcels: Sequence[Parcel], *, is_overdue: bool) -> None:
        error = RequestError(BUSY, "the process that graded was ended; send the request again", passes=False)
        if is_overdue:
            seconds = self._workers.settings.limits.seconds
            error = RequestError(OVERDUE, f"grading took longer than {seconds:g} seconds a photo")
        for parcel in parcels:
            parcel.results.set_exception(error)
