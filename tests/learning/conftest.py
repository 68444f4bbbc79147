"""What the tests of learning share: the smallest backbone there can be, and the smallest training."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from biranet.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from biranet.learning.history import read_history
from biranet.learning.model import BiraNet, PlainNet, RANet
from biranet.learning.train import train

CHANNELS = 6


def _small_backbone():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, CHANNELS, 3, stride=2, padding=1),
        nn.Softplus(),
    )


@pytest.fixture
def small_backbone():
    """Function that makes a backbone of a few layers, with `CHANNELS` channels and stride 4."""
    return _small_backbone


@pytest.fixture(params=["biranet", "ranet", "plain"])
def small_model(request):
    """Each architecture on a small backbone of its own, always with the same start weights."""
    torch.manual_seed(0)
    if request.param == "biranet":
        return BiraNet(_small_backbone(), _small_backbone(), CHANNELS)
    return {"ranet": RANet, "plain": PlainNet}[request.param](_small_backbone(), CHANNELS)


def _tiny_config(*, model=None, data=None, optimizer=None, **settings):
    return TrainConfig(
        model=ModelConfig(
            **({"model": "plain", "backbone": "test_resnet", "pretrained": False, "freeze": "none"} | (model or {}))
        ),
        data=DataConfig(**({"image_size": 64, "batch_size": 8, "workers": 0} | (data or {}))),
        optimizer=OptimizerConfig(**({"lr": 0.01, "weight_scale": "unit"} | (optimizer or {}))),
        **({"epochs": 2, "device": "cpu"} | settings),
    )


@pytest.fixture(scope="session")
def tiny_config():
    """Function from what differs to the settings of a training of two epochs that takes half a second."""
    return _tiny_config


@pytest.fixture
def folder(split_folder, tmp_path):
    """A prepared folder with a split, to change at will."""
    return Path(shutil.copytree(split_folder, tmp_path / "prepared"))


@pytest.fixture(scope="session")
def reference(split_folder, tmp_path_factory):
    """A run of two epochs that nothing stopped; read only."""
    run = tmp_path_factory.mktemp("reference") / "run"
    train(split_folder, run, _tiny_config())
    return run


@pytest.fixture
def finished(reference, tmp_path):
    """A copy of that run, to change at will."""
    return Path(shutil.copytree(reference, tmp_path / "finished"))


def _same_weights(a, b):
    ours, theirs = load_file(a), load_file(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="session")
def same_weights():
    """Function that tells whether two files hold the same tensors, to the bit."""
    return _same_weights


def _history(run):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_history(run)]


def _assert_same_run(run, reference):
    names = {path.name for path in reference.iterdir()}
    assert {path.name for path in run.iterdir()} == names
    for name in names:
        if name.endswith(".safetensors"):
            assert (run / name).read_bytes() == (reference / name).read_bytes(), name
    assert _history(run) == _history(reference)


@pytest.fixture(scope="session")
def assert_same_run():
    """Function that checks that two runs hold the same files, to the bit, and the same history but for the time."""
    return _assert_same_run
