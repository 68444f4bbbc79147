"""What to promise of missed photos: an upper bound for the visits of a new stretch of time.

Visits of one time are alike: patients, camera and graders are. So the shares that are missed of different stretches
differ by more than chance, and an interval that draws visits as if each could stand for any other is too narrow
(studies/shipped/promise.py). Here whole stretches are what is observed: of S of them the share missed is known, and
the share of the next one lies, with a probability of 95 %, below

    mean + t * deviation * sqrt(1 + 1 / S)         t: the 95 % point of Student's distribution with S - 1 degrees

which is exact where shares are normal, as they are not quite: `held` counts how often it was right. The mean over many
new stretches lies below the same without the 1 in the root.

Source: the prediction interval of Student's t; Hahn and Meeker, Statistical Intervals (1991), chapter 4.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

LEVEL = 0.95
STRETCHES = 10
"""So many stretches of the numbering, each of some two dozen referable photos, tell how much stretches differ."""

TARGET = 0.10
"""What a rule may miss at most of a new stretch, by the bound."""

Stretch = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


def missed_shares(missed: Flags, referable: Flags, stretch: Stretch) -> Values:
    """Give the share that is missed of the referable photos of each stretch that has some.

    Args:
        missed: Whether a photo is referable and not referred, (N,).
        referable: (N,).
        stretch: Of each photo, (N,).

    Example:
        >>> missed_shares(np.array([True, False, False]), np.array([True, True, True]), np.array([0, 0, 2]))
        array([0.5, 0. ])
    """
    counts = np.bincount(stretch, weights=referable)
    return np.bincount(stretch, weights=missed)[counts > 0] / counts[counts > 0]


def bound_next(shares: Values) -> float:
    """Bound the share that is missed of the next stretch, by those of others, (S,).

    Example:
        >>> round(bound_next(np.array([0.0, 0.1, 0.1, 0.2])), 2)
        0.31
    """
    return _bound(shares, 1.0)


def bound_mean(shares: Values) -> float:
    """Bound the mean share that is missed of many new stretches.

    Example:
        >>> round(bound_mean(np.array([0.0, 0.1, 0.1, 0.2])), 2)
        0.2
    """
    return _bound(shares, 0.0)


def _bound(shares: Values, one: float) -> float:
    quantile = float(stdtrit(len(shares) - 1, LEVEL))
    return min(1.0, float(shares.mean() + quantile * shares.std(ddof=1) * np.sqrt(one + 1 / len(shares))))


def held(shares: Values) -> int:
    """Count the stretches whose share lies within the bound that all others give.

    Example:
        >>> held(np.array([0.0, 0.1, 0.1, 0.2, 0.9]))
        4
    """
    return int(sum(share <= bound_next(np.delete(shares, place)) for place, share in enumerate(shares)))


def bounded_threshold(score: Values, referable: Flags, stretch: Stretch, target: float = TARGET) -> float:
    """Find the highest threshold below which, by the bound, no larger share of the next stretch is missed.

    Args:
        score: Of referral, (N,).
        referable: (N,).
        stretch: Of each photo, (N,).
        target: The share.

    Returns:
        The threshold; photos with scores below it are not referred. 0 where none is low enough.

    Example:
        >>> scores, stretch = np.linspace(0, 1, 400), np.arange(400) % 4
        >>> round(bounded_threshold(scores, np.full(400, True), stretch), 2)
        0.08
    """
    best = 0.0
    for threshold in np.unique(score[referable]):
        if bound_next(missed_shares(referable & (score < threshold), referable, stretch)) > target:
            break
        best = float(threshold)
    return best
