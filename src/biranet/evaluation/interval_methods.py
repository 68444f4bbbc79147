"""From the values of drawn data sets to the two ends of a 95 % interval.

How a measure varies from one drawn set of groups to the next is known from the draws. The ends come from there in the
way that held the true value best in simulations of clustered photos:

- Shares (of photos, of pairs, or averages of shares) have a skewed spread near 0 and 1, where percentiles of the draws
  are too hopeful: at 150 groups they held a sensitivity of 0.96 in 91 of 100 data sets, and erred on the side that
  flatters. They get the interval of a binomial share with the same variance as the draws have: shares of photos the
  exact one, which is that of Clopper and Pearson where no two photos are of one group.
- Everything else (kappa, losses) gets percentiles, further out the fewer groups there are.
- The expected calibration error is too high by chance alone, in the draws twice: its percentiles are reflected.
- Differences of two models on the same photos often rest on few photos. Percentiles then held them in as few as 63 of
  100 data sets. Student's interval, which is symmetric, did better everywhere and is no wider.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

Values = npt.NDArray[np.float64]
Interval = list[float]

LEVEL = 0.95
"""How often an interval shall hold the true value. In simulations with 25 to 400 groups of one to three photos, with an
even mix of grades and with that of screening (2 of 100 photos of grade 4), it did so, where there was one, in 94 to 100
of 100 data sets for shares, areas, ACA and F1, and in 92 to 97 for kappa and the losses. These are rough guides:

- the area of a rare grade near 1: 89 (0.98, some 15 patients with grade 4) to 93, and too high in nearly all others;
- the expected calibration error: 79 (25 groups) to 92;
- differences of two models: 91 to 100, but 76 to 89 where they rest on a handful of wrong photos (the errors among
  decided photos, the NPV of a sensitive operating point).

