"""How well lesions are found: maps against masks, at the full size of the masks, and marks in healthy photos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biranet.errors import InputError, PhotoError
from biranet.evaluation.free_response import (
    DrawnLesions,
    Marks,
    at_threshold,
    find_drawn,
    find_peaks,
    hit_lesions,
    sensitivities,
)
from biranet.evaluation.groups import Groups, Weights
from biranet.evaluation.interval_methods import percentile_interval, share_interval
from biranet.evaluation.intervals import RESAMPLES, draw_in_blocks
from biranet.evaluation.lesion_pixels import Counts, count_pixels, pixel_precision, score
from biranet.inference.lesion_findings import describe_lesions
from biranet.learning.lesion_branch.maps import LesionFinder, LesionMaps
from biranet.lesion_kinds import DISC, KINDS, LESIONS
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import read_masks

PEAK_CELLS = 2.0
"""Cells within which a map has one mark."""

HIT_SHARE = 0.005
"""How far a mark may miss the edge of a lesion, as a share of the field's side: about the radius of a microaneurysm."""

LOWEST_MARK = 0.01
"""Peaks below are no marks."""

SEED = 1

_Mask = npt.NDArray[np.bool_]


@dataclass
class _Kind:
    """What is known of one kind of lesion so far, photo by photo."""

    photos: list[int] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)


def measure_lesions(
    finder: LesionFinder,
    folder: Path,
    photos: Sequence[MaskedPhoto],
    sizes_px: Sequence[int],
    log: Callable[[str], None] = lambda told: None,
) -> list[dict[str, Any]]:
    """Measure maps of lesions.

    Args:
        finder: What finds them.
        folder: The folder of photos.
        photos: Some of its photos, which must not have taught the finder.
        sizes_px: Sides of the squares that the network shall see, each measured by itself.
        log: Is told of each photo.

    Returns:
        For each size `size_px`; `photos` and `groups`, how many; and `kinds`, by kind, of all that were looked for,
        what `pixel_precision` gives, and, but for the disc, what `sensitivities` gives as `free_response`, and
        `at_threshold`, at the thresholds of the finder, as `outlined`.

    Raises:
        InputError: If a photo or a mask cannot be used.
    """
    all_kinds = [{kind: _Kind() for kind in KINDS} for _ in sizes_px]
    for number, photo in enumerate(photos):
        masks: dict[str, _Mask] = {}
        drawn: dict[str, DrawnLesions] = {}
        for size_px, kinds in zip(sizes_px, all_kinds, strict=True):
            try:
                maps = finder.find(folder / photo.file, size_px)
            except PhotoError as error:
                raise InputError(f"{folder / photo.file}: {error}") from error
            masks = masks or read_masks(folder, photo, maps.cut)
            drawn = drawn or {kind: find_drawn(mask) for kind, mask in masks.items() if kind != DISC}
            _add_photo(kinds, number, maps, masks, drawn)
        faulty = [LESIONS.get(kind, "the disc") for kind in photo.drawn if kind not in masks]
        told = f", without {' and '.join(faulty)}: a mask of more than half of the photo" if faulty else ""
        log(f"{number + 1} of {len(photos)}: {photo.file}{told}")
    group_names = [photo.group or photo.file for photo in photos]
    about = {"photos": len(photos), "groups": len(set(group_names))}
    return [
        {
            "size_px": size_px,
            **about,
            "kinds": {
                name: _measure(kind, [group_names[photo] for photo in kind.photos], finder.thresholds[name])
                for name, kind in kinds.items()
                if kind.photos
            },
        }
        for size_px, kinds in zip(sizes_px, all_kinds, strict=True)
    ]


def measure_marks(
    finder: LesionFinder,
    photos: Sequence[tuple[Path, str]],
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure how many lesions are counted in photos that have none.

    Args:
        finder: What finds them, at its thresholds.
        photos: The photos, and the group of each; they must not have taught the finder.
        log: Is told of each photo.

    Returns:
        `photos` and `groups`, how many; and `kinds`, by kind `marked`, the share of the photos in which at least one is
        counted, and `marks`, how many a photo, each with `value` and `ci`.

    Raises:
        InputError: If a photo cannot be used.
    """
    counts = []
    for number, (path, _) in enumerate(photos):
        try:
            findings = describe_lesions(finder.find(path), finder.thresholds, dict.fromkeys(LESIONS, 0))
        except PhotoError as error:
            raise InputError(f"{path}: {error}") from error
        counts.append([findings[kind].count or 0 for kind in LESIONS])
        log(f"{number + 1} of {len(photos)}: {path.name}")
    groups = _groups([group for _, group in photos])
    kinds = {kind: _measure_marks(marks, groups) for kind, marks in zip(LESIONS, np.array(counts).T, strict=True)}
    return {"photos": len(photos), "groups": len(groups.sizes), "kinds": kinds}


def _measure_marks(marks: npt.NDArray[np.int64], groups: Groups) -> dict[str, Any]:
    each = np.stack([marks > 0, marks])[:, groups.order].astype(np.float64)
    sums = np.add.reduceat(each, groups.starts, axis=1)

    def measure(weights: Weights) -> list[npt.NDArray[np.float64]]:
        return list(sums @ weights / (groups.sizes @ weights))

    share, mean = each.mean(axis=1).tolist()
    shares, means = draw_in_blocks(measure, groups, SEED, RESAMPLES)
    return {
        "marked": {"value": share, "ci": share_interval(share, shares, len(groups.sizes), len(marks))},
        "marks": {"value": mean, "ci": percentile_interval(means, len(groups.sizes))},
    }


def _add_photo(
    kinds: Mapping[str, _Kind],
    number: int,
    maps: LesionMaps,
    masks: Mapping[str, _Mask],
    drawn: Mapping[str, DrawnLesions],
) -> None:
    if not masks:
        return
    shape = next(iter(masks.values())).shape
    cells = maps.shares.shape[-1]
    side_px = maps.cut.field.side_px * shape[1] / maps.cut.width_px
    for index, shares in enumerate(maps.on_photo((shape[0], shape[1]))):
        kind = KINDS[index]
        if kind not in masks:
            continue
        measured = kinds[kind]
        measured.photos.append(number)
        measured.counts.append(count_pixels(score(shares), masks[kind]))
        if kind == DISC:
            continue
        peaks = find_peaks(maps.shares[index], PEAK_CELLS, LOWEST_MARK)
        points = maps.cut.to_original(peaks[:, ::-1] + 0.5, cells) * (shape[1] / maps.cut.width_px)
        scores = maps.shares[index][peaks[:, 0], peaks[:, 1]].astype(np.float64)
        measured.marks.append(hit_lesions(points, scores, drawn[kind], HIT_SHARE * side_px))


def _measure(kind: _Kind, group_names: Sequence[str], threshold: float) -> dict[str, Any]:
    groups = _groups(group_names)
    measured: dict[str, Any] = pixel_precision(kind.counts, groups, SEED)
    if kind.marks:
        measured["free_response"] = sensitivities(kind.marks, groups, SEED)
        measured["outlined"] = at_threshold(kind.marks, threshold, groups, SEED)
    return measured


def _groups(names: Sequence[str]) -> Groups:
    """Photos of one name together, in the order in which names first stand."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    of_photo = np.array([numbers[name] for name in names])
    sizes = np.bincount(of_photo)
    return Groups(np.argsort(of_photo, kind="stable"), sizes, (len(sizes),))
