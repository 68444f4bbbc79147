"""Measure the ways to grade by their answers for photos that they had not seen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biranet.config import CalibrationConfig, TrainConfig
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.decisions.fit import fit_rules
from biranet.decisions.rules import apply_rules, decode, raw_probabilities
from biranet.evaluation.intervals import measure_with_intervals, paired_differences
from biranet.files import read_json, write_json
from biranet.grades import REFERABLE_GRADE
from biranet.lesion_kinds import LESIONS
from biranet.tables import write_table
from biranet.version import software_version
from studies.lesion_grades.bound import LEVEL, STRETCHES, TARGET, coverage, promise
from studies.lesion_grades.divisions import HeadName
from studies.lesion_grades.look import WHOLE_PX
from studies.lesion_grades.seen import ELSEWHERE, Seen
from studies.shipped.card import RESULTS as SHIPPED_RESULTS
from studies.shipped.measured import decide_answers
from studies.shipped.steps import FOLDS
from studies.stretches import stretch_of

WAYS = {
    "biranet": "BiRA-Net alone",
    "probe": "linear layer on the backbone's features",
    "lesions": "linear layer on the vector of lesions",
    "forest": "random forest on the vector of lesions",
    "probe_and_lesions": "linear layer on features and vector",
    "biranet_then_lesions": "BiRA-Net, corrected by a linear function of the vector",
    "biranet_and_lesions": "BiRA-Net with the vector in its last layer",
    "mean_probe_forest": "mean of linear layer on features, and forest",
    "mean_biranet_lesions": "mean of BiRA-Net alone, linear layer on the vector, and forest",
    "mean_all": "mean of BiRA-Net with the vector, linear layers on features and on the vector, and forest",
}
"""All ways to grade, in words."""

COMPARED = {
    "biranet": (
        *("probe", "lesions", "forest", "biranet_then_lesions"),
        *("biranet_and_lesions", "mean_biranet_lesions", "mean_all"),
    ),
    "probe": ("lesions", "probe_and_lesions", "mean_probe_forest"),
    "probe_and_lesions": ("biranet_then_lesions", "biranet_and_lesions"),
    "biranet_and_lesions": ("biranet_then_lesions",),
}
"""Which ways are compared with which one."""

MEANS, CORRELATIONS = (0.05, 0.08, 0.11), (0.0, 0.06, 0.15)
"""Of the shares that are drawn to see how often the bounds hold; those that were missed lie among them."""

AIMS = {"quadratic_weighted_kappa": 0.86, "referable_auc": 0.985, "any_dr_auc": 0.97, "aca": 0.62}
AIMS_ELSEWHERE = {"quadratic_weighted_kappa": 0.70, "referable_auc": 0.90}
FIGURES = (*AIMS, "accuracy")
DECIDED = ("missed_fraction", "needless_fraction", "asked_fraction")


@dataclass(frozen=True)
class Condition:
    """What is asked of all ways to grade.

    Attributes:
        division: How the photos are divided.
        lesion_px: The size at which lesions are looked for.
        folds: The folds that are answered for.
    """

    division: str
    lesion_px: int
    folds: tuple[int, ...] = tuple(range(FOLDS))


CONDITIONS: Mapping[str, Condition] = {
    "visits": Condition("visits", 1280),
    "stretches": Condition("stretches", 1280),
    "elsewhere": Condition("visits", 512, (ELSEWHERE,)),
}
"""Folds of visits, folds of stretches of the numbering, and another clinic, by rules fitted on the folds of visits."""


def write_results(name: str, answers: Path, results: Path, seen: Seen, config: TrainConfig) -> None:
    """Measure all ways to grade under a condition, and write what was found.

    Args:
        name: That of the condition.
        answers: Folder with the answers.
        results: Folder for what was measured.
        seen: All photos.
        config: The recipe, by whose rules grades and decisions are made.
    """
    condition = CONDITIONS[name]
    tables = {way: _tables(answers / name, way, condition, seen) for way in WAYS}
    found: dict[str, Any] = {
        "software": software_version(),
        "seconds_a_photo": _cost(seen),
        "chosen": {way: _chosen(answers / name, way, condition) for way in WAYS},
        "seconds": {way: _seconds(answers / name, way, condition) for way in WAYS},
    }
    if ELSEWHERE in condition.folds:
        own = {way: _tables(answers / "visits", way, CONDITIONS["visits"], seen) for way in WAYS}
        decided = {way: _decide_elsewhere(own[way], its, config.calibration) for way, (its,) in tables.items()}
    else:
        decided = {way: decide_cross_fitted(folds, config.calibration) for way, folds in tables.items()}
        found |= {"level": LEVEL, "target": TARGET, "shipped": _promise_of_shipped(config.calibration)}
        found["promise"] = {way: promise(table, stretch_of(table, STRETCHES)) for way, table in decided.items()}
        kept = [pd.concat(folds).assign(way=way) for way, folds in tables.items()]
        found["coverage"] = coverage_of_bounds(decided["biranet"])
        write_table(results / f"answers_{name}.csv", _rounded(pd.concat(kept, ignore_index=True)))
    found["ways"] = {way: _figures(table) for way, table in decided.items()}
    write_json(results / f"{name}.json", found | {"differences": _differences(decided)})
    print(f"measured: {name}", flush=True)


def coverage_of_bounds(photos: pd.DataFrame) -> list[dict[str, float]]:
    """Say how often the bounds hold for shares like the real ones, of stretches with as many referable photos.

    Args:
        photos: Their `file`, `group` and `grade`.

    Returns:
        By `mean` of the shares and `correlation` of photos of a stretch, how often either held: `next` and `of_mean`.
    """
    counts = np.bincount(stretch_of(photos, STRETCHES), weights=photos["grade"] >= REFERABLE_GRADE).astype(np.int64)
    rows = []
    for mean, correlation in product(MEANS, CORRELATIONS):
        of_next, of_mean = coverage(counts[counts > 0], mean, correlation)
        rows.append({"mean": mean, "correlation": correlation, "next": of_next, "of_mean": of_mean})
    return rows


def areas_by_head(seen: Seen) -> pd.DataFrame:
    """Say how much of each kind each head finds in the photos of a fold, which others look at too.

    Args:
        seen: Photos that are divided.

    Returns:
        By division, fold and head the means of the logarithms of areas, as `pool_lesions` gives them.
    """
    rows = []
    for division, folds in seen.divisions.items():
        for fold, other in product(range(FOLDS), repeat=2):
            head = HeadName.of(division, fold, other)
            name = f"lesions_{max(WHOLE_PX)}_{head}"
            vectors = np.stack([each[name] for each, own in zip(seen.kept, folds, strict=True) if own == fold])
            areas = dict(
                zip(LESIONS, vectors[:, : len(LESIONS)].mean(axis=0).astype(float).round(2).tolist(), strict=True)
            )
            rows.append({"division": division, "fold": fold, "head": str(head), **areas})
    return pd.DataFrame(rows)


def _cost(seen: Seen) -> dict[str, float]:
    """Seconds of one core to look at a photo, of both clinics."""
    seconds, folds = seen.stack("seconds").numpy(), seen.divisions["visits"]
    of = {"own": seconds[folds != ELSEWHERE], "elsewhere": seconds[folds == ELSEWHERE]}
    return {name: round(float(each.mean()), 2) for name, each in of.items() if len(each)}


def _tables(folder: Path, way: str, condition: Condition, seen: Seen) -> list[pd.DataFrame]:
    """The answers for each fold, before any rule."""
    tables = []
    for fold in condition.folds:
        shares = np.array(read_json(folder / f"{way}_{fold}.json")["shares"])
        photos = seen.photos[seen.divisions[condition.division] == fold].reset_index(drop=True)
        photos = photos.astype({"grade": int}).assign(predicted_grade=shares.argmax(axis=1))
        shares = shares / shares.sum(axis=1, keepdims=True)
        tables.append(photos.assign(**dict(zip(PROBABILITIES, shares.T, strict=True)), fold=fold))
    return tables


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """As it is kept: file names without folders."""
    return table.assign(file=table["file"].map(lambda file: Path(file).stem)).round(5)


def _chosen(folder: Path, way: str, condition: Condition) -> dict[str, int]:
    """What was chosen, and in how many folds."""
    chosen = (read_json(folder / f"{way}_{fold}.json")["chosen"] for fold in condition.folds)
    return dict(
        Counter(
            ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in each.items()
            )
            for each in chosen
            if each
        )
    )


def _seconds(folder: Path, way: str, condition: Condition) -> float:
    return float(sum(read_json(folder / f"{way}_{fold}.json")["seconds"] for fold in condition.folds))


def _decide_elsewhere(own: Sequence[pd.DataFrame], table: pd.DataFrame, config: CalibrationConfig) -> pd.DataFrame:
    """Decide on photos of another clinic by rules that are fitted on the answers for all folds."""
    table_of_all = pd.concat(own, ignore_index=True)
    rules = fit_rules(table_of_all, decoder=config.decoder, cost_of_missed=config.cost_of_missed)
    return apply_rules(table.assign(predicted_grade=decode(raw_probabilities(table), rules)), rules)


def _figures(decided: pd.DataFrame) -> dict[str, Any]:
    metrics = measure_with_intervals(decided)
    figures = {name: {"value": metrics[name], "ci": metrics["ci"][name]} for name in FIGURES}
    its = metrics["decisions"]
    return {"n": metrics["n"]} | figures | {name: {"value": its[name], "ci": its["ci"][name]} for name in DECIDED}


def _differences(decided: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """How ways differ from those that they are compared with."""
    keys = (*FIGURES, "decisions.missed_fraction")
    found = {}
    for first, others in COMPARED.items():
        each = paired_differences([decided[first], *(decided[way] for way in others)])
        found[first] = {way: {key: its[key] for key in keys} for way, its in zip(others, each, strict=True)}
    return found


def _promise_of_shipped(rules: CalibrationConfig) -> dict[str, Any]:
    """What can be promised of the model that ships, by its answers out of fold."""
    decided = decide_answers(SHIPPED_RESULTS, rules)
    return promise(decided, stretch_of(decided, STRETCHES))
