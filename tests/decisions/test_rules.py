"""Probabilities become answers by rules that keep their promises whatever the numbers are."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import TypeAdapter, ValidationError
from scipy.special import log_softmax, softmax

from biranet.decisions.columns import DECISION_COLUMNS
from biranet.decisions.predictions import read_predictions, write_predictions
from biranet.decisions.rules import (
    FULL_SET,
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    REFER_ALL,
    REFER_NONE,
    OperatingPoint,
    Rules,
    apply_rules,
    apply_temperature,
    conformal_scores,
    decide,
    decision_columns,
    decode,
    expected_grade,
    raw_probabilities,
)
from biranet.errors import InputError

Shares = npt.NDArray[np.float32]

weights = npst.arrays(np.float32, (6, 5), elements=st.sampled_from([0, 1e-30, 1e-6, 0.01, 0.1, 0.25, 0.5, 1]))
"""Few different values, so that equals and zeros come often; the first grade below makes each row's sum positive."""

shares = weights.map(lambda drawn: drawn + np.float32([0.01, 0, 0, 0, 0])).map(lambda row: row / row.sum(1)[:, None])

temperatures = st.floats(0.05, 20)
thresholds = st.floats(0, 1)


def points(sensitive: float, specific: float, **others: float) -> tuple[OperatingPoint, ...]:
    named = {"sensitivity_90": sensitive, "specificity_90": specific, **others}
    return tuple(OperatingPoint(name, threshold) for name, threshold in named.items())


FITTED = Rules(
    temperature=1.7,
    operating_points=points(0.3, 0.6, youden=0.45, **{"cost_2.5": 0.2}),
    set_threshold=0.75,
    fitted_on="42 photos in 35 groups",
)


def table(raw: Shares) -> pd.DataFrame:
    names = [f"photo{number}.png" for number in range(len(raw))]
    columns = {f"p{grade}": raw[:, grade].astype(np.float64) for grade in range(5)}
    return pd.DataFrame(
        {"file": names, "group": names, "grade": 1, "predicted_grade": raw.argmax(axis=1), **columns, "camera": "A"}
    )


def random_shares(photos: int, seed: int = 0) -> Shares:
    return np.random.default_rng(seed).dirichlet(np.full(5, 0.5), size=photos).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 1.3, 20.0])
def test_a_temperature_divides_the_logits(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 3, size=(200, 5))
    found = apply_temperature(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(np.log(found), log_softmax(logits / temperature, axis=1), rtol=1e-9, atol=1e-9)


@given(shares, temperatures)
def test_a_temperature_keeps_the_order_and_the_sum(raw: Shares, temperature: float) -> None:
    calibrated = apply_temperature(raw, temperature)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-12)
    order = np.argsort(raw, axis=1)
    assert (np.diff(np.take_along_axis(calibrated, order, axis=1), axis=1) >= 0).all()
    assert (calibrated[raw == 0] == 0).all()


