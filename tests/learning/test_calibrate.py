"""Rules are fitted on the right photos, by the right probabilities, and end up in the checkpoint and nowhere else."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from biranet.config import CalibrationConfig
from biranet.decisions.fit import fit_rules
from biranet.decisions.rules import Rules
from biranet.errors import InputError, RefusedError
from biranet.inference.grader import load
from biranet.learning.calibrate import calibrate_on_part, calibrate_on_predictions
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_file import info_of, write_info
from biranet.learning.model import PlainNet
from biranet.learning.predict import predict_photos
from biranet.learning.tensors import open_checkpoint
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train
from biranet.manifest import graded_photos, read_manifest, training_set_digest, write_manifest
from biranet.photos.drawn.synthetic import draw_photo

LARGER = "make a larger calibration part"


@pytest.fixture(scope="module")
def folder(prepared, tmp_path_factory):
    """The drawn photos, of which the second half of the patients is the calibration part."""
    folder = tmp_path_factory.mktemp("halves") / "prepared"
    shutil.copytree(prepared, folder)
    table = read_manifest(folder)
    groups = sorted(table["group"].unique())
    table["split"] = np.where(table["group"].isin(groups[len(groups) // 2 :]), "calibration", "train")
    write_manifest(folder, table)
    return folder


@pytest.fixture
def model_file(checkpoint, tmp_path):
    return shutil.copy(checkpoint, tmp_path / "best.safetensors")


def calibrate(path, folder, **settings):
    predictor, table = load_predictor(path, "cpu"), read_manifest(folder)
    info = calibrate_on_part(predictor, folder, table, CalibrationConfig(**settings), workers=0)
    save_checkpoint(path, predictor.model, info)
    return info.rules


def out_of_fold(path, folder, table):
    with open_checkpoint(path) as stored:
        info = info_of(path, stored)
        info = calibrate_on_predictions(info, folder, read_manifest(folder), table, CalibrationConfig())
        write_info(stored, path, info)
    return info.rules


def predictions(path, folder, part):
    """What the model says of a part, without any rules."""
    predictor = load_predictor(path, "cpu")
    predictor.info = dataclasses.replace(predictor.info, rules=Rules())
    table = graded_photos(read_manifest(folder))
    table = table[table["split"] == part].reset_index(drop=True)
    return predict_photos(predictor, folder, table, workers=0)


@pytest.mark.parametrize("decoder", ["argmax", "expected_grade"])
def test_rules_are_those_of_the_calibration_part_and_stand_in_the_checkpoint(model_file, folder, decoder):
    weights, before = load_checkpoint(model_file)
    rules = calibrate(model_file, folder, decoder=decoder, cost_of_missed=3.0)
    expected = fit_rules(
        predictions(model_file, folder, "calibration"), decoder=decoder, cost_of_missed=3.0, advice=LARGER
    )
    assert dataclasses.replace(rules, fitted_on=expected.fitted_on) == expected
    assert rules.fitted_on.startswith("20 photos in 10 groups of the calibration part")
    assert rules.temperature != 1 and rules.decoder == decoder
    after, info = load_checkpoint(model_file)
    table = read_manifest(folder)
    fitted = table.loc[table["split"] == "calibration", "sha256"].str[:12]
    assert info == dataclasses.replace(before, rules=rules, calibration_photo_hashes=tuple(sorted(fitted)))
    for ours, theirs in zip(weights.state_dict().values(), after.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert [path.name for path in model_file.parent.iterdir()] == [model_file.name]


def test_no_other_part_has_a_say(model_file, folder, tmp_path):
    """Grades of the train part are turned around: the rules stay the same."""
    rules = calibrate(model_file, folder)
    other = tmp_path / "prepared"
    shutil.copytree(folder, other)
    table = read_manifest(other)
    table.loc[table["split"] == "train", "grade"] = 4 - table.loc[table["split"] == "train", "grade"]
    write_manifest(other, table)
    again = calibrate(model_file, other)
    assert dataclasses.replace(again, fitted_on="") == dataclasses.replace(rules, fitted_on="")


def test_calibrating_twice_is_calibrating_once(model_file, folder):
    first = calibrate(model_file, folder)
    once = model_file.read_bytes()
    assert calibrate(model_file, folder) == first
    assert model_file.read_bytes() == once


def test_out_of_fold_predictions_may_have_been_calibrated_before(model_file, folder):
    """Tables of folds hold probabilities to which each fold's own temperature was applied: it is undone."""
    raw = predictions(model_file, folder, "calibration")
    rules = out_of_fold(model_file, folder, raw)
    assert f"of {folder.name} (" in rules.fitted_on and "empirical" in rules.fitted_on
    assert len(load_checkpoint(model_file)[1].calibration_photo_hashes) == len(raw)
    calibrate(model_file, folder, decoder="expected_grade")
    table = graded_photos(read_manifest(folder))
    table = table[table["split"] == "calibration"].reset_index(drop=True)
    softened = predict_photos(load_predictor(model_file, "cpu"), folder, table, workers=0)
    assert not np.allclose(softened["p0"], raw["p0"], atol=1e-3)
    again = out_of_fold(model_file, folder, softened)
    assert again.temperature == pytest.approx(rules.temperature, abs=1e-6)
    assert load_checkpoint(model_file)[1].rules == again


