"""What is measured of a map: how faithful it is to the model, and where it lies on lesions."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from studies.evidence.maps import GRID, Score, Seen

FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the field that are taken away, or given back."""

_TIES = np.random.default_rng(0).permutation(GRID * GRID)

_Map = NDArray[np.float64]


def curves(order: _Map, seen: Seen, score: Score) -> dict[str, list[float]]:
    """Take the cells of the highest values away, and give them back, and ask the model each time.

    Args:
        order: The map, (GRID, GRID).
        seen: The photo.
        score: The log-odds of referral of photos.

    Returns:
        Log-odds at each of `FRACTIONS` but the ends: `deletion`, with so much of the photo gone, and `insertion`, with
        so much of it there.
    """
    masks = np.stack([highest(order, seen.lit, fraction) for fraction in FRACTIONS[1:-1]])
    side = len(seen.pixels) // GRID
    large = masks.repeat(side, axis=1).repeat(side, axis=2)[..., None]
    photos = np.concatenate([np.where(large, seen.filled, seen.pixels), np.where(large, seen.pixels, seen.filled)])
    deletion, insertion = np.split(score(photos), 2)
    return {"deletion": deletion.tolist(), "insertion": insertion.tolist()}


def highest(order: _Map, lit: NDArray[np.bool_], fraction: float) -> NDArray[np.bool_]:
    """The cells of the field with the highest values, so large a share of it: (GRID, GRID).

    Example:
        >>> highest(np.arange(400.0).reshape(20, 20), np.ones((20, 20), bool), 0.05)[-1].all()
        np.True_
    """
    count = round(fraction * lit.sum())
    # Of equal ones, which Grad-CAM has many of, none comes first because of its place.
    places = np.lexsort((_TIES, np.where(lit, -order, np.inf).ravel()))[:count]
    chosen = np.zeros(order.size, bool)
    chosen[places] = True
    return chosen.reshape(order.shape)


def area(inner: list[float], first: float, last: float) -> float:
    """Average a curve over the share of the field.

    Args:
        inner: Its values between the ends.
        first: Its value at 0.
        last: Its value at 1.
    """
    return float(np.trapezoid([first, *inner, last], FRACTIONS))


def on_lesions(values: _Map, share: _Map, lit: NDArray[np.bool_]) -> dict[str, float]:
    """Measure where a map lies.

    Args:
        values: The map, (GRID, GRID).
        share: Which share of each cell is drawn as lesion, (GRID, GRID).
        lit: Which cells lie in the field.

    Returns:
        `mass`, the share of what is above 0 in the map that lies on what is drawn; `pointing`, whether the cell with
        the highest value holds something drawn; `precision`, average precision of its values by cell.
    """
    values, share = values[lit], share[lit]
    weight = values.clip(min=0)
    return {
        "mass": float((weight * share).sum() / weight.sum()) if weight.sum() else float(share.mean()),
        "pointing": float(share[values.argmax()] > 0),
        "precision": float(average_precision_score(share > 0, values)),
    }


def by_chance(share: _Map, lit: NDArray[np.bool_]) -> dict[str, float]:
    """What a map that knows nothing reaches: the share of the field, of its area and of its cells."""
    return {
        "mass": float(share[lit].mean()),
        "pointing": float((share[lit] > 0).mean()),
        "precision": float((share[lit] > 0).mean()),
    }
