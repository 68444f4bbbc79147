"""Rules fitted on some groups keep their promises for new ones; simulations with known truth show how well."""

import dataclasses
import itertools
import math
import tracemalloc
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import roc_curve

from biranet.decisions.fit import check_disjoint, conformal_quantile, fit_rules, min_cost_threshold
from biranet.decisions.predictions import read_predictions, write_predictions
from biranet.decisions.rules import (
    REFER_ALL,
    REFER_NONE,
    Rules,
    apply_rules,
    decide,
    raw_probabilities,
)
from biranet.errors import InputError, RefusedError

Decoder = Literal["argmax", "expected_grade"]


def draw(groups: int, seed: int, *, sharpness: float = 1.0) -> pd.DataFrame:
    """Predictions for groups of 1 to 8 photos that resemble each other; the larger a group, the worse the model."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 9, size=groups)
    group = np.repeat(np.arange(groups), sizes)
    severity = random.choice(5, size=groups, p=[0.34, 0.12, 0.28, 0.15, 0.11])[group]
    grades = np.clip(severity + random.choice([-1, 0, 1], size=len(group), p=[0.1, 0.8, 0.1]), 0, 4)
    bias = (random.normal(0, 0.6, size=groups) * (1 + sizes / 8))[group]
    seen = grades + bias + random.normal(0, 0.6, size=len(group))
    logits = -((seen[:, None] - np.arange(5)) ** 2) / 2 + random.normal(0, 0.5, size=(len(group), 5))
    return as_table(softmax(sharpness * logits, axis=1), grades, group)


def as_table(shares: npt.NDArray[np.float64], grades: npt.ArrayLike, groups: npt.ArrayLike) -> pd.DataFrame:
    names = [f"{seat}.png" for seat in range(len(shares))]
    columns = {f"p{grade}": shares[:, grade] for grade in range(5)}
    fixed = {"file": names, "group": np.asarray(groups).astype(str), "grade": np.asarray(grades, np.int64)}
    return pd.DataFrame({**fixed, "predicted_grade": shares.argmax(axis=1), **columns})


def mean_of_groups(true: npt.NDArray[np.bool_], table: pd.DataFrame, where: npt.NDArray[np.bool_]) -> float:
    """The share that is true for a photo drawn at random from a group drawn at random."""
    return float(pd.Series(true[where].astype(float)).groupby(table["group"].to_numpy()[where]).mean().mean())


def test_what_is_fitted() -> None:
    table = draw(60, seed=1, sharpness=3.0)
    rules = fit_rules(table)
    assert [point.name for point in rules.operating_points] == ["sensitivity_90", "specificity_90", "youden", "cost_5"]
    assert rules.temperature > 1.5
    assert rules.decoder == "argmax"
    assert rules.grade_thresholds is None
    assert rules.set_threshold is not None
    assert 0 < rules.set_threshold < 1
    assert all(0 < point.threshold < 1 for point in rules.operating_points)
    assert rules.fitted_on == f"{len(table)} photos in 60 groups"
    other = fit_rules(table, decoder="expected_grade", cost_of_missed=2.5)
    assert other.decoder == "expected_grade"
    assert other.grade_thresholds is not None
    assert other.operating_points[3].name == "cost_2.5"
    assert other.operating_points[:3] == rules.operating_points[:3]


def test_neither_order_nor_names_nor_predicted_grades_matter() -> None:
    table = draw(40, seed=2)
    rules = fit_rules(table, decoder="expected_grade")
    other = table.assign(predicted_grade=0, group=[f"z{99 - int(group)}" for group in table["group"]], mood="good")
    found = fit_rules(other.sample(frac=1, random_state=0), decoder="expected_grade")
    assert found.temperature == pytest.approx(rules.temperature, rel=1e-9)
    assert found.set_threshold == pytest.approx(rules.set_threshold, rel=1e-6)
    assert found.grade_thresholds == pytest.approx(rules.grade_thresholds, rel=1e-6)
    for ours, theirs in zip(rules.operating_points, found.operating_points, strict=True):
        assert theirs.threshold == pytest.approx(ours.threshold, rel=1e-6)


def test_one_long_name_of_a_group_costs_its_own_length_only() -> None:
    """Text of one width for all photos would make 120 MB of the 300 photos, and of more photos more than there is."""
    table = draw(70, seed=2)[:300]
    named = table.assign(group=table["group"].replace("0", "z" * 100_000))
    tracemalloc.start()
    found = fit_rules(named, decoder="expected_grade")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000
    assert found == fit_rules(table, decoder="expected_grade")


def test_rules_fitted_again_from_their_own_file_are_the_same(tmp_path: Path) -> None:
    """A temperature that was applied is undone, and the digits of a file are enough."""
    rules = fit_rules(draw(40, seed=3, sharpness=2.0))
    answered = apply_rules(draw(40, seed=3, sharpness=2.0), rules)
    write_predictions(tmp_path / "predictions.csv", answered)
    found = fit_rules(read_predictions(tmp_path / "predictions.csv"))
    assert found.temperature == pytest.approx(rules.temperature, rel=1e-6)
    again = apply_rules(answered, found)
    for column in ("decision", "lowest_grade", "highest_grade", *(name for name in again if name.startswith("refer_"))):
        assert again[column].tolist() == answered[column].tolist(), column


def written_out_quantile(scores: list[int], groups: list[int]) -> float:
    """Exact shares: each group, and a new one at infinity, weighs as much as any other."""
    share = Fraction(1, len(set(groups)) + 1)
    for candidate in sorted(set(scores)):
        weight = sum(
            share / groups.count(group) for score, group in zip(scores, groups, strict=True) if score <= candidate
        )
        if weight >= Fraction(9, 10):
            return candidate
    return math.inf


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 25)), min_size=1, max_size=80))
def test_the_quantile_is_the_written_out_one(photos: list[tuple[int, int]]) -> None:
    scores, groups = (list(column) for column in zip(*photos, strict=True))
    assert conformal_quantile(np.array(scores, np.float64), groups) == written_out_quantile(scores, groups)


@pytest.mark.parametrize("photos", [9, 10, 19, 29, 50, 99, 1000])
def test_single_photos_give_the_ordinary_split_conformal_quantile(photos: int) -> None:
    scores = np.random.default_rng(photos).random(photos)
    assert conformal_quantile(scores, np.arange(photos)) == np.sort(scores)[math.ceil(0.9 * (photos + 1)) - 1]


def test_eight_groups_promise_nothing_and_copies_tell_nothing_new() -> None:
    scores = np.arange(8.0)
    assert conformal_quantile(scores, np.arange(8)) == math.inf
    assert conformal_quantile(np.repeat(scores, 50), np.repeat(np.arange(8), 50)) == math.inf
    scores = np.random.default_rng(0).random(40)
    copies = np.repeat(scores, 3), np.repeat(np.arange(40), 3)
    assert conformal_quantile(*copies) == conformal_quantile(scores, np.arange(40))


scored = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 1.0]), st.booleans()), min_size=1, max_size=40)


@given(scored, st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_threshold_costs_less(photos: list[tuple[float, bool]], cost_of_missed: float, needless_cost: float) -> None:
    score, referable = (np.array(column) for column in zip(*photos, strict=True))

    def cost(threshold: float) -> float:
        return sum(
            cost_of_missed if ill and value < threshold else needless_cost if not ill and value >= threshold else 0.0
            for value, ill in photos
        )

    found = min_cost_threshold(score, referable, cost_of_missed, needless_cost)
    costs = {threshold: cost(threshold) for threshold in (REFER_ALL, 0.05, 0.15, 0.4, 0.55, 0.8, REFER_NONE)}
    assert cost(found) == pytest.approx(min(costs.values()), abs=1e-6)
    # Of equals the one that refers most.
    most = min(threshold for threshold, each in costs.items() if each <= min(costs.values()) + 1e-6)
    assert (score >= found).tolist() == (score >= most).tolist()


@pytest.mark.parametrize("lowest", [0, 1])
def test_youden_is_the_top_of_the_roc_curve(lowest: int) -> None:
    """Whatever the mix of grades: without grade 0 five times as many photos are referable as not."""
    table = draw(80, seed=4)
    table = table[table["grade"] >= lowest]
    answers = decide(raw_probabilities(table), fit_rules(table))
    referable = table["grade"].to_numpy() >= 2
    false, true, _ = roc_curve(referable, answers.probabilities[:, 2:].sum(axis=1))
    chosen = answers.referred["youden"]
    assert chosen[referable].mean() - chosen[~referable].mean() == pytest.approx((true - false).max(), abs=1e-12)


def test_a_dearer_miss_refers_more() -> None:
    table = draw(80, seed=5)
    found = [
        fit_rules(table, cost_of_missed=cost).operating_points[3].threshold for cost in (0.1, 0.5, 1, 2, 5, 20, 100)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def promised(right: npt.NDArray[np.bool_], table: pd.DataFrame, where: npt.NDArray[np.bool_]) -> float:
    """How often it is right for the groups of a table and a new one, if it is wrong for the new one."""
    groups = table["group"][where].nunique()
    return mean_of_groups(right, table, where) * groups / (groups + 1)


@pytest.mark.parametrize("seed", range(6))
def test_the_points_are_the_furthest_that_keep_the_promise(seed: int) -> None:
    table = draw(30, seed)
    rules = fit_rules(table)
    score = decide(raw_probabilities(table), rules).probabilities[:, 2:].sum(axis=1)
    ill = table["grade"].to_numpy() >= 2
    sensitive, specific = (point.threshold for point in rules.operating_points[:2])
    further = score[score >= sensitive].min(), score[score < specific].max()
    assert promised(score >= sensitive, table, ill) >= 0.9 > promised(score > further[0], table, ill)
    assert promised(score < specific, table, ~ill) >= 0.9 > promised(score < further[1], table, ~ill)


@pytest.mark.parametrize("decoder", ["argmax", "expected_grade"])
@pytest.mark.parametrize("seed", range(6))
def test_the_sets_are_the_smallest_that_keep_the_promise(seed: int, decoder: Decoder) -> None:
    table = draw(30, seed, sharpness=2.0)
    table["grade"] = np.minimum(table["grade"] + 1, 4)  # so that the two decoders give other grades
    grades, everyone = table["grade"].to_numpy(), np.ones(len(table), dtype=bool)
    rules = fit_rules(table, decoder=decoder)
    assert rules.set_threshold is not None

    def holds(threshold: float) -> npt.NDArray[np.bool_]:
        answers = decide(raw_probabilities(table), dataclasses.replace(rules, set_threshold=threshold))
        return (answers.lowest <= grades) & (grades <= answers.highest)

    assert promised(holds(rules.set_threshold), table, everyone) >= 0.9
    assert promised(holds(rules.set_threshold - 1e-8), table, everyone) < 0.9


@pytest.mark.parametrize("parts", [5, 10, 20])
def test_coarse_probabilities_keep_the_promise(parts: int) -> None:
    """Sums of 0.1 and 0.2 differ by rounding, and photos with one score must stay together."""
    random = np.random.default_rng(parts)
    grades = np.repeat([0, 3], 60)
    counts = np.array([random.multinomial(parts, row) for row in np.eye(5)[grades] * 0.4 + 0.12])
    table = as_table(counts / parts, grades, np.arange(120))
    rules = fit_rules(table)
    answers = decide(raw_probabilities(table), rules)
    ill = grades >= 2
    assert answers.referred["sensitivity_90"][ill].sum() >= 0.9 * 61
    assert (~answers.referred["specificity_90"][~ill]).sum() >= 0.9 * 61
    assert ((answers.lowest <= grades) & (grades <= answers.highest)).sum() >= 0.9 * 121
    # Exchanging probabilities among the referable grades, or among the others, leaves a score as it is.
    kinds = pd.Series([str((sorted(row[:2]), sorted(row[2:]))) for row in counts.tolist()])
    assert kinds.nunique() < len(table)
    for referred in answers.referred.values():
        assert (pd.Series(referred).groupby(kinds).nunique() == 1).all()


@pytest.mark.parametrize("few", ["referable", "others"])
@pytest.mark.parametrize("groups", [8, 9])
def test_points_that_too_few_groups_can_promise_are_not_fitted(few: str, groups: int) -> None:
    truth = np.repeat([0, 3] if few == "referable" else [3, 0], [30, groups])
    random = np.random.default_rng(0)
    table = as_table(random.dirichlet(np.ones(5) + 3 * np.eye(5)[0], len(truth)), truth, np.arange(len(truth)))
    rules = fit_rules(table)
    assert bool(rules.operating_points) == (groups == 9)
    assert rules.set_threshold is not None
    if groups == 8:
        counts = "8 and 30" if few == "referable" else "30 and 8"
        assert any("of 9 groups (patients)" in doubt and counts in doubt for doubt in rules.doubts)
        assert "ask a human" not in decide(raw_probabilities(table), rules).decisions


def test_rules_that_few_photos_cannot_show_are_doubted() -> None:
    truth = np.tile([0, 1, 2, 3, 4], 8)
    sure = np.eye(5)[truth] * 0.8 + 0.04
    assert any("bound of 0.05" in doubt for doubt in fit_rules(as_table(sure, truth, np.arange(40))).doubts)
    worthless = np.eye(5)[(truth + 1 + np.repeat(np.arange(8) % 4, 5)) % 5] * 0.8 + 0.04
    doubts = fit_rules(as_table(worthless, truth, np.arange(40))).doubts
    assert any("bound of 20" in doubt for doubt in doubts)
    assert any("hardly agree with the truth" in doubt for doubt in doubts)
    assert fit_rules(draw(200, seed=1)).doubts == ()


def test_of_nine_groups_the_worst_decides() -> None:
    right = as_table(np.eye(5)[[0, 1, 2, 3, 4, 0, 1, 2, 3]] * 0.8 + 0.04, [0, 1, 2, 3, 4, 0, 1, 2, 3], np.arange(9))
    assert fit_rules(right).set_threshold == pytest.approx(0, abs=1e-6)
    wrong = right.assign(grade=[4, 1, 2, 3, 4, 0, 1, 2, 3])
    answers = decide(raw_probabilities(wrong), fit_rules(wrong))
    assert (answers.lowest[0], answers.highest[0]) == (0, 4)


def enough_for_points(table: pd.DataFrame) -> bool:
    """Whether nine groups have referable photos, and nine others: fewer cannot promise 9 in 10."""
    return min(table["group"][chosen].nunique() for chosen in (table["grade"] >= 2, table["grade"] < 2)) >= 9


def simulate(groups: int, repeats: int, decoder: Decoder, sharpness: float) -> dict[str, npt.NDArray[np.float64]]:
    """Fit rules on some groups and look at others: `repeats` times for the sets, and as often for the points.

    Points are promised to no one but those whose calibration part has enough groups of both kinds. So for them it is
    drawn until as many parts have enough; the sets are promised for every part, so they are those of the first parts.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for seed in itertools.count():
        if seed >= repeats and len(found["sensitivity"]) == repeats:
            break
        calibration = draw(groups, seed, sharpness=sharpness)
        enough = enough_for_points(calibration)
        if seed >= repeats and not enough:
            continue
        rules = fit_rules(calibration, decoder=decoder)
        assert bool(rules.operating_points) == enough
        table = draw(400, 10_000 + seed, sharpness=sharpness)
        answers = decide(raw_probabilities(table), rules)
        grades = table["grade"].to_numpy()
        referable, all_photos = grades >= 2, np.ones(len(grades), dtype=bool)
        if seed < repeats:
            inside = (answers.lowest <= grades) & (grades <= answers.highest)
            found["coverage"].append(mean_of_groups(inside, table, all_photos))
            found["set size"].append(float((answers.highest - answers.lowest + 1).mean()))
            found["enough"].append(enough)
        if enough:
            found["sensitivity"].append(mean_of_groups(answers.referred["sensitivity_90"], table, referable))
            found["specificity"].append(mean_of_groups(~answers.referred["specificity_90"], table, ~referable))
            found["missed"].append(mean_of_groups(answers.decisions == "do not refer", table, referable))
            found["needless"].append(mean_of_groups(answers.decisions == "refer", table, ~referable))
            found["asked"].append(float((answers.decisions == "ask a human").mean()))
    return {name: np.array(values) for name, values in found.items()}


