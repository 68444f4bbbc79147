"""The command that makes the model that ships, on drawn photographs: what it measures, and what it writes."""

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

import biranet
from biranet.config import CalibrationConfig, ComputeConfig, ReportConfig, read_recipe
from biranet.decisions import cross_fit
from biranet.decisions.fit import fit_rules
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_with_intervals
from biranet.inference.evaluate import evaluate_checkpoint
from biranet.learning import shipped_models as models
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_file import read_info
from biranet.manifest import graded_photos, read_manifest, write_manifest
from biranet.tables import write_table
from biranet.validated import validated
from near import near
from studies.shipped import card as card_script
from studies.shipped import make as command
from studies.shipped import ship, steps, stretches
from studies.shipped.measured import STRETCHES_NAME
from studies.shipped.outside import read_outside
from studies.shipped_lesions import card as lesions_card
from studies.stretches import number_of

RELEASED = {
    "IDRiD_004": [0.0054, 0.0190, 0.1285, 0.5373, 0.3098],
    "IDRiD_186": [0.0132, 0.0505, 0.5436, 0.3516, 0.0412],
    "IDRiD_276": [0.9040, 0.0795, 0.0148, 0.0015, 0.0002],
    "IDRiD_369": [0.0130, 0.0325, 0.1084, 0.7419, 0.1042],
}
"""Probabilities that the model gave on the day of its release, by photo."""


