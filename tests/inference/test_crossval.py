"""Cross-validation by the command line: from photographs to pooled figures and a model."""

import contextlib
import dataclasses
import io
import json
import shutil
import signal

import numpy as np
import pandas as pd
import pytest

from biranet.cli import main
from biranet.config import CalibrationConfig, ReportConfig, SplitConfig, TrainConfig
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.fit import fit_rules
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_some
from biranet.inference.crossval_folds import assign_folds
from biranet.inference.crossval_report import FOLD_KEYS, FoldModel, PooledAnswers, write_pooled_report
from biranet.inference.crossval_time import CrossvalTimer
from biranet.learning.checkpoint_file import read_info, read_info_and_sha256
from biranet.learning.split import split_photos
from biranet.learning.state import Progress
from biranet.manifest import graded_photos, read_manifest, training_set_digest, write_manifest
from biranet.photos.audit import audit
from opened_files import opened_files

FOLDS = ("--folds", "2", "--epochs", "2")
ONE_GRADE = ", and a model learns what tells grades apart; add photos of other grades"


@pytest.fixture(scope="module")
def crossing(drawn_photos, small, tmp_path_factory):
    """Drawn photographs, cross-validated in two folds, what the command said, and the files that it opened to read."""
    out, said = tmp_path_factory.mktemp("crossed") / "out", io.StringIO()
    labels = drawn_photos / "labels.csv"
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit, match=r"^0$"), opened_files() as opened:
        main(["crossval", str(drawn_photos), "--labels", str(labels), "--out", str(out), *small, *FOLDS])
    return out, said.getvalue(), opened


@pytest.fixture(scope="module")
def crossed(crossing):
    """The folder of that cross-validation, and what the command said; read only."""
    return crossing[:2]


@pytest.mark.sample
def test_a_checkpoint_is_opened_at_the_end_of_its_training_and_to_answer(crossing):
    out, _, opened = crossing
    for fold in ("fold_0", "fold_1"):
        for name in ("best.safetensors", "probe/best.safetensors"):
            assert opened.count(str(out / fold / name)) == 2


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_report_shows_the_probes_of_the_folds_beside_the_models(crossed):
    out, said = crossed
    table, control = (read(out / "report" / name) for name in ("predictions.csv", "control.csv"))
    assert control[["file", "grade", "fold"]].equals(table[["file", "grade", "fold"]])
    for fold in "01":
        probe = read_info(out / f"fold_{fold}" / "probe" / "best.safetensors")
        assert probe.model.model == "probe" and probe.split_column == f"fold_{fold}"
    assert json.loads((out / "report" / "metrics.json").read_text())["control"]["measures"]["n"] == 40
    assert " by a linear probe; the model's minus it: " in said
    assert said.splitlines()[-1] == f"Next: biranet grade NEW_PHOTOS --checkpoint {out / 'model.safetensors'}"


def test_each_photo_is_answered_for_once_by_a_model_that_has_not_seen_its_patient(crossed):
    out, said = crossed
    assert "40 of 40 photos prepared" in said
    assert "\nFold 1 of 2: about " in said and "\nFold 1 of 2: finished in " in said and "epoch   1" not in said
    assert "epoch   2  loss" in (out / "fold_0.txt").read_text()
    table, manifest = read(out / "report" / "predictions.csv"), read_manifest(out / "photos")
    assert table["file"].tolist() == manifest["file"].tolist() and len(table) == 40
    assert {"eye", "source"} <= set(table) and not {"split", "fold_0"} & set(table)
    for fold in "01":
        answered, parts = table[table["fold"] == fold], manifest.set_index("file")[f"fold_{fold}"]
        assert set(parts[answered["file"]]) == {"test"} and (parts == "test").sum() == len(answered)
        learned = manifest[manifest[f"fold_{fold}"].isin(["train", "validation"])]
        assert len(learned) + len(answered) == 40 and not set(learned["group"]) & set(answered["group"])
        info = read_info(out / f"fold_{fold}" / "best.safetensors")
        assert info.training_set_digest == training_set_digest(manifest, f"fold_{fold}")
    assert read_manifest(out / "prepared")["split"].eq("").all()


