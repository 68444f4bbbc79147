"""Every figure of `metrics.json` and of the page comes out of `predictions.csv` again, by other code.

Other code is scikit-learn where it has the measure, and written-out sums where not. Only ends of intervals are computed
by the product's own code, a second time, with the same seed.
"""

import functools
import json
import operator
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from biranet.config import ReportConfig
from biranet.decisions.predictions import read_predictions
from biranet.decisions.rules import OperatingPoint, Rules, decide, decision_columns
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.measures import point_name
from biranet.reports.report import ReportExtras, write_report
from written_out import (
    GRADES,
    PROBABILITIES,
    bins_of,
    by_patient,
    check,
    leaves,
    measured,
    same,
    undone,
)

NAMES = ["no DR", "mild", "moderate", "severe", "proliferative"]
PREVALENCE = 0.08
CONFIG = ReportConfig(seed=4, referable_prevalence=PREVALENCE, by=("camera", "sharpness"))
HISTORY = [
    {"epoch": 1, "lr": 0.0002, "train_loss": 0.31, "train_kappa": 0.402, "validation_kappa": None},
    {"epoch": 2, "lr": 0.0002, "train_loss": 0.22, "train_kappa": 0.611, "validation_kappa": 0.573},
    {"epoch": 3, "lr": 0.00002, "train_loss": 0.18, "train_kappa": 0.702, "validation_kappa": 0.5704},
]


