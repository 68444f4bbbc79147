"""The command that makes the model that ships, on drawn photographs: what it measures, and what it writes."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

import card as card_script
import make as command
from biranet.config import CalibrationConfig, ReportConfig, read_recipe
from biranet.evaluation.decisions import fit_rules
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.predictions import read_predictions
from biranet.inference import models
from biranet.learning.checkpoint import read_card
from biranet.manifest import graded_photos, read_manifest
from biranet.tables import write_table

RECIPE = """
epochs = 2
early_stop = 0

[model]
trunk = "test_resnet"
pretrained = false
freeze = "none"

[data]
image_size = 64
batch_size = 8
workers = 0

[optimiser]
optimiser = "adamw"
lr = 1e-2
schedule = "cosine"

[calibration]
decoder = "expected_grade"
"""


@pytest.fixture(scope="module")
def made(prepared, tmp_path_factory):
    """Folder of a finished run of the command: `out`, `results`, `shipped`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "recipe.toml").write_text(RECIPE)
    assert command.main(_words(prepared, folder)) == 0
    return folder


def _words(prepared, folder):
    paths = {"recipe": "recipe.toml", "out": "out", "results": "results", "shipped": "shipped"}
    return [str(prepared), *(f"--{name}={folder / path}" for name, path in paths.items())]


def test_every_photo_is_answered_by_a_model_that_has_not_seen_its_group(made, prepared):
    photos = graded_photos(read_manifest(prepared))
    table = pd.read_csv(made / "results" / "out_of_fold.csv", dtype=str)
    assert sorted(table["file"]) == sorted(photos["file"])
    folds = read_manifest(made / "out" / "folds").set_index("file")
    for fold in range(command.FOLDS):
        answered = table.loc[table["fold"] == str(fold), "file"]
        assert set(folds.loc[answered, f"fold_{fold}"]) == {"test"}
        assert not set(folds.loc[answered, "group"]) & set(folds[folds[f"fold_{fold}"] == "train"]["group"])


def test_a_fold_is_judged_by_rules_of_the_other_folds(made):
    paths = sorted((made / "out" / "answers").glob("*.csv"))
    config = CalibrationConfig(decoder="expected_grade")
    table = command.answered_by_rules_of_the_others(paths, config)
    for path in paths:
        mine = read_predictions(path)
        rules = fit_rules(read_predictions(*(other for other in paths if other != path)), decoder="expected_grade")
        raw = mine[[f"p{grade}" for grade in range(5)]].to_numpy()
        powers = raw ** (1 / rules.temperature)
        expected = (powers / powers.sum(axis=1, keepdims=True)) @ np.arange(5)
        written = np.searchsorted(rules.grade_thresholds, expected, side="right")
        answered = table.set_index("file").loc[mine["file"]]
        assert answered["predicted_grade"].tolist() == written.tolist()
        assert answered["temperature"].unique().tolist() == [rules.temperature]
    metrics = json.loads((made / "results" / "cross_validated.json").read_text())
    assert metrics["accuracy"] == pytest.approx((table["predicted_grade"] == table["grade"]).mean())


def test_the_model_has_learned_from_all_and_its_rules_from_the_answers(made, prepared, monkeypatch):
    photos = graded_photos(read_manifest(prepared))
    card = read_card(made / "shipped" / f"{models.DEFAULT}.safetensors")
    assert set(read_manifest(made / "out" / "all").query("status == 'ok'")["split"]) == {"train"}
    assert len(card.learned_fingerprints) == len(card.calibrated_on) == len(photos)
    assert card.rules.decoder == "expected_grade" and card.rules.set_threshold is not None
    monkeypatch.setattr(models, "SHIPPED", made / "shipped")
    figures = models.read_model_card(models.DEFAULT).metrics[0].figures
    metrics = json.loads((made / "results" / "cross_validated.json").read_text())
    sensitive = metrics["operating_points"]["sensitivity_90"]
    for key, value, interval in (
        ("referable_auc", metrics["referable_auc"], metrics["ci"]["referable_auc"]),
        ("recall_per_grade.2", metrics["recall_per_grade"][2], metrics["ci"]["recall_per_grade"][2]),
        ("operating_points.sensitivity_90.specificity", sensitive["specificity"], sensitive["ci"]["specificity"]),
    ):
        assert figures[key].value == pytest.approx(value, abs=1e-4)
        assert figures[key].ci == pytest.approx(interval, abs=1e-4)


def test_what_was_done_is_not_done_again(made, prepared, tmp_path):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    before = (copy / "shipped" / f"{models.DEFAULT}.safetensors").read_bytes()
    history = (copy / "out" / "fold_1" / "history.jsonl").read_bytes()
    shutil.rmtree(copy / "shipped")
    assert command.main(_words(prepared, copy)) == 0
    assert (copy / "shipped" / f"{models.DEFAULT}.safetensors").read_bytes() == before
    assert (copy / "out" / "fold_1" / "history.jsonl").read_bytes() == history


def test_of_an_external_report_only_numbers_are_kept(made, tmp_path, monkeypatch):
    results, shipped = tmp_path / "results", tmp_path / "shipped"
    shutil.copytree(made / "results", results)
    monkeypatch.setattr(card_script, "RESULTS", results)
    monkeypatch.setattr(card_script, "SHIPPED", shipped)
    assert card_script.main(["--external", str(made / "out" / "report" / "metrics.json")]) == 0
    kept = (results / "external.json").read_text()
    assert "facts" not in json.loads(kept)
    assert not any(name in kept for name in pd.read_csv(results / "out_of_fold.csv", dtype=str)["file"])
    card = tomllib.loads((shipped / f"{models.DEFAULT}.toml").read_text())
    assert [each["how"].split(":")[0] for each in card["metrics"]][1] == "external"
    assert card["metrics"][0]["figures"] == card["metrics"][1]["figures"]


def test_the_figures_of_the_package_come_out_of_the_answers_that_are_kept(tmp_path):
    answers = pd.read_csv(card_script.RESULTS / "out_of_fold.csv", dtype=str)
    for fold, table in answers.groupby("fold"):
        write_table(tmp_path / f"fold_{fold}.csv", table)
    table = command.answered_by_rules_of_the_others(
        sorted(tmp_path.glob("*.csv")), read_recipe(command.RECIPE).calibration
    )
    kept = json.loads((card_script.RESULTS / "cross_validated.json").read_text())
    again = json.loads(json.dumps(measure_with_intervals(table, ReportConfig())))
    for key in ("n", "groups", "confusion_matrix", "operating_points", "decisions", "prediction_sets", "ci"):
        assert _rounded(again[key]) == _rounded(kept[key])
    truth, said = table["grade"], table["predicted_grade"]
    assert kept["quadratic_weighted_kappa"] == pytest.approx(cohen_kappa_score(truth, said, weights="quadratic"))
    assert kept["aca"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert kept["referable_auc"] == pytest.approx(roc_auc_score(truth >= 2, table[["p2", "p3", "p4"]].sum(axis=1)))


def _rounded(value):
    """Values whose last digits hang on the machine."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def test_the_card_of_the_package_is_what_its_results_say(tmp_path):
    card_script.write_card(card_script.RESULTS, tmp_path)
    name = f"{models.DEFAULT}.toml"
    assert (tmp_path / name).read_bytes() == (models.SHIPPED / name).read_bytes()


def test_a_missing_folder_is_said_in_one_sentence(tmp_path, capsys):
    assert command.main([str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and str(tmp_path / "none") in said
    assert not (tmp_path / "out").exists()