@pytest.fixture(scope="module")
def made(prepared, tiny_recipe, tmp_path_factory):
    """Folder of a finished run of the command: `out`, `results`, `shipped`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "recipe.toml").write_text(tiny_recipe)
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
    for fold in range(steps.FOLDS):
        answered = table.loc[table["fold"] == str(fold), "file"]
        assert set(folds.loc[answered, f"fold_{fold}"]) == {"test"}
        assert not set(folds.loc[answered, "group"]) & set(folds[folds[f"fold_{fold}"] == "train"]["group"])


def test_a_stretch_is_answered_by_a_model_that_has_seen_no_visit_of_it(made, prepared, tmp_path):
    for name in ("recipe.toml", "results/out_of_fold.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(made / name, tmp_path / name)
    assert stretches.main(_words(prepared, tmp_path)[:-1]) == 0
    photos = graded_photos(read_manifest(prepared)).set_index("file")
    table = pd.read_csv(tmp_path / "results" / STRETCHES_NAME / "out_of_fold.csv")
    assert sorted(table["file"]) == sorted(photos.index)
    folds = read_manifest(tmp_path / "out" / "stretches" / "folds").set_index("file")
    order = photos.index.to_series().map(number_of)
    for fold in range(steps.FOLDS):
        answered = table.loc[table["fold"] == fold, "file"]
        assert set(folds.loc[answered, f"fold_{fold}"]) == {"test"}
        taught = folds.index[folds[f"fold_{fold}"] == "train"]
        assert sorted([*answered, *taught]) == sorted(photos.index)
        assert not set(photos.loc[answered, "group"]) & set(photos.loc[taught, "group"])
    # In order: the median photo of a stretch stands behind that of the one before.
    middles = [order[table.loc[table["fold"] == fold, "file"]].median() for fold in range(steps.FOLDS)]
    assert middles == sorted(middles)
    measured = json.loads((tmp_path / "results" / STRETCHES_NAME / "cross_validated.json").read_text())
    assert measured["n"] == len(photos)
    visits = json.loads((made / "results" / "cross_validated.json").read_text())
    from_visits = json.loads((tmp_path / "results" / STRETCHES_NAME / "from_visits.json").read_text())["differences"]
    assert from_visits["accuracy"]["difference"] == pytest.approx(measured["accuracy"] - visits["accuracy"])


def test_a_fold_is_judged_by_rules_of_the_other_folds(made):
    paths = sorted((made / "out" / "answers").glob("*.csv"))
    config = CalibrationConfig(decoder="expected_grade")
    table = cross_fit.decide_cross_fitted([read_predictions(path) for path in paths], config)
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


def test_the_model_has_learned_from_all_and_its_rules_from_the_answers(made, prepared):
    photos = graded_photos(read_manifest(prepared))
    info = read_info(made / "shipped" / f"{models.DEFAULT}.safetensors")
    assert set(read_manifest(made / "out" / "all").query("status == 'ok'")["split"]) == {"train"}
    assert len(info.training_set_fingerprints) == len(info.calibration_photo_hashes) == len(photos)
    assert info.rules.decoder == "expected_grade" and info.rules.set_threshold is not None
    text = (made / "shipped" / f"{models.DEFAULT}.toml").read_text()
    model_card = validated(models.ModelCard, tomllib.loads(text), "the card")
    assert model_card.missed is None  # nothing was measured by stretches
    figures = model_card.metrics[0].figures
    metrics = json.loads((made / "results" / "cross_validated.json").read_text())
    decided = metrics["decisions"]
    for key, value, interval in (
        ("referable_auc", metrics["referable_auc"], metrics["ci"]["referable_auc"]),
        ("recall_per_grade.2", metrics["recall_per_grade"][2], metrics["ci"]["recall_per_grade"][2]),
        ("decisions.missed_fraction", decided["missed_fraction"], decided["ci"]["missed_fraction"]),
    ):
        assert figures[key].value == pytest.approx(value, abs=1e-4)
        assert figures[key].ci == pytest.approx(interval, abs=1e-4)
    # Too few of the drawn patients are on either side of referral for operating points, so the card shows none.
    assert metrics["operating_points"] is None and not any(key.startswith("operating_points") for key in figures)


def test_what_was_done_is_not_done_again(made, prepared, tmp_path):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    before = (copy / "shipped" / f"{models.DEFAULT}.safetensors").read_bytes()
    history = (copy / "out" / "fold_1" / "history.jsonl").read_bytes()
    shutil.rmtree(copy / "shipped")
    assert command.main(_words(prepared, copy)) == 0
    assert (copy / "shipped" / f"{models.DEFAULT}.safetensors").read_bytes() == before
    assert (copy / "out" / "fold_1" / "history.jsonl").read_bytes() == history


def test_of_an_external_report_only_numbers_about_all_photos_are_kept(made, prepared, tmp_path, capsys):
    results, shipped = (Path(shutil.copytree(made / name, tmp_path / name)) for name in ("results", "shipped"))
    model = shipped / f"{models.DEFAULT}.safetensors"
    metrics = evaluate_checkpoint(
        model,
        prepared,
        tmp_path / "report",
        part="all",
        config=ReportConfig(by=("source",)),
        computing=ComputeConfig(workers=0),
    )
    assert metrics["subgroups"]
    external = tmp_path / "report" / "metrics.json"
    card_script.update_card(external, results, shipped)
    kept = json.loads((results / "external.json").read_text())
    assert not {"facts", "notes", "provenance", "subgroups", "patients"} & set(kept)
    assert not any(name in json.dumps(kept) for name in read_manifest(prepared)["file"])

    def blocks():
        return tomllib.loads(model.with_suffix(".toml").read_text())["metrics"]

    assert blocks()[1]["how"].startswith("external") and f"{metrics['n']} photographs" in blocks()[1]["how"]
    assert blocks()[1]["figures"]["accuracy"]["value"] == pytest.approx(metrics["accuracy"], abs=1e-4)

    # Figures of another model stand on no card, nor can they be kept.
    net, info = load_checkpoint(model)
    other_rules = dataclasses.replace(info.rules, temperature=3.0)
    other_look = dataclasses.replace(info.model, test_time_flip=True)
    for other in (dataclasses.replace(info, rules=other_rules), dataclasses.replace(info, model=other_look)):
        save_checkpoint(model, net, other)
        card_script.update_card(None, results, shipped)
        assert "was measured on another model" in capsys.readouterr().out
        assert len(blocks()) == 1
    with pytest.raises(InputError, match="the report is not one of"):
        card_script.update_card(external, results, shipped)


def test_shipping_takes_only_the_folder_the_model_was_trained_on(run_folder, split_folder, tmp_path, capsys):
    out = tmp_path / "new" / "mine.safetensors"
    assert ship.main([str(run_folder / "best.safetensors"), str(split_folder), str(out)]) == 0
    assert capsys.readouterr() == ("", "")
    info, before = read_info(out), read_info(run_folder / "best.safetensors")
    table = read_manifest(split_folder)
    learned = table.loc[table["split"].isin(["train", "validation"]), "fingerprint"]
    assert info.training_set_fingerprints == tuple(sorted(learned)) and len(learned) > 20
    assert dataclasses.replace(info, training_set_fingerprints=()) == before
    assert out.stat().st_size < 0.7 * (run_folder / "best.safetensors").stat().st_size
    out.unlink()
    other = tmp_path / "prepared"
    shutil.copytree(split_folder, other)
    write_manifest(other, table.assign(split=table["split"].replace("test", "train")))
    assert ship.main([str(run_folder / "best.safetensors"), str(other), str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and not out.exists()
    assert f"was not trained on {other} as it is; name the folder that it learned from" in said


def test_another_recipe_or_other_photos_are_refused(made, prepared, tiny_recipe, tmp_path, capsys):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    (copy / "recipe.toml").write_text(tiny_recipe.replace("lr = 1e-2", "lr = 2e-2"))
    assert command.main(_words(prepared, copy)) == 2
    assert "was begun with other settings or other photos" in capsys.readouterr().err
    (copy / "recipe.toml").write_text(tiny_recipe)
    fewer = Path(shutil.copytree(prepared, tmp_path / "fewer"))
    write_manifest(fewer, read_manifest(fewer).iloc[1:])
    assert command.main(_words(fewer, copy)) == 2
    assert "was begun with other" in capsys.readouterr().err


@pytest.mark.kernels
@pytest.mark.parametrize(
    "results", [card_script.RESULTS, card_script.RESULTS / STRETCHES_NAME], ids=lambda path: path.name
)
def test_the_figures_of_the_package_come_out_of_the_answers_that_are_kept(results, tmp_path):
    answers = pd.read_csv(results / "out_of_fold.csv", dtype=str)
    for fold, table in answers.groupby("fold"):
        write_table(tmp_path / f"fold_{fold}.csv", table)
    tables = [read_predictions(path) for path in sorted(tmp_path.glob("*.csv"))]
    table = cross_fit.decide_cross_fitted(tables, read_recipe(steps.SHIPPED_RECIPE).calibration)
    kept = json.loads((results / "cross_validated.json").read_text())
    again = json.loads(json.dumps(measure_with_intervals(table, ReportConfig())))
    for key in ("n", "groups", "confusion_matrix", "operating_points", "decisions", "prediction_sets"):
        assert again[key] == near(kept[key])
    # Measures may have come since.
    assert {key: again["ci"][key] for key in kept["ci"]} == near(kept["ci"])
    truth, said = table["grade"], table["predicted_grade"]
    assert kept["quadratic_weighted_kappa"] == pytest.approx(cohen_kappa_score(truth, said, weights="quadratic"))
    assert kept["aca"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert kept["referable_auc"] == pytest.approx(roc_auc_score(truth >= 2, table[["p2", "p3", "p4"]].sum(axis=1)))


def test_the_card_of_the_package_is_what_its_results_say(tmp_path):
    name = f"{models.DEFAULT}.toml"
    shutil.copytree(models.SHIPPED, tmp_path / "shipped")
    (tmp_path / "shipped" / name).unlink()
    card_script.write_card(card_script.RESULTS, tmp_path / "shipped")
    assert (tmp_path / "shipped" / name).read_bytes() == (models.SHIPPED / name).read_bytes()
    told = [each for each in read_outside(card_script.RESULTS).measured if each.how]
    assert len(models.read_model_card(models.DEFAULT).metrics) == len(card_script.MEASURED) + len(told)


@pytest.mark.parametrize("name", [models.DEFAULT, models.LESIONS_DEFAULT])
def test_what_a_card_promises_is_of_the_answers_by_stretches(name):
    results = {models.DEFAULT: card_script.RESULTS, models.LESIONS_DEFAULT: lesions_card.RESULTS}[name]
    promised = models.read_model_card(name).missed

    def measured(folder):
        return json.loads((folder / "cross_validated.json").read_text())["decisions"]["missed_fraction"]

    assert promised.out_of_fold == pytest.approx(measured(results), abs=1e-5)
    assert promised.out_of_stretch == pytest.approx(measured(results / STRETCHES_NAME), abs=1e-5)
    if name == models.DEFAULT:
        bounds = json.loads((results / STRETCHES_NAME / "missed.json").read_text())
    else:
        bounds = json.loads((results / STRETCHES_NAME / "difference.json").read_text())["missed"]["corrected"]
    assert promised.next_stretch == pytest.approx(bounds["next"], abs=1e-5)


@pytest.mark.kernels
def test_the_model_of_the_package_goes_with_its_answers():
    answers = read_predictions(card_script.RESULTS / "out_of_fold.csv")
    info, model_card = read_info(models.find_checkpoint()), models.read_model_card(models.DEFAULT)
    recipe, training = read_recipe(steps.SHIPPED_RECIPE), model_card.training
    assert training is not None and training.settings.optimizer == recipe.optimizer
    assert training.settings.batch_size == recipe.data.batch_size and training.settings.epochs == recipe.epochs
    assert training.run.photos == model_card.data.photographs and training.run.epochs == info.epoch
    rules = fit_rules(answers, decoder=recipe.calibration.decoder, cost_of_missed=recipe.calibration.cost_of_missed)
    fitted = dataclasses.replace(rules, fitted_on=info.rules.fitted_on)
    assert dataclasses.asdict(info.rules) == near(dataclasses.asdict(fitted))
    assert (
        len(info.calibration_photo_hashes)
        == len(info.training_set_fingerprints)
        == len(answers)
        == model_card.data.photographs
    )
    assert list(model_card.data.grades) == answers["grade"].value_counts().sort_index().tolist()
    assert (info.image_size, info.epoch, info.seed) == (recipe.data.image_size, recipe.epochs, recipe.seed)
    assert dataclasses.replace(recipe.model, backbone_weights=None) == info.model
    assert "with changes" not in info.software["biranet"]


@pytest.mark.parametrize("name", ["README.md", "recipes", "docs", "studies", "src/biranet/shipped"])
def test_no_figure_was_left_to_be_filled_in(name):
    path = Path(__file__).parents[2] / name
    texts = [path] if path.is_file() else [*path.rglob("*.md"), *path.rglob("*.toml")]
    assert texts
    assert not [str(text) for text in texts if "TODO" in text.read_text(encoding="utf-8")]


def test_a_missing_folder_is_said_in_one_sentence(tmp_path, capsys):
    words = [str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert command.main(words) == 2
    assert "--backbone-weights is missing" in capsys.readouterr().err
    assert command.main([*words, "--backbone-weights", "weights.pth"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and str(tmp_path / "none") in said
    assert not (tmp_path / "out").exists()


@pytest.mark.kernels
@pytest.mark.real
def test_the_model_of_the_package_answers_as_when_it_was_released(real_data):
    grader = biranet.load(device="cpu")
    for name, released in RELEASED.items():
        answer = grader.grade(real_data / "originals" / "idrid" / f"{name}.jpg")
        np.testing.assert_allclose(answer.probabilities, released, atol=5e-3)
        assert answer.attention.shape == (2, 10, 10)