def graded(patients: int = 120, seed: int = 3) -> pd.DataFrame:
    """Photos of both eyes with what rules answered, one temperature in each half, as in two folds that were pooled."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 2)
    truth = np.clip(
        random.choice(5, patients, p=[0.4, 0.15, 0.2, 0.13, 0.12])[patient] + random.choice(3, 240) - 1, 0, 4
    )
    seen = truth + random.normal(0, 0.8, len(truth))
    raw = np.exp(-2.2 * (seen[:, None] - GRADES) ** 2)
    raw /= raw.sum(axis=1, keepdims=True)
    thresholds = {"sensitivity_90": 0.2, "specificity_90": 0.7, "youden": 0.45, "cost_2.5": 0.3}
    folds = []
    for rows, temperature in ((slice(0, 120), 1.7), (slice(120, 240), 0.8)):
        points = tuple(OperatingPoint(name, threshold) for name, threshold in thresholds.items())
        rules = Rules(temperature=temperature, operating_points=points, set_threshold=0.8, fitted_on="other photos")
        answers = decide(raw[rows], rules)
        columns = {name: answers.probabilities[:, grade] for grade, name in enumerate(PROBABILITIES)}
        folds.append(pd.DataFrame({**columns, "predicted_grade": answers.grades, **decision_columns(answers, rules)}))
    return pd.concat(folds, ignore_index=True).assign(
        file=[f"{number}.jpg" for number in range(240)],
        group=[f"patient {number}" for number in patient],
        grade=truth,
        eye=["left", "right"] * patients,
        camera=np.array(["Topcon", "Canon", "old"])[random.choice(3, patients, p=[0.6, 0.35, 0.05])][patient],
        sharpness=[f"{value:.4f}" for value in random.gamma(3, 0.2, 240)],
    )


class Written(NamedTuple):
    folder: Path
    metrics: dict[str, Any]
    page: str
    table: pd.DataFrame
    again: dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    out = tmp_path_factory.mktemp("figures")
    write_report(out, graded(), title="Figures", config=CONFIG, extras=ReportExtras(history=HISTORY))
    table = pd.read_csv(out / "predictions.csv")
    again = measure_with_intervals(read_predictions(out / "predictions.csv"), CONFIG)
    return Written(out, json.loads((out / "metrics.json").read_text()), (out / "report.html").read_text(), table, again)


def test_every_number_by_photo(written: Written) -> None:
    assert check(written.folder) > 100
    assert written.metrics["prevalence"]["stated"] == {"referable": True, "any_dr": False}
    assert written.metrics["undefined"] == {}


ANSWERS = ["temperature", "decision", "lowest_grade", "highest_grade"]
OTHER_TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "without answers": lambda table: table.drop(columns=[*ANSWERS, *table.filter(like="refer_")]),
    "without points": lambda table: table.drop(columns=table.filter(like="refer_")),
    "a temperature of 1": lambda table: table.assign(temperature=1.0),
    "without probabilities": lambda table: table.drop(columns=[*PROBABILITIES, *ANSWERS, *table.filter(like="refer_")]),
    "answers alone": lambda table: table.drop(columns=PROBABILITIES),
    "without groups": lambda table: table.drop(columns="group"),
    "sure of all": lambda table: table.assign(
        **{name: (table["predicted_grade"] == grade).astype(float) for grade, name in enumerate(PROBABILITIES)}
    ),
    "rounded": lambda table: table.assign(**table[PROBABILITIES].round(4)),
    "no photo is referable": lambda table: table.assign(grade=table["grade"].clip(upper=1)),
    "one grade": lambda table: table.assign(grade=3, decision="ask a human"),
    "one grade, always given": lambda table: table.assign(grade=3, predicted_grade=3),
    "never right": lambda table: table.assign(predicted_grade=(table["grade"] + 1) % 5),
    "one photo": lambda table: table.head(1),
    "a point named ci": lambda table: table.rename(columns={"refer_youden": "refer_ci"}),
    "names like numbers": lambda table: table.assign(group=["1", "01", "NA", "nan", "1.0", ""] * 40),
}


STATED = ReportConfig(referable_prevalence=0.1, any_dr_prevalence=0.3)


@pytest.mark.parametrize(
    ("name", "config"),
    [*((name, ReportConfig()) for name in OTHER_TABLES), ("no photo is referable", STATED), ("never right", STATED)],
)
def test_every_number_of_any_report(tmp_path: Path, name: str, config: ReportConfig) -> None:
    OTHER_TABLES[name](graded()).drop(columns=["eye", "camera"]).to_csv(tmp_path / "mine.csv", index=False)
    write_report(tmp_path, read_predictions(tmp_path / "mine.csv"), title="Another", config=config)
    assert check(tmp_path) > 50


@pytest.mark.parametrize("key", ["quadratic_weighted_kappa", "operating_points.youden.npv", "recall_per_grade.3"])
def test_a_number_that_was_changed_is_noticed(written: Written, tmp_path: Path, key: str) -> None:
    shutil.copy(written.folder / "predictions.csv", tmp_path)
    metrics = json.loads((written.folder / "metrics.json").read_text())
    *path, last = (int(step) if step.isdigit() else step for step in key.split("."))
    functools.reduce(operator.getitem, path, metrics)[last] += 0.0001
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(AssertionError, match=f"^{key}: [^;]*$"):
        check(tmp_path)


def test_every_number_by_patient(written: Written) -> None:
    patients = written.metrics["patients"]
    counts = {key: patients[key] for key in ("reason", "n", "both_eyes", "left_out")}
    assert counts == {"reason": None, "n": 120, "both_eyes": 120, "left_out": 0}
    for how in ("worst_eye", "mean"):
        same(dict(leaves(patients[how])), measured(by_patient(written.table, how), PREVALENCE))
    assert patients["worst_eye"]["decisions"] and patients["mean"]["decisions"] is None


def test_every_number_of_subgroups(written: Written) -> None:
    parts = written.metrics["subgroups"]
    assert [(part["column"], part["value"].split(" (")[0]) for part in parts] == [
        *(("camera", value) for value in ("Canon", "Topcon", "old")),
        *(("sharpness", f"{which} third") for which in ("lowest", "middle", "highest")),
    ]
    sharpness = written.table["sharpness"]
    third = np.searchsorted(np.quantile(sharpness, [1 / 3, 2 / 3]), sharpness)
    for place, part in enumerate(parts):
        inside = written.table["camera"] == part["value"] if part["column"] == "camera" else third == place - 3
        expected = measured(written.table[inside], PREVALENCE)
        assert part["few"] == (inside.sum() < 20)
        found = {key: value for key, value in leaves(part) if key != "few"}
        assert len(found) == 11
        same(found, {key: expected[key] for key in found})


def test_intervals_are_those_of_a_second_call(written: Written) -> None:
    assert {key: written.metrics[key] for key in written.again} == json.loads(json.dumps(written.again))


class Tables(HTMLParser):
    """The rows of the tables of a page, cell by cell, and all words outside of tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self.depth, self.inside = 0, False
        self.feed(page)
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "table"
        self.inside |= tag in ("th", "td")
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "table"
        self.inside &= tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.text += f" {data}"
        elif self.inside:
            self.rows[-1][-1] += f" {data}"


def rows_of(tables: Tables, first: str) -> list[list[str]]:
    return [row[1:] for row in tables.rows if row and row[0] == first]


def printed(metrics: dict[str, Any], values: dict[str, Any], key: str, digits: int = 3) -> str:
    """How a value and its interval stand in a cell: the value as recomputed, the interval as in `metrics.json`."""
    *sections, name = re.sub(r"cost_2\.5", "cost_2;5", key).split(".")
    part = metrics
    place = int(name) if name.isdecimal() else None
    if place is not None:
        name = sections.pop()
    for section in sections:
        part = part[section.replace(";", ".")]
    ends = part["ci"][name] if place is None else part["ci"][name][place]
    interval = "no interval" if ends is None else f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"
    if name == "expected_calibration_error" and ends is not None:
        interval = f"rough interval {interval}"
    return f"{values[key]:.{digits}f} {interval}"