def test_answers_are_those_of_the_models_of_the_folds(crossed, biranet, tmp_path):
    out, _ = crossed
    answer = biranet(
        *("evaluate", out / "fold_1" / "best.safetensors", out / "photos", "--workers", 0, "--out", tmp_path / "report")
    )
    assert answer.status == 0
    ours, theirs = (
        read_predictions(out / "answers" / "fold_1.csv"),
        read_predictions(tmp_path / "report/predictions.csv"),
    )
    pd.testing.assert_frame_equal(ours[["file", *PROBABILITIES]], theirs[["file", *PROBABILITIES]])


def test_rules_that_decide_on_a_fold_come_from_the_others_and_those_of_the_model_from_all(crossed):
    out, _ = crossed
    answers = [read_predictions(out / "answers" / f"fold_{fold}.csv") for fold in (0, 1)]
    table = read_predictions(out / "report" / "predictions.csv")
    for fold in (0, 1):
        temperatures = table.loc[table["fold"] == str(fold), "temperature"].unique()
        np.testing.assert_allclose(temperatures, [fit_rules(answers[1 - fold]).temperature], rtol=1e-8)
    info = read_info(out / "model.safetensors")
    assert info.rules.temperature == fit_rules(pd.concat(answers, ignore_index=True)).temperature
    assert info.rules.fitted_on.startswith("40 photos") and "out-of-fold" in info.rules.fitted_on
    assert info.training_set_digest == training_set_digest(read_manifest(out / "photos"), "split")
    assert set(read_manifest(out / "photos")["split"]) == {"train", "validation"}


def test_figures_say_that_they_are_of_several_models_and_what_each_fold_has(crossed):
    out, said = crossed
    metrics = json.loads((out / "report" / "metrics.json").read_text())
    assert metrics["n"] == 40 and metrics["groups"] == 20
    assert metrics["notes"][0].startswith("These figures are of 2 models by cross-validation, each on the photos")
    assert "of each fold were fitted on the answers for the other folds." in metrics["notes"][1]
    assert all(note in said for note in metrics["notes"])
    folds, table = pd.read_csv(out / "report" / "folds.csv"), read_predictions(out / "report" / "predictions.csv")
    assert folds["fold"].tolist() == [0, 1] and folds["photos"].sum() == 40
    for row in folds.to_dict("records"):
        part = table[table["fold"] == str(row["fold"])].reset_index(drop=True)
        expected = measure_some(part, FOLD_KEYS)
        assert {key: row[key] for key in FOLD_KEYS} == pytest.approx({key: expected[key] for key in FOLD_KEYS})
    mean, low, high = (getattr(folds["referable_auc"], name)() for name in ("mean", "min", "max"))
    assert f"Referable AUC: mean {mean:.3f}, from {low:.3f} to {high:.3f}" in metrics["facts"]["Folds"]
    assert [part["value"] for part in metrics["subgroups"] if part["column"] == "fold"] == ["0", "1"]
    assert len(metrics["facts"]["Checkpoints"]) == 2
    assert "<title>Cross-validation of biranet in 2 folds" in (out / "report" / "report.html").read_text()


