"""Every measure of a predictions table by other code than ours: scikit-learn, or the sum written out.

`python tests/written_out.py REPORT …` checks the folders of reports: whether every number in `metrics.json` that was
measured by photo comes out of `predictions.csv` again.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as oracle

GRADES = list(range(5))
PROBABILITIES = [f"p{grade}" for grade in GRADES]


def share(part: Any, whole: Any) -> float | None:
    return float(np.sum(part) / np.sum(whole)) if np.sum(whole) else None


def yes_or_no(ill: Any, said: Any, prevalence: float | None) -> dict[str, float | None]:
    sensitivity, specificity = share(ill & said, ill), share(~ill & ~said, ~ill)
    ppv = npv = None
    if prevalence is None:
        ppv, npv = share(ill & said, said), share(~ill & ~said, ~said)
    elif sensitivity is not None and specificity is not None:
        found, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
        missed, calm = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
        ppv = found / (found + alarms) if found + alarms else None
        npv = calm / (calm + missed) if calm + missed else None
    return {"sensitivity": sensitivity, "specificity": specificity, "ppv": ppv, "npv": npv}


def auc(ill: Any, score: Any) -> float | None:
    return None if ill.all() or not ill.any() else float(oracle.roc_auc_score(ill, score))


def ac2(truth: Any, said: Any) -> float:
    """Gwet's AC2 with quadratic weights."""
    weights = 1 - np.subtract.outer(GRADES, GRADES) ** 2 / 16
    shares = [(np.mean(truth == grade) + np.mean(said == grade)) / 2 for grade in GRADES]
    chance = weights.sum() / 20 * sum(each * (1 - each) for each in shares)
    return float((weights[truth, said].mean() - chance) / (1 - chance))


