"""What to promise of missed photos: an upper bound for the visits of a new stretch of time.

Visits of one time are alike: patients, camera and graders are. So the shares that are missed of different stretches
differ by more than chance, and an interval that draws visits as if each could stand for any other is too narrow
(studies/shipped/promise.py). Here whole stretches are what is observed: of S of them the share missed is known, and
the share x of the next one lies, with a probability of 95 %, below

    mean + t * deviation * sqrt(1 + 1 / S)         t: the 95 % point of Student's distribution with S - 1 degrees

which is exact where shares are normal. Small shares of few photos are skewed instead, and so this is said of
arcsin(sqrt(x)), whose variance hardly depends on its mean. The mean over many new stretches lies below

    mean + t * deviation / sqrt(S)

of the shares as they are: on the other scale the mean is another one. It is too low for skewed shares; `coverage` says
how often either holds, `held` how often it was right.

Source: the prediction interval of Student's t; Hahn and Meeker, Statistical Intervals (1991), chapter 4. The arcsine:
Bartlett, The Square Root Transformation in Analysis of Variance, Suppl. J. R. Stat. Soc. 3 (1936).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from biranet.decisions.columns import probabilities, referable_score
from biranet.grades import DECISIONS, REFERABLE_GRADE
from studies.stretches import stretch_of

LEVEL = 0.95
STRETCHES = 10
"""So many stretches of the numbering, each of some two dozen referable photos, tell how much stretches differ."""

TARGET = 0.10
"""What a rule may miss at most of a new stretch, by the bound."""

Stretch = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


DRAWS = 10_000
"""So many times ten stretches and the next one are drawn to see how often the bounds hold."""


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
        0.51
    """
    return float(np.sin(min(np.pi / 2, _bound(np.arcsin(np.sqrt(shares)), 1.0))) ** 2)


def bound_mean(shares: Values) -> float:
    """Bound the mean share that is missed of many new stretches.

    Example:
        >>> round(bound_mean(np.array([0.0, 0.1, 0.1, 0.2])), 2)
        0.2
    """
    return min(1.0, _bound(shares, 0.0))


def _bound(values: Values, one: float) -> float:
    quantile = float(stdtrit(len(values) - 1, LEVEL))
    return float(values.mean() + quantile * values.std(ddof=1) * np.sqrt(one + 1 / len(values)))


def coverage(counts: npt.NDArray[np.int64], mean: float, correlation: float) -> tuple[float, float]:
    """Count how often the bounds hold where shares are those of beta-binomial counts.

    Args:
        counts: Of referable photos of stretches; those of each that is drawn are one of them.
        mean: The mean share.
        correlation: Of photos of one stretch, in [0, 1).

    Returns:
        In what share of `DRAWS` draws the next stretch, and the mean, lay within the bound of as many others.

    Example:
        >>> coverage(np.full(10, 1000), 0.5, 0.0)
        (0.951, 0.949)
    """
    random = np.random.default_rng(1)
    of = random.choice(counts, (DRAWS, len(counts) + 1))
    unlike = (1 - correlation) / correlation if correlation else np.inf
    chances = random.beta(mean * unlike, (1 - mean) * unlike, of.shape) if correlation else mean
    shares = random.binomial(of, chances) / of
    right = [(each[0] <= bound_next(each[1:]), mean <= bound_mean(each[1:])) for each in shares]
    of_next, of_mean = np.mean(right, axis=0).round(3).tolist()
    return of_next, of_mean


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


def halve_folds(decided: pd.DataFrame) -> Stretch:
    """Give the stretch of each photo where each fold is one itself: two of each fold.

    Args:
        decided: With the columns `file`, `group` and `fold`.

    Example:
        >>> files = [f"{number}.jpg" for number in range(6)]
        >>> halve_folds(pd.DataFrame({"file": files, "group": files, "fold": list("000011")}))
        array([0, 0, 1, 1, 2, 3])
    """
    stretch = np.zeros(len(decided), np.int64)
    for number, fold in enumerate(sorted(decided["fold"].unique())):
        its = (decided["fold"] == fold).to_numpy()
        stretch[its] = 2 * number + stretch_of(decided[its], 2)
    return stretch


def missed_share(decided: pd.DataFrame) -> float:
    """Give the share of the referable photos that is not referred."""
    referable, missed = _flags(decided)
    return float(missed.sum() / referable.sum())


def share_and_bound(decided: pd.DataFrame, stretch: Stretch) -> tuple[float, float]:
    """Give the share that is missed, and its bound for the next stretch, which is no less.

    Args:
        decided: As for `promise`.
        stretch: Likewise; there are referable photos in two stretches or more.
    """
    share, (referable, missed) = missed_share(decided), _flags(decided)
    return share, max(share, bound_next(missed_shares(missed, referable, stretch)))


def _flags(decided: pd.DataFrame) -> tuple[Flags, Flags]:
    """Whether each photo is referable, and whether it is missed."""
    referable = (decided["grade"] >= REFERABLE_GRADE).to_numpy()
    return referable, referable & (decided["decision"] == DECISIONS[0]).to_numpy()


def promise(decided: pd.DataFrame, stretch: Stretch) -> dict[str, Any]:
    """Bound what is missed of a new stretch of visits, by the rules as they are and by a rule that has a bound.

    Args:
        decided: Answers out of fold, with decisions.
        stretch: Of each photo, (N,): tenths of the numbering, or `halve_folds`.

    Returns:
        `shares`, missed of each stretch by the rules as they are, and all together; `next` and `mean`, their bounds,
        and `held`, in how many stretches the bound of the others was right; `bounded`, the rule whose bound is
        `target`: what it misses and refers needlessly of the photos that it was fitted on, and `of_new_stretches`, what
        it misses of each stretch when it was fitted on the others. Stretches without referable photos are left out.
    """
    referable, missed = _flags(decided)
    score = referable_score(probabilities(decided))
    shares = missed_shares(missed, referable, stretch)
    threshold = bounded_threshold(score, referable, stretch)
    new = [_missed_of_new(score, referable, stretch, number) for number in np.unique(stretch[referable]).tolist()]
    return {
        "fraction": float(missed.sum() / referable.sum()),
        "shares": shares.tolist(),
        "next": bound_next(shares),
        "mean": bound_mean(shares),
        "held": held(shares),
        "bounded": {
            "threshold": threshold,
            "missed": float((score[referable] < threshold).mean()),
            "needless": float((score[~referable] >= threshold).mean()),
            "of_new_stretches": new,
        },
    }


def _missed_of_new(score: Values, referable: Flags, stretch: Stretch, number: int) -> float:
    """The share that is missed of a stretch by a rule that was fitted on the others."""
    its = stretch == number
    others = np.unique(stretch[~its], return_inverse=True)[1]
    threshold = bounded_threshold(score[~its], referable[~its], others)
    return float((score[its & referable] < threshold).mean())