def test_a_split_made_after_the_training_is_refused(model_file, folder, tmp_path):
    model, info = load_checkpoint(model_file)
    digest = training_set_digest(read_manifest(folder), "split")
    save_checkpoint(model_file, model, dataclasses.replace(info, training_set_digest=digest))
    calibrate(model_file, folder)
    other = tmp_path / "prepared"
    shutil.copytree(folder, other)
    table = read_manifest(other)
    write_manifest(other, table.assign(split=table["split"].iloc[::-1].to_numpy()))
    before = model_file.read_bytes()
    with pytest.raises(
        RefusedError, match=r"is not the one .* was trained on, .* of other patients give .* with --pred"
    ):
        calibrate(model_file, other)
    assert model_file.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "train"}, r"no graded photos in the part 'calibration'; its parts are: train \(40\)"),
        (
            {"group": "one"},
            r"at least 9 groups \(patients\), and the 20 photos to fit them on are of 1; make a larger cal",
        ),
        ({"grade": 0}, "of the 20 photos to fit them on none of them is referable; make a larger calibration part"),
    ],
)
def test_what_cannot_be_fitted_on_leaves_the_checkpoint_alone(model_file, folder, tmp_path, change, message):
    other = tmp_path / "prepared"
    shutil.copytree(folder, other)
    write_manifest(other, read_manifest(other).assign(**change))
    before = model_file.read_bytes()
    with pytest.raises(InputError, match=message):
        calibrate(model_file, other)
    assert model_file.read_bytes() == before


def test_too_few_out_of_fold_answers_ask_for_more_photos_and_not_for_a_larger_part(model_file, folder):
    table = predictions(model_file, folder, "calibration")
    with pytest.raises(InputError, match="photos to fit them on are of 1; give photos of more patients"):
        out_of_fold(model_file, folder, table[table["group"] == table["group"].iloc[0]])


def test_too_few_photos_are_refused_before_any_is_predicted(model_file, folder, tmp_path):
    other = tmp_path / "prepared"
    shutil.copytree(folder, other)
    table = read_manifest(other)
    write_manifest(other, table.assign(group="one"))
    for name in table["prepared"]:
        (other / name).unlink()
    with pytest.raises(InputError, match="at least 9 groups"):
        calibrate(model_file, other)


def test_predictions_without_probabilities_are_refused(model_file, folder):
    table = predictions(model_file, folder, "calibration").drop(columns=[f"p{grade}" for grade in range(5)])
    with pytest.raises(InputError, match="hold no probabilities"):
        out_of_fold(model_file, folder, table)


def test_the_folder_knows_the_patients(model_file, folder):
    """A table of another program may name none, and both eyes of a patient are no two patients."""
    table = predictions(model_file, folder, "calibration")
    rules = out_of_fold(model_file, folder, table.assign(group=table["file"]))
    assert rules.fitted_on.startswith("20 photos in 10 groups")
    assert rules == out_of_fold(model_file, folder, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "other.jpg"}, r"column 'file': 'other\.jpg' is not a graded photo of .*; name the prepared folder"),
        ({"grade": 4}, r"column 'grade': 4 for '.*', which has the grade \d in "),
    ],
)
def test_predictions_of_another_data_set_are_refused(model_file, folder, change, message):
    table = predictions(model_file, folder, "calibration")
    row = table.index[table["grade"] != 4][0]
    for column, value in change.items():
        table.loc[row, column] = value
    before = model_file.read_bytes()
    with pytest.raises(InputError, match=message):
        out_of_fold(model_file, folder, table)
    assert model_file.read_bytes() == before


