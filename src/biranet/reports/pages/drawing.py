"""Where values lie on a drawing: axes and their ticks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axes:
    """The axes of one chart, whose drawing has its origin at the upper left, y downwards.

    Args:
        left: Left edge of the plot in the drawing, in px; likewise `top`, `width` and `height`.
        top: See `left`.
        width: See `left`.
        height: See `left`.
        x_range: Values at the left and the right edge.
        y_range: Values at the lower and the upper edge.

    Example:
        >>> axes = Axes(10, 10, 100, 50)
        >>> axes.x(0.5), axes.y(1.0), axes.path([(0, 0), (1, 1)])
        (60.0, 10.0, 'M10 60L110 10')
    """

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)

    @property
    def right(self) -> float:
        """Right edge of the plot, in px."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower edge of the plot, in px."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """Place a value on the drawing, in px to a tenth."""
        low, high = self.x_range
        return round(self.left + self.width * (value - low) / (high - low), 1)

    def y(self, value: float) -> float:
        """Place a value on the drawing, in px to a tenth."""
        low, high = self.y_range
        return round(self.bottom - self.height * (value - low) / (high - low), 1)

    def path(self, points: Iterable[Sequence[float]]) -> str:
        """Write a line through points (x, y) as the `d` of an SVG path."""
        return "M" + "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Choose round numbers for an axis.

    Args:
        low: Lowest value.
        high: Highest value, above `low`.
        about: How many ticks are wanted.

    Returns:
        The multiples of 1, 2 or 5 times a power of ten within [low, high], about as many as wanted.

    Example:
        >>> ticks(0, 1), ticks(1, 10, 3)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [5.0, 10.0])
    """
    raw_step = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw_step * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
