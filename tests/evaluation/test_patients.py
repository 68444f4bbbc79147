"""A patient's photos become one row, whose every cell can be worked out by hand; it is measured as a photo is."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from biranet.config import EvaluationConfig
from biranet.decisions.predictions import check_predictions
from biranet.decisions.rules import Rules, decode
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.patients import combine, measure_patients
from biranet.grades import DECISIONS

P = [f"p{grade}" for grade in range(5)]

HAND_MADE = pd.DataFrame(
    {
        "file": ["a1", "a2", "a3", "b1"],
        "group": ["ann", "ann", "ann", "bob"],
        "eye": ["left", "OD", "r", "left"],
        "grade": [1, 3, 2, 0],
        "predicted_grade": [2, 1, 3, 0],
        "p0": [0.1, 0.2, 0.0, 0.8],
        "p1": [0.2, 0.4, 0.1, 0.2],
        "p2": [0.5, 0.2, 0.4, 0.0],
        "p3": [0.1, 0.1, 0.5, 0.0],
        "p4": [0.1, 0.1, 0.0, 0.0],
        "temperature": [1.0, 1.5, 2.0, 3.0],
        "decision": ["ask a human", "do not refer", "ask a human", "do not refer"],
        "lowest_grade": [1, 0, 2, 0],
        "highest_grade": [2, 2, 3, 0],
        "refer_youden": [0, 0, 1, 0],
        "refer_cost_5": [1, 0, 1, 0],
        "camera": ["x", "y", "x", "x"],
    }
)


def drawn(patients: int = 60, *, seed: int = 0, answers: bool = True) -> pd.DataFrame:
    """One to three photos of each eye, the second eye of some patients missing."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for patient in range(patients):
        for eye in ("left", "right")[: 1 + (patient % 4 > 0)]:
            for photo in range(random.integers(1, 4)):
                grade = int(random.integers(0, 5))
                rows.append({"file": f"{patient} {eye} {photo}", "group": f"{patient}", "eye": eye, "grade": grade})
    table = pd.DataFrame(rows)
    chances = (2 * random.dirichlet(np.ones(5), len(table)) + np.eye(5)[table["grade"]]) / 3
    table[["predicted_grade", *P]] = np.column_stack([chances.argmax(axis=1), chances])
    table["predicted_grade"] = table["predicted_grade"].astype(np.int64)
    if answers:
        table["temperature"] = 1.3
        table["decision"] = random.choice(DECISIONS, len(table))
        table["lowest_grade"] = np.maximum(table["predicted_grade"] - random.integers(0, 2, len(table)), 0)
        table["highest_grade"] = np.minimum(table["predicted_grade"] + random.integers(0, 2, len(table)), 4)
        table["refer_youden"] = random.integers(0, 2, len(table))
    return table


def test_the_worst_eye_by_hand() -> None:
    combined = combine(HAND_MADE, "worst_eye")
    ann, bob = combined.to_dict("records")
    # Expected grades of ann's photos: 1.9, 1.5 and 2.4, so her probabilities are those of the third.
    assert ann == {
        **{"file": "ann", "group": "ann", "grade": 3, "predicted_grade": 3},
        **{"p0": 0.0, "p1": 0.1, "p2": 0.4, "p3": 0.5, "p4": 0.0},
        **{"temperature": 2.0, "decision": "ask a human", "lowest_grade": 2, "highest_grade": 3},
        **{"refer_youden": 1, "refer_cost_5": 1},
    }
    assert bob == {**HAND_MADE.drop(columns=["eye", "camera"]).to_dict("records")[3], "file": "bob"}


def test_the_mean_by_hand() -> None:
    combined = combine(HAND_MADE, "mean")
    assert list(combined.columns) == ["file", "group", "grade", "predicted_grade", *P]
    # Two photos of ann's right eye count as much as the one of the left.
    np.testing.assert_allclose(combined[P].iloc[0], [0.1, 0.225, 0.4, 0.2, 0.075])
    assert combined[["file", "grade", "predicted_grade"]].values.tolist() == [["ann", 3, 2], ["bob", 0, 0]]


def test_without_probabilities_grades_are_averaged_halves_up() -> None:
    eyes = pd.DataFrame({"group": list("aabbcc"), "eye": ["left", "right"] * 3, "grade": [0, 1, 2, 2, 4, 4]})
    eyes["predicted_grade"] = [0, 1, 1, 2, 2, 2]
    assert combine(eyes, "mean")["predicted_grade"].tolist() == [1, 2, 2]
    assert combine(eyes, "worst_eye")["predicted_grade"].tolist() == [1, 2, 2]
    assert combine(eyes, "worst_eye")["grade"].tolist() == [1, 2, 4]


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_what_is_combined_is_a_predictions_table(seed: int) -> None:
    table = drawn(12, seed=seed)
    photos = table.groupby("group")
    for how in ("worst_eye", "mean"):
        combined = combine(table, how)
        check_predictions(combined, "combined")
        assert combined["group"].tolist() == sorted(table["group"].unique())
        assert combined["grade"].tolist() == photos["grade"].max().tolist()
        pd.testing.assert_frame_equal(combine(table.sample(frac=1, random_state=seed), how), combined)
    worst = combine(table, "worst_eye")
    assert (worst["lowest_grade"] <= worst["predicted_grade"]).all()
    assert (worst["predicted_grade"] <= worst["highest_grade"]).all()
    assert (worst["refer_youden"] == photos["refer_youden"].max().to_numpy()).all()
    # Where every photo's set holds its true grade, the patient's set holds the patient's.
    sure = combine(table.assign(lowest_grade=table["grade"], highest_grade=table["grade"]), "worst_eye")
    assert (sure["lowest_grade"] == sure["grade"]).all()
    assert (sure["highest_grade"] == sure["grade"]).all()


