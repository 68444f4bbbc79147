"""The curves of the report, in values: ROC, reliability and risk against coverage. Arrays in, arrays out.

A curve over 50,000 photos has tens of thousands of corners, which no page needs: `simplify_line` drops those that
nobody could see.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biranet.evaluation.areas import FallingScores
from biranet.evaluation.measures.probabilities import BINS, bin_by_confidence

Values = npt.NDArray[np.float64]

LINE_TOLERANCE = 5e-4
"""How far a drawn curve may be from the true one: a sixth of a pixel on a chart of 330 pixels."""

FEW_IN_BIN = 10
"""A bin of a reliability diagram with fewer photos is joined to no other: one photo moves it by more than a tenth."""


@dataclass(frozen=True)
class Reliability:
    """How often the most probable grade is right, by how probable it is said to be; one entry for each bin with photos.

    Attributes:
        low: Lower ends of the bins.
        high: Upper ends, which belong to the next bin (that of the last bin to itself).
        photos: Photos in each bin.
        confidence: Mean probability of the most probable grade.
        right_fraction: Share of photos for which that grade is the true one.
    """

    low: Values
    high: Values
    photos: npt.NDArray[np.int64]
    confidence: Values
    right_fraction: Values


def roc_points(positive: npt.NDArray[np.bool_], score: Values) -> Values:
    """Compute the ROC curve: what sensitivity costs in false alarms, threshold by threshold.

    Args:
        positive: (N,) which photos are positive; both kinds must be there.
        score: (N,) the score, higher for positive.

    Returns:
        (M, 2) points (1 - specificity, sensitivity) from (0, 0) to (1, 1), both coordinates never falling. Points on a
        straight line between their neighbours are left out.

    Example:
        >>> roc_points(np.array([False, True]), np.array([0.2, 0.7])).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    # One point for photos of equal scores, since no threshold tells them apart.
    hits, false_alarms = FallingScores.of(score, positive).reaching(np.unique(-score))
    corners = np.stack([np.append(0, false_alarms), np.append(0, hits)], axis=1)
    bends = np.any(np.diff(corners, n=2, axis=0) != 0, axis=1)
    corners = corners[np.concatenate([[True], bends, [True]])]
    return np.asarray(corners / corners[-1], np.float64)


def reliability(probabilities: Values, grade: npt.NDArray[np.int64]) -> Reliability:
    """Group photos by the probability of their most probable grade, and count how often that grade is right.

    Args:
        probabilities: (N, 5) in [0, 1].
        grade: (N,) true grades.

    Returns:
        The bins that hold photos.

    Source:
        DeGroot and Fienberg, The comparison and evaluation of forecasters, The Statistician 32 (1983).

    Example:
        >>> bins = reliability(np.array([[0.9, 0.1, 0, 0, 0], [0.95, 0.05, 0, 0, 0]]), np.array([0, 1]))
        >>> bins.photos.tolist(), bins.right_fraction.tolist()
        ([1, 1], [1.0, 0.0])
    """
    bin_index, confidence, right = bin_by_confidence(probabilities, grade)
    photos = np.bincount(bin_index, minlength=BINS)
    sums = [np.bincount(bin_index, weights=values, minlength=BINS) for values in (confidence, right)]
    used = photos > 0
    edges = np.linspace(0, 1, BINS + 1)
    return Reliability(
        edges[:-1][used],
        edges[1:][used],
        photos[used].astype(np.int64),
        *(total[used] / photos[used] for total in sums),
    )


def join_bins(bins: npt.NDArray[np.int64], photos: npt.NDArray[np.int64], x: Values, y: Values) -> list[Values]:
    """Join the points of a reliability diagram where neighbouring bins have photos enough for a line to mean anything.

    Args:
        bins: (L,) numbers of the bins, rising.
        photos: (L,) their photos.
        x: (L,) the points.
        y: (L,) the points.

    Returns:
        (M, 2) corners of each line, M at least 2.

    Example:
        >>> lines = join_bins(np.array([0, 1, 2, 4]), np.array([10, 12, 1, 30]), np.arange(4.0), np.arange(4.0))
        >>> [line.tolist() for line in lines]
        [[[0.0, 0.0], [1.0, 1.0]]]
    """
    many = photos >= FEW_IN_BIN
    breaks = np.flatnonzero(np.diff(bins[many]) > 1) + 1
    lines = np.split(np.stack([x, y], axis=1)[many], breaks)
    return [line for line in lines if len(line) > 1]


def risk_coverage(
    score: Values, referred: npt.NDArray[np.bool_], referable: npt.NDArray[np.bool_]
) -> tuple[Values, Values]:
    """Compute how many referrals are wrong when only the surest photos are decided, for every number of them.

    Args:
        score: (N,) probability that a photo is referable; a photo is as sure as `max(score, 1 - score)`.
        referred: (N,) whether it is referred.
        referable: (N,) whether it should be.

    Returns:
        coverage: (M,) share of photos decided, rising to 1; photos that are equally sure come together.
        risk: (M,) share of wrong referrals among those decided.

    Source:
        El-Yaniv and Wiener, On the foundations of noise-free selective classification, JMLR 11 (2010).

    Example:
        >>> coverage, risk = risk_coverage(np.array([0.9, 0.6]), np.array([True, True]), np.array([True, False]))
        >>> coverage.tolist(), risk.tolist()
        ([0.5, 1.0], [0.0, 0.5])
    """
    confidence = np.maximum(score, 1 - score)
    wrong, right = FallingScores.of(confidence, referred != referable).reaching(np.unique(-confidence))
    return (wrong + right) / len(score), wrong / (wrong + right)


def simplify_line(points: Values, tolerance: float = LINE_TOLERANCE) -> Values:
    """Drop corners of a curve that nobody could see.

    Args:
        points: (M, 2) corners, coordinates from 0 to 1.
        tolerance: How far a dropped corner may be from the line that is left.

    Returns:
        (L, 2) the corners that are left; the first and the last are among them.

    Source:
        Ramer, Computer Graphics and Image Processing 1 (1972); Douglas and Peucker, Cartographica 10 (1973).

    Example:
        >>> simplify_line(np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0], [1.0, 0.0]])).tolist()
        [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]
    """
    kept = np.zeros(len(points), np.bool_)
    kept[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        between = points[first + 1 : last] - points[first]
        along = points[last] - points[first]
        # The distance to the segment, not to the endless line: a curve may turn back.
        share = np.clip(between @ along / max(along @ along, np.finfo(np.float64).tiny), 0, 1)
        distance = np.hypot(*(between - share[:, None] * along).T)
        farthest = int(distance.argmax())
        if distance[farthest] > tolerance:
            kept[first + 1 + farthest] = True
            spans += [(first, first + 1 + farthest), (first + 1 + farthest, last)]
    return points[kept]
