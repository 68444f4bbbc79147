"""The command that chooses inside the folds, on drawn photographs, and what it has left in the repository."""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from biranet.config import CalibrationConfig, ReportConfig, read_recipe
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.fit import fit_rules
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError, RefusedError
from biranet.evaluation.intervals import measure_with_intervals
from biranet.locks import exclusive_file
from biranet.manifest import graded_photos, read_manifest, write_manifest
from biranet.photos.datasets import LabelSource
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
from biranet.photos.folder import prepare_folder
from biranet.tables import write_table
from studies.shipped import card as card_script
from studies.shipped import make, options, steps
from studies.shipped import nested as command
from studies.shipped.options import OPTIONS, PIECES, RECIPE, SETTINGS, Option, kappa_of, recipe_option

ROOT = Path(__file__).parents[2]

ANSWERS = ["file", "group", "grade", *PROBABILITIES]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """130 drawn photographs, prepared at 64 px; read only."""
    folder = tmp_path_factory.mktemp("photos")
    draw_folder(folder / "drawn", balanced_grades(130), seed=3, width_px=96, height_px=80)
    prepare_folder(
        folder / "drawn", folder / "prepared", labels=LabelSource(folder / "drawn" / "labels.csv"), size_px=64
    )
    return folder / "prepared"


@pytest.fixture(scope="module")
def nested(photos, tiny_recipe, warm, tmp_path_factory):
    """Folder of a run by two processes: `out`, `results`, and what they said in `0.txt` and `1.txt`; read only."""
    folder = tmp_path_factory.mktemp("nested")
    recipe = tiny_recipe.replace("epochs = 2", "epochs = 1")
    (folder / "recipe.toml").write_text(recipe.replace("[model]", '[model]\nmodel = "plain"'))  # the smallest one
    with contextlib.chdir(ROOT):
        processes = [warm.start(*_words(photos, folder), program=command.__name__) for _ in range(2)]
    for number, process in enumerate(processes):
        said, wrong = process.communicate(timeout=600)
        assert process.returncode == 0, said + wrong
        (folder / f"{number}.txt").write_text(said)
    return folder


def _words(photos, folder):
    paths = {"recipe": "recipe.toml", "out": "out", "results": "results"}
    return [str(photos), *(f"--{name}={folder / path}" for name, path in paths.items())]


def _chosen(results):
    table = pd.read_csv(results / "nested_choices.csv")
    table = table[table["chosen"] == 1].set_index("fold")
    return {fold: Option(row["setting"], row["view"], row["decoder"]) for fold, row in table.iterrows()}


def _kept(results, part, folder):
    """The answers in a table of the results, by fold, setting and view."""
    table = pd.read_csv(results / f"nested_{part}.csv", dtype=str)
    tables = {}
    for (fold, setting, view), answers in table.groupby(["fold", "setting", "view"]):
        path = folder / f"{part}_{fold}_{setting}_{view}.csv"
        write_table(path, answers.drop(columns=["fold", "setting", "view"]))
        tables[int(fold), setting, view] = read_predictions(path)
    return tables


def test_two_processes_share_the_work_and_do_nothing_twice(nested):
    said = [line for number in range(2) for line in (nested / f"{number}.txt").read_text().splitlines()]
    done = [line.split(":")[0] for line in said if line.endswith(" minutes")]
    chosen = _chosen(nested / "results")
    inner = {f"fold {fold}, {setting}, inner" for fold in range(steps.FOLDS) for setting in SETTINGS}
    outer = {f"fold {fold}, {name}, outer" for fold in range(steps.FOLDS) for name in (RECIPE, chosen[fold].setting)}
    assert sorted(done) == sorted(inner | outer)
    assert not list((nested / "out" / "nested").rglob("*.safetensors"))


