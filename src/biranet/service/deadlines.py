"""Time limits for what may hang: one thread watches all of them, since another one may not be had when it is needed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Deadlines(threading.Thread):
    """Ends what takes too long.

    Example:
        >>> deadlines = Deadlines()
        >>> deadlines.start()
        >>> with deadlines.limit(60, lambda: print("too long")) as overdue:
        ...     pass
        >>> overdue
        []
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._changed = threading.Condition()
        self._limits: dict[object, tuple[float, Callable[[], None]]] = {}

    @contextmanager
    def limit(self, seconds: float, end: Callable[[], None]) -> Iterator[list[bool]]:
        """Call a function, once, if the block takes too long.

        Args:
            seconds: How long it may take.
            end: The function; it must be quick, and raise nothing.

        Yields:
            A list that is empty as long as the block does not.
        """
        key, overdue = object(), list[bool]()

        def note_and_end() -> None:
            overdue.append(True)
            end()

        with self._changed:
            self._limits[key] = time.monotonic() + seconds, note_and_end
            self._changed.notify()
        try:
            yield overdue
        finally:
            with self._changed:
                self._limits.pop(key, None)

    def run(self) -> None:
        """Watch for as long as the process lives."""
        with self._changed:
            while True:
                now = time.monotonic()
                for key, (until, end) in list(self._limits.items()):
                    if until <= now:
                        del self._limits[key]
                        end()
                next_one = min((until for until, _ in self._limits.values()), default=None)
                self._changed.wait(None if next_one is None else max(0.0, next_one - now))
