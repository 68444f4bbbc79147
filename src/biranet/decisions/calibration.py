"""Fitting what turns a model's probabilities into believable ones: a temperature, and thresholds for the grades.

Both are fitted on photos that the model neither learned from nor was chosen on: a calibration part, or out-of-fold
predictions.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq

from biranet.decisions.columns import SMALLEST_PROBABILITY
from biranet.decisions.rules import Floats, Grades, apply_temperature
from biranet.grades import GRADE_COUNT

FIT_MIN_TEMPERATURE, FIT_MAX_TEMPERATURE = 0.05, 20.0
"""Bounds of the temperature. Where every photo is right, surer is always better, and nothing else would stop it."""

ROUNDING_THRESHOLDS = (0.5, 1.5, 2.5, 3.5)
"""Thresholds that round the expected grade: where the fit starts from, and what few photos are drawn towards."""

_PRIOR_PHOTOS = 30
"""How many photos the even thresholds weigh as much as. With 30 to 120 simulated photos the kappa on new photos was up
to 0.03 better than with the thresholds that are best on the photos themselves; with 2,000 there was no difference."""

_RESAMPLES = 50
"""Fits that are averaged; more do not change the second digit."""


def fit_temperature(raw: Floats, grades: Grades) -> float:
    """Find the temperature with the lowest negative log-likelihood.

    Args:
        raw: Probabilities as the model gave them, (N, 5), at least one photo.
        grades: True grades, (N,).

    Returns:
        A temperature from `FIT_MIN_TEMPERATURE` to `FIT_MAX_TEMPERATURE`. What is minimised is convex in the inverse of
        the temperature, so this is the best one there is, and never worse than 1 on these photos. A photo whose grade
        has a probability of 0 has no say, as no temperature changes that.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Example:
        >>> sure = np.array([[0.9, 0.1, 0.0, 0.0, 0.0]] * 4)
        >>> round(fit_temperature(sure, np.array([0, 0, 0, 1])), 3)  # 3 of 4, so 0.75 is right
        2.0
    """
    possible = raw[np.arange(len(grades)), grades] > 0
    if not possible.any():
        return 1.0
    shares, truth = apply_temperature(raw[possible], 1.0), grades[possible]
    # A grade without probability adds nothing, whatever its logit is.
    logits = np.log(np.where(shares > 0, shares, 1.0))
    of_truth = logits[np.arange(len(truth)), truth].mean()

    def slope(inverse: float) -> float:
        """How the mean negative log-likelihood changes with the inverse temperature: it never falls with it."""
        return float((apply_temperature(shares, 1 / inverse) * logits).sum(axis=1).mean() - of_truth)

    least, most = 1 / FIT_MAX_TEMPERATURE, 1 / FIT_MIN_TEMPERATURE
    if slope(least) >= 0:
        temperature = FIT_MAX_TEMPERATURE
    elif slope(most) <= 0:
        temperature = FIT_MIN_TEMPERATURE
    else:
        temperature = 1 / float(brentq(slope, least, most, xtol=1e-12))
    # Rounding, and probabilities below the least one, can make what is measured differ from what is convex.
    return temperature if _log_loss(raw, grades, temperature) < _log_loss(raw, grades, 1.0) else 1.0


def fit_grade_thresholds(expected: Floats, grades: Grades, groups: npt.ArrayLike) -> tuple[float, float, float, float]:
    """Find where on the scale of the expected grade the grades begin.

    The thresholds that are best for these photos follow their accidents, so those of many resamples of the groups are
    averaged, and those that round the expected grade stand beside them with the weight of `_PRIOR_PHOTOS` photos.

    Args:
        expected: Expected grades of the calibrated probabilities, (N,), in [0, 4].
        grades: True grades, (N,).
        groups: Group of each photo, (N,).

    Returns:
        Where grades 1, 2, 3 and 4 begin; they do not fall. The same for the same photos in any order.

    Source:
        Averaging over resamples: Breiman, Bagging Predictors, Machine Learning 24 (1996); the rest is ours.
    """
    order = np.lexsort((grades, expected))
    expected, grades = expected[order], grades[order]
    # Groups are numbered as they appear, so that their names do not matter.
    group_of_photo, names = pd.factorize(np.asarray(groups, object)[order])
    random = np.random.default_rng(0)
    draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    fits = [maximize_kappa(expected, grades, times[group_of_photo].astype(np.float64)) for times in draws]
    data_weight = len(grades) / (len(grades) + _PRIOR_PHOTOS)
    rounding = np.array(ROUNDING_THRESHOLDS)
    first, second, third, fourth = data_weight * np.mean(fits, axis=0) + (1 - data_weight) * rounding
    return float(first), float(second), float(third), float(fourth)


def maximize_kappa(expected: Floats, grades: Grades, weights: Floats) -> Floats:
    """Find the thresholds with the highest quadratic weighted kappa there is.

    Kappa is 1 - observed / chance, and both are sums over photos, once the true grades are known: a photo given grade g
    adds (its grade - g)^2 to the one, and the mean of (a true grade - g)^2 to the other. The lowest ratio of two such
    sums is found by looking for the lowest `observed - ratio * chance`, lowering the ratio to that of what was found,
    and so on until it falls no more; each search is dynamic programming over the photos in order.

    Args:
        expected: Expected grades, (N,), ascending.
        grades: True grades, (N,).
        weights: How often each photo counts, (N,), at least 0.

    Returns:
        Four thresholds that do not fall, each halfway between two photos; the even ones where the photos that count
        have one true grade only, or no thresholds do better than chance.

    Source:
        Dinkelbach, On Nonlinear Fractional Programming, Management Science 13 (1967).

    Example:
        >>> maximize_kappa(np.array([0.1, 0.9, 2.1, 3.0]), np.array([0, 1, 4, 4]), np.ones(4)).tolist()
        [0.5, 1.5, 1.5, 1.5]
    """
    scale = np.arange(GRADE_COUNT)
    shares = np.bincount(grades, weights, minlength=GRADE_COUNT) / weights.sum()
    if (shares > 0).sum() < 2:
        return np.array(ROUNDING_THRESHOLDS)
    distance = (scale[:, None] - scale) ** 2
    observed, chance = weights[:, None] * distance[grades], weights[:, None] * (shares @ distance)
    # Photos with one expected grade get one grade, so a threshold may stand only where the expected grade rises.
    boundaries = np.flatnonzero(np.diff(expected, prepend=-np.inf, append=np.inf) > 0)
    observed, chance = (np.pad(each.cumsum(axis=0), ((1, 0), (0, 0)))[boundaries] for each in (observed, chance))
    edges = np.concatenate([[scale[0] - 0.5], expected, [scale[-1] + 0.5]])
    thresholds, ratio = np.array(ROUNDING_THRESHOLDS), 1.0
    while True:
        starts = _optimal_thresholds(observed - ratio * chance)
        lower = _total_cost(observed, starts) / _total_cost(chance, starts)
        if lower >= ratio:
            return thresholds
        ratio = lower
        thresholds = (edges[boundaries[starts]] + edges[boundaries[starts] + 1]) / 2


def _optimal_thresholds(costs: Floats) -> npt.NDArray[np.intp]:
    """Divide a sequence among five grades in order at the least cost.

    Args:
        costs: (P, 5), what the sequence up to each place costs in each grade.

    Returns:
        The places where grades 1 to 4 start, (4,); a grade may be empty.
    """
    cost, came_from = costs[:, 0], []
    for grade in range(1, GRADE_COUNT):
        change = cost - costs[:, grade]
        least = np.minimum.accumulate(change)
        came_from.append(np.maximum.accumulate(np.where(change <= least, np.arange(len(change)), 0)))
        cost = costs[:, grade] + least
    edge, starts = len(costs) - 1, []
    for origin in reversed(came_from):
        edge = origin[edge]
        starts.append(edge)
    return np.array(starts[::-1])


def _total_cost(costs: Floats, starts: npt.NDArray[np.intp]) -> float:
    """Add what a division costs, (P, 5) as for `_optimal_thresholds`."""
    ends = [*starts, len(costs) - 1]
    return float(
        sum(
            costs[end, grade] - costs[start, grade]
            for grade, (start, end) in enumerate(zip([0, *starts], ends, strict=True))
        )
    )


def _log_loss(raw: Floats, grades: Grades, temperature: float) -> float:
    of_truth = apply_temperature(raw, temperature)[np.arange(len(grades)), grades]
    return float(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).mean())
