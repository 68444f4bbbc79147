"""Intervals come from whole groups, agree with a slow loop, and hold the true value as often as they say."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, cohen_kappa_score, roc_auc_score

from biranet.config import EvaluationConfig
from biranet.evaluation import intervals
from biranet.evaluation.groups import arrange_groups, block_sizes, draw_weights
from biranet.evaluation.interval_methods import average_interval, percentile_interval
from biranet.evaluation.intervals import measure_with_intervals, paired_differences
from biranet.evaluation.measures import TOP_LEVEL
from measured import measure

Draw = Callable[..., pd.DataFrame]
Measures = dict[str, Any]

BARE = ["file", "group", "grade", "predicted_grade"]


def flat(measures: Measures, *, ends: bool) -> dict[str, Any]:
    """Values, or their intervals, by key with points between."""
    found: dict[str, Any] = {}
    sections = {"": measures, **{f"{name}.": measures[name] for name in ("before_calibration", "decisions")}}
    sections["prediction_sets."] = measures["prediction_sets"]
    points = measures["operating_points"] or {}
    sections |= {f"operating_points.{name}.": point for name, point in points.items()}
    for prefix, section in sections.items():
        for key, interval in (section["ci"] if section else {}).items():
            value = section[key]
            each = zip(value, interval, strict=True) if isinstance(value, list) else [(value, interval)]
            for place, pair in enumerate(each):
                found[f"{prefix}{key}.{place}" if isinstance(value, list) else f"{prefix}{key}"] = pair[ends]
    return found


def test_agrees_with_a_slow_loop_over_the_same_draws(draw_table: Draw) -> None:
    """Photo by photo with scikit-learn, for one measure of each kind."""
    table, resamples = draw_table(30, seed=1), 40
    groups = arrange_groups([table])
    (width,) = block_sizes(groups, resamples)
    weights = draw_weights(groups, width, [1, 0])
    truth, predicted = (table[name].to_numpy()[groups.order] for name in ("grade", "predicted_grade"))
    shares = table[[f"p{grade}" for grade in range(5)]].to_numpy()[groups.order]
    slow: dict[str, list[float]] = {"quadratic_weighted_kappa": [], "referable_auc": [], "brier": []}
    for drawn in weights.T:
        photos = np.repeat(np.arange(len(truth)), drawn[groups.group_of_photo])
        slow["quadratic_weighted_kappa"].append(
            cohen_kappa_score(truth[photos], predicted[photos], labels=range(5), weights="quadratic")
        )
        slow["referable_auc"].append(roc_auc_score(truth[photos] >= 2, shares[photos, 2:].sum(axis=1)))
        slow["brier"].append(
            sum(brier_score_loss(truth[photos] == grade, shares[photos, grade], pos_label=True) for grade in range(5))
        )
    measures = measure_with_intervals(table, resamples=resamples)
    for key in ("quadratic_weighted_kappa", "brier"):
        assert measures["ci"][key] == pytest.approx(percentile_interval(np.array(slow[key]), 30)), key
    fewer = min(table.loc[table["grade"] >= 2, "group"].nunique(), table.loc[table["grade"] < 2, "group"].nunique())
    assert measures["ci"]["referable_auc"] == pytest.approx(
        average_interval(measures["referable_auc"], np.array(slow["referable_auc"]), fewer)
    )


def test_the_values_are_those_without_intervals(draw_table: Draw) -> None:
    table = draw_table(50, seed=2)
    config = EvaluationConfig(referable_prevalence=0.2, stratify=True)
    measures = measure_with_intervals(table, config, resamples=20)
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures
    assert list(measures.pop("ci")) == [entry.key for entry in TOP_LEVEL.measures]
    assert "within the worst true grade" in measures.pop("ci_method")
    assert measures.pop("bootstrap") == {"seed": 1, "resamples": 20, "stratify": True}
    for section in ("before_calibration", "prediction_sets", "decisions"):
        assert list(measures[section].pop("ci")) == list(measures[section])
    for point in measures["operating_points"].values():
        assert list(point.pop("ci")) == list(point)
    assert measures == measure(table, config)


@pytest.mark.parametrize("stratify", [False, True])
def test_every_value_lies_in_its_interval(draw_table: Draw, stratify: bool) -> None:
    measures = measure_with_intervals(draw_table(150, seed=3), EvaluationConfig(stratify=stratify), resamples=400)
    values, ends = (flat(measures, ends=ends) for ends in (False, True))
    assert len(values) > 60
    for key, value in values.items():
        assert ends[key] is not None, key
        assert ends[key][0] <= value <= ends[key][1], key
        assert ends[key][0] < ends[key][1], key


def test_the_seed_decides_and_nothing_else(draw_table: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    table = draw_table(60, seed=4)
    measures = measure_with_intervals(table, resamples=100)
    other = table.assign(group="z" + table["group"].str[::-1]).sample(frac=1, random_state=0)
    assert measure_with_intervals(other, resamples=100) == measures
    assert measure_with_intervals(table, EvaluationConfig(seed=2), resamples=100)["ci"] != measures["ci"]
    monkeypatch.setattr(intervals, "THREADS", 1)
    assert measure_with_intervals(table, resamples=100) == measures


def test_photos_of_one_patient_are_not_taken_for_independent(draw_table: Draw) -> None:
    """Four copies of a patient's photos tell nothing new; as patients of their own they would halve the interval."""
    table = draw_table(200, seed=5)
    copies = pd.concat([table.assign(file=table["file"] + str(copy)) for copy in range(4)])
    apart = copies.assign(group=copies["group"] + copies["file"].str[-1])
    widths = [
        np.ptp(measure_with_intervals(each, resamples=1000)["ci"][key])
        for key in ("quadratic_weighted_kappa", "accuracy", "referable_auc", "brier")
        for each in (table, copies, apart)
    ]
    for single, copied, separate in np.reshape(widths, (-1, 3)):
        assert copied == pytest.approx(single, rel=0.15)
        assert separate == pytest.approx(single / 2, rel=0.15)