def bins_of(p: Any, truth: Any) -> list[tuple[int, int, float, float]]:
    """(bin, photos, mean probability, share that is right) of each of 15 bins that holds photos."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    found = []
    for number in range(15):
        inside = (confidence >= number / 15) & ((confidence < (number + 1) / 15) | (number == 14))
        if inside.any():
            found.append((number, int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean())))
    return found


def of_probabilities(p: Any, truth: Any) -> dict[str, float]:
    return {
        "expected_calibration_error": sum(n * abs(mean - right) for _, n, mean, right in bins_of(p, truth)) / len(p),
        "brier": float(np.mean([((row - np.eye(5)[grade]) ** 2).sum() for row, grade in zip(p, truth, strict=True)])),
        "negative_log_likelihood": float(
            np.mean([-math.log(max(row[grade], 1e-12)) for row, grade in zip(p, truth, strict=True)])
        ),
    }


def of_scores(p: Any, truth: Any, said: Any) -> dict[str, float | None]:
    """The areas, and what is measured of probabilities."""
    found: dict[str, float | None] = {f"one_vs_rest_auc.{grade}": auc(truth == grade, p[:, grade]) for grade in GRADES}
    areas = [area for area in found.values() if area is not None]
    score = p[:, 2:].sum(axis=1)
    sure, mistaken = np.maximum(score, 1 - score), (said >= 2) != (truth >= 2)
    return found | {
        "mean_one_vs_rest_auc": float(np.mean(areas)) if areas else None,
        "referable_auc": auc(truth >= 2, score),
        "referable_auprc": oracle.average_precision_score(truth >= 2, score) if (truth >= 2).any() else None,
        "any_dr_auc": auc(truth >= 1, p[:, 1:].sum(axis=1)),
        "area_under_risk_coverage": float(np.mean([mistaken[sure >= level].mean() for level in sure])),
        **of_probabilities(p, truth),
    }


def undone(table: pd.DataFrame) -> Any:
    powers = table[PROBABILITIES].to_numpy() ** table["temperature"].to_numpy()[:, None]
    return powers / powers.sum(axis=1, keepdims=True)


def measured(
    table: pd.DataFrame, referable_prevalence: float | None = None, any_dr_prevalence: float | None = None
) -> dict[str, Any]:
    """Every number of a table by its key; predictive values at a prevalence where it is stated, else that of the table.

    What the table gives no ground for is None, a section under its own name.
    """
    truth, said = table["grade"].to_numpy(), table["predicted_grade"].to_numpy()
    matrix = oracle.confusion_matrix(truth, said, labels=GRADES)
    occurring = {"average": "macro", "zero_division": 0.0}
    precision, recall = oracle.precision_score(truth, said, **occurring), oracle.recall_score(truth, said, **occurring)
    found: dict[str, Any] = {
        "n": len(table),
        "groups": len(set(table["group"])),
        "accuracy": oracle.accuracy_score(truth, said),
        "micro_f1": oracle.f1_score(truth, said, average="micro"),
        "aca": np.mean([np.mean(said[truth == grade] == grade) for grade in set(truth)]),
        "macro_f1": oracle.f1_score(truth, said, average="macro"),
        "macro_f1_of_means": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "quadratic_weighted_kappa": None
        if len({*truth, *said}) == 1
        else oracle.cohen_kappa_score(truth, said, labels=GRADES, weights="quadratic"),
        "linear_weighted_kappa": None
        if len({*truth, *said}) == 1
        else oracle.cohen_kappa_score(truth, said, labels=GRADES, weights="linear"),
        "gwet_ac2": ac2(truth, said),
        "mean_absolute_grade_error": oracle.mean_absolute_error(truth, said),
        "prevalence.referable": referable_prevalence or float(np.mean(truth >= 2)),
        "prevalence.any_dr": any_dr_prevalence or float(np.mean(truth >= 1)),
    }
    for grade in GRADES:
        found[f"recall_per_grade.{grade}"] = share(matrix[grade, grade], matrix[grade])
        found[f"precision_per_grade.{grade}"] = share(matrix[grade, grade], matrix[:, grade])
        found |= {f"confusion_matrix.{grade}.{other}": matrix[grade, other] for other in GRADES}
    for name, lowest, prevalence in (("referable", 2, referable_prevalence), ("any_dr", 1, any_dr_prevalence)):
        found |= {
            f"{name}_{key}": value for key, value in yes_or_no(truth >= lowest, said >= lowest, prevalence).items()
        }
    if "p0" in table:
        found |= of_scores(table[PROBABILITIES].to_numpy(), truth, said)
    else:
        # The keys are those of any photo at all.
        found |= dict.fromkeys(of_scores(np.eye(5)[[0]], np.array([0]), np.array([0])))
    if "p0" in table and "temperature" in table and (table["temperature"] != 1).any():
        before = of_probabilities(undone(table), truth)
        found |= {f"before_calibration.{key}": value for key, value in before.items()}
    else:
        found["before_calibration"] = None
    return found | answered(table, referable_prevalence)


def answered(table: pd.DataFrame, referable_prevalence: float | None) -> dict[str, Any]:
    """Every number that comes from what the rules answered."""
    truth, found = table["grade"].to_numpy(), {}
    ill = truth >= 2
    points = [name for name in table if name.startswith("refer_")]
    if not points:
        found["operating_points"] = None
    for column in points:
        referred = table[column].to_numpy() == 1
        values = yes_or_no(ill, referred, referable_prevalence) | {"referred_fraction": referred.mean()}
        found |= {f"operating_points.{column.removeprefix('refer_')}.{key}": value for key, value in values.items()}
    if "decision" not in table:
        return found | {"prediction_sets": None, "decisions": None}
    low, high = table["lowest_grade"].to_numpy(), table["highest_grade"].to_numpy()
    held, size = (low <= truth) & (truth <= high), high - low + 1
    found |= {"prediction_sets.coverage": held.mean(), "prediction_sets.mean_size": size.mean()}
    for grade in GRADES:
        found[f"prediction_sets.coverage_per_grade.{grade}"] = share(held & (truth == grade), truth == grade)
        found[f"prediction_sets.size_fractions.{grade}"] = np.mean(size == grade + 1)
    decision = table["decision"].to_numpy()
    wrong = ((decision == "refer") & ~ill) | ((decision == "do not refer") & ill)
    found |= {
        "decisions.asked_fraction": np.mean(decision == "ask a human"),
        "decisions.decided_error_fraction": share(wrong, decision != "ask a human"),
        "decisions.missed_fraction": share(wrong & ill, ill),
        "decisions.needless_fraction": share(wrong & ~ill, ~ill),
    }
    return found


def by_patient(table: pd.DataFrame, how: str) -> pd.DataFrame:
    """One row for each patient, all of whom have one photo of each eye."""
    rows = []
    for name, photos in table.groupby("group"):
        row: dict[str, Any] = {"group": name, "grade": photos["grade"].max()}
        p = photos[PROBABILITIES].to_numpy()
        if how == "mean":
            row |= dict(zip(PROBABILITIES, p.mean(axis=0), strict=True)) | {"predicted_grade": p.mean(axis=0).argmax()}
        else:
            worst = photos.iloc[(p @ GRADES).argmax()]
            row |= {column: worst[column] for column in [*PROBABILITIES, "temperature"]}
            raised = ["predicted_grade", "lowest_grade", "highest_grade", *(c for c in table if c.startswith("refer_"))]
            row |= {column: photos[column].max() for column in raised}
            order = ["do not refer", "ask a human", "refer"]
            row["decision"] = order[max(order.index(word) for word in photos["decision"])]
        rows.append(row)
    return pd.DataFrame(rows)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers of a JSON value by their keys, ends of intervals excepted; undefined ones are None."""
    if isinstance(value, dict):
        for name, inner in value.items():
            # An operating point may have any name.
            if key == "operating_points" or name not in ("ci", "bootstrap", "undefined", "stated"):
                yield from leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{key}.{place}")
    elif not isinstance(value, str):
        yield key, value


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Hold numbers to others, by their keys; all that differ are named."""
    differing = [
        f"{key}: {found.get(key, 'missing')}, not {expected.get(key, 'there')}"
        for key in {**found, **expected}
        if not (key in found and key in expected and _equal(found[key], expected[key]))
    ]
    if differing:
        raise AssertionError("; ".join(differing))


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def check(report: Path) -> int:
    """Compare a report with its predictions, and count the numbers that agree; others are an error."""
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    prevalence = metrics["prevalence"]
    stated = [prevalence[name] if prevalence["stated"][name] else None for name in ("referable", "any_dr")]
    elsewhere = ("patients", "subgroups", "notes", "facts", "provenance")
    found = {key: value for key, value in leaves(metrics) if key.split(".")[0] not in elsewhere}
    # Names are text: 001 is not 1, and NA is a name.
    table = pd.read_csv(report / "predictions.csv", dtype={"file": str, "group": str}, keep_default_na=False)
    same(found, measured(table, *stated))
    return len(found)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        print(f"{folder}: {check(Path(folder))} numbers come out of predictions.csv again")
