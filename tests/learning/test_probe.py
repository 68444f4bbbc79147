"""The linear probe: what it learns, what it leaves, and what it refuses."""

import os
import shutil
import signal

import numpy as np
import pytest
import torch

from biranet.errors import InputError, InterruptedRunError
from biranet.learning import probe as module
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.data import PreparedPhotos, sampling_chances
from biranet.learning.history import read_history
from biranet.learning.linear import PENALTIES, fit_logistic
from biranet.learning.model import build_model
from biranet.learning.normalization import normalize
from biranet.learning.train import train
from biranet.manifest import graded_photos, read_manifest, write_manifest
from biranet.photos import HEADER_GROUP

PROBE = {"model": "probe"}


@pytest.fixture(scope="module")
def probe(split_folder, tiny_config, tmp_path_factory):
    """A run folder with a probe; read only."""
    run = tmp_path_factory.mktemp("probe") / "run"
    train(split_folder, run, tiny_config(model=PROBE))
    return run


@pytest.fixture
def finished_copy(probe, tmp_path):
    return shutil.copytree(probe, tmp_path / "run")


def test_its_layer_is_a_logistic_regression_on_the_mean_features_of_the_backbone(probe, split_folder, tiny_config):
    config = tiny_config(model=PROBE)
    model, info = load_checkpoint(probe / "best.safetensors")
    photos = graded_photos(read_manifest(split_folder))
    photos = photos[photos["split"] == "train"]
    pixels = np.stack([PreparedPhotos(split_folder, photos, 64).photo(row) for row in range(len(photos))])
    with torch.inference_mode():
        maps = model.frozen(normalize(torch.from_numpy(pixels), info.normalization))
    features = maps.mean(dim=(2, 3)).double()
    grades = photos["grade"].to_numpy(np.int64)
    weights = torch.from_numpy(sampling_chances(grades, config.data))
    layers = [fit_logistic(features, torch.from_numpy(grades), weights, each, 5) for each in PENALTIES]
    logits = model(normalize(torch.from_numpy(pixels), info.normalization)).logits.detach()
    distances = sorted((layer(features) - logits).abs().max() for layer in layers)
    assert distances[0] < 0.01 < 0.05 < distances[1]


def test_it_leaves_a_run_folder_like_any_other(probe, reference, same_weights):
    assert {path.name for path in probe.iterdir()} == {path.name for path in reference.iterdir()}
    (row,) = read_history(probe)
    assert row["validation_kappa"] == load_checkpoint(probe / "best.safetensors")[1].validation_kappa
    assert same_weights(probe / "best.safetensors", probe / "last.safetensors")


def test_backbone_stays_as_it_was(probe, tiny_config):
    torch.manual_seed(1)
    start = build_model(tiny_config(model=PROBE).model)
    model, _ = load_checkpoint(probe / "best.safetensors")
    for name, weight in start.frozen.state_dict().items():
        torch.testing.assert_close(model.frozen.state_dict()[name], weight, rtol=0, atol=0)


def test_going_on_with_a_finished_one_changes_nothing(finished_copy, split_folder, tiny_config, tree):
    before = tree(finished_copy)
    train(split_folder, finished_copy, tiny_config(model=PROBE), resume=True)
    after = tree(finished_copy)
    assert {name: data for name, data in after.items() if "safetensors" in name} == {
        name: data for name, data in before.items() if "safetensors" in name
    }


def test_a_signal_ends_it_and_it_begins_anew(folder, tmp_path, tiny_config, monkeypatch, probe, same_weights):
    loaded = module.normalize

    def and_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return loaded(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "normalize", and_stop)
        with pytest.raises(InterruptedRunError, match="Go on with: biranet train --resume"):
            train(folder, tmp_path / "run", tiny_config(model=PROBE))
    train(folder, tmp_path / "run", tiny_config(model=PROBE), resume=True)
    assert same_weights(tmp_path / "run" / "best.safetensors", probe / "best.safetensors")


@pytest.mark.parametrize(
    ("column", "value", "divided", "sentence"),
    [
        ("grade", 2, True, "all photos to train on have grade 2"),
        ("grade", 2, False, "all photos to train on have grade 2"),
        ("group", "p7", True, "are of one patient (p7)"),
        (HEADER_GROUP, "7", True, "are of one patient ("),
    ],
)
def test_photos_of_one_grade_or_one_patient_are_refused_before_anything_is_written(
    folder, tmp_path, tiny_config, column, value, divided, sentence
):
    table = read_manifest(folder)
    table = table[table["split"] == "train"].assign(**{column: value})
    write_manifest(folder, table if divided else table.assign(split=""))
    before = (folder / "manifest.csv").read_bytes()
    with pytest.raises(InputError) as refusal:
        train(folder, tmp_path / "run", tiny_config(model=PROBE, optimizer={"schedule": "cosine"}))
    assert sentence in str(refusal.value)
    assert (folder / "manifest.csv").read_bytes() == before and not (tmp_path / "run").exists()