def test_one_photo_a_patient_changes_nothing() -> None:
    table = drawn().drop_duplicates("group").reset_index(drop=True)
    expected = measure_with_intervals(table, resamples=200)
    assert measure_with_intervals(combine(table, "worst_eye"), resamples=200) == expected
    mean = measure_with_intervals(combine(table, "mean"), resamples=200)
    for key in ("quadratic_weighted_kappa", "referable_auc", "brier", "recall_per_grade", "n"):
        assert mean[key] == expected[key], key
    assert mean["decisions"] is None


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_a_patient_of_one_photo_keeps_the_grade_of_any_decoder(seed: int) -> None:
    table = drawn(30, seed=seed).drop_duplicates("group").sort_values("group")
    rules = Rules(temperature=2.0, decoder="expected_grade", grade_thresholds=(0.5, 1.5, 2.5, 3.5))
    graded = table.assign(predicted_grade=decode(table[P].to_numpy(), rules))
    assert (graded["predicted_grade"] != table["predicted_grade"]).any()
    assert combine(graded, "mean")["predicted_grade"].tolist() == graded["predicted_grade"].tolist()
    pd.testing.assert_frame_equal(combine(graded, "mean")[P], combine(table, "mean")[P])


def test_one_grade_that_is_not_the_most_probable_makes_the_mean_one_of_grades() -> None:
    # The mean of ann's probabilities is highest at grade 2. Her left eye was given 4, her right 1 and 3: so 3.
    other = HAND_MADE.assign(predicted_grade=[4, 1, 3, 0])
    assert combine(other, "mean")["predicted_grade"].tolist() == [3, 0]
    # Of equals either is a most probable one, so that a rounding cannot change the rule for all patients.
    halves = pd.DataFrame({"group": "ann", "eye": ["left", "right"], "grade": 1, "predicted_grade": [0, 3]})
    halves[P] = [[0.5, 0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6, 0.0]]
    assert combine(halves, "mean")["predicted_grade"].tolist() == [2]
    assert combine(halves.assign(predicted_grade=[2, 3]), "mean")["predicted_grade"].tolist() == [2]
    assert combine(halves.assign(predicted_grade=[3, 3]), "mean")["predicted_grade"].tolist() == [3]


def test_patients_are_measured_beside_photos() -> None:
    table = drawn()
    measured = measure_patients(table)
    assert measured["reason"] is None
    assert (measured["n"], measured["both_eyes"], measured["left_out"]) == (60, 45, 0)
    truth = table.groupby("group")["grade"].max()
    worst = table.groupby("group")["predicted_grade"].max()
    kappa = cohen_kappa_score(truth, worst, labels=range(5), weights="quadratic")
    assert measured["worst_eye"]["quadratic_weighted_kappa"] == pytest.approx(kappa)
    by_eye = table.groupby(["group", "eye"])[P].mean().groupby("group").mean()
    auc = roc_auc_score(truth >= 2, by_eye[["p2", "p3", "p4"]].sum(axis=1))
    assert measured["mean"]["referable_auc"] == pytest.approx(auc)
    for how in ("worst_eye", "mean"):
        assert measured[how]["n"] == measured[how]["groups"] == 60
        low, high = measured[how]["ci"]["accuracy"]
        assert low < measured[how]["accuracy"] < high


def test_the_settings_reach_the_measures() -> None:
    table = drawn()
    stated = measure_patients(table, EvaluationConfig(referable_prevalence=0.1, seed=3))
    assert stated["worst_eye"]["prevalence"]["referable"] == 0.1
    assert stated["worst_eye"]["ci"] != measure_patients(table)["worst_eye"]["ci"]


def test_patients_with_an_unknown_eye_are_left_out_and_counted() -> None:
    table = drawn()
    unknown = table["group"].isin(["3", "4"]) & ~table.duplicated("group")
    measured = measure_patients(table.assign(eye=table["eye"].where(~unknown, "?")))
    assert (measured["n"], measured["left_out"]) == (58, 2)
    assert measured["worst_eye"] == measure_patients(table[~table["group"].isin(["3", "4"])])["worst_eye"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (drawn().drop(columns="eye"), "the predictions have no column 'eye'"),
        (drawn().assign(eye=""), "no group has the eye"),
        (drawn().assign(eye="left"), "no group has photos of both eyes"),
        (drawn().assign(group=lambda rows: rows["file"]), "no group has photos of both eyes"),
    ],
)
def test_why_there_are_no_patients(table: pd.DataFrame, reason: str) -> None:
    measured = measure_patients(table)
    assert measured["reason"].startswith(reason)
    assert measured["worst_eye"] is measured["mean"] is None
    assert (measured["n"], measured["left_out"]) == (0, table["group"].nunique())
