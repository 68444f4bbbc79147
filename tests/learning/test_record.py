"""How a model was trained stands in its checkpoint, and a checkpoint without that is read as before."""

import dataclasses
import shutil

import pytest

from biranet.config import ModelConfig, TrainConfig
from biranet.files import read_json
from biranet.learning.checkpoint import read_weights
from biranet.learning.checkpoint_file import read_info
from biranet.learning.checkpoint_info import info_header, parse_info
from biranet.learning.record import describe_training
from biranet.learning.tensors import write_tensors
from biranet.manifest import read_manifest
from biranet.training_record import IMAGENET, RANDOM, TrainingRun


def start_of(model, photos):
    record = describe_training(TrainConfig(model), photos, photos.head(0), precision="no", device="cpu")
    return record.settings.backbone_start


def test_a_finished_run_says_what_it_learned_from_and_how(run_folder, split_folder):
    info, told = read_info(run_folder / "best.safetensors"), read_json(run_folder / "config.json")["train"]
    assert info.training is not None
    settings, run = info.training.settings, info.training.run
    assert dataclasses.asdict(settings.optimizer) == told["optimizer"]
    assert (settings.batch_size, settings.augmentation) == (told["data"]["batch_size"], told["data"]["augmentation"])
    assert (settings.epochs, settings.early_stop) == (told["epochs"], told["early_stop"])
    assert (settings.precision, settings.device, settings.backbone_start) == ("fp32", "cpu", RANDOM)
    photos = read_manifest(split_folder)
    learned = photos[photos["split"] == "train"]
    validation = int((photos["split"] == "validation").sum())
    assert run == TrainingRun(len(learned), learned["group"].nunique(), validation, epochs=1, best_epoch=1)


def test_where_a_backbone_began_is_known_also_by_way_of_a_checkpoint(run_folder, split_folder, tmp_path):
    photos = read_manifest(split_folder)
    assert start_of(ModelConfig(), photos) == IMAGENET
    assert start_of(ModelConfig(backbone_weights=tmp_path / "resnet50.pth"), photos) == "resnet50.pth"
    mine = shutil.copy(run_folder / "best.safetensors", tmp_path / "mine.safetensors")
    assert start_of(ModelConfig(backbone_weights=mine), photos) == RANDOM
    weights, info, _ = read_weights(mine)
    earlier = dataclasses.replace(info, training=None, model=dataclasses.replace(info.model, pretrained=True))
    write_tensors(mine, weights, info_header(earlier))
    assert start_of(ModelConfig(backbone_weights=mine), photos) == IMAGENET


def test_a_checkpoint_from_before_is_read_and_says_nothing_of_it(run_folder, tmp_path):
    info = read_info(run_folder / "best.safetensors")
    header = {key: value for key, value in info_header(info).items() if key != "training"}
    assert parse_info(tmp_path / "old.safetensors", header) == dataclasses.replace(info, training=None)


@pytest.mark.parametrize("flags", [("--image-size", 65), ("--backbone", "resnett50"), ("--backbone-weights", "no.pth")])
def test_wrong_settings_are_refused_before_a_split_is_written(prepared, small, biranet, tmp_path, flags):
    folder = shutil.copytree(prepared, tmp_path / "prepared")
    before = (folder / "manifest.csv").read_bytes()
    answer = biranet("train", folder, "--out", tmp_path / "run", *small, *flags)
    assert answer.status == 2 and answer.err.startswith("biranet: --") and answer.err.count("\n") == 1
    assert (folder / "manifest.csv").read_bytes() == before and not (tmp_path / "run").exists()