def test_no_choice_has_seen_the_photos_it_is_judged_by(nested, photos):
    folds = graded_photos(read_manifest(nested / "out" / "folds"))
    for fold in range(steps.FOLDS):
        judged = folds[folds[f"fold_{fold}"] == "test"]
        inside = read_manifest(nested / "out" / "nested" / f"fold_{fold}" / "photos")
        quarter, rest = (graded_photos(inside[inside["split"] == part]) for part in ("test", "train"))
        assert len(judged) + len(quarter) + len(rest) == len(folds)
        assert 0.15 < len(quarter) / (len(quarter) + len(rest)) < 0.35
        for one, other in ((judged, quarter), (judged, rest), (quarter, rest)):
            assert not set(one["group"]) & set(other["group"])
            assert not set(one["file"]) & set(other["file"])
        for setting in SETTINGS:
            for part, answered in (("inner", quarter), ("outer", judged)):
                path = command.Training(part, fold, setting).answers(nested / "out", "alone")
                if part == "inner" or path.exists():
                    assert sorted(pd.read_csv(path)["file"]) == sorted(answered["file"])


def test_each_fold_chooses_the_highest_kappa_of_its_quarter(nested, tmp_path):
    table = pd.read_csv(nested / "results" / "nested_choices.csv")
    inner = _kept(nested / "results", "inner", tmp_path)
    assert len(OPTIONS) == len(set(OPTIONS)) == 12
    assert len(table) == steps.FOLDS * len(OPTIONS)
    for fold, kappas in table.groupby("fold"):
        assert kappas["kappa"].idxmax() == kappas.index[kappas["chosen"] == 1][0]
        assert kappas["chosen"].sum() == 1
        for row in kappas[kappas["decoder"] == "argmax"].itertuples():
            answers = inner[fold, row.setting, row.view]
            likeliest = answers[list(PROBABILITIES)].to_numpy().argmax(axis=1)
            assert row.kappa == pytest.approx(
                cohen_kappa_score(answers["grade"], likeliest, weights="quadratic"), abs=1e-6
            )


def test_an_option_is_judged_by_rules_of_the_other_pieces(nested, tmp_path):
    answers = _kept(nested / "results", "inner", tmp_path)[0, "grading", "mirrored"]
    groups = list(dict.fromkeys(answers["group"]))
    piece = np.array([groups.index(group) % PIECES for group in answers["group"]])
    said = np.zeros(len(answers), int)
    for number in range(PIECES):
        rules = fit_rules(answers[piece != number].reset_index(drop=True), decoder="expected_grade")
        raw = answers.loc[piece == number, list(PROBABILITIES)].to_numpy()
        powers = raw ** (1 / rules.temperature)
        expected = (powers / powers.sum(axis=1, keepdims=True)) @ np.arange(5)
        said[piece == number] = np.searchsorted(rules.grade_thresholds, expected, side="right")
    measured = kappa_of(Option("grading", "mirrored", "expected_grade"), answers, CalibrationConfig())
    assert measured == pytest.approx(cohen_kappa_score(answers["grade"], said, weights="quadratic"))


def test_the_recipe_answers_a_fold_as_it_does_for_the_model_that_ships(nested, tmp_path):
    out = Path(shutil.copytree(nested / "out", tmp_path / "out"))
    config = read_recipe(nested / "recipe.toml")
    assert recipe_option(config) == Option(RECIPE, "alone", "expected_grade")
    config = dataclasses.replace(config, fold=2)
    mine = pd.read_csv(command.Training("outer", 2, RECIPE).answers(out, "alone"))
    shipped = pd.read_csv(make.answer_fold(out / "folds", config, out))
    pd.testing.assert_frame_equal(mine[ANSWERS], shipped[ANSWERS])
    mirrored = pd.read_csv(command.Training("outer", 2, RECIPE).answers(out, "mirrored"))
    assert not np.allclose(mirrored[list(PROBABILITIES)], shipped[list(PROBABILITIES)], atol=1e-4)


def test_a_setting_changes_what_it_says_and_nothing_else():
    recipe = read_recipe(steps.SHIPPED_RECIPE)
    before = dataclasses.asdict(recipe)
    changes = {}
    for name, change in SETTINGS.items():
        after = dataclasses.asdict(change(recipe))
        sections = ("model", "optimizer")
        assert {key for key in after if after[key] != before[key]} <= set(sections)
        changes[name] = {
            key: value for section in sections for key, value in after[section].items() if value != before[section][key]
        }
    assert changes == {
        RECIPE: {},
        "unsmoothed": {"label_smoothing": 0.0},
        "grading": {"loss": "grading", "weight_scale": "unit", "label_smoothing": 0.0},
    }


