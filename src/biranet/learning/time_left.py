"""Estimate how long a training will still take, early enough to do something about it."""

from biranet.config import TrainConfig
from biranet.setting_names import setting

SETTLED_STEPS, SETTLED_SECONDS = 5, 10.0
"""After so many steps, or after so many seconds of them, a step is known well enough."""

WORTH_TELLING_SECONDS = 60
LONG_SECONDS = 12 * 3600
"""Who starts a training that takes longer will not see its end today."""


LONGEST_STEP_SECONDS = 600.0
"""No step is taken to be longer; a training of so few steps that it ends today all the same is not looked at."""


def may_be_long(steps_left: int, step_seconds: float = LONGEST_STEP_SECONDS) -> bool:
    """Say whether so many steps may take so long that who waits for them does not see their end today."""
    return steps_left * step_seconds >= LONG_SECONDS


class StepTimes:
    """How long the steps of a training take, as far as this process has made them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.told = False

    def add(self, seconds: float) -> float | None:
        """Add a step.

        Args:
            seconds: How long it took, photos included.

        Returns:
            How long a step takes, once it is known; None before, and ever after. The first step, in which much is done
            for the first time, counts only where it is all there is.

        Example:
            >>> times = StepTimes()
            >>> [times.add(seconds) for seconds in (9.0, 2.0, 2.0)]
            [None, 2.0, None]
        """
        if self.told:
            return None
        self.seconds.append(seconds)
        self.told = len(self.seconds) >= SETTLED_STEPS or sum(self.seconds) >= SETTLED_SECONDS
        counted = self.seconds[1:] or self.seconds
        return sum(counted) / len(counted) if self.told else None


def describe_duration(seconds: float) -> str:
    """Say a length of time in the unit that suits it.

    Example:
        >>> [describe_duration(seconds) for seconds in (42, 600, 9_000, 400_000)]
        ['42 s', '10 min', '2.5 h', '4.6 days']
    """
    for unit, size, digits in (("days", 86_400, 1), ("h", 3_600, 1), ("min", 60, 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def describe_epochs_left(seconds: float, epochs: int) -> str:
    """Say how long so many epochs that take as long as this one will take; nothing where it is not worth a word."""
    left = seconds * epochs
    return f", about {describe_duration(left)} left" if left >= WORTH_TELLING_SECONDS else ""


def describe_time_left(step_seconds: float, steps_left: int, config: TrainConfig, device: str) -> str:
    """Say how long the steps that are left will take, and, where that is long, what would shorten it.

    Args:
        step_seconds: How long a step takes.
        steps_left: How many there are, of all epochs.
        config: All settings.
        device: Kind of the device that computes: `cpu`, `cuda` or `mps`.

    Returns:
        One or two lines; nothing where it is not worth a word.
    """
    seconds = step_seconds * steps_left
    if seconds < WORTH_TELLING_SECONDS:
        return ""
    sentence = (
        f"A step takes {step_seconds:.3g} s, so the {steps_left:,} that are left take about "
        f"{describe_duration(seconds)}, and validation comes on top."
    )
    if seconds < LONG_SECONDS:
        return sentence
    remedies = ", ".join(describe_remedies(config, device))
    return (
        f"{sentence}\nThis training will not end today. What would shorten it: {remedies}. Ctrl-C saves it, and "
        f"{setting('resume', True)} goes on, under the same settings only."
    )


def describe_remedies(config: TrainConfig, device: str) -> list[str]:
    """List what would shorten a training.

    Args:
        config: All settings.
        device: Kind of the device that computes: `cpu`, `cuda` or `mps`.
    """
    remedies = [
        f"a smaller {setting('image_size')} or {setting('backbone')}",
        f"fewer {setting('epochs')} or {setting('draws_per_epoch')}",
    ]
    if config.model.freeze in ("none", "stem", "stage1", "stage2"):
        remedies.insert(0, f"{setting('freeze', 'stage3')}, where the backbone has pretrained weights")
    if device == "cpu":
        remedies.insert(0, "a GPU")
    return remedies
