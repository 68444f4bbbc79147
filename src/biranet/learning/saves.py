"""The saves of a training between its steps, the last one where it shall stop among them."""

import time
from collections.abc import Callable

from biranet.errors import InterruptedRunError


class Saves:
    """Saves a training now and then, counted from when this is made.

    Args:
        save: Writes all that the training needs to go on.
        minutes: After so many, the next step is followed by a save.
    """

    def __init__(self, save: Callable[[], None], minutes: float) -> None:
        self._save, self._seconds = save, 60 * minutes
        self._last = time.monotonic()

    def after_step(self, stop: bool, reached: str, go_on: str) -> None:
        """Save where it is time to, or where the training shall stop.

        Args:
            stop: Whether it shall.
            reached: Which step that was, to say where it stopped.
            go_on: The command that goes on.

        Raises:
            InterruptedRunError: If it shall stop; all is saved.
        """
        if stop:
            self._save()
            raise InterruptedRunError(f"stopped {reached}; everything is saved. Go on with: {go_on}")
        if time.monotonic() - self._last > self._seconds:
            self._save()
            self._last = time.monotonic()