def test_strata_narrow_what_the_mix_of_grades_widens(draw_table: Draw) -> None:
    table = draw_table(100, seed=6)
    free, within = (
        measure_with_intervals(table, EvaluationConfig(stratify=stratify), resamples=1000) for stratify in (False, True)
    )
    # Who is asked about depends on the grade, so part of its spread is the mix of grades.
    assert np.ptp(within["ci"]["area_under_risk_coverage"]) > 0
    asked = [np.ptp(measures["decisions"]["ci"]["asked_fraction"]) for measures in (free, within)]
    assert asked[1] < asked[0]


def graded(pairs: list[tuple[int, int]], groups: list[int] | None = None) -> pd.DataFrame:
    truth, predicted = np.array(pairs).T
    files = np.arange(len(pairs)).astype(str)
    group = files if groups is None else np.array(groups).astype(str)
    return pd.DataFrame({"file": files, "group": group, "grade": truth, "predicted_grade": predicted})


def exact(right: int, of: int) -> Any:
    found = binomtest(right, of).proportion_ci(method="exact")
    return pytest.approx([found.low, found.high])


def test_all_or_none_has_the_exact_interval_of_its_groups() -> None:
    # Seven photos of grade 3 of four patients, all found; eight healthy eyes of eight patients, one of them called ill.
    table = graded([(3, 3)] * 7 + [(0, 0)] * 7 + [(0, 2)], [1, 1, 2, 2, 3, 3, 4, *range(11, 19)])
    ends = measure_with_intervals(table)["ci"]
    assert ends["recall_per_grade"][3] == ends["referable_sensitivity"] == exact(4, 4)
    assert ends["precision_per_grade"][2] == exact(0, 1)
    assert ends["precision_per_grade"][0] == ends["referable_npv"] == exact(7, 7)
    assert ends["recall_per_grade"][1] is None
    stated = measure_with_intervals(table, EvaluationConfig(referable_prevalence=0.1))
    assert stated["referable_npv"] == 1.0
    assert stated["ci"]["referable_npv"] is None


@pytest.mark.parametrize(
    "table",
    [
        graded([(0, 0), (2, 1), (3, 4)], [1, 1, 1]),
        graded([(2, 2), (2, 2)]),
        graded([(0, 1)]),
    ],
    ids=["one group", "one grade", "one photo"],
)
def test_no_variation_means_no_interval(table: pd.DataFrame) -> None:
    measures = measure_with_intervals(table, resamples=200)
    for key in ("quadratic_weighted_kappa", "macro_f1", "mean_absolute_grade_error", "referable_auc"):
        assert measures["ci"][key] is None, key
    if measures["accuracy"] not in (0, 1):
        assert measures["ci"]["accuracy"] is None


def test_a_table_without_probabilities_has_intervals_of_grades_alone(draw_table: Draw) -> None:
    measures = measure_with_intervals(draw_table(50, seed=7)[BARE], resamples=50)
    for key in (entry.key for entry in TOP_LEVEL.measures):
        missing = measures[key] in (None, [None] * 5)
        assert (measures["ci"][key] in (None, [None] * 5)) == missing, key