def check_promises(found: dict[str, npt.NDArray[np.float64]]) -> None:
    """Allow three standard errors of the simulation, nothing else."""
    error = {name: 3 * values.std(ddof=1) / math.sqrt(len(values)) for name, values in found.items()}
    for name in ("coverage", "sensitivity", "specificity"):
        assert found[name].mean() >= 0.90 - error[name], name
    for name in ("missed", "needless"):
        assert found[name].mean() <= 0.10 + error[name], name


def test_promises_hold_for_new_groups() -> None:
    found = simulate(40, 120, "argmax", 1.0)
    check_promises(found)
    assert found["enough"].all()
    # Not by promising everything: 40 groups leave little room above 90 %, and sets hold fewer than all grades.
    for name in ("coverage", "sensitivity", "specificity"):
        assert found[name].mean() < 0.95, name
    assert found["asked"].mean() < 0.45
    assert found["set size"].mean() < 3.2


def covered(table: pd.DataFrame, rules: Rules) -> float:
    answered = apply_rules(table, rules)
    inside = table["grade"].between(answered["lowest_grade"], answered["highest_grade"]).to_numpy()
    return mean_of_groups(inside, table, np.ones(len(table), dtype=bool))


def test_sets_around_the_grades_of_another_program_hold_too() -> None:
    """A program that gives a grade below the most probable one: its sets must be fitted around its grades."""
    held = []
    for seed in range(60):
        tables = [draw(groups, seed + groups, sharpness=2.0) for groups in (60, 400)]
        calibration, new = (each.assign(predicted_grade=(each["predicted_grade"] - 1).clip(0)) for each in tables)
        held.append(covered(new, fit_rules(calibration, keep_grades=True)))
    assert 0.90 - 3 * np.std(held) / math.sqrt(60) <= np.mean(held) < 0.95
    # Where the most probable grade is right 96 times in 100, a set around it need hold no other grade.
    graded = np.arange(100) % 5
    truth = np.where(np.arange(100) % 25 == 3, (graded + 2) % 5, graded)
    table = as_table(np.eye(5)[graded] * 0.8 + 0.04, truth, np.arange(100))
    low = table.assign(predicted_grade=np.maximum(graded - 1, 0))
    assert covered(table, fit_rules(table)) == 0.96
    assert covered(low, fit_rules(low, keep_grades=True)) >= 0.96
    assert covered(low, fit_rules(low)) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["argmax", "expected_grade"])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("groups", [15, 40, 150])
