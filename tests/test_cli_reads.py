"""Every command reads a checkpoint once: what it builds, predicts and writes comes from the same bytes."""

import shutil

import numpy as np
import pytest

from biranet.learning.predict import predict_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.manifest import graded_photos, read_manifest, write_manifest
from opened_files import opened_files


@pytest.fixture
def opened():
    """The files that this process opens to read, one entry each time."""
    with opened_files() as paths:
        yield paths


def test_every_command_reads_a_model_that_ships_once(shipped_folder, biranet, prepared, drawn_photos, tmp_path, opened):
    folder, model = tmp_path / "prepared", shipped_folder / "idrid_lite0.safetensors"
    shutil.copytree(prepared, folder)

    def times_opened(*words: object) -> int:
        opened.clear()
        assert biranet(*words).status == 0, words
        return opened.count(str(model))

    photo, grades = next(drawn_photos.glob("*.jpg")), tmp_path / "grades.csv"
    assert times_opened("models") == 1
    assert times_opened("models", "idrid_lite0") == 1
    assert times_opened("grade", photo, "--out", grades, "--workers", "0") == 1
    report = ("--out", tmp_path / "report", "--split", "all", "--workers", "0")
    assert times_opened("evaluate", "idrid_lite0", folder, *report) == 1
    assert times_opened("export", "idrid_lite0", tmp_path / "half.safetensors") == 1


@pytest.mark.slow
@pytest.mark.sample
def test_every_command_reads_the_checkpoint_once(biranet, prepared, drawn_photos, small, tmp_path, opened):
    folder, model = tmp_path / "prepared", tmp_path / "run" / "last.safetensors"
    shutil.copytree(prepared, folder)
    table = read_manifest(folder)
    groups = sorted(table["group"].unique())
    parts = np.where(table["group"].isin(groups[len(groups) // 2 :]), "calibration", "train")
    write_manifest(folder, table.assign(split=parts))

    def times_opened(*words: object) -> int:
        opened.clear()
        assert biranet(*words).status == 0, words
        return opened.count(str(model))

    train = ("train", folder, "--out", model.parent, *small, "--schedule", "constant")
    assert times_opened(*train) == 1
    assert times_opened("train", "--resume", "--out", model.parent) == 1
    assert times_opened("calibrate", model, folder, "--workers", "0") == 1
    answers = predict_photos(load_predictor(model), folder, graded_photos(read_manifest(folder)), workers=0)
    answers.to_csv(tmp_path / "answers.csv", index=False)
    assert times_opened("calibrate", model, folder, "--predictions", tmp_path / "answers.csv") == 1
    report = ("--out", tmp_path / "report", "--split", "all", "--workers", "0")
    assert times_opened("evaluate", model, folder, *report) == 1
    assert opened.count(str(model.parent / "probe" / "last.safetensors")) == 1
    photo, grades = next(drawn_photos.glob("*.jpg")), tmp_path / "grades.csv"
    assert times_opened("grade", photo, "--checkpoint", model, "--out", grades, "--workers", "0") == 1
    assert times_opened("export", model, tmp_path / "half.safetensors") == 1
    again = ("--epochs", "1", "--batch-size", "8", "--workers", "0", "--schedule", "constant")
    # For its weights, and of these its backbone for the linear probe beside it.
    assert times_opened("train", folder, "--from", model, "--out", tmp_path / "again", *again) == 1
