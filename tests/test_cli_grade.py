"""`biranet grade`: what its table says, and what other commands make of it."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from biranet.decisions.rules import OperatingPoint, Rules
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.manifest import read_manifest, write_manifest


@pytest.fixture
def by_expected_grade(checkpoint, tmp_path):
    """A model whose grade is the expected one, calibrated."""
    points = (OperatingPoint("sensitivity_90", 0.4), OperatingPoint("specificity_90", 0.6))
    rules = Rules(1.5, "expected_grade", (0.5, 1.0, 2.5, 3.5), points, 0.5, "nothing", ("The rules are an example.",))
    model, info = load_checkpoint(checkpoint)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, dataclasses.replace(info, rules=rules))
    return path


@pytest.mark.parametrize("command", ["grade", "evaluate", "calibrate"])
def test_a_model_that_diverged_is_named(biranet, drawn_photos, split_folder, checkpoint, tmp_path, command):
    model, info = load_checkpoint(checkpoint)
    model.head.bias.data[2] = float("nan")
    broken = tmp_path / "broken.safetensors"
    save_checkpoint(broken, model, info)
    prepared = tmp_path / "prepared"
    shutil.copytree(split_folder, prepared)
    table = read_manifest(prepared)
    write_manifest(prepared, table.assign(split=table["split"].replace("train", "calibration")))  # enough for rules
    places = {
        "grade": (drawn_photos, "--checkpoint", broken, "--out", tmp_path / "out.csv"),
        "evaluate": (broken, prepared, "--split", "all", "--out", tmp_path / "out"),
        "calibrate": (broken, prepared),
    }
    answer = biranet(command, *places[command], "--workers", 0)
    assert answer.status == 2
    assert answer.err.splitlines()[-1].startswith(f"biranet: the answers of {broken} are not finite numbers")


def test_a_table_of_grade_with_the_truth_added_is_measured(biranet, drawn_photos, by_expected_grade, tmp_path):
    (tmp_path / "photos").mkdir()
    labels = pd.read_csv(drawn_photos / "labels.csv", dtype=str)
    for file in labels["file"]:
        shutil.copy(drawn_photos / file, tmp_path / "photos")
    (tmp_path / "photos" / "zzz.jpg").write_text("no photo")
    table = tmp_path / "graded.csv"
    answer = biranet("grade", tmp_path / "photos", "--checkpoint", by_expected_grade, "--workers", 0, "--out", table)
    assert answer.status == 1
    graded = pd.read_csv(table, dtype=str, keep_default_na=False)
    shares = graded[[f"p{grade}" for grade in range(5)]][:-1].astype(float).to_numpy()
    np.testing.assert_allclose(shares @ np.arange(5), graded["expected_grade"][:-1].astype(float), rtol=1e-8)
    others = int((graded["predicted_grade"][:-1].astype(int) != shares.argmax(axis=1)).sum())
    assert others > 0
    assert (
        f"cut at 0.50, 1.00, 2.50 and 3.50: for {others} of 40 photos it is not the most probable grade" in answer.out
    )
    assert "\nThe rules are an example.\n" in answer.out

    graded.assign(grade=[*labels["grade"], "0"]).to_csv(table, index=False)
    answer = biranet("evaluate", "--predictions", table, "--out", tmp_path / "report")
    assert answer.status == 0
    assert "No grade was predicted for 1 of 41 photos (1 unreadable): they are left out" in answer.out
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["n"] == 40 and metrics["decisions"]["asked_fraction"] is not None
    assert metrics["before_calibration"] is not None