@given(shares, temperatures, temperatures)
def test_a_higher_temperature_is_less_sure(raw: Shares, one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert (apply_temperature(raw, low).max(1) >= apply_temperature(raw, high).max(1) - 1e-12).all()


@given(shares, temperatures)
def test_no_temperature_changes_the_most_probable_grade(raw: Shares, temperature: float) -> None:
    plain = [max(range(5), key=lambda grade: (row[grade], -grade)) for row in raw.tolist()]
    for given_as in (raw, raw.astype(np.float64)):
        assert decide(given_as, Rules(temperature=temperature)).grades.tolist() == plain


def test_equal_probabilities_give_the_lower_grade() -> None:
    raw = np.array([[0.2] * 5, [0.1, 0.4, 0.0, 0.4, 0.1], [0, 0, 0, 0, 1]], dtype=np.float32)
    assert decode(raw, Rules()).tolist() == [0, 1, 4]
    assert decode(raw, Rules(temperature=3.7)).tolist() == [0, 1, 4]
    assert decode(raw[1], Rules()).tolist() == 1


def test_the_expected_grade_is_that_of_the_calibrated_probabilities() -> None:
    raw, cuts = random_shares(500), (1.2, 1.7, 2.2, 2.6)
    rules = Rules(temperature=2.0, decoder="expected_grade", grade_thresholds=cuts)
    flat = np.sqrt(raw.astype(np.float64))
    mean = (flat / flat.sum(1)[:, None]) @ [0, 1, 2, 3, 4]
    np.testing.assert_allclose(expected_grade(apply_temperature(raw, 2.0)), mean, atol=1e-12)
    found = decode(raw, rules)
    assert found.tolist() == [sum(value >= cut for cut in cuts) for value in mean]
    assert set(found) == {0, 1, 2, 3, 4}
    assert (np.diff(found[np.argsort(mean)]) >= 0).all()
    assert found.tolist() == decide(raw, rules).grades.tolist()


def test_a_threshold_belongs_to_the_higher_grade() -> None:
    rules = Rules(decoder="expected_grade", grade_thresholds=(0.5, 1.0, 1.0, 4.0))
    assert decode(np.eye(5), rules).tolist() == [0, 3, 3, 3, 4]


def grown_slowly(row: list[float], start: int, threshold: float) -> list[int]:
    """The prediction set of one photo, written out."""
    inside, gathered = [start], row[start]
    while gathered <= threshold and len(inside) < 5:
        neighbours = [grade for grade in (inside[-1] + 1, inside[0] - 1) if grade in range(5)]
        likelier = max(neighbours, key=lambda grade: row[grade])
        inside, gathered = sorted([*inside, likelier]), gathered + row[likelier]
    return inside


@given(shares, thresholds, st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_sets_are_neighbouring_grades_around_the_grade(raw: Shares, threshold: float, start: list[int]) -> None:
    exact = apply_temperature(raw, 1.0)
    answers = decide(exact, Rules(set_threshold=threshold), np.array(start))
    before = conformal_scores(answers.probabilities, np.array(start))
    assert (before[np.arange(6), start] == 0).all()
    for row, (low, high) in enumerate(zip(answers.lowest.tolist(), answers.highest.tolist(), strict=True)):
        assert 0 <= low <= start[row] <= high <= 4
        assert list(range(low, high + 1)) == grown_slowly(answers.probabilities[row].tolist(), start[row], threshold)
        assert np.flatnonzero(before[row] <= threshold).tolist() == list(range(low, high + 1))


@given(shares, thresholds, thresholds)
def test_a_higher_set_threshold_only_adds_grades(raw: Shares, one: float, other: float) -> None:
    low, high = (decide(raw, Rules(set_threshold=threshold)) for threshold in sorted([one, other]))
    assert (high.lowest <= low.lowest).all()
    assert (high.highest >= low.highest).all()


def test_the_ends_of_the_set_threshold() -> None:
    raw = random_shares(300)
    smallest, largest = decide(raw, Rules(set_threshold=0.0)), decide(raw, Rules(set_threshold=FULL_SET))
    assert (smallest.lowest == smallest.highest).all()
    assert set(largest.lowest) == {0}
    assert set(largest.highest) == {4}
    without = decide(raw, Rules())
    assert (without.lowest == without.grades).all()
    assert (without.highest == without.grades).all()


@pytest.mark.parametrize(
    ("sensitive", "specific", "score", "grade", "decision"),
    [
        (0.3, 0.6, 0.2, 1, "do not refer"),
        (0.3, 0.6, 0.2, 2, "ask a human"),
        (0.3, 0.6, 0.3, 1, "ask a human"),
        (0.3, 0.6, 0.59, 2, "ask a human"),
        (0.3, 0.6, 0.6, 2, "refer"),
        (0.3, 0.6, 0.6, 1, "ask a human"),
        # The promises overlap: both hold at any threshold from 0.2 to 0.8, and the middle decides.
        (0.8, 0.2, 0.49, 1, "do not refer"),
        (0.8, 0.2, 0.5, 2, "refer"),
        (0.8, 0.2, 0.5, 1, "ask a human"),
        (REFER_ALL, REFER_NONE, 0.0, 0, "ask a human"),
        (REFER_ALL, REFER_NONE, 1.0, 4, "ask a human"),
        (0.9, REFER_NONE, 0.5, 0, "do not refer"),
        (REFER_ALL, 0.1, 0.5, 4, "refer"),
        (REFER_ALL, 0.1, 0.0, 0, "ask a human"),
    ],
)
def test_decisions(sensitive: float, specific: float, score: float, grade: int, decision: str) -> None:
    raw = np.array([[1 - score, 0.0, score, 0.0, 0.0]])
    rules = Rules(operating_points=points(sensitive, specific))
    assert decide(raw, rules, np.array([grade])).decisions.tolist() == [decision]


@given(shares, thresholds, thresholds, st.integers(0, 4))
def test_decisions_keep_both_promises(raw: Shares, sensitive: float, specific: float, grade: int) -> None:
    """Whoever is not referred is not at the sensitive point either; whoever is, is so at the specific one."""
    answers = decide(raw, Rules(operating_points=points(sensitive, specific)), np.full(6, grade))
    assert not answers.referred["sensitivity_90"][answers.decisions == "do not refer"].any()
    assert answers.referred["specificity_90"][answers.decisions == "refer"].all()
    order = np.argsort(answers.probabilities[:, 2:].sum(1), kind="stable")
    gravity = {"do not refer": 0, "ask a human": 1, "refer": 2}
    assert (np.diff([gravity[decision] for decision in answers.decisions[order]]) >= 0).all()


def test_without_operating_points_the_grade_decides() -> None:
    answers = decide(np.eye(5), Rules())
    assert answers.decisions.tolist() == ["do not refer"] * 2 + ["refer"] * 3
    assert answers.referred == {}


def test_a_photo_at_the_threshold_is_referred() -> None:
    raw = np.array([[0.75, 0, 0.25, 0, 0], [0.5, 0, 0, 0.25, 0.25], [1, 0, 0, 0, 0]])
    answers = decide(raw, Rules(operating_points=points(0.25, 0.5, all=REFER_ALL, none=REFER_NONE)))
    assert answers.referred["sensitivity_90"].tolist() == [True, True, False]
    assert answers.referred["specificity_90"].tolist() == [False, True, False]
    assert answers.referred["all"].all()
    assert not answers.referred["none"].any()


def test_grades_of_another_program_are_kept() -> None:
    raw, others = random_shares(50), np.arange(50) % 5
    answers = decide(raw, FITTED, others)
    assert answers.grades.tolist() == others.tolist()
    assert (answers.lowest <= others).all()
    assert (others <= answers.highest).all()


def test_nothing_fitted_says_no_more_than_grade_and_probabilities() -> None:
    raw = random_shares(20)
    answers = decide(raw, Rules())
    assert decision_columns(answers, Rules()) == {}
    np.testing.assert_allclose(answers.probabilities, raw, atol=1e-7)
    assert answers.probabilities.dtype == np.float64


def test_answers_survive_the_file(tmp_path: Path) -> None:
    raw = random_shares(80)
    answers = decide(raw, FITTED)
    columns = decision_columns(answers, FITTED)
    refer = ["refer_sensitivity_90", "refer_specificity_90", "refer_youden", "refer_cost_2.5"]
    assert list(columns) == [*DECISION_COLUMNS, *refer]
    answered = apply_rules(table(raw), FITTED)
    write_predictions(tmp_path / "predictions.csv", answered)
    found = read_predictions(tmp_path / "predictions.csv")
    assert found["camera"].tolist() == ["A"] * 80
    for name, values in columns.items():
        assert found[name].tolist() == values.tolist(), name
        assert answered[name].tolist() == values.tolist(), name
    np.testing.assert_allclose(raw_probabilities(found), raw, atol=1e-7)
    assert set(found["decision"]) == {"do not refer", "ask a human", "refer"}


def test_new_rules_replace_old_ones() -> None:
    raw = random_shares(60)
    others = Rules(temperature=0.4, operating_points=points(0.5, 0.2), set_threshold=0.2, fitted_on="other photos")
    first = apply_rules(table(raw), FITTED)
    again, at_once = apply_rules(first, others), apply_rules(table(raw), others)
    assert "refer_youden" in first
    assert "refer_youden" not in again
    pd.testing.assert_frame_equal(again, at_once, rtol=1e-9)
    assert not np.allclose(first["p0"], again["p0"])
    pd.testing.assert_frame_equal(apply_rules(first, Rules()), table(raw), rtol=1e-6)


def test_rules_keep_the_predicted_grade_as_given() -> None:
    own = table(random_shares(30)).assign(predicted_grade=3)
    rules = Rules(decoder="expected_grade", grade_thresholds=(0.1, 0.2, 0.3, 0.4), set_threshold=0.1)
    assert set(apply_rules(own, rules)["predicted_grade"]) == {3}


def test_every_row_has_its_own_temperature() -> None:
    """Pooled folds were calibrated one by one."""
    raw = random_shares(40)
    folds = [
        apply_rules(part, dataclasses.replace(FITTED, temperature=temperature))
        for part, temperature in ((table(raw).iloc[:15], 0.6), (table(raw).iloc[15:], 2.5))
    ]
    pooled = pd.concat(folds, ignore_index=True)
    assert set(pooled["temperature"]) == {0.6, 2.5}
    np.testing.assert_allclose(raw_probabilities(pooled), raw, atol=1e-7)


def test_without_probabilities_no_rules_apply() -> None:
    bare = table(random_shares(3)).drop(columns=["p0", "p1", "p2", "p3", "p4"])
    with pytest.raises(InputError, match=r"^the predictions table: the predictions hold no probabilities"):
        apply_rules(bare, FITTED)
    with pytest.raises(InputError, match=r"^new\.csv: the predictions hold no probabilities"):
        apply_rules(bare, FITTED, origin="new.csv")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": 0.0}, "temperature must be a number above 0, not 0.0: from 0.01 to 100"),
        ({"temperature": 1e-320}, "temperature must be a number above 0, not 1e-320.*: from 0.01 to 100"),
        ({"temperature": 101.0}, "temperature must be a number above 0, not 101.*: from 0.01 to 100"),
        ({"temperature": float("nan")}, "temperature must be a number above 0, not nan.*: from 0.01 to 100"),
        ({"temperature": float("inf")}, "temperature must be a number above 0, not inf.*: from 0.01 to 100"),
        ({"decoder": "median"}, "decoder 'median', which this biranet does not have"),
        ({"decoder": "expected_grade"}, "belong to the decoder 'expected_grade'"),
        ({"grade_thresholds": (0.5, 1.5, 2.5, 3.5)}, "belong to the decoder 'expected_grade'"),
        ({"decoder": "expected_grade", "grade_thresholds": (0.5, 0.4, 2.5, 3.5)}, "do not fall"),
        ({"decoder": "expected_grade", "grade_thresholds": (0.5, float("nan"), 2.5, 3.5)}, "must be numbers"),
        ({"decoder": "expected_grade", "grade_thresholds": (0.5, 1.5, 2.5, 1e9)}, "from -0.5 to 4.5"),
        ({"operating_points": points(0.1, 0.2)[:1]}, "decisions need the operating points"),
        ({"operating_points": points(0.1, 0.2) * 2}, "two operating points have one name"),
        ({"set_threshold": -0.1}, "set threshold must lie between 0 and 2"),
        ({"set_threshold": float("nan")}, "set threshold must"),
    ],
)
def test_rules_that_cannot_be_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Rules(**settings)


