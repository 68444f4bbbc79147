"""Average precision of maps over the pixels of photos: the measure that lesion segmentation is compared by.

Scores are whole numbers, so a photo is known by how many of its pixels have each score, lesion or not; any number of
photos of any size then add up, exactly.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.interval_methods import percentile_interval
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

SCORES = 2**12
"""How many scores there are. Between two neighbours a curve is a straight line, which nobody sees."""


def score(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Round probabilities to scores, by their logit: most pixels are certain, and their order counts.

    Args:
        probabilities: Of any shape, in [0, 1].

    Returns:
        0 to `SCORES` - 1, of the same shape.

    Example:
        >>> score(np.array([0, 0.001, 0.5, 0.999, 1])).tolist()
        [0, 1023, 2048, 3072, 4095]
    """
    logit = _logit(np.clip(np.asarray(probabilities, np.float32), 1 - _CERTAIN, _CERTAIN))
    return (logit * (SCORES / 2 / _WIDEST) + SCORES / 2).astype(np.int64).clip(0, SCORES - 1)


def _logit(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(np.log(probabilities) - np.log1p(-probabilities))


_CERTAIN = np.float32(1 - 1e-6)
_WIDEST = float(_logit(np.array(_CERTAIN)))
"""Probabilities and logits beyond have the first or the last score."""


def count_pixels(scores: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> Counts:
    """Count the pixels of a photo by score.

    Args:
        scores: (H, W).
        mask: (H, W), where the lesion is drawn.

    Returns:
        (2, SCORES): pixels within the lesion, and all others.
    """
    of_all, of_lesions = (np.bincount(each, minlength=SCORES) for each in (scores.ravel(), scores[mask]))
    return np.stack([of_lesions, of_all - of_lesions])


def average_precision(lesion: Counts | Values, other: Counts | Values) -> Values:
    """Average the precision over recall, as scikit-learn does: the area under steps, none between thresholds.

    Args:
        lesion: (SCORES, ...) pixels within lesions by score, in any number of data sets.
        other: Of the same shape, all others.

    Returns:
        (...), NaN where nothing is drawn.

    Example:
        >>> lesion, other = np.zeros((2, SCORES), int)
        >>> lesion[[900, 20]] = 1
        >>> other[[500, 10]] = 1
        >>> average_precision(lesion, other).round(3)  # (1 + 2 / 3) / 2
        np.float64(0.833)
    """
    true_positives, false_positives = (each[::-1].cumsum(axis=0, dtype=np.float64) for each in (lesion, other))
    with np.errstate(invalid="ignore"):
        precision = true_positives / np.maximum(true_positives + false_positives, 1)
        return np.asarray((lesion[::-1] * precision).sum(axis=0) / np.asarray(true_positives[-1], np.float64))[()]


def best_dice(lesion: Values, other: Values) -> tuple[float, float]:
    """Find the threshold with the highest Dice coefficient, which is the F1 score of the pixels.

    Args:
        lesion: (SCORES,) pixels within lesions by score.
        other: (SCORES,) all others.

    Returns:
        The coefficient, and the probability from which on a pixel then counts as lesion; NaN where nothing is drawn.

    Example:
        >>> lesion, other = np.zeros((2, SCORES))
        >>> lesion[[3000, 2048]], other[[2000, 10]] = 1, 1
        >>> best_dice(lesion, other)
        (1.0, 0.5)
    """
    true_positives, false_positives = (each[::-1].cumsum() for each in (lesion, other))
    if not true_positives[-1]:
        return float("nan"), float("nan")
    dice = 2 * true_positives / (true_positives + false_positives + true_positives[-1])
    best = int(np.argmax(dice))
    logit = ((SCORES - 1 - best) * (2 / SCORES) - 1) * _WIDEST
    return float(dice[best]), float(1 / (1 + np.exp(-logit)))


def known(value: float) -> float | None:
    """The value as files hold it: None where it is not defined."""
    return None if np.isnan(value) else float(value)


def pixel_precision(
    counts: Sequence[Counts], groups: Groups, seed: int, resamples: int = RESAMPLES
) -> dict[str, object]:
    """Measure the average precision of one kind of lesion over all pixels of all photos.

    Args:
        counts: What `count_pixels` gives for each photo.
        groups: The photos of one patient or visit, which are drawn together.
        seed: Seed of the draws.
        resamples: How many data sets to draw for the interval.

    Returns:
        `aupr` and its `ci` (None where it does not vary); `prevalence`, the share of pixels that are lesion, which is
        what a map without any information reaches; `best_dice`, the highest Dice coefficient that a threshold gives on
        these very photos, and `threshold`, which one; and `photos`, how many have such a lesion. None where nothing is
        drawn.
    """
    stacked = np.stack(counts)[groups.order]
    by_group = np.add.reduceat(stacked, groups.starts, axis=0)
    dice, threshold = best_dice(*by_group.sum(axis=0).astype(np.float64))
    # Scores that no pixel has add nothing.
    used = by_group.sum(axis=(0, 1)) > 0
    lesion, other = (by_group[:, index][:, used].astype(np.float64) for index in (0, 1))

    def measure(weights: Weights) -> list[Values]:
        return [average_precision(lesion.T @ weights, other.T @ weights)]

    value = float(average_precision(lesion.sum(axis=0), other.sum(axis=0)))
    (drawn,) = draw_in_blocks(measure, groups, seed, resamples)
    with_lesion = int((by_group[:, 0].sum(axis=1) > 0).sum())
    return {
        "aupr": known(value),
        "ci": percentile_interval(drawn, with_lesion),
        "prevalence": float(lesion.sum() / (lesion.sum() + other.sum())),
        "best_dice": known(dice),
        "threshold": known(threshold),
        "photos": int((stacked[:, 0].sum(axis=1) > 0).sum()),
    }
