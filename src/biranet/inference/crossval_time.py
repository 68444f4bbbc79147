"""Print how long the trainings of a cross-validation will take, while they run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from biranet.learning.state import Progress
from biranet.learning.time_left import describe_duration


class CrossvalTimer:
    """Tells which training is on, how long it took, and about how long all that are left will take.

    Args:
        trainings: How many there are.
        epochs: Epochs of each, at most.
        say: Where it is told.

    Attributes:
        current: The training that is on.
    """

    def __init__(self, trainings: int, epochs: int, say: Callable[[str], Any]) -> None:
        self.left, self.epochs, self.say = trainings, epochs, say
        self.current = "Beginning"
        self._seconds: list[float] = []
        self._first_batch: dict[int, float] = {}

    @contextmanager
    def training(self, what: str, *, done: bool) -> Iterator[bool]:
        """Go through a training.

        Args:
            what: Which one.
            done: Whether it was finished before.

        Yields:
            Whether it is to be done.
        """
        self.current, self._first_batch, started = what, {}, time.monotonic()
        yield not done
        self.left -= 1
        if done:
            self.say(f"{what}: finished before")
            return
        self._seconds.append(time.monotonic() - started)
        mean = sum(self._seconds) / len(self._seconds)
        left = f"; about {describe_duration(mean * self.left)} left" if self.left else ""
        self.say(f"{what}: finished in {describe_duration(self._seconds[-1])}{left}")

    def after_batch(self, progress: Progress) -> None:
        """Tell about how long is left once the first epoch of the first training has shown it."""
        if self._seconds or len(self._first_batch) > 1:
            return
        self._first_batch.setdefault(progress.epoch, time.monotonic())
        if len(self._first_batch) > 1:
            first, second = self._first_batch.values()
            epochs = self.epochs - progress.epoch + (self.left - 1) * self.epochs
            self.say(f"{self.current}: about {describe_duration((second - first) * epochs)} left for all")
