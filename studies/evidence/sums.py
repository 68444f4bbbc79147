"""From what is known of each photo to averages over photos, with intervals over visits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.interval_methods import percentile_interval
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks
from studies.evidence.maps import RANDOM
from studies.evidence.measures import area

SEED = 1

CHANCE = "chance"
"""The mean of the maps by chance, and of what an area holds."""

_Values = NDArray[np.float64]


def sum_up(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average what is known of photos.

    Args:
        found: What `run.py` found of each photo.

    Returns:
        `photos` and `groups`, how many; `score`, mean log-odds of the photos, and of them blurred; `faithful`: by map,
        `deletion` and `insertion`, the areas under the curves, and `gap`, the second minus the first; `on`: by kind and
        map, `mass`, `pointing` and `precision`, over the `photos` with that kind. Each is a `value` with its `ci` and,
        but for chance, how far it lies over chance in the same photos: `over_chance` and its `ci`.
    """
    groups = [each["group"] for each in found]
    kinds = sorted({kind for each in found for kind in each["chance"]})
    return {
        "photos": len(found),
        "groups": len(set(groups)),
        "score": {name: float(np.mean([each["scores"][name] for each in found])) for name in found[0]["scores"]},
        "faithful": compare([_areas(each) for each in found], groups),
        "on": {kind: _on(found, kind) for kind in kinds},
    }


def _areas(photo: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By map, the areas under its curves."""
    whole, gone = photo["scores"]["photo"], photo["scores"]["filled"]
    areas = {}
    for name, of_map in photo["maps"].items():
        curves = of_map["curves"]
        deletion, insertion = area(curves["deletion"], whole, gone), area(curves["insertion"], gone, whole)
        areas[name] = {"deletion": deletion, "insertion": insertion, "gap": insertion - deletion}
    return _with_chance(areas)


def _with_chance(values: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Put the mean of the maps by chance in their place."""
    drawn = [values.pop(f"{CHANCE}_{number}") for number in range(RANDOM)]
    return {CHANCE: {name: float(np.mean([each[name] for each in drawn])) for name in drawn[0]}, **values}


def _on(found: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    with_it = [each for each in found if kind in each["chance"]]
    rows = []
    for photo in with_it:
        of_maps = {name: of_map["on"][kind] for name, of_map in photo["maps"].items() if not name.startswith(CHANCE)}
        rows.append({CHANCE: photo["chance"][kind], **of_maps})
    return {"photos": len(with_it), "maps": compare(rows, [each["group"] for each in with_it])}


def compare(
    rows: Sequence[dict[str, dict[str, float]]], groups: Sequence[str], reference: str = CHANCE
) -> dict[str, Any]:
    """Average values by map and name, and their distance from those of one map.

    Args:
        rows: Of each photo, by map the values by name; maps that not every photo has are left out.
        groups: Visit of each photo.
        reference: The map that the others are compared with.

    Returns:
        By map and name, `value` and `ci`, and but for the reference `over_` it and its `ci`.
    """
    names = [name for name in rows[0] if all(name in row for row in rows)]
    keys = list(rows[0][reference])
    table = np.array([[[row[name][key] for key in keys] for name in names] for row in rows])
    apart = table - table[:, [names.index(reference)]]
    values, over = table.mean(axis=0), apart.mean(axis=0)
    drawn, drawn_over = _draw(np.concatenate([table, apart], axis=2), groups)
    count = len(set(groups))
    return {
        name: {
            key: {
                "value": float(values[place, which]),
                "ci": percentile_interval(drawn[:, place, which], count),
            }
            | (
                {}
                if name == reference
                else {
                    f"over_{reference}": float(over[place, which]),
                    f"over_{reference}_ci": percentile_interval(drawn_over[:, place, which], count),
                }
            )
            for which, key in enumerate(keys)
        }
        for place, name in enumerate(names)
    }


def _draw(table: _Values, groups: Sequence[str]) -> tuple[_Values, _Values]:
    """Averages (R, maps, keys) in drawn data sets of whole groups, of both halves of the keys."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    of_photo = np.array([numbers[name] for name in groups])
    sizes = np.bincount(of_photo)
    order = np.argsort(of_photo, kind="stable")
    by_group = np.add.reduceat(table[order].reshape(len(table), -1), np.cumsum(sizes) - sizes, axis=0)

    def measure(weights: Weights) -> list[_Values]:
        return [(weights.T @ by_group) / (weights.T @ sizes)[:, None]]

    (drawn,) = draw_in_blocks(measure, Groups(order, sizes, (len(sizes),)), SEED, RESAMPLES)
    first, second = np.split(drawn.reshape(-1, *table.shape[1:]), 2, axis=2)
    return first, second
