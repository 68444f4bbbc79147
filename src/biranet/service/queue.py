"""What waits for a worker: a bounded queue between the process' event loop and the threads that feed the workers."""

import threading
from collections import deque
from collections.abc import Sequence

from biranet.service.parcels import Parcel
from biranet.service.request_error import BUSY, RequestError


class ParcelQueue:
    """Parcels that wait, first come, first served.

    Args:
        most: How many photos may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._parcels: deque[Parcel] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def waiting(self) -> int:
        """How many photos wait."""
        with self._changed:
            return self._count()

    def _count(self) -> int:
        return sum(len(parcel.photos) for parcel in self._parcels if not parcel.results.cancelled())

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Add the parcels of a request, all or none.

        Raises:
            RequestError: If too many photos wait, or the service stops.
        """
        with self._changed:
            # Who went away leaves no photo behind.
            self._parcels = deque(parcel for parcel in self._parcels if not parcel.results.cancelled())
            waiting = self._count()
            if self._closed:
                raise RequestError(BUSY, "the service is being stopped; try again in a moment")
            if waiting + sum(len(parcel.photos) for parcel in parcels) > self._most:
                raise RequestError(BUSY, f"{waiting} photos wait, and at most {self._most} may; try again in a moment")
            self._parcels.extend(parcels)
            self._changed.notify(len(parcels))

    def take(self, photos: int, seconds: float | None = None) -> list[Parcel] | None:
        """Wait for the next parcel, and take it with those behind it that are waiting already.

        Args:
            photos: How many photos further parcels may add up to, with the first one; 1 takes one parcel alone.
            seconds: How long to wait; for ever where None.

        Returns:
            The parcels, whose results can be cancelled no longer; none where no one came in time, None once the queue
            is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._parcels or self._closed, seconds)
            taken: list[Parcel] = []
            while self._parcels and (not taken or self._fits(taken, photos)):
                parcel = self._parcels.popleft()
                # One that was put back runs already.
                if parcel.results.running() or parcel.results.set_running_or_notify_cancel():
                    taken.append(parcel)
            return None if self._closed and not taken else taken

    def _fits(self, taken: Sequence[Parcel], photos: int) -> bool:
        return sum(len(parcel.photos) for parcel in (*taken, self._parcels[0])) <= photos

    def put_back(self, parcels: Sequence[Parcel]) -> None:
        """Put parcels that nobody has begun back to where they were taken from."""
        with self._changed:
            self._parcels.extendleft(reversed(parcels))
            self._changed.notify(len(parcels))

    def fail_waiting(self, error: Exception) -> None:
        """Fail all that waits."""
        with self._changed:
            waiting, self._parcels = self._parcels, deque()
        for parcel in waiting:
            if parcel.results.running() or parcel.results.set_running_or_notify_cancel():
                parcel.results.set_exception(error)

    def give_up(self, error: Exception) -> None:
        """Fail all that waits, and take no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.fail_waiting(error)