def test_promises_hold_for_many_models(decoder: Decoder, sharpness: float, groups: int) -> None:
    found = simulate(groups, 200, decoder, sharpness)
    check_promises(found)
    # Of the first 200, few have points where there are 15 groups; 200 that do are looked at all the same.
    assert found["enough"].sum() == {15: 19, 40: 200, 150: 200}[groups]
    assert {len(values) for values in found.values()} == {200}


def test_counting_photos_instead_of_groups_would_break_the_promise() -> None:
    """Three groups of 40 easy photos and 27 single hard ones: easy photos must not outvote hard groups."""
    held: dict[str, list[float]] = {"groups": [], "photos": []}
    for seed in range(300):
        random = np.random.default_rng(seed)
        sizes = np.repeat([40, 1], [3, 27])
        groups = np.repeat(np.arange(30), sizes)
        scores = random.random(len(groups)) + np.repeat(sizes == 1, sizes)
        for way, names in (("groups", groups), ("photos", np.arange(len(groups)))):
            limit = conformal_quantile(scores, names)
            # A new group is easy once in ten times.
            held[way].append(0.1 * np.clip(limit, 0, 1) + 0.9 * np.clip(limit - 1, 0, 1))
    assert np.mean(held["groups"]) >= 0.90 - 3 * np.std(held["groups"]) / math.sqrt(300)
    assert np.mean(held["photos"]) < 0.75