def test_differences_are_of_the_same_draws(draw_table: Draw) -> None:
    first, second = (draw_table(80, seed=8, rival=rival) for rival in (0.0, 0.6))
    whole = [flat(measure_with_intervals(table, resamples=300), ends=False) for table in (first, second)]
    ends = [flat(measure_with_intervals(table, resamples=300), ends=True) for table in (first, second)]
    itself, found = paired_differences([first, first.sample(frac=1, random_state=1), second], resamples=300)
    assert set(found) == set(whole[0])
    for key, difference in found.items():
        assert difference["difference"] == pytest.approx(whole[1][key] - whole[0][key], abs=1e-12), key
        assert itself[key] == {"difference": pytest.approx(0, abs=1e-12), "ci": None}, key
    (back,) = paired_differences([second, first.sample(frac=1, random_state=2)], resamples=300)
    for key in ("accuracy", "brier", "referable_auc", "expected_calibration_error"):
        assert back[key]["difference"] == pytest.approx(-found[key]["difference"]), key
    # The two models err on the same hard photos, so their difference is known better than either.
    for key in ("brier", "negative_log_likelihood", "referable_auc"):
        assert np.ptp(found[key]["ci"]) < min(np.ptp(each[key]) for each in ends), key


def test_differences_of_what_only_one_table_holds(draw_table: Draw) -> None:
    first, second = draw_table(40, seed=9), draw_table(40, seed=9, rival=0.6)
    (found,) = paired_differences([first, second[BARE]], resamples=20)
    assert set(found) == set(paired_differences([first[BARE], second[BARE]], resamples=20)[0])
    never = second.assign(predicted_grade=0)
    (undefined,) = paired_differences([first, never], resamples=20)
    assert undefined["precision_per_grade.4"] == {"difference": None, "ci": None}


def held(ends: list[float], true: float) -> bool:
    return ends[0] <= true <= ends[1]


MIXES: dict[str, dict[str, Any]] = {"usual": {}, "rare": {"mix": (0.73, 0.07, 0.15, 0.03, 0.02)}}
"""How grades are shared out; in the second one as in screening, where of 100 patients about three have grade 4."""


@pytest.fixture(scope="module")
def truth(draw_table: Draw) -> Callable[..., dict[str, float]]:
    """True values, which so many patients that chance hardly matters give."""

    @cache
    def values(rival: float = 0.0, mix: str = "usual") -> dict[str, float]:
        table = draw_table(60_000, seed=10**6, rival=rival, **MIXES[mix])
        return flat(measure_with_intervals(table, resamples=8), ends=False)

    return values


class Held:
    """Counts, for every measure, the data sets whose interval holds the true value."""

    def __init__(self) -> None:
        self.held: dict[str, list[bool]] = {}
        self.missing: dict[str, int] = {}

    def add(self, key: str, ends: list[float] | None, value: float | None, true: float) -> None:
        if ends is not None:
            self.held.setdefault(key, []).append(held(ends, true))
        elif value is not None:
            self.missing[key] = self.missing.get(key, 0) + 1

    def too_rarely(self, least: dict[str, float], otherwise: float) -> dict[str, float]:
        """The measures held so rarely that chance alone does not explain it: two and a half standard deviations."""
        found = {}
        for key, each in self.held.items():
            share = least.get(key, otherwise)
            if np.mean(each) < share - 2.5 * np.sqrt(share * (1 - share) / len(each)):
                found[key] = float(np.mean(each))
        return found

    def too_often_without(self, least: dict[str, float], otherwise: float) -> dict[str, float]:
        """The measures that have a value and no interval in more than a share of the data sets."""
        shares = {key: count / (count + len(self.held.get(key, ()))) for key, count in self.missing.items()}
        return {key: share for key, share in shares.items() if share > least.get(key, otherwise)}


LEAST = {
    "expected_calibration_error": 0.80,
    "before_calibration.expected_calibration_error": 0.90,
    "negative_log_likelihood": 0.92,
    "before_calibration.negative_log_likelihood": 0.92,
    "quadratic_weighted_kappa": 0.92,
    "one_vs_rest_auc.3": 0.92,
    "one_vs_rest_auc.4": 0.88,
}
"""How often an interval holds the true value at the least, as `LEVEL` tells: the calibration error leans upwards, one
photo can carry the likelihood, kappa leans where severe grades are rare, and so do areas near 1 of few patients."""

MIN_OTHERS = 0.94

WITHOUT = {f"one_vs_rest_auc.{grade}": share for grade, share in enumerate([0.02, 0.1, 0.02, 0.1, 0.35])}
"""How often a value may have no interval: an area of exactly 1, which the rarest of grades often has."""

OF_FEW = {
    "decisions.decided_error_fraction": 0.80,
    **{f"operating_points.{name}.npv": 0.76 for name in ("youden", "cost_2.5")},
    **dict.fromkeys(("any_dr_npv", "precision_per_grade.0"), 0.88),
}
"""How often the interval of a difference holds it, where it rests on a handful of wrong photos."""


