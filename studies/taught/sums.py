"""From what heads said to figures: where their attention lies, and how well they grade."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.config import CalibrationConfig
from biranet.decisions.columns import PREDICTION_COLUMNS, PROBABILITIES
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.evaluation.intervals import measure_some, paired_differences
from biranet.lesion_kinds import KINDS, LESIONS
from studies.cached_maps import DRAWN
from studies.cached_training import Rows
from studies.evidence.maps import Seen, to_grid
from studies.evidence.measures import by_chance, on_lesions
from studies.evidence.sums import CHANCE, compare
from studies.idrid.analysis import pool
from studies.taught.heads import BRIGHT, RED, UNTAUGHT, Answers, Lesson, maps_of
from studies.taught.photos import Photos

MEASURED_PX = 320
"""Size at which is measured what lies on lesions, whatever the heads have seen: that of the study of evidence."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "any": tuple(LESIONS), "red": RED, "bright": BRIGHT, **{kind: (kind,) for kind in LESIONS}
}  # fmt: skip
"""Lesions that are looked for, by the name of the part."""

KEYS = ("quadratic_weighted_kappa", "aca", "referable_auc")

_Map = NDArray[np.float64]
_Measured = dict[str, dict[str, float]]


def sum_up_finding(photos: Photos, finding: Mapping[int, Mapping[Lesson, Answers]]) -> dict[str, Any]:
    """Measure what the maps of the heads put on the lesions of the test part.

    Args:
        photos: The photos.
        finding: By seed and lesson, what was said of the test part.

    Returns:
        `chosen`, by lesson the weight that was chosen for each seed; and by part, of those of `PARTS` that there are:
        `photos`, how many have such lesions, and `maps`, by lesson and map, each the mean over the seeds: as `compare`
        gives them, over chance and over the same map of heads that were taught nothing, with
        intervals over visits alone.
    """
    groups, rows = [], []
    for place, photo in enumerate(photos.test):
        drawing = photos.read(len(photos.graded) + place, MEASURED_PX)
        assert drawing.covered is not None and drawing.known is not None
        known = {kind for kind, each in zip(KINDS, drawing.known, strict=True) if each}
        covered = {kind: to_grid(each / DRAWN) for kind, each in zip(KINDS, drawing.covered, strict=True)}
        shares = {
            name: np.clip(np.sum([covered[kind] for kind in kinds], axis=0), 0, 1)
            for name, kinds in PARTS.items()
            if set(kinds) <= known
        }
        groups.append(photo.group or photo.file)
        rows.append(_on_photo(place, shares, Seen.of(drawing.pixels).lit, finding))
    return {
        "chosen": {
            name: [next(each.weight for each in said if each.name == name) for said in finding.values()]
            for name in dict.fromkeys(each.name for each in next(iter(finding.values())) if each.kinds)
        },
        **{
            part: _compared([each.get(part) for each in rows], groups)
            for part in PARTS
            if any(part in each for each in rows)
        },
    }


def _on_photo(
    place: int, shares: Mapping[str, _Map], lit: NDArray[np.bool_], finding: Mapping[int, Mapping[Lesson, Answers]]
) -> dict[str, _Measured]:
    """Of one photo, by part and map, what is measured."""
    found = {}
    for part, share in shares.items():
        if share[lit].any():
            by_seed = [
                {name: on_lesions(to_grid(each), share, lit) for name, each in _maps(said, place)}
                for said in finding.values()
            ]
            found[part] = {CHANCE: by_chance(share, lit), **_mean(by_seed)}
    return found


def _maps(said: Mapping[Lesson, Answers], place: int) -> Iterator[tuple[str, _Map]]:
    """The maps of a photo by lesson, at the weight that was chosen, the first; and the attention at every weight."""
    seen = set[str]()
    for lesson, each in said.items():
        maps = maps_of(each, place)
        if lesson.name not in seen:
            seen.add(lesson.name)
            yield from ((f"{lesson.name} {of}", values) for of, values in maps.items())
        if lesson.kinds:
            yield f"{lesson.name}_{lesson.weight:g} both", maps["both"]


def _mean(each: Sequence[_Measured]) -> _Measured:
    return {
        name: {key: float(np.mean([one[name][key] for one in each])) for key in values}
        for name, values in each[0].items()
    }


def _compared(rows: Sequence[_Measured | None], groups: Sequence[str]) -> dict[str, Any]:
    there = [place for place, row in enumerate(rows) if row]
    these = [row for row in rows if row]
    visits = [groups[place] for place in there]
    maps = compare(these, visits)
    for of in ("a", "b", "both", "evidence"):
        reference = f"{UNTAUGHT.name} {of}"
        for name, values in compare(these, visits, reference).items():
            if name.endswith(f" {of}") and name != reference:
                for key, measured in values.items():
                    for end in ("", "_ci"):
                        maps[name][key][f"over_{UNTAUGHT.name}{end}"] = measured[f"over_{reference}{end}"]
    return {"photos": len(these), "maps": maps}


def sum_up_grading(
    photos: Photos,
    grading: Mapping[int, Sequence[tuple[Rows, Mapping[Lesson, Answers]]]],
    calibration: CalibrationConfig,
) -> dict[str, Any]:
    """Measure the grades out of fold, and how those of taught heads differ.

    Args:
        photos: The photos.
        grading: By seed, of each fold its photos, and by lesson what was said of them.
        calibration: Rules for the photos of a fold are fitted by this on the others.

    Returns:
        By lesson: `weights`, how often each was chosen; the measures, with their `ci`; and but for heads that were
        taught nothing `differences` from those, by measure `difference` and `ci`. All seeds are in one table, and whole
        visits are drawn.
    """
    tables = {}
    names = [lesson.name for lesson in next(iter(grading.values()))[0][1]]
    for place, name in enumerate(names):
        of_seeds = []
        for folds in grading.values():
            answers = [
                _table(photos.graded.iloc[rows], list(said.values())[place]).assign(fold=number)
                for number, (rows, said) in enumerate(folds)
            ]
            decided = decide_cross_fitted(answers, calibration)
            of_seeds.append(decided[[*PREDICTION_COLUMNS, "fold"]])
        tables[name] = pool(of_seeds)
    weights = {
        name: [list(said)[place].weight for folds in grading.values() for _, said in folds]
        for place, name in enumerate(names)
    }
    differences = dict(zip(names[1:], paired_differences(list(tables.values())), strict=True))
    return {
        name: {
            "weights": {f"{weight:g}": weights[name].count(weight) for weight in sorted(set(weights[name]))},
            **measure_some(table, KEYS),
            **({"differences": {key: differences[name][key] for key in KEYS}} if name in differences else {}),
        }
        for name, table in tables.items()
    }


def _table(rows: pd.DataFrame, said: Answers) -> pd.DataFrame:
    """The predictions table of some photos."""
    shares = said.logits.softmax(dim=1).double().numpy()
    table = rows[["file", "group", "grade"]].reset_index(drop=True)
    table = table.assign(grade=table["grade"].astype(int), predicted_grade=shares.argmax(axis=1))
    return table.assign(**dict(zip(PROBABILITIES, shares.T, strict=True)))