def test_methods_tell_of_all_models_and_how_they_were_trained(crossed):
    out, said = crossed
    assert f"\nWatch it: tensorboard --logdir {out}\n" in said
    text = (out / "report" / "methods.md").read_text(encoding="utf-8")
    for sentence in (
        "A two-fold cross-validation was carried out on 40 photographs of 20 patients.",
        "Each of the two models was BiRA-Net [@zhao2019biranet]",
        "The backbone was initialised with random weights, and all layers were trained. Training was done on ",
        " patients from the other folds in batches of ",
        "The probabilities of each fold were calibrated by temperature scaling [@guo2017calibration] on the answers",
        "## Reference model",
        "Over the two folds, quadratic weighted kappa ranged from ",
    ):
        assert sentence in text, sentence
    for word in ("safetensors", "prepared", "sha256", "biranet crossval", str(out)):
        assert word not in text, word
    facts = json.loads((out / "report" / "metrics.json").read_text())["facts"]
    assert "epochs of at most 2" in facts["Training"] or "of at most 2 epochs" in facts["Training"]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (None, "no photo in mine has a grade; give a table with the columns file and grade: --labels FILE"),
        (
            "a.png,3\nb.png,1\n",
            "mine has graded photos of 2 patients, too few for 5 folds; give more, or lower --folds",
        ),
        ("".join(f"{name}.png,2\n" for name in "abcdef"), f"all graded photos in mine have grade 2{ONE_GRADE}"),
    ],
)
def test_photos_without_grades_or_of_one_are_refused_before_any_is_prepared(
    drawn_photos, small, biranet, tmp_path, monkeypatch, labels, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, photo in zip("abcdef", sorted(drawn_photos.glob("*.*g")), strict=False):
        shutil.copy(photo, tmp_path / "mine" / f"{name}.png")
    given = ()
    if labels:
        (tmp_path / "labels.csv").write_text(f"file,grade\n{labels}")
        given = ("--labels", "labels.csv")
    answer = biranet("crossval", "mine", *given, "--out", "out", *small)
    assert (answer.status, answer.err) == (2, f"biranet: {sentence}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("divided", [False, True])
def test_prepared_photos_of_one_grade_are_refused_before_anything_is_trained(
    prepared, small, biranet, tmp_path, divided
):
    folder = shutil.copytree(prepared, tmp_path / "prepared")
    table = read_manifest(folder).assign(grade=2)
    if divided:
        table = split_photos(table, SplitConfig(folds=3))
    write_manifest(folder, table)
    answer = biranet("crossval", folder, "--out", tmp_path / "out", *small)
    assert (answer.status, answer.err) == (2, f"biranet: all graded photos in {folder} have grade 2{ONE_GRADE}\n")
    assert not (tmp_path / "out").exists()


def test_a_column_of_subgroups_that_is_not_there_is_refused_before_anything_is_trained(
    prepared, small, biranet, tmp_path
):
    answer = biranet("crossval", prepared, "--out", tmp_path / "out", *small, "--by", "camera")
    assert answer.status == 2 and answer.err.startswith("biranet: --by camera: there is no such column; the columns")
    assert not (tmp_path / "out" / "fold_0").exists()


def test_it_is_done_once_and_not_with_other_settings(crossed, drawn_photos, small, biranet, tree):
    out, _ = crossed
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*.*") if path.parent.name != "prepared"}
    command = ("crossval", drawn_photos, "--labels", drawn_photos / "labels.csv", "--out", out, *small, *FOLDS)
    answer = biranet(*command)
    assert answer.status == 0 and "It was finished before, so there was nothing to do" in answer.out
    titled = biranet(*command, "--title", "Ours")
    assert "Its report stays as it is; one with another title or other subgroups makes: biranet evaluate" in titled.out
    assert "Referable AUC" in answer.out and "Fold 1" not in answer.out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for flags, difference in (
        (("--lr", 0.5), "optimizer.lr is 0.5 here and 0.0002 there"),
        (("--folds", 3), "folds is"),
    ):
        answer = biranet(*command, *flags)
        assert answer.status == 2 and f"was begun otherwise: {difference}" in answer.err


@pytest.mark.sample
def test_stopped_and_given_again_it_ends_in_the_same_bits(
    crossed, drawn_photos, small, biranet, warm, wait_for, tmp_path, monkeypatch
):
    finished, _ = crossed
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished / "prepared", "prepared")
    command = ("crossval", "prepared", "--out", "out", *small, *FOLDS)
    process = warm.start(*command)
    wait_for((tmp_path / "out" / "fold_1" / "state.safetensors").exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "Fold 1 of 2: finished in" in out
    assert err == "biranet: stopped (Fold 2 of 2); all is saved in out. Go on with the very same command\n"
    assert not (tmp_path / "out" / "report").exists()
    answer = biranet(*command)
    assert answer.status == 0 and "Fold 1 of 2: finished before\n" in answer.out
    # Both have read the same photos with the same settings, so neither says that there was another before.
    lines = (tmp_path / "prepared" / "test_readings.jsonl").read_text().splitlines()
    readings = [json.loads(line) for line in lines if line]
    assert [reading["split_column"] for reading in readings] == ["all of a cross-validation"] * 2
    assert readings[0]["sha256"] == readings[1]["sha256"] and "cross-validated before" not in answer.out
    for name in ("report/predictions.csv", "report/folds.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--folds", "1"), "--folds must be at least 2, not 1"),
        (("--folds", "0"), "--folds must be at least 2, not 0"),
        (("--folds", "21"), "has graded photos of 20 patients, too few for 21 folds; give more, or lower --folds"),
        (("--fold", "1"), "--fold is for biranet train; crossval goes through all folds, so leave it out"),
        (("--labels", "labels.csv"), "--labels is for a folder of photographs"),
        (("--validation", "0"), "--schedule plateau follows the validation kappa; with --validation 0 use cosine"),
        (("--validation", "1"), "--validation must be at least 0 and below 1, not 1.0"),
        (("--recipe", "none.toml"), "cannot read the recipe none.toml: No such file or directory"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(prepared, biranet, tmp_path, flags, sentence):
    answer = biranet("crossval", prepared, "--out", tmp_path / "out", *flags)
    assert (answer.status, answer.out) == (2, "") and sentence in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_model_that_has_learned_from_the_photos_is_no_start(prepared, shipped_folder, biranet, tmp_path):
    answer = biranet("crossval", prepared, "--from", "idrid_lite0", "--out", tmp_path / "out")
    assert answer.status == 1 and "this model has learned from 2" in answer.err and "of the 40 photos" in answer.err
    assert not (tmp_path / "out").exists()


def test_folds_of_the_manifest_are_used_and_what_was_kept_back_is_learned_from(prepared, tmp_path):
    table = split_photos(read_manifest(prepared), SplitConfig(folds=3, seed=9))
    config = SplitConfig(validation=0, calibration=0, test=0, folds=5)
    division = assign_folds(table, prepared, config, None)
    assert division.columns == ["fold_0", "fold_1", "fold_2"] and division.seed is None
    for column in division.columns:
        assert ((division.table[column] == "test") == (table[column] == "test")).all()
        assert set(division.table[column]) == {"train", "test"}
    with pytest.raises(InputError, match="is divided into 3 folds, and --folds asks for 4; leave --folds out to use"):
        assign_folds(table, prepared, config, 4)
    with pytest.raises(InputError, match="is in the test part of two folds; divide the photos anew"):
        assign_folds(table.assign(fold_1=table["fold_0"]), prepared, config, None)


def test_what_no_model_could_learn_and_what_is_in_no_fold_is_told(prepared, run_folder, tmp_path):
    table = read_manifest(prepared)
    last = table["group"].iloc[-1]
    table["grade"] = table["grade"].where(table["grade"] != 4, 3).where(table["group"] != last, 4)
    published = table["group"] == table["group"].iloc[0]
    table["official_split"] = np.where(published, "test", "train")
    table.loc[table.index[5], "group_from"] = "photo"
    same = table.index[table["group"] == table["group"].iloc[20]]
    table.loc[same, "sha256"] = table["sha256"].iloc[20]
    table.loc[same, "grade"] = np.arange(len(same))
    division = assign_folds(table, prepared, SplitConfig(validation=0, calibration=0, test=0, folds=3), 3)
    assert list(division.grades_missing_from_training()) == [(4, 2, 1)]
    assert len(division.left_out()) == 2
    assert not any(finding.refuses for finding in audit(division.table, division.columns))

    # Of so few patients no rules can be fitted; the figures are there all the same, and say it.
    photos = graded_photos(division.table)
    few = [photos[photos[column] == "test"].head(2) for column in division.columns]
    answers = [
        part[["file", "group", "grade"]].assign(
            predicted_grade=part["grade"], **dict(zip(PROBABILITIES, (0.4, 0.3, 0.1, 0.1, 0.1), strict=True)), fold=fold
        )
        for fold, part in zip("012", few, strict=True)
    ]
    path = run_folder / "last.safetensors"
    metrics = write_pooled_report(
        tmp_path,
        prepared,
        division,
        PooledAnswers(answers, [FoldModel(path, *read_info_and_sha256(path))] * 3, before=2),
        CalibrationConfig(),
        ReportConfig(by=("grade",), title="On our camera"),
    )
    assert "<title>On our camera – biranet</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert {part["column"] for part in metrics["subgroups"]} == {"grade", "fold"}
    told = "\n".join(metrics["notes"])
    assert "No rules were fitted, so grades are the most probable ones: " in told
    assert "Models that had learned from no photo of grade 4 answered for 2 photos of it (of " in told
    assert "These photos had been cross-validated 2 times before with other settings." in told
    assert "In no fold, since the data set was published with other parts for them: 2 graded photos." in told
    assert "2 of these photos have a copy with another grade at hand" in told
    assert metrics["n"] == 6 and metrics["decisions"] is None
    assert metrics["facts"]["Division"] == "3 folds, divided by patient, where known, with seed 1"
    said = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert (
        "divided into three folds by patient, where known (random seed 1), so that all photographs of a known" in said
    )
    assert "The probabilities were not calibrated, and no operating points or prediction sets were fitted." in said
    assert "calibration part" not in said and "the rules need photos of at least 9 groups" in said


def test_the_time_that_is_left_is_told_after_an_epoch_and_after_each_training(monkeypatch):
    clock, said = iter([0.0, 10.0, 40.0, 100.0, 200.0, 300.0]), []
    monkeypatch.setattr("biranet.inference.crossval_time.time.monotonic", lambda: next(clock))
    remaining = CrossvalTimer(2, 1, TrainConfig(epochs=4, device="cpu"), said.append)
    with remaining.training("Fold 1 of 2", done=False):
        for epoch in (0, 1, 1, 2):
            remaining.after_batch(dataclasses.replace(Progress(), epoch=epoch))
    with remaining.training("Fold 2 of 2", done=True):
        pass
    assert said == [
        "Fold 1 of 2: about 8 min left for all",  # probes and answers of two folds count as four epochs
        "Fold 1 of 2: finished in 2 min; about 3 min left",
        "Fold 2 of 2: finished before",
    ]


def test_what_will_not_end_today_is_said_after_a_few_steps(monkeypatch):
    clock, said = iter([0.0, 50.0, 100.0]), []
    monkeypatch.setattr("biranet.inference.crossval_time.time.monotonic", lambda: next(clock))
    remaining = CrossvalTimer(5, 100, TrainConfig(device="cpu"), said.append)
    with remaining.training("Fold 1 of 5", done=False):
        remaining.after_batch(Progress())
        assert said == [
            "Fold 1 of 5: about 4.1 days left for all, with linear probes and answers: this will not end today. What "
            "would shorten it: fewer --folds, a GPU, freeze='stage3', where the backbone has pretrained weights, a "
            "smaller image_size or backbone, fewer epochs or draws_per_epoch. Ctrl-C saves it, and the very "
            "same command goes on"
        ]