@pytest.mark.sample
def test_training_calibrates_its_result_on_the_command_line(biranet, folder, small, tmp_path, tree):
    """The best epoch where there is a validation part, else the last one; a resumed run ends in the same bytes."""
    other = tmp_path / "prepared"
    shutil.copytree(folder, other)
    answer = biranet(
        "train", other, "--out", tmp_path / "last", *small, "--schedule", "constant", "--decoder", "expected_grade"
    )
    assert answer.status == 0 and "Calibrated on 20 photos in 10 groups" in answer.out
    assert load_checkpoint(tmp_path / "last" / "last.safetensors")[1].rules.decoder == "expected_grade"

    table = read_manifest(other)
    assert "There are no operating points" in answer.out
    rules = load_checkpoint(tmp_path / "last" / "last.safetensors")[1].rules
    assert rules.operating_points == () and rules.set_threshold is not None
    assert any("There are no operating points" in doubt for doubt in rules.doubts)

    # As patients of their own there are nine and more on either side of referral.
    parts = np.resize(["calibration"] * 6 + ["train", "validation"], len(table))
    write_manifest(other, table.sort_values("grade").assign(group=lambda rows: rows["file"], split=parts))
    answer = biranet("train", other, "--out", tmp_path / "best", *small, "--cost-of-missed", "2")
    assert answer.status == 0 and "temperature " in answer.out and "no operating points" not in answer.out
    names = ["best.safetensors", "last.safetensors"]
    rules = [load_checkpoint(tmp_path / "best" / name)[1].rules for name in names]
    assert rules[0].operating_points[-1].name == "cost_2" and rules[1] == Rules()
    done = tree(tmp_path / "best")
    assert biranet("train", "--resume", "--out", tmp_path / "best").status == 0
    assert {name: tree(tmp_path / "best")[name] for name in names} == {name: done[name] for name in names}

    # What somebody fits afterwards is kept when the finished run is resumed.
    assert biranet("calibrate", tmp_path / "best" / names[0], other, "--decoder", "expected_grade").status == 0
    kept = tree(tmp_path / "best")[names[0]]
    assert "keeps its rules" in biranet("train", "--resume", "--out", tmp_path / "best").out
    assert tree(tmp_path / "best")[names[0]] == kept


def test_a_model_of_your_own_is_trained_calibrated_and_read_by_what_built_it(
    folder, tmp_path, capsys, tiny_config, small_backbone
):
    def build(config):
        return PlainNet(small_backbone(), channels=6)

    config = tiny_config(epochs=1, optimizer={"schedule": "constant"})
    train(folder, tmp_path / "run", config, build=build)
    assert "Calibrated on 20 photos in 10 groups" in capsys.readouterr().out
    last = tmp_path / "run" / "last.safetensors"
    model, info = load_checkpoint(last, build)
    assert isinstance(model, PlainNet) and info.calibration_photo_hashes
    with pytest.raises(InputError, match="do not belong together"):
        load_checkpoint(last)
    assert load(last, device="cpu", build=build).grade(draw_photo(grade=0, seed=7)).grade in range(5)


@pytest.mark.sample
def test_a_run_that_cannot_be_calibrated_is_not_lost(biranet, split_folder, small, tmp_path):
    answer = biranet("train", split_folder, "--out", tmp_path / "run", *small)
    assert answer.status == 0 and "The model could not be calibrated: the calibration part (split) of" in answer.out
    assert "Done. The best model is" in answer.out


def test_the_command_shows_and_writes_the_rules(biranet, model_file, folder, tmp_path):
    answer = biranet("calibrate", model_file, folder, "--workers", "0", "--no-cuda")
    rules = load_checkpoint(model_file)[1].rules
    assert answer.status == 0 and f"temperature {rules.temperature:.3f}, decoder argmax" in answer.out
    for point in rules.operating_points:
        assert f"{point.name:16} refers where p2 + p3 + p4 >= {point.threshold:.3f}" in answer.out
    table = predictions(model_file, folder, "calibration")
    table.to_csv(tmp_path / "oof.csv", index=False)
    answer = biranet("calibrate", model_file, folder, "--predictions", tmp_path / "oof.csv")
    assert answer.status == 0 and "out-of-fold predictions" in load_checkpoint(model_file)[1].rules.fitted_on
    pd.testing.assert_frame_equal(predictions(model_file, folder, "calibration"), table)  # the raw answers stay
