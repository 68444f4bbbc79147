"""Free-response curves of maps: which share of the lesions is found, at so many false marks a photo.

The rule of what counts, which this curve depends on more than on the maps:

- A lesion is a connected part of its mask (pixels that touch at a side or a corner).
- A mark is a peak of the map: a cell with no higher one within `radius` of it; of equal ones the first. Its score is
  the value there.
- A mark hits the lesion that it lies in, or whose edge is within `radius` of it; of several the nearest. All marks on
  one lesion count as one find, that of the highest score. A mark that hits none is false.
- At a threshold, the sensitivity is the share of all lesions of all photos that are found, and the false marks are
  those of all photos divided by the number of photos, photos without any lesion included.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from biranet.confusion import ratio
from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.interval_methods import percentile_interval
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks
from biranet.evaluation.lesion_pixels import known
from biranet.lesion_kinds import CONNECTIVITY

Values = npt.NDArray[np.float64]

FALSE_MARKS = (1, 4, 10)
"""False marks a photo at which the sensitivity is told."""

_LARGEST = 2**22
"""So many marks of drawn data sets are handled together."""

MAX_POINTS = 100
"""So many points of a curve are told."""


class Marks(NamedTuple):
    """What the marks of a photo have hit.

    Attributes:
        found: The highest score of the marks on each lesion, in [0, 1]; -1 where none hits it.
        false: The scores of all others.
    """

    found: Values
    false: Values


def find_peaks(values: npt.NDArray[np.float32], radius: float, lowest: float) -> npt.NDArray[np.intp]:
    """Find the peaks of a map.

    Args:
        values: (h, w).
        radius: Cells within which none may be higher.
        lowest: Values below are no peaks.

    Returns:
        (n, 2) row and column, the highest first.

    Example:
        >>> values = np.zeros((5, 9), np.float32)
        >>> values[2, [1, 3, 7]] = 0.5, 0.9, 0.4
        >>> find_peaks(values, 2, 0.1).tolist()
        [[2, 3], [2, 7]]
    """
    reach = int(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(rows, columns) <= radius).astype(np.uint8)
    peaks = np.argwhere((values >= cv2.dilate(values, disc)) & (values >= lowest))
    heights = values[peaks[:, 0], peaks[:, 1]]
    kept: list[npt.NDArray[np.intp]] = []
    taken = np.zeros(values.shape, np.uint8)
    for row, column in peaks[np.argsort(-heights, kind="stable")]:
        # Only a plateau has others of its height around.
        if not taken[row, column]:
            kept.append(np.array([row, column]))
            cv2.circle(taken, (int(column), int(row)), reach, 1, -1)
    return np.array(kept, np.intp).reshape(-1, 2)


class DrawnLesions(NamedTuple):
    """The lesions of a mask, and the nearest one of each place; they take 8 bytes a pixel.

    Attributes:
        lesions: How many there are.
        distance: (H, W), float32: pixels to the nearest one; 0 within one.
        nearest: (H, W), int32: its number, from 0.
    """

    lesions: int
    distance: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int32]


def find_drawn(mask: npt.NDArray[np.bool_]) -> DrawnLesions:
    """Find the lesions of a mask, (H, W), true where one is drawn.

    Example:
        >>> find_drawn(np.eye(4, dtype=bool)).lesions  # what touches at a corner is one
        1
    """
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=CONNECTIVITY)
    if count == 1:
        return DrawnLesions(0, np.full(mask.shape, np.inf, np.float32), np.zeros(mask.shape, np.int32))
    distance, nearest = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )
    # What the transform calls the lesion pixels, and the part that each of them belongs to.
    part_of = np.zeros(int(nearest.max()) + 1, np.int32)
    part_of[nearest[mask]] = parts[mask] - 1
    return DrawnLesions(count - 1, np.asarray(distance, np.float32), part_of[nearest])


def hit_lesions(points: Values, scores: Values, drawn: DrawnLesions, radius_px: float) -> Marks:
    """Say which lesions the marks of a photo have hit.

    Args:
        points: (n, 2) x and y of the marks, in pixels of the mask; x = 0 is the outer edge of the first.
        scores: (n,) their scores.
        drawn: What is drawn in it.
        radius_px: Pixels of the mask within which a mark may miss the edge of a lesion.

    Returns:
        What they have hit.
    """
    columns, rows = (points.astype(np.int64).clip(0, np.array(drawn.distance.shape[::-1]) - 1)).T
    hit = drawn.distance[rows, columns] <= radius_px
    best_scores = np.full(drawn.lesions, -1.0)
    np.maximum.at(best_scores, drawn.nearest[rows, columns][hit], scores[hit])
    return Marks(best_scores, np.asarray(scores[~hit], np.float64))


def at_threshold(
    marks: Sequence[Marks], threshold: float, groups: Groups, seed: int, resamples: int = RESAMPLES
) -> dict[str, object]:
    """Measure which share of the lesions is found at one threshold.

    Args:
        marks: What the marks of each photo have hit.
        threshold: Marks with a lower score are none.
        groups: The photos of one patient or visit, which are drawn together.
        seed: Seed of the draws.
        resamples: How many data sets to draw for the intervals.

    Returns:
        `threshold`; `found`, the share of the lesions, and `false_marks`, how many a photo, each with `value` and `ci`.

    Example:
        >>> marks = [Marks(np.array([0.9, 0.4]), np.array([0.8])), Marks(np.array([0.7, -1.0]), np.array([0.2]))]
        >>> one_each = Groups(np.arange(2), np.array([1, 1]), (2,))
        >>> measured = at_threshold(marks, 0.5, one_each, seed=1)
        >>> measured["found"]["value"], measured["false_marks"]["value"]
        (0.5, 0.5)
    """
    counts = [((each.found >= threshold).sum(), len(each.found), (each.false >= threshold).sum()) for each in marks]
    sums = np.add.reduceat(np.array(counts, np.float64)[groups.order], groups.starts, axis=0).T

    def measure(weights: Weights | Values) -> list[Values]:
        hits, lesions, false = sums @ weights
        return [ratio(hits, lesions), false / (groups.sizes @ weights)]

    values = [float(each) for each in measure(np.ones(len(groups.sizes)))]
    drawn = draw_in_blocks(measure, groups, seed, resamples)
    with_lesion = int((sums[1] > 0).sum())
    intervals = (percentile_interval(drawn[0], with_lesion), percentile_interval(drawn[1], len(groups.sizes)))
    found, false_marks = (
        {"value": known(value), "ci": interval} for value, interval in zip(values, intervals, strict=True)
    )
    return {"threshold": threshold, "found": found, "false_marks": false_marks}


def sensitivities(marks: Sequence[Marks], groups: Groups, seed: int, resamples: int = RESAMPLES) -> dict[str, object]:
    """Measure which share of the lesions is found.

    Args:
        marks: What the marks of each photo have hit.
        groups: The photos of one patient or visit, which are drawn together.
        seed: Seed of the draws.
        resamples: How many data sets to draw for the intervals.

    Returns:
        `lesions`, how many there are; `sensitivity`, by the false marks a photo of `FALSE_MARKS`, each with `value`,
        `ci` and `threshold`, the lowest score that leaves no more of them; and `curve`, at falling thresholds, at most
        `MAX_POINTS`: `threshold`, `false_marks`, `sensitivity`.
    """
    group_of = np.empty(len(marks), np.intp)
    group_of[groups.order] = groups.group_of_photo
    photos = np.bincount(group_of)
    found, false = (np.concatenate([getattr(each, kind) for each in marks]) for kind in ("found", "false"))
    owners = [
        np.repeat(group_of, [len(getattr(each, kind)) for each in marks]).astype(np.intp) for kind in ("found", "false")
    ]
    scores = np.concatenate([found, false])
    order = np.argsort(-scores, kind="stable")
    owner = np.concatenate(owners)[order]
    is_lesion = (np.arange(len(scores)) < len(found))[order]
    # Marks of one score pass a threshold together.
    last_of_score = np.append(np.diff(scores[order]) != 0, True)[: len(scores)]
    is_mark = scores[order] >= 0

    def weights_of_lesions(weights: Weights | Values) -> Values:
        return np.asarray(np.asarray(weights, np.float64)[owners[0]].sum(axis=0))

    def curves(weights: Weights | Values) -> tuple[Values, Values]:
        each = np.asarray(weights, np.float64)[owner]
        hits = (each * (is_lesion & is_mark)[:, None]).cumsum(axis=0)
        wrong = (each * ~is_lesion[:, None]).cumsum(axis=0)
        drawn_photos = photos @ np.asarray(weights, np.float64)
        with np.errstate(invalid="ignore"):
            return hits[last_of_score] / weights_of_lesions(weights), wrong[last_of_score] / drawn_photos

    def at_limits(weights: Weights | Values) -> list[Values]:
        hits, wrong = curves(weights)
        # Of no lesions no share can be found.
        least = np.where(weights_of_lesions(weights) > 0, 0.0, np.nan)
        return [np.maximum(least, np.where(wrong <= limit, hits, 0).max(axis=0, initial=0)) for limit in FALSE_MARKS]

    def in_small_blocks(weights: Weights) -> list[Values]:
        # There may be thousands of marks a photo.
        pieces = np.array_split(weights, -(-weights.shape[1] * (len(scores) + 1) // _LARGEST), axis=1)
        measured = [at_limits(np.asarray(piece, np.float64)) for piece in pieces]
        return [np.concatenate(parts) for parts in zip(*measured, strict=True)]

    everyone = np.ones((len(photos), 1))
    drawn = draw_in_blocks(in_small_blocks, groups, seed, resamples)
    hits, wrong = (each[is_mark[last_of_score], 0] for each in curves(everyone))
    thresholds = scores[order][last_of_score & is_mark]
    with_lesion = len(np.unique(owners[0]))
    sensitivity = {}
    for limit, value, each in zip(FALSE_MARKS, at_limits(everyone), drawn, strict=True):
        passing = thresholds[wrong <= limit]
        sensitivity[str(limit)] = {
            "value": known(value[0]),
            "ci": percentile_interval(each, with_lesion),
            "threshold": float(passing[-1]) if len(passing) else None,
        }
    shown = np.unique(np.linspace(0, len(thresholds) - 1, min(len(thresholds), MAX_POINTS)).astype(int))
    curve = {"threshold": thresholds, "false_marks": wrong, "sensitivity": hits}
    return {
        "lesions": len(found),
        "sensitivity": sensitivity,
        "curve": {name: [known(value) for value in values[shown]] for name, values in curve.items()},
    }
