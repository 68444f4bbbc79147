"""Measuring from Python: whatever holds the same predictions gives the same figures as the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import biranet
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.predictions import write_predictions


@pytest.fixture(scope="module")
def table():
    """Sixty photos of thirty patients, with probabilities, eyes and a camera."""
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, 60)
    shares = random.dirichlet(np.ones(5), 60) + 0.3 * np.eye(5)[truth]
    shares /= shares.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "file": [f"{row:03}.jpg" for row in range(60)],
            "group": [f"patient {row // 2}" for row in range(60)],
            "grade": truth,
            "predicted_grade": shares.argmax(axis=1),
            **dict(zip(PROBABILITIES, shares.T, strict=True)),
            "eye": ["left", "right"] * 30,
            "camera": random.choice(["a", "b"], 60),
        }
    )


@pytest.fixture(scope="module")
def measured(table):
    return biranet.measure(table)


def test_a_table_gives_what_the_command_line_writes(table, tmp_path, biranet):
    import biranet as package

    file, report = tmp_path / "predictions.csv", tmp_path / "report"
    write_predictions(file, table)
    assert biranet("evaluate", "--predictions", file, "--out", report, "--by", "camera").status == 0
    written = json.loads((report / "metrics.json").read_text())
    for given in (file, str(file)):
        metrics = json.loads(json.dumps(package.measure(given, by=["camera"])))
        assert metrics == {key: written[key] for key in metrics}
        assert set(written) - set(metrics) == {"notes", "facts", "provenance"}  # what a report says of its origin


def test_texts_and_numbers_of_any_kind_are_the_same_table(table, measured):
    kinds = [
        table.astype(str),
        table.astype({"grade": float, "predicted_grade": "int8"}),
        table.astype({"grade": "Int64", "group": "category"}),
        table.sample(frac=1, random_state=3).set_index("camera", drop=False),
    ]
    for each in kinds:
        assert biranet.measure(each) == measured


def test_arrays_are_a_table(table, measured):
    whole = biranet.measure(table.drop(columns=["eye", "file", "camera"]))
    assert whole["quadratic_weighted_kappa"] == measured["quadratic_weighted_kappa"]
    truth, predicted = table["grade"].to_numpy(), table["predicted_grade"].to_numpy()
    shares, groups = table[list(PROBABILITIES)].to_numpy(), table["group"].to_list()
    assert biranet.measure(truth, predicted, probabilities=shares, groups=groups) == whole
    assert biranet.measure(list(truth), probabilities=shares.tolist(), groups=groups) == whole
    tensors = torch.tensor(shares, requires_grad=True), torch.tensor(truth)
    assert biranet.measure(tensors[1], probabilities=tensors[0], groups=groups) == whole


def test_without_patients_each_photo_stands_for_itself(table):
    assert biranet.measure(table["grade"], table["predicted_grade"])["groups"] == 60
    nameless = table.drop(columns=["file", "group"])
    assert biranet.measure(nameless)["groups"] == 60


def test_settings_are_those_of_the_command_line(table):
    metrics = biranet.measure(table, by="camera", seed=7, stratify=True, referable_prevalence=0.1)
    assert metrics["bootstrap"] == {"seed": 7, "resamples": 2000, "stratify": True}
    assert {part["column"] for part in metrics["subgroups"]} == {"camera"}
    assert metrics["referable_ppv"] != biranet.measure(table)["referable_ppv"]


def test_photos_without_a_grade_are_left_out(table):
    answers = table.assign(status="ok", predicted_grade=table["predicted_grade"].astype(object))
    answers.loc[3, ["status", "predicted_grade", *PROBABILITIES]] = ["unreadable", None, *[np.nan] * 5]
    assert biranet.measure(answers)["n"] == 59


TRUE = [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        (
            ([[0], [1, 2]], TRUE),
            {},
            r"y_true must be a list or an array \(N,\), not a list of lists of several lengths",
        ),
        (([],), {}, r"give the predicted grades too, measure\(y_true, y_pred\), or probabilities"),
        ((TRUE, TRUE[:4]), {}, "there are 5 true grades and 4 values of predicted_grade"),
        ((TRUE, np.eye(5)), {}, r"y_pred must be a list or an array \(N,\), not ndarray \(5, 5\); measure takes a"),
        (({"grade": TRUE}, TRUE), {}, r"y_true must be a list or an array \(N,\), not dict \(\); measure takes a pred"),
        ((TRUE, [0, 1, 2, 3, 5]), {}, "the arrays, row 4, column 'predicted_grade': '5' is not a grade from 0 to 4"),
        ((TRUE, [0, 1, 2, 3, None]), {}, "the arrays, row 4, column 'predicted_grade': '' is not a grade: every photo"),
        (
            (TRUE, [0, 1, 2, 3, 3.5]),
            {},
            "the arrays, row 4, column 'predicted_grade': '3.5' is not a grade from 0 to 4",
        ),
        ((TRUE,), {"probabilities": np.eye(5)[:, :4]}, r"probabilities must be \(N, 5\), N = 5, not \(5, 4\)"),
        ((TRUE,), {"probabilities": np.eye(5) * 2}, "row 0, column 'p0': .*2.0.* is not a probability from 0 to 1"),
        ((TRUE, TRUE), {"groups": [1, 2]}, "there are 5 true grades and 2 values of group"),
        ((TRUE, TRUE), {"seed": -1}, "^seed must be at least 0, not -1$"),
        ((TRUE, TRUE), {"any_dr_prevalence": 2}, "^any_dr_prevalence must lie between 0 and 1, not 2$"),
        ((TRUE, TRUE), {"by": ["camera"]}, "^by camera: there is no such column"),
        (("nowhere.csv",), {}, "cannot read nowhere.csv: No such file"),
        (("nowhere.csv", TRUE), {}, "a table holds all that is measured in its own columns"),
        ((pd.DataFrame({"grade": TRUE}),), {}, "the table has no column 'predicted_grade'; its columns are: grade"),
        ((pd.DataFrame({"grade": [], "predicted_grade": []}),), {}, "the table has no rows"),
        ((pd.DataFrame([[0, 0, 1]], columns=["grade", "predicted_grade", "grade"]),), {}, "two columns 'grade'"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(given, settings, message):
    with pytest.raises(biranet.InputError, match=message):
        biranet.measure(*given, **settings)