def test_every_training_has_its_settings_and_its_fold(tmp_path, monkeypatch):
    recipe = read_recipe(steps.SHIPPED_RECIPE)
    trained = []

    def stop(plan):
        trained.append((plan.prepared, plan.run, plan.config))
        raise InputError("no further")

    monkeypatch.setattr(command, "train_or_resume", stop)
    for training in (command.Training("inner", 3, "grading"), command.Training("outer", 3, "grading")):
        with pytest.raises(InputError, match=rf"^fold 3, grading, {training.part}: no further$"):
            command.finish(training, tmp_path, recipe, wait=False)
    (inside, _, inner), (folds, _, outer) = trained
    assert inside == tmp_path / "nested" / "fold_3" / "photos" and folds == tmp_path / "folds"
    assert (inner.optimizer.loss, inner.fold) == ("grading", None)
    assert outer == dataclasses.replace(inner, fold=3) == dataclasses.replace(SETTINGS["grading"](recipe), fold=3)


def test_a_training_of_another_process_is_left_to_it(nested, tmp_path, capsys):
    out = Path(shutil.copytree(nested / "out", tmp_path / "out"))
    training = command.Training("inner", 1, "grading")
    training.answers(out, "alone").unlink()
    config = read_recipe(nested / "recipe.toml")
    with exclusive_file(training.answers(out, "alone").with_name("inner.txt")):
        command.finish(training, out, config, wait=False)
        assert not training.finished(out)
    command.finish(training, out, config, wait=False)
    assert training.finished(out)
    assert "fold 1, grading, inner" in capsys.readouterr().out
    again = training.answers(out, "alone").read_bytes()
    assert again == training.answers(nested / "out", "alone").read_bytes()


def test_other_photos_are_refused_and_a_missing_folder_leaves_nothing(nested, photos, tmp_path, capsys):
    copy = Path(shutil.copytree(nested, tmp_path / "copy"))
    fewer = Path(shutil.copytree(photos, tmp_path / "fewer"))
    write_manifest(fewer, read_manifest(fewer).iloc[1:])
    assert command.main(_words(fewer, copy)) == 2
    assert "was begun with other" in capsys.readouterr().err
    shutil.rmtree(copy / "out")
    assert command.main(_words(tmp_path / "none", copy)) == 2
    said = capsys.readouterr().err
    assert said.startswith("studies/shipped/nested.py: ") and len(said.splitlines()) == 1
    assert not (copy / "out").exists()


def test_what_a_kill_leaves_is_finished_and_what_an_edit_changes_is_refused(
    nested, photos, tmp_path, monkeypatch, capsys
):
    copy = Path(shutil.copytree(nested, tmp_path / "copy"))
    shutil.rmtree(copy / "results")
    training = command.Training("inner", 4, "unsmoothed")
    training.answers(copy / "out", "alone").unlink()  # killed between its two files
    left = command.Training("inner", 0, RECIPE).run(copy / "out")  # killed before its run was removed
    left.mkdir()
    assert command.main(_words(photos, copy)) == 0
    said = capsys.readouterr().out
    assert "15 trainings to choose by, 14 done before" in said
    assert [line.split(":")[0] for line in said.splitlines() if line.endswith(" minutes")] == [str(training)]
    assert not left.exists()
    for path in (nested / "results").glob("*.csv"):
        assert (copy / "results" / path.name).read_bytes() == path.read_bytes()
    monkeypatch.setitem(options.SETTINGS, "unsmoothed", options.SETTINGS["grading"])
    assert command.main(_words(photos, copy)) == 2
    assert "nested was begun with other settings" in capsys.readouterr().err


def test_too_few_photos_are_refused_before_anything_is_trained(prepared, nested, tmp_path, capsys):
    (tmp_path / "recipe.toml").write_text((nested / "recipe.toml").read_text())
    assert command.main(_words(prepared, tmp_path)) == 2
    assert "fold 0 holds too few photos back to choose by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rules_are_never_fitted_on_photos_they_answer_for(nested, tmp_path):
    inner = _kept(nested / "results", "inner", tmp_path)
    one, other = inner[0, RECIPE, "alone"], inner[1, RECIPE, "alone"]
    assert set(one["group"]) & set(other["group"])
    with pytest.raises(RefusedError):
        command.decide_with_rules_fitted_on(one, other, CalibrationConfig())


