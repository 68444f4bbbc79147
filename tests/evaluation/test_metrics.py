"""Every key of `metrics.json` agrees with scikit-learn or the written-out formula, and what is missing says why."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from biranet.config import EvaluationConfig
from biranet.decisions.rules import raw_probabilities
from biranet.errors import InputError
from biranet.evaluation.measures import TOP_LEVEL
from measured import measure

Draw = Callable[..., pd.DataFrame]

KEYS = [measure.key for measure in TOP_LEVEL.measures]

GRADES = [0, 1, 2, 3, 4]
BARE = ["file", "group", "grade", "predicted_grade"]
PROBABILITIES = [f"p{grade}" for grade in GRADES]


def graded(pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """Predictions without probabilities."""
    truth, predicted = np.array(pairs).T
    files = np.arange(len(pairs)).astype(str)
    return pd.DataFrame({"file": files, "group": files, "grade": truth, "predicted_grade": predicted})


def sure(truth: list[int]) -> pd.DataFrame:
    """Perfect predictions with all of the probability on the true grade."""
    table = graded([(grade, grade) for grade in truth])
    return table.assign(**{f"p{grade}": (table["grade"] == grade).astype(float) for grade in GRADES})


def written_out_calibration_error(shares: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """The definition, bin by bin: share of the photos times the distance of mean confidence and accuracy."""
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    error = 0.0
    for place in range(15):
        low, high = place / 15, (place + 1) / 15
        inside = (confidence >= low) & ((confidence < high) | (place == 14))
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return error


def losses(shares: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    return {
        "expected_calibration_error": written_out_calibration_error(shares, truth),
        "brier": float(
            np.mean([reference.mean_squared_error(np.eye(5)[y], p) * 5 for y, p in zip(truth, shares, strict=True)])
        ),
        "negative_log_likelihood": reference.log_loss(truth, shares.clip(1e-12), labels=GRADES),
    }


def by_scikit_learn(table: pd.DataFrame) -> dict[str, Any]:
    truth, predicted, shares = (table[name].to_numpy() for name in ("grade", "predicted_grade", PROBABILITIES))
    expected: dict[str, Any] = {
        "n": len(table),
        "groups": table["group"].nunique(),
        "quadratic_weighted_kappa": reference.cohen_kappa_score(truth, predicted, labels=GRADES, weights="quadratic"),
        "linear_weighted_kappa": reference.cohen_kappa_score(truth, predicted, labels=GRADES, weights="linear"),
        "referable_auprc": reference.average_precision_score(truth >= 2, shares[:, 2:].sum(axis=1)),
        "recall_per_grade": reference.recall_score(truth, predicted, average=None).tolist(),
        "confusion_matrix": reference.confusion_matrix(truth, predicted, labels=GRADES).tolist(),
        "one_vs_rest_auc": [reference.roc_auc_score(truth == grade, shares[:, grade]) for grade in GRADES],
        "mean_one_vs_rest_auc": reference.roc_auc_score(truth, shares, multi_class="ovr"),
        "prevalence": {"referable": np.mean(truth >= 2), "any_dr": np.mean(truth >= 1)},
        **losses(shares, truth),
        "before_calibration": losses(raw_probabilities(table), truth),
    }
    for name, lowest in (("referable", 2), ("any_dr", 1)):
        ill, called = truth >= lowest, predicted >= lowest
        expected |= {
            f"{name}_auc": reference.roc_auc_score(ill, shares[:, lowest:].sum(axis=1)),
            **{f"{name}_{key}": value for key, value in screening(ill, called).items()},
        }
    referable = truth >= 2
    points = {}
    for name in ("youden", "cost_2.5"):
        called = table[f"refer_{name}"].to_numpy() == 1
        points[name] = {**screening(referable, called), "referred_fraction": called.mean()}
    inside = ((table["lowest_grade"] <= truth) & (truth <= table["highest_grade"])).to_numpy()
    size = (table["highest_grade"] - table["lowest_grade"] + 1).to_numpy()
    decision = table["decision"].to_numpy()
    decided = decision != "ask a human"
    return expected | {
        "operating_points": points,
        "prediction_sets": {
            "coverage": inside.mean(),
            "coverage_per_grade": [inside[truth == grade].mean() for grade in GRADES],
            "mean_size": size.mean(),
            "size_fractions": [np.mean(size == each) for each in range(1, 6)],
        },
        "decisions": {
            "asked_fraction": 1 - decided.mean(),
            "decided_error_fraction": np.mean((decision[decided] == "refer") != referable[decided]),
            "missed_fraction": np.mean(decision[referable] == "do not refer"),
            "needless_fraction": np.mean(decision[~referable] == "refer"),
        },
    }


def screening(ill: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> dict[str, float]:
    return {
        "sensitivity": reference.recall_score(ill, called),
        "specificity": reference.recall_score(~ill, ~called),
        "ppv": reference.precision_score(ill, called),
        "npv": reference.precision_score(~ill, ~called),
    }


def assert_agrees(found: Any, expected: Any, where: str = "") -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_agrees(found[key], value, f"{where}.{key}")
    else:
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=where)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn(draw_table: Draw, seed: int) -> None:
    table = draw_table(120, seed=seed, rounded=seed % 2 == 1)
    assert_agrees(measure(table), by_scikit_learn(table))


def test_a_stated_prevalence_changes_the_predictive_values_alone(draw_table: Draw) -> None:
    table = draw_table(80, seed=5)
    plain, stated = (measure(table, EvaluationConfig(referable_prevalence=share)) for share in (None, 0.05))
    sensitivity, specificity = stated["referable_sensitivity"], stated["referable_specificity"]
    found = 0.05 * sensitivity
    assert stated["referable_ppv"] == pytest.approx(found / (found + 0.95 * (1 - specificity)))
    assert stated["referable_npv"] == pytest.approx(
        0.95 * specificity / (0.95 * specificity + 0.05 * (1 - sensitivity))
    )
    assert stated["prevalence"] == plain["prevalence"] | {
        "referable": 0.05,
        "stated": {"referable": True, "any_dr": False},
    }
    changed = {key for key in plain if plain[key] != stated[key]}
    assert changed == {"referable_ppv", "referable_npv", "operating_points", "prevalence"}
    assert stated["operating_points"]["youden"]["ppv"] < plain["operating_points"]["youden"]["ppv"]
    # At the prevalence of the photos, Bayes' rule gives the plain shares.
    share = plain["prevalence"]["referable"]
    assert measure(table, EvaluationConfig(referable_prevalence=share))["referable_ppv"] == pytest.approx(
        plain["referable_ppv"]
    )


def test_the_calibration_error_is_of_the_likeliest_grade_not_of_the_predicted_one() -> None:
    table = graded([(2, 0), (2, 0), (1, 0), (1, 0)])
    table = table.assign(**dict.fromkeys(PROBABILITIES, 0.0)).assign(p1=0.2, p2=0.8)
    # Grade 2 has 0.8 and is right in half of the photos, whatever was predicted.
    assert measure(table)["expected_calibration_error"] == pytest.approx(0.3)


def test_a_confident_mistake_stays_finite() -> None:
    table = sure([0, 4]).assign(p0=[0.0, 0.0], p4=[1.0, 1.0])
    measures = measure(table)
    assert measures["negative_log_likelihood"] == pytest.approx(-np.log(1e-12) / 2)
    assert measures["brier"] == 1.0


def test_the_risk_of_the_surest_photos_comes_first() -> None:
    table = sure([0, 0, 3, 3]).assign(p0=[0.9, 0.4, 0.0, 0.3], p3=[0.1, 0.6, 1.0, 0.7])
    table = table.assign(predicted_grade=[0, 3, 3, 3], temperature=1.0, decision="ask a human")
    table = table.assign(lowest_grade=0, highest_grade=4)
    # The surest three are right, the least sure one is wrong: risks 0, 0, 0, 1/4.
    measures = measure(table)
    assert measures["area_under_risk_coverage"] == pytest.approx(1 / 16)
    assert measures["decisions"]["asked_fraction"] == 1.0
    assert measures["undefined"]["decisions.decided_error_fraction"] == "every photo was left to a human"


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 50), shuffle=st.integers(0, 2**20))
def test_the_order_of_photos_changes_nothing(draw_table: Draw, seed: int, shuffle: int) -> None:
    table = draw_table(12, seed=seed, rounded=True)
    assert measure(table.sample(frac=1, random_state=shuffle)) == measure(table)


def test_keys_are_the_published_ones(draw_table: Draw) -> None:
    whole = measure(draw_table(60, seed=1))
    shares = ["sensitivity", "specificity", "ppv", "npv"]
    assert list(whole) == [
        *["n", "groups", "aca", "accuracy", "micro_f1", "macro_f1", "macro_f1_of_means", "quadratic_weighted_kappa"],
        *["linear_weighted_kappa", "gwet_ac2"],
        *["mean_absolute_grade_error", "recall_per_grade", "precision_per_grade"],
        *["referable_auc", "referable_auprc", *(f"referable_{share}" for share in shares)],
        *["any_dr_auc", *(f"any_dr_{share}" for share in shares), "one_vs_rest_auc", "mean_one_vs_rest_auc"],
        *[
            "area_under_risk_coverage",
            "expected_calibration_error",
            "brier",
            "negative_log_likelihood",
            "confusion_matrix",
            "prevalence",
        ],
        *["before_calibration", "operating_points", "prediction_sets", "decisions", "undefined", "disclaimer"],
    ]
    assert list(whole["before_calibration"]) == ["expected_calibration_error", "brier", "negative_log_likelihood"]
    assert list(whole["operating_points"]) == ["youden", "cost_2.5"]
    assert list(whole["operating_points"]["cost_2.5"]) == [*shares, "referred_fraction"]
    assert list(whole["prediction_sets"]) == ["coverage", "coverage_per_grade", "mean_size", "size_fractions"]
    fractions = ["asked_fraction", "decided_error_fraction", "missed_fraction", "needless_fraction"]
    assert list(whole["decisions"]) == fractions
    assert list(measure(draw_table(60, seed=1)[BARE])) == list(whole)
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_without_probabilities_there_are_grades_and_a_sentence(draw_table: Draw) -> None:
    table = draw_table(60, seed=2)
    whole, bare = measure(table), measure(table[BARE])
    probabilistic = {key for key in KEYS if "auc" in key} | set(losses(np.eye(5), np.arange(5)))
    probabilistic |= {"area_under_risk_coverage", "referable_auprc"}
    for key in KEYS:
        if key in probabilistic:
            assert bare[key] in (None, [None] * 5), key
            assert bare["undefined"][key] == "the predictions hold no probabilities"
        else:
            assert bare[key] == whole[key], key
    assert bare["undefined"]["before_calibration"] == "the predictions hold no probabilities"
    unanswered = measure(table[[*BARE, *PROBABILITIES]])
    assert unanswered["undefined"] == {
        "before_calibration": "no temperature was applied to the probabilities",
        "operating_points": "the predictions hold no operating points",
        "prediction_sets": "the predictions hold no prediction sets",
        "decisions": "the predictions hold no decisions",
    }
    assert measure(table.assign(temperature=1.0))["before_calibration"] is None
    answered = measure(table.drop(columns=PROBABILITIES))
    assert answered["decisions"] == whole["decisions"]
    # What the surest photos risk is a matter of probabilities and grades, whether or not there are decisions.
    assert unanswered["area_under_risk_coverage"] == whole["area_under_risk_coverage"] is not None


def test_undefined_is_null_with_a_reason() -> None:
    healthy, ill, one = measure(sure([0, 0])), measure(sure([3, 4])), measure(graded([(3, 3), (3, 3)]))
    assert healthy["quadratic_weighted_kappa"] is healthy["referable_auc"] is healthy["referable_sensitivity"] is None
    assert healthy["referable_specificity"] == 1.0
    reasons = healthy["undefined"]
    assert reasons["quadratic_weighted_kappa"] == "every photo has one and the same grade and was given it"
    assert reasons["referable_auc"] == reasons["referable_sensitivity"] == "no photo is referable"
    assert reasons["any_dr_auc"] == reasons["any_dr_sensitivity"] == "no photo has any DR"
    assert reasons["referable_ppv"] == "no photo was given a referable grade"
    assert reasons["any_dr_ppv"] == "no photo was given a grade of any DR"
    assert reasons["recall_per_grade"] == "no photo has grade 1 or 2 or 3 or 4"
    assert reasons["precision_per_grade"] == "no photo was given grade 1 or 2 or 3 or 4"
    assert reasons["mean_one_vs_rest_auc"] == "every photo has one and the same grade"
    assert reasons["one_vs_rest_auc"] == "either no photo or every photo has grade 0 or 1 or 2 or 3 or 4"
    assert ill["undefined"]["referable_auc"] == ill["undefined"]["referable_specificity"] == "every photo is referable"
    assert ill["undefined"]["any_dr_npv"] == "every photo was given a grade of any DR"
    assert ill["quadratic_weighted_kappa"] == 1.0
    assert one["undefined"]["quadratic_weighted_kappa"] == reasons["quadratic_weighted_kappa"]


def test_a_stated_prevalence_needs_both_classes() -> None:
    stated = measure(graded([(0, 0), (0, 3)]), EvaluationConfig(referable_prevalence=0.2))
    assert stated["referable_ppv"] is stated["referable_npv"] is None
    assert stated["undefined"]["referable_ppv"] == measure(sure([0, 0]))["undefined"]["referable_auc"]
    plain = measure(graded([(0, 0), (0, 3)]))
    assert (plain["referable_ppv"], plain["referable_npv"]) == (0.0, 1.0)


def gaps(measures: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in measures.items():
        if isinstance(value, dict):
            found |= gaps(value, f"{prefix}{key}.")
        elif value is None or (isinstance(value, list) and None in value):
            found.add(f"{prefix}{key}")
    return found


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), answers=st.booleans(), probabilities=st.booleans(), stated=st.booleans())
def test_every_gap_has_its_reason_and_nothing_else_has(
    draw_table: Draw, seed: int, answers: bool, probabilities: bool, stated: bool
) -> None:
    """Of one to three patients, where nearly everything can be missing."""
    table = draw_table(1 + seed % 3, seed=seed)
    table = table.drop(columns=PROBABILITIES * (not probabilities))
    table = table.drop(columns=[name for name in table if name not in BARE + PROBABILITIES and not answers])
    config = EvaluationConfig(referable_prevalence=0.1 if stated else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measures = measure(table, config)
    reasons = measures.pop("undefined")
    assert gaps(measures) == set(reasons)
    assert all(reason and "{" not in reason for reason in reasons.values())


@given(st.lists(st.sampled_from(GRADES), min_size=1, max_size=40))
def test_perfect_predictions_score_best(truth: list[int]) -> None:
    measures = measure(sure(truth))
    lower = {"mean_absolute_grade_error", "expected_calibration_error", "brier", "negative_log_likelihood"}
    lower.add("area_under_risk_coverage")
    for key in KEYS:
        best = 0 if key in lower else 1
        values = measures[key] if isinstance(measures[key], list) else [measures[key]]
        assert all(value in (best, None) for value in values), key


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InputError, match="no predictions"):
        measure(graded([(0, 0)]).iloc[:0])
    with pytest.raises(InputError, match="whole number from 0 to 4"):
        measure(graded([(0, 5)]))