def test_the_list_of_every_number(written: Written) -> None:
    values, tables = measured(written.table, PREVALENCE), Tables(written.page)
    for key, value in values.items():
        if key.startswith("confusion_matrix"):
            continue
        words = f"{meaning_of(key).name} {key} "
        (row,) = [row for row in tables.rows if len(row) == 3 and f"{row[0]} ".startswith(words)]
        if key in ("n", "groups"):
            assert row[1:] == [str(value), ""]
        elif key.startswith("prevalence"):
            assert row[1:] == [f"{value:.3f}", ""]
        else:
            assert " ".join(row[1:]) == printed(written.metrics, values, key).replace("rough interval", "rough:")


def test_the_tables(written: Written) -> None:
    values, metrics, tables = measured(written.table, PREVALENCE), written.metrics, Tables(written.page)

    def cells(*keys: str, digits: int = 3) -> list[str]:
        return [printed(metrics, values, key, digits) for key in keys]

    matrix = oracle.confusion_matrix(written.table["grade"], written.table["predicted_grade"])
    for grade, name in enumerate(NAMES):
        counts = [str(count) for count in (matrix[grade].sum(), matrix[:, grade].sum(), matrix[grade, grade])]
        keys = [f"{key}.{grade}" for key in ("recall_per_grade", "precision_per_grade", "one_vs_rest_auc")]
        covered = [counts[0], *cells(f"prediction_sets.coverage_per_grade.{grade}")]
        assert rows_of(tables, f"{grade} {name}") == [[*counts, *cells(*keys, digits=2)], covered]
        assert cells(f"prediction_sets.size_fractions.{grade}") in rows_of(tables, str(grade + 1))
    assert rows_of(tables, "all") == [["240", *cells("prediction_sets.coverage")]]
    assert rows_of(tables, "mean size") == [cells("prediction_sets.mean_size", digits=2)]
    shares = ("auc", "sensitivity", "specificity", "ppv", "npv")
    for words, name in (
        ("referable: grade 2 and above", "referable"),
        ("any retinopathy: grade 1 and above", "any_dr"),
    ):
        assert rows_of(tables, words) == [cells(*(f"{name}_{key}" for key in shares))]
    for point in ("sensitivity_90", "specificity_90", "youden", "cost_2.5"):
        keys = [f"operating_points.{point}.{key}" for key in (*shares[1:], "referred_fraction")]
        assert rows_of(tables, point_name(point)) == [cells(*keys)]
    for key in ("expected_calibration_error", "brier", "negative_log_likelihood"):
        assert cells(key, f"before_calibration.{key}") in rows_of(tables, meaning_of(key).name)
    for key in ("asked_fraction", "decided_error_fraction", "missed_fraction", "needless_fraction"):
        meaning = meaning_of(f"decisions.{key}")
        assert rows_of(tables, f"{meaning.name} {meaning.sentence}") == [cells(f"decisions.{key}")]
    for word in ("do not refer", "ask a human", "refer"):
        grades = written.table["grade"][written.table["decision"] == word]
        ill = int((grades >= 2).sum())
        percent = f"{100 * len(grades) / 240:.0f} %"
        assert rows_of(tables, word) == [[str(len(grades)), percent, str(ill), str(len(grades) - ill)]]


def test_the_tables_behind_charts(written: Written) -> None:
    tables, truth = Tables(written.page), written.table["grade"].to_numpy()
    for p in (written.table[PROBABILITIES].to_numpy(), undone(written.table)):
        for number, count, mean, right in bins_of(p, truth):
            row = [str(count), f"{mean:.3f}", f"{right:.3f}"]
            assert row in rows_of(tables, f"{number / 15:.2f} to {(number + 1) / 15:.2f}")
    assert ["0.0002", "0.31", "0.402", "–"] in rows_of(tables, "1")
    assert ["2e−05", "0.18", "0.702", "0.5704"] in rows_of(tables, "3")
    off, sure = (
        (written.table["grade"] - written.table["predicted_grade"]).abs(),
        written.table[PROBABILITIES].max(axis=1),
    )
    for place in np.lexsort([-sure, -off])[:10]:
        row = written.table.iloc[place]
        grades = [f"{row[column]} {NAMES[row[column]]}" for column in ("grade", "predicted_grade")]
        answer = [row["decision"], f"{row['lowest_grade']} to {row['highest_grade']}"]
        assert rows_of(tables, row["file"]) == [[*grades, f"{sure[place]:.3f}", *answer]]


