"""Fit a circle to points by least squares."""

import numpy as np
import numpy.typing as npt


def fit_circle(points: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    """Fit a circle to points by linear least squares.

    Args:
        points: x and y (n, 2), at least three.

    Returns:
        Centre x, centre y and radius.

    Source:
        Kasa, IEEE Transactions on Instrumentation and Measurement 25 (1976) 8-14: x² + y² is linear in x, y and 1 on a
        circle.

    Example:
        >>> [round(length, 9) for length in fit_circle(np.array([[3.0, 0], [1, 2], [-1, 0], [1, -2]]))]
        [1.0, 0.0, 2.0]
    """
    system = np.column_stack([points, np.ones(len(points))])
    solution = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    center = solution[:2] / 2
    squared_radius = solution[2] + (center**2).sum()
    return float(center[0]), float(center[1]), float(np.sqrt(max(0.0, squared_radius)))