Within strata and for a mix that every data set has, 25 groups in five strata: 91 to 93 for kappa and the losses."""

MIN_GROUPS_SIMULATED = 25
"""The fewest groups that these simulations had."""

TAIL = (1 - LEVEL) / 2

ROUNDING_TOLERANCE = 1e-12
"""Values that differ by no more than this differ by rounding."""


def share_interval(value: float, drawn: Values, groups: float, photos: float) -> Interval | None:
    """Bound a share of photos by the exact interval of a binomial share that varies as much.

    Args:
        value: The share, in [0, 1].
        drawn: (R,) its values in drawn data sets, NaN where it is not defined.
        groups: Number of groups that hold photos it is a share of.
        photos: Number of photos it is a share of, at least `groups`.

    Returns:
        [low, high]; for a share of 0 or 1, that of none or all of `groups`. None where the draws do not vary otherwise.
        Where groups resemble themselves so little that they vary less than single photos would, that of the photos.

    Source:
        Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts estimated
        from survey data, Survey Methodology 24 (1998): the number of photos, divided by the design effect and
        multiplied by the squared ratio of Student's quantiles for photos and for groups. The variance is the
        bootstrap's.

    Example:
        >>> [round(end, 3) for end in share_interval(1.0, np.ones(9), 12, 12)]  # 12 of 12
        [0.735, 1.0]
    """
    if value in (0, 1):
        return clopper_pearson(value, groups)
    variance = _variance(drawn, groups)
    if variance is None:
        return None
    of_photos = value * (1 - value) / (photos - 1)
    widening = float(stdtrit(photos - 1, TAIL) / stdtrit(groups - 1, TAIL)) ** 2
    return clopper_pearson(value, min(photos, photos * of_photos / variance * widening))


def average_interval(value: float, drawn: Values, groups: float) -> Interval | None:
    """Bound an average of shares, or a share of pairs, by that of a binomial share that varies as much.

    Nothing is exact here, as nobody knows of how many it is a share: what is known is its spread, and how well.

    Args:
        value: The average, in [0, 1].
        drawn: (R,) its values in drawn data sets, NaN where it is not defined.
        groups: Number of groups that know its spread as well.

    Returns:
        [low, high]; None for a value of 0 or 1, and where the draws do not vary.

    Source:
        Ours, after Korn and Graubard (1998), with Student's quantile for `groups` in place of the normal one.

    Example:
        >>> average_interval(1.0, np.ones(9), 12) is None
        True
    """
    variance = _variance(drawn, groups)
    if variance is None or value in (0, 1):
        return None
    return clopper_pearson(value, value * (1 - value) / variance * (ndtri(TAIL) / stdtrit(groups - 1, TAIL)) ** 2)


def percentile_interval(drawn: Values, groups: float) -> Interval | None:
    """Bound a measure by percentiles of its values in drawn data sets.

    Args:
        drawn: (R,) the values, NaN where the measure is not defined.
        groups: Number of groups that the measure is about.

    Returns:
        [low, high], or None where the draws do not vary or there is one group.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; further out for few groups: the
        expanded percentile interval of Hesterberg, What Teachers Should Know about the Bootstrap (2014).

    Example:
        >>> low, high = percentile_interval(np.arange(1001.0), 10**6)
        >>> round(low), round(high)
        (25, 975)
    """
    defined = drawn[~np.isnan(drawn)]
    if groups < 2 or not defined.size or np.ptp(defined) < ROUNDING_TOLERANCE:
        return None
    tail = float(ndtr(np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, TAIL)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return [float(low), float(high)]


def reflected_interval(value: float, drawn: Values, groups: float) -> Interval | None:
    """Bound a measure whose draws are off to one side as the value itself is.

    Args:
        value: The value.
        drawn: (R,) its values in drawn data sets.
        groups: Number of groups.

    Returns:
        The percentiles reflected at the value, so that a lean of the draws counts against it; never without the value.

    Source:
        The basic interval of Davison and Hinkley, Bootstrap Methods and their Application (1997), section 5.2.

    Example:
        >>> reflected_interval(0.5, np.linspace(0.5, 0.7, 9), 10**6)[1]
        0.5
    """
    ends = percentile_interval(drawn, groups)
    return ends and [min(value, 2 * value - ends[1]), max(value, 2 * value - ends[0])]


def student_interval(value: float, drawn: Values, groups: float) -> Interval | None:
    """Bound a difference by Student's interval.

    Args:
        value: The difference.
        drawn: (R,) its values in drawn data sets, NaN where it is not defined.
        groups: Number of groups that it is about.

    Returns:
        [low, high] with `value` in the middle, or None where the draws do not vary or there is one group.

    Source:
        The t interval with bootstrap standard error of Hesterberg (2014).

    Example:
        >>> student_interval(0.25, np.array([0.25, 0.25]), 30) is None
        True
    """
    defined = drawn[~np.isnan(drawn)]
    if groups < 2 or not defined.size or np.ptp(defined) < ROUNDING_TOLERANCE:
        return None
    reach = float(-stdtrit(groups - 1, TAIL) * defined.std() * np.sqrt(groups / (groups - 1)))
    return [value - reach, value + reach]


def clopper_pearson(share: float, size: float) -> Interval:
    """Bound a binomial share exactly.

    Args:
        share: The share, in [0, 1].
        size: Of how many; it need not be whole.

    Returns:
        [low, high].

    Source:
        Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
        Biometrika 26 (1934).

    Example:
        >>> [round(end, 3) for end in clopper_pearson(8 / 9, 9)]
        [0.518, 0.997]
    """
    low = 0.0 if share == 0 else float(betaincinv(share * size, (1 - share) * size + 1, TAIL))
    high = 1.0 if share == 1 else float(betaincinv(share * size + 1, (1 - share) * size, 1 - TAIL))
    return [low, high]


def _variance(drawn: Values, groups: float) -> float | None:
    """How data sets vary: as the draws do, but for the (groups - 1) / groups by which those vary less."""
    defined = drawn[~np.isnan(drawn)]
    if groups < 2 or not defined.size or np.ptp(defined) < ROUNDING_TOLERANCE:
        return None
    return float(defined.var() * groups / (groups - 1))