@pytest.mark.parametrize(
    ("mix", "groups", "sets", "columns"),
    [
        pytest.param("usual", 60, 250, slice(None), id="usual mix"),
        pytest.param("rare", 100, 600, BARE, marks=[pytest.mark.slow, pytest.mark.sample], id="rare grades"),
    ],
)
def test_intervals_hold_the_true_value(
    draw_table: Draw, truth: Callable[..., dict[str, float]], mix: str, groups: int, sets: int, columns: Any
) -> None:
    """For patients of one to three photos that resemble each other; what grades alone measure is cheap."""
    true, found = truth(mix=mix), Held()
    for seed in range(sets):
        table = draw_table(groups, seed=seed, **MIXES[mix]).loc[:, columns]
        measures = measure_with_intervals(table, resamples=250)
        values, ends = (flat(measures, ends=ends) for ends in (False, True))
        for key, value in values.items():
            found.add(key, ends[key], value, true[key])
    assert {"aca", "macro_f1", "quadratic_weighted_kappa", "recall_per_grade.4"} <= set(found.held)
    assert found.too_rarely(LEAST, MIN_OTHERS) == {}
    assert found.too_often_without(WITHOUT, 0.02) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("mix", "groups"), [("usual", 30), ("usual", 150), ("rare", 100), ("rare", 400)])
def test_every_interval_holds_the_true_value(
    draw_table: Draw, truth: Callable[..., dict[str, float]], mix: str, groups: int
) -> None:
    true, found = truth(mix=mix), Held()
    for seed in range(800):
        measures = measure_with_intervals(draw_table(groups, seed=seed, **MIXES[mix]), resamples=500)
        values, ends = (flat(measures, ends=ends) for ends in (False, True))
        for key, value in values.items():
            found.add(key, ends[key], value, true[key])
    assert len(found.held) > 65
    assert found.too_rarely(LEAST, MIN_OTHERS) == {}
    assert found.too_often_without(WITHOUT, 0.06) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("mix", "groups"), [("usual", 30), ("usual", 150), ("rare", 100)])
def test_intervals_of_differences_hold_the_true_difference(
    draw_table: Draw, truth: Callable[..., dict[str, float]], mix: str, groups: int
) -> None:
    true, other, found = truth(mix=mix), truth(0.6, mix=mix), Held()
    for seed in range(600):
        tables = [draw_table(groups, seed=seed, rival=rival, **MIXES[mix]) for rival in (0.0, 0.6)]
        for key, each in paired_differences(tables, resamples=500)[0].items():
            found.add(key, each["ci"], each["difference"], other[key] - true[key])
    # Where two models nearly agree, not every data set has an interval.
    found.held = {key: each for key, each in found.held.items() if len(each) > 300}
    assert len(found.held) > 55
    assert found.too_rarely(OF_FEW, 0.91) == {}


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(6, 2, 8, 5, 4), (20, 7, 27, 16, 13)])
def test_stratified_intervals_hold_the_true_value(draw_table: Draw, counts: tuple[int, ...]) -> None:
    """Where every data set has as many patients of each worst grade, as stratified draws take it."""
    table = draw_table(60_000, seed=77)
    rows = table.groupby("group").indices
    worst = table.groupby("group")["grade"].max()
    names = [worst.index[worst == grade].to_numpy() for grade in range(5)]
    random, config, found = np.random.default_rng(0), EvaluationConfig(stratify=True), Held()

    def draw(times: int) -> pd.DataFrame:
        drawn = [random.choice(names[grade], times * count, replace=False) for grade, count in enumerate(counts)]
        return table.iloc[np.concatenate([rows[name] for name in np.concatenate(drawn)])]

    most = min(len(each) // count for each, count in zip(names, counts, strict=True))
    true = flat(measure_with_intervals(draw(most), resamples=8), ends=False)
    for _ in range(600):
        measures = measure_with_intervals(draw(1), config, resamples=400)
        values, ends = (flat(measures, ends=ends) for ends in (False, True))
        for key, value in values.items():
            found.add(key, ends[key], value, true[key])
    assert found.too_rarely(LEAST | {"quadratic_weighted_kappa": 0.91, "brier": 0.92}, MIN_OTHERS) == {}


@pytest.mark.sample
def test_intervals_are_not_simply_wide(draw_table: Draw, truth: Callable[..., dict[str, float]]) -> None:
    """Where copies are taken for patients they are too narrow, and what is far from the truth lies outside."""
    kappa = truth()["quadratic_weighted_kappa"]
    apart = far = 0
    for seed in range(60):
        table = draw_table(60, seed=seed)[BARE]
        far += held(measure_with_intervals(table, resamples=200)["ci"]["quadratic_weighted_kappa"], kappa - 0.2)
        copies = pd.concat([table.assign(file=table["file"] + str(copy)) for copy in range(4)])
        ends = measure_with_intervals(copies.assign(group=copies["file"]), resamples=200)["ci"]
        apart += held(ends["quadratic_weighted_kappa"], kappa)
    assert apart < 48
    assert far < 15