def healthy(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["grade"] < 2]


def with_nan(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(p2=table["p2"].where(table.index != 7))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop(columns=["p0", "p1", "p2", "p3", "p4"]), "hold no probabilities"),
        (lambda table: table.drop(columns=["p3"]), "'p3'"),
        (healthy, "none of them is referable; give photos of more patients"),
        (lambda table: table[table["grade"] >= 2], "all of them are referable"),
        (lambda table: table[table["group"].astype(int) < 8], "photos of at least 9 groups .* are of 8;"),
        (lambda table: table.iloc[:0], "no rows"),
        (with_nan, "row 7, column 'p2'"),
        (lambda table: table.assign(p2=table["p2"].astype(str)), "row 0, column 'p2': '0.* is text, not a number"),
        (lambda table: table.assign(p1=0.5), "they sum to"),
        (lambda table: table.assign(grade=5), "column 'grade': '5'"),
        (lambda table: table.assign(file="one.png"), "column 'file': 'one.png'"),
    ],
)
def test_tables_that_fit_nothing_are_refused(change: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fit_rules(change(draw(30, seed=8)))
    with pytest.raises(InputError, match=f"^folds.csv(:|,| has) .*{sentence}"):
        fit_rules(change(draw(30, seed=8)), origin="folds.csv")


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf])
def test_a_cost_must_be_above_0(cost: float) -> None:
    with pytest.raises(InputError, match="cost of a missed photo must be a number above 0"):
        fit_rules(draw(30, seed=8), cost_of_missed=cost)


def test_photos_and_groups_of_the_calibration_part_are_not_measured() -> None:
    table = draw(30, seed=9).assign(sha256=lambda photos: "hash of " + photos["file"])
    few = table[table["group"].astype(int) < 15]
    rest = table[~table["file"].isin(few["file"])]
    check_disjoint(few, rest)
    check_disjoint(few, rest.assign(sha256=""))
    check_disjoint(few.assign(sha256=""), rest.assign(sha256=""))
    photo, group, digest = few[["file", "group", "sha256"]].iloc[0]
    for column, value in (("file", photo), ("group", group), ("sha256", digest)):
        shared = rest.copy()
        shared.loc[shared.index[3], column] = value
        where = f"photo '{shared['file'].iloc[3]}', column '{column}': '{value}' stands in"
        with pytest.raises(RefusedError, match=f"^the table to measure, {where} the calibration table too, so"):
            check_disjoint(few, shared)
        with pytest.raises(RefusedError, match=f"^new.csv, {where} old.csv too, so"):
            check_disjoint(few, shared, calibration_origin="old.csv", measured_origin="new.csv")
    check_disjoint(few.drop(columns="sha256"), rest)