def test_the_tables_of_patients_and_subgroups(written: Written) -> None:
    values, metrics, tables = measured(written.table, PREVALENCE), written.metrics, Tables(written.page)
    patients = {how: measured(by_patient(written.table, how), PREVALENCE) for how in ("worst_eye", "mean")}
    for key in ("quadratic_weighted_kappa", "aca", "accuracy", "mean_absolute_grade_error", "referable_auc",
                "referable_sensitivity", "referable_specificity", "referable_ppv", "referable_npv"):  # fmt: skip
        cells = [printed(metrics["patients"][how], patients[how], key) for how in patients]
        assert rows_of(tables, meaning_of(key).name) == [[printed(metrics, values, key), *cells]]
    decided = [f"decisions.{name}_fraction" for name in ("asked", "missed", "needless")]
    for key in [*decided, *(f"operating_points.sensitivity_90.{name}" for name in ("sensitivity", "specificity"))]:
        by_eye = printed(metrics["patients"]["worst_eye"], patients["worst_eye"], key)
        row = [printed(metrics, values, key), by_eye, "– a mean decides nothing"]
        assert rows_of(tables, meaning_of(key).name) == [row]
    for part in metrics["subgroups"]:
        keys = ("quadratic_weighted_kappa", "aca", "referable_auc", "referable_sensitivity", "referable_specificity")
        cells = [printed(part, part, key, 2) for key in keys]
        words = part["value"] + " few" * part["few"]
        assert rows_of(tables, words) == [[str(part["n"]), str(part["groups"]), *cells]]
    # The subgroup of the old camera is small enough to be marked.
    assert metrics["subgroups"][2]["few"]


def test_the_words_and_the_charts(written: Written) -> None:
    values, table, text = measured(written.table, PREVALENCE), written.table, Tables(written.page).text
    truth, said = table["grade"].to_numpy(), table["predicted_grade"].to_numpy()
    off = np.abs(truth - said)
    right, close = int((off == 0).sum()), int((off <= 1).sum())
    assert f"Of 240 photos in 120 groups (patients), {right} ({100 * right / 240:.0f} %) were given" in text
    assert f"and {close} ({100 * close / 240:.0f} %) a grade at most one step off" in text
    for key in ("quadratic_weighted_kappa", "aca", "accuracy", "referable_auc",
                "referable_sensitivity", "referable_specificity"):  # fmt: skip
        value, low, high = values[key], *written.metrics["ci"][key]
        assert f"{meaning_of(key).name} {value:.2f} 95 % interval {low:.2f} to {high:.2f}" in text
    assert "hold for 8 % referable photos (as stated)" in text
    assert f"and {100 * np.mean(truth >= 1):.0f} % with any retinopathy (as among these photos)" in text
    matrix = oracle.confusion_matrix(truth, said)
    for grade, row in enumerate(matrix):
        cells = ", ".join(f"{count} predicted as {place}" for place, count in enumerate(row))
        assert f"Of {row.sum()} photos with true grade {grade}: {cells}." in text
        assert f"Grade {grade}: {row.sum()} true, {matrix[:, grade].sum()} predicted." in text
    ways = {point_name(name[6:]): table[name] == 1 for name in table if name.startswith("refer_")}
    for name, referred in (ways | {"by the predicted grade": said >= 2}).items():
        y, x = np.mean(referred[truth >= 2]), np.mean(referred[truth < 2])
        assert f"Referred {name}: sensitivity {y:.3f} at 1 − specificity {x:.3f}." in text
    for name, p in (("After", table[PROBABILITIES].to_numpy()), ("Before", undone(table))):
        bins = "; ".join(
            f"{n} photos at probability {mean:.2f} are right in {100 * share:.0f} %"
            for _, n, mean, share in bins_of(p, truth)
        )
        assert f"{name} calibration: {bins}." in text
    decided = 1 - values["decisions.asked_fraction"]
    wrong = values["decisions.decided_error_fraction"]
    assert (
        f"The decisions of the rule: {100 * decided:.0f} % of the photos decided, {100 * wrong:.1f} % of these" in text
    )
    everything = 100 * np.mean((said >= 2) != (truth >= 2))
    assert f"All photos, by the predicted grade: 100 % of the photos decided, {everything:.1f} %" in text
    assert f"Mean height over all photos (the area under the curve): {values['area_under_risk_coverage']:.3f}." in text
    coverage, size = values["prediction_sets.coverage"], values["prediction_sets.mean_size"]
    low, high = written.metrics["prediction_sets"]["ci"]["coverage"]
    lie = "lie" if low <= 0.9 <= high else "do not lie"
    assert (
        f"they hold it for {100 * coverage:.0f} % (95 % interval {100 * low:.0f} % to {100 * high:.0f} %, in which the "
        f"promised 90 % {lie}), with {size:.2f} grades on average" in text
    )
    assert "a temperature (0.80, 1.70) that" in text
    assert f"referable (grade 2 and above), AUC {values['referable_auc']:.3f};" in text
    assert f"any retinopathy (grade 1 and above), AUC {values['any_dr_auc']:.3f} " in text
    assert "120 patients, 120 of them with both eyes" in text
    assert "The highest validation kappa, 0.573, came after epoch 2." in text