def test_what_is_no_number_is_no_answer() -> None:
    raw = np.array([[0.2] * 5, [0.2, np.nan, 0.2, 0.2, 0.2]])
    for rules in (Rules(), FITTED):
        with pytest.raises(InputError, match="the model answers with what is no number"):
            decide(raw, rules)


@pytest.mark.parametrize("temperature", [MIN_TEMPERATURE, MAX_TEMPERATURE])
def test_at_every_temperature_probabilities_are_numbers(temperature: float) -> None:
    raw = np.array([[1.0, 0, 0, 0, 0], [1e-45, 1 - 4e-45, 1e-45, 1e-45, 1e-45], [0.2] * 5])
    shares = decide(raw, Rules(temperature)).probabilities
    assert np.isfinite(shares).all() and np.allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("name", "threshold"), [("youden", -0.1), ("youden", 2.1), ("youden", float("nan")), (" ", 0.5)]
)
def test_points_that_cannot_be_are_refused(name: str, threshold: float) -> None:
    with pytest.raises(InputError, match="operating point must have a name" if name == " " else "'youden' must lie"):
        OperatingPoint(name, threshold)


@pytest.mark.parametrize(
    "rules", [Rules(), FITTED, Rules(decoder="expected_grade", grade_thresholds=(0.5, 1.5, 2.5, 3.5))]
)
def test_rules_survive_the_header_of_a_checkpoint(rules: Rules) -> None:
    header = json.loads(json.dumps(dataclasses.asdict(rules), allow_nan=False))
    assert TypeAdapter(Rules).validate_python(header) == rules
    for place in [header, *header["operating_points"][:1]]:
        place["mood"] = 1
        with pytest.raises(ValidationError, match="mood"):
            TypeAdapter(Rules).validate_python(header)
        del place["mood"]


def test_importing_is_light() -> None:
    code = "import sys\nimport biranet.decisions.rules\nprint(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
