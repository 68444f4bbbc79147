"""The linear probe that every training leaves, and that every report of it shows, by the command line."""

import dataclasses
import json
import shutil

import pandas as pd
import pytest

from biranet.inference.evaluate import load_probe_beside
from biranet.learning.checkpoint_file import read_info
from biranet.manifest import read_manifest, write_manifest


def evaluate(biranet, run, folder, out, *more):
    answer = biranet("evaluate", run / "best.safetensors", folder, "--out", out, "--workers", "0", *more)
    assert answer.status == 0, answer
    return answer.out, json.loads((out / "metrics.json").read_text())


def test_report_shows_the_probe_as_its_own_report_does(biranet, run_folder, split_folder, tmp_path):
    said, metrics = evaluate(biranet, run_folder, split_folder, tmp_path / "report", "--split", "all")
    control = metrics["control"]
    _, own = evaluate(biranet, run_folder / "probe", split_folder, tmp_path / "own", "--split", "all")
    assert "control" not in own
    keys = ("n", "quadratic_weighted_kappa", "referable_auc", "confusion_matrix", "ci")
    assert {key: control["measures"][key] for key in keys} == {key: own[key] for key in keys}
    for key in ("quadratic_weighted_kappa", "referable_auc"):
        difference = control["differences"][key]
        assert difference["difference"] == pytest.approx(metrics[key] - own[key])
        assert f"{own[key]:.3f} by a linear probe; the model's minus it: {difference['difference']:+.3f}" in said
    assert "Beside a linear probe" in (tmp_path / "report" / "report.html").read_text()
    files = [pd.read_csv(tmp_path / name)["file"].tolist() for name in ("report/control.csv", "own/predictions.csv")]
    assert files[0] == files[1]


def test_the_table_of_a_report_is_measured_again_beside_its_probe(biranet, run_folder, split_folder, tmp_path):
    _, metrics = evaluate(biranet, run_folder, split_folder, tmp_path / "report", "--split", "all")
    again = ("evaluate", "--predictions", tmp_path / "report" / "predictions.csv", "--out", tmp_path / "again")
    answer = biranet(*again)
    assert answer.status == 0 and " by a linear probe; the model's minus it: " in answer.out
    assert json.loads((tmp_path / "again" / "metrics.json").read_text())["control"] == metrics["control"]
    control = tmp_path / "report" / "control.csv"
    assert (tmp_path / "again" / "control.csv").read_bytes() == control.read_bytes()
    control.write_bytes(control.read_bytes() + b"\n")
    answer = biranet(*again)
    assert answer.status == 2 and answer.err.count("\n") == 1
    assert "control.csv is not the table of the linear probe that metrics.json beside it tells of" in answer.err
    control.unlink()
    assert biranet(*again).status == 0 and not (tmp_path / "again" / "control.csv").exists()


def test_a_table_of_that_name_beside_anyones_predictions_is_no_probe(biranet, tmp_path):
    rows = "file,group,grade,predicted_grade\na.jpg,a,0,0\nb.jpg,b,2,1\n"
    for name in ("predictions.csv", "control.csv"):
        (tmp_path / name).write_text(rows)
    assert biranet("evaluate", "--predictions", tmp_path / "predictions.csv", "--out", tmp_path / "out").status == 0
    assert "control" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_without_a_probe_nothing_of_it_is_left(biranet, run_folder, split_folder, tmp_path):
    mine = shutil.copytree(run_folder, tmp_path / "mine")
    evaluate(biranet, mine, split_folder, tmp_path / "report", "--split", "all")
    assert (tmp_path / "report" / "control.csv").exists()
    shutil.rmtree(mine / "probe")
    _, metrics = evaluate(biranet, mine, split_folder, tmp_path / "report", "--split", "all")
    assert "control" not in metrics and not (tmp_path / "report" / "control.csv").exists()
    assert "Beside a linear probe" not in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.sample
def test_every_training_leaves_one_and_a_finished_one_that_lacks_it_gets_it_by_resume(biranet, run_folder, tmp_path):
    mine, probe = shutil.copytree(run_folder, tmp_path / "mine"), "probe/best.safetensors"
    shutil.rmtree(mine / "probe")
    answer = biranet("train", "--resume", "--out", mine)
    assert answer.status == 0
    assert "\nBeside it, a linear probe on the same backbone: validation kappa " in answer.out
    assert (mine / probe).read_bytes() == (run_folder / probe).read_bytes()


def test_a_probe_of_other_photos_is_none(run_folder, tmp_path):
    info = read_info(run_folder / "best.safetensors")
    probe = load_probe_beside(run_folder / "best.safetensors", info, "cpu")
    assert probe is not None and probe.origin == str(run_folder / "probe" / "best.safetensors")
    mine = shutil.copytree(run_folder, tmp_path / "mine")
    assert (
        load_probe_beside(mine / "best.safetensors", dataclasses.replace(info, training_set_digest="other"), "cpu")
        is None
    )


def test_where_none_can_be_fitted_the_training_stands(biranet, split_folder, small, tmp_path):
    folder = shutil.copytree(split_folder, tmp_path / "prepared")
    table = read_manifest(folder)
    table.loc[table["split"] == "train", "grade"] = 2
    write_manifest(folder, table)
    answer = biranet("train", folder, "--out", tmp_path / "run", *small, "--epochs", "1", "--schedule", "constant")
    assert answer.status == 0, answer
    assert "\nNo linear probe to compare with: all photos to train on have grade 2" in answer.out
