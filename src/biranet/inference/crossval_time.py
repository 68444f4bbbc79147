"""Print how long the trainings of a cross-validation will take, while they run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from biranet.config import TrainConfig
from biranet.learning.state import Progress
from biranet.learning.time_left import LONG_SECONDS, StepTimes, describe_duration, describe_remedies
from biranet.learning.torch_predictor import choose_device

ANSWER_PASSES = 2
"""A fold takes about so many epochs more than its training: its linear probe sees the photos once more, and both
answer."""


class CrossvalTimer:
    """Tells which training is on, how long it took, and about how long all that are left will take.

    Args:
        folds: How many there are; the training on all photos comes after them.
        steps: Steps of an epoch of a fold.
        config: The settings of all trainings.
        log: Where it is told.

    Attributes:
        current: The training that is on.
    """

    def __init__(self, folds: int, steps: int, config: TrainConfig, log: Callable[[str], Any]) -> None:
        self.left, self.steps, self.config, self.log = folds + 1, steps, config, log
        self.current = "Beginning"
        self._seconds: list[float] = []
        self._first_batch: dict[int, float] = {}
        self._steps, self._last = StepTimes(), 0.0

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
        self._last = started
        yield not done
        self.left -= 1
        if done:
            self.log(f"{what}: finished before")
            return
        self._seconds.append(time.monotonic() - started)
        mean = sum(self._seconds) / len(self._seconds)
        left = f"; about {describe_duration(mean * self.left)} left" if self.left else ""
        self.log(f"{what}: finished in {describe_duration(self._seconds[-1])}{left}")

    def after_batch(self, progress: Progress) -> None:
        """Warn as soon as a step shows that all will take long, and tell about how long once an epoch has shown it."""
        if self._seconds or (len(self._first_batch) > 1 and self._steps.told):
            return
        now, before = time.monotonic(), self._last
        self._last = now
        step = self._steps.add(now - before)
        if step is not None and (seconds := step * self.steps * self._epochs_left(progress)) >= LONG_SECONDS:
            self._warn(seconds)
        if len(self._first_batch) > 1:
            return
        self._first_batch.setdefault(progress.epoch, now)
        if len(self._first_batch) > 1:
            first, second = self._first_batch.values()
            left = (second - first) * self._epochs_left(progress)
            self.log(f"{self.current}: about {describe_duration(left)} left for all")

    def _epochs_left(self, progress: Progress) -> int:
        """How many epochs all that is left takes, the answers of folds counted as epochs."""
        folds = max(1, self.left - 1)
        return self.left * self.config.epochs - progress.epoch + ANSWER_PASSES * folds

    def _warn(self, seconds: float) -> None:
        remedies = ", ".join(["fewer --folds", *describe_remedies(self.config, choose_device(self.config.device).type)])
        self.log(
            f"{self.current}: about {describe_duration(seconds)} left for all, with linear probes and answers: this "
            f"will not end today. What would shorten it: {remedies}. Ctrl-C saves it, and the very same command goes on"
        )
