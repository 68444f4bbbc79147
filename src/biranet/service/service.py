"""The service without HTTP: takes photos, has workers grade them, and gives up where nobody waits any more."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request

from biranet.errors import InputError
from biranet.service.metrics import Metrics
from biranet.service.parcels import Parcel, Photo, PhotoResult
from biranet.service.queue import ParcelQueue
from biranet.service.request_error import BUSY, GONE, NO_THREAD, RequestError
from biranet.service.settings import Settings
from biranet.service.uploads import HeldBytes
from biranet.service.worker import ModelLoaded
from biranet.service.workers import Workers

Asked = ParamSpec("Asked")
Result = TypeVar("Result")


class Service:
    """What answers requests.

    Args:
        settings: How it runs.

    Raises:
        InputError: If the system gives it no thread.

    Attributes:
        settings: How it runs.
        metrics: What is counted.
        queue: What waits.
        workers: Who grades.
        held: What requests hold in memory.
        name: What the model is called: as it ships, or as its file is called.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.queue = ParcelQueue(settings.limits.waiting)
        self.workers = Workers(self.queue, settings, self.metrics)
        self.name = settings.model.path.stem
        self.held = HeldBytes(settings.limits.held_bytes)
        self.metrics.waiting.set_function(self.queue.waiting)
        self._aside = ThreadPoolExecutor(1)
        try:
            self._aside.submit(int)  # its thread is there before it is needed: later there may be none to have
        except RuntimeError:  # there is none now
            raise InputError(NO_THREAD) from None

    async def aside(self, function: Callable[Asked, Result], *args: Asked.args, **settings: Asked.kwargs) -> Result:
        """Do what takes a while beside the event loop, on which all requests wait."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, partial(function, *args, **settings))

    @property
    def model(self) -> ModelLoaded:
        """The model.

        Raises:
            RequestError: If none is loaded yet.
        """
        if self.workers.loaded is None:
            raise RequestError(BUSY, "the model is being loaded; try again in a moment")
        return self.workers.loaded

    def check_name(self, name: str) -> None:
        """Refuse the name of another model than the one that answers.

        Raises:
            RequestError: If it is another one.
        """
        if name != self.name:
            raise RequestError(404, f"no model {name[:100]!r} answers here, only {self.name}")

    async def grade(self, photos: Sequence[Photo], request: Request, *, draw: bool = False) -> list[PhotoResult]:
        """Grade the photos of a request.

        Args:
            photos: The photos.
            request: The request, whose body has been read.
            draw: Whether to draw them.

        Returns:
            Their results, in order.

        Raises:
            RequestError: If there is no room, a worker was lost, or the client went away.
        """
        _ = self.model
        if self.workers.failure is not None:
            raise self.workers.refusal()
        size = self.settings.limits.batch
        parcels = [Parcel(photos[start : start + size], draw) for start in range(0, len(photos), size)]
        self.queue.put(parcels)
        work = asyncio.gather(*(asyncio.wrap_future(parcel.results) for parcel in parcels))
        watch = asyncio.ensure_future(_client_gone(request))
        try:
            waited: set[asyncio.Future[Any]] = {work, watch}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise RequestError(GONE, "the client went away")
            results = [result for part in await work for result in part]
        finally:
            watch.cancel()
            for parcel in parcels:
                parcel.results.cancel()  # nothing is done for nobody
            work.cancel()
            work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # else asyncio logs it
        for result in results:
            self.metrics.photos.labels(result.prediction.status).inc()
        return results


async def _client_gone(request: Request) -> None:
    """Wait until the client of a request whose body has been read goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