def _figures(results, folder, options):
    """Answer every fold by an option, with rules of its quarter: the table."""
    inner, outer = _kept(results, "inner", folder), _kept(results, "outer", folder)
    tables = []
    for fold, option in options.items():
        key = fold, option.setting, option.view
        config = CalibrationConfig(decoder=option.decoder)
        tables.append(command.decide_with_rules_fitted_on(inner[key], outer[key], config))
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("drawn", marks=[pytest.mark.slow, pytest.mark.sample]),
        pytest.param("package", marks=pytest.mark.kernels),
    ],
)
def test_the_figures_come_out_of_the_answers_that_are_kept(where, request, tmp_path):
    results = card_script.RESULTS if where == "package" else request.getfixturevalue("nested") / "results"
    table = _figures(results, tmp_path, _chosen(results))
    kept = json.loads((results / "nested.json").read_text())
    truth, said = table["grade"], table["predicted_grade"]
    assert kept["n"] == len(table)
    assert kept["quadratic_weighted_kappa"] == pytest.approx(cohen_kappa_score(truth, said, weights="quadratic"))
    assert kept["aca"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert kept["referable_auc"] == pytest.approx(roc_auc_score(truth >= 2, table[["p2", "p3", "p4"]].sum(axis=1)))
    option = recipe_option(read_recipe(steps.SHIPPED_RECIPE if where == "package" else results.parent / "recipe.toml"))
    recipe = _figures(results, tmp_path, dict.fromkeys(range(steps.FOLDS), option))
    difference = json.loads((results / "nested_difference.json").read_text())["differences"]["chosen"]
    without = cohen_kappa_score(recipe["grade"], recipe["predicted_grade"], weights="quadratic")
    kept_recipe = json.loads((results / "nested_recipe.json").read_text())
    assert kept_recipe["quadratic_weighted_kappa"] == pytest.approx(without)
    assert difference["quadratic_weighted_kappa"]["difference"] == pytest.approx(
        kept["quadratic_weighted_kappa"] - without
    )
    again = json.loads(json.dumps(measure_with_intervals(table, ReportConfig())))
    assert again["ci"]["quadratic_weighted_kappa"] == pytest.approx(kept["ci"]["quadratic_weighted_kappa"], abs=1e-6)


def test_the_choices_of_the_package_are_those_of_its_answers(tmp_path):
    inner = _kept(card_script.RESULTS, "inner", tmp_path)
    table = pd.read_csv(card_script.RESULTS / "nested_choices.csv")
    calibration = read_recipe(steps.SHIPPED_RECIPE).calibration
    chosen = _chosen(card_script.RESULTS)
    assert sorted(chosen) == list(range(steps.FOLDS))
    for fold, kappas in table.groupby("fold"):
        assert [Option(*row) for row in kappas[list(Option._fields)].itertuples(index=False)] == OPTIONS
        best = kappas.loc[kappas["kappa"].idxmax()]
        assert chosen[fold] == Option(best["setting"], best["view"], best["decoder"])
        answers = inner[fold, best["setting"], best["view"]]
        assert best["kappa"] == pytest.approx(kappa_of(chosen[fold], answers, calibration), abs=1e-6)


def test_the_recipe_of_the_package_answers_its_folds_as_the_model_that_ships(tmp_path):
    view = recipe_option(read_recipe(steps.SHIPPED_RECIPE)).view
    outer = _kept(card_script.RESULTS, "outer", tmp_path)
    answers = pd.concat([outer[fold, RECIPE, view] for fold in range(steps.FOLDS)])
    shipped = pd.read_csv(card_script.RESULTS / "out_of_fold.csv")
    both = answers.merge(shipped, on="file", suffixes=("", "_shipped"), validate="one_to_one")
    assert len(both) == len(answers) == len(shipped)
    for name in PROBABILITIES:
        np.testing.assert_allclose(both[name], both[f"{name}_shipped"], atol=1e-6)
