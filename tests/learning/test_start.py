"""A training that starts from a checkpoint: whole, or from its backbone alone."""

import dataclasses
import json
import shutil

import pytest
import torch

from biranet.config import DataConfig, ModelConfig, TrainConfig
from biranet.decisions.rules import Rules
from biranet.errors import InputError
from biranet.files import sha256_of
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.flip import FlipAverage
from biranet.learning.model import build_model
from biranet.learning.start import load_start, read_start
from biranet.learning.train import train
from lesion_models import lesion_checkpoint, lesion_grader

FROZEN = ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage4")
THAWED = dataclasses.replace(FROZEN, freeze="none")
FEW = ("--epochs", 1, "--batch-size", 8, "--workers", 0)


@pytest.fixture(scope="module")
def frozen(checkpoint, tmp_path_factory):
    """A checkpoint whose backbone is as its training found it."""
    torch.manual_seed(5)
    info = dataclasses.replace(load_checkpoint(checkpoint)[1], model=FROZEN)
    path = tmp_path_factory.mktemp("frozen") / "frozen.safetensors"
    save_checkpoint(path, build_model(FROZEN), info)
    return path


def logits(model, size=64):
    return model.eval()(torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size)).logits


def test_a_training_starts_from_a_checkpoint_and_says_so(checkpoint, split_folder, biranet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, "mine.safetensors")
    answer = biranet("train", split_folder, "--from", "mine.safetensors", "--out", "run", *FEW, "--lr", 1e-9)
    assert (answer.status, answer.err) == (0, "")
    assert f"It starts from the weights of mine.safetensors, sha256 {sha256_of(checkpoint)}" in answer.out
    (model, info), (before, its) = map(load_checkpoint, (tmp_path / "run" / "last.safetensors", checkpoint))
    # Architecture, backbone, frozen layers and image size are those of the checkpoint without a word.
    assert (info.model.backbone, info.model.freeze, info.image_size) == ("test_resnet", "none", 64)
    assert info.normalization == its.normalization and info.rules == Rules()
    weights = before.state_dict()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=1e-6)
    assert info.started_from is not None and info.started_from.sha256 == sha256_of(checkpoint)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["start"] == "mine.safetensors"

    # A run goes on from its own state; what it started from is known.
    assert biranet("train", "--resume", "--out", "run").status == 0
    answer = biranet("train", "--resume", "--out", "run", "--from", "mine.safetensors")
    assert answer.err == "biranet: --resume keeps the settings of the run; leave --from out\n"


def test_python_names_the_start_as_the_command_line_does(shipped_folder, split_folder, tmp_path):
    model = ModelConfig(backbone="test_resnet", pretrained=False, freeze="none")
    config = TrainConfig(epochs=1, model=model, data=DataConfig(image_size=64, batch_size=8, workers=0))
    shipped = shipped_folder / "idrid_lite0.safetensors"
    for number, start in enumerate(("idrid_lite0", str(shipped), shipped)):
        run = tmp_path / str(number)
        train(split_folder, run, config, start=start)
        assert json.loads((run / "config.json").read_text())["start"] == str(shipped)
    assert len({(tmp_path / name / "last.safetensors").read_bytes() for name in "012"}) == 1
    for start, sentence in (
        ("idrid_lite7", "^'idrid_lite7' is neither a file nor a model that ships with this biranet; those that do are"),
        ("runs/none.safetensors", r"^runs/none\.safetensors is no file; give a checkpoint, such as RUN/best\.safete"),
    ):
        with pytest.raises(InputError, match=sentence):
            train(split_folder, tmp_path / "none", config, start=start)
    assert not (tmp_path / "none").exists()


def test_weights_that_are_not_those_of_the_description_are_refused(checkpoint):
    start = read_start(checkpoint)
    model = build_model(start.info.model)
    name, weight = next((name, each) for name, each in start.weights.items() if each.is_floating_point())
    few = {other: each for other, each in start.weights.items() if other != name}
    for weights in (few, few | {name: weight[:1]}, dict(start.weights) | {"more": weight}, few | {name: weight.int()}):
        with pytest.raises(InputError, match="its weights and its description do not belong together"):
            load_start(start._replace(weights=weights), model, start.info.model)


def test_a_report_says_what_the_start_had_learned_from(shipped_folder, split_folder, biranet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ("train", split_folder, "--from", "idrid_lite0", "--out", "run", *FEW)
    assert biranet(*train).status == 0
    answer = biranet("evaluate", "run/last.safetensors", split_folder, "--split", "all", "--workers", 0)
    learned = load_checkpoint(shipped_folder / "idrid_lite0.safetensors")[1].training_set_fingerprints
    note = f"The model that the training started from had learned from {len(learned)} of these photos, as they are or"
    assert answer.status == 0 and note in answer.out
    facts = json.loads((tmp_path / "report" / "metrics.json").read_text())["facts"]
    assert facts["Started from"].startswith("idrid_lite0.safetensors, sha256 ")

    # It says so too of one that starts from this one, which carries no fingerprints of its own.
    origin = read_start(tmp_path / "run" / "last.safetensors").origin
    assert origin.fingerprints == learned and len(origin.training_set_digests) == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--backbone", "resnet18"), "it is biranet on the backbone test_resnet, and the training is to be of biranet"),
        (
            ("--model", "ranet"),
            "and the training is to be of ranet on test_resnet; give --model biranet and --backbone",
        ),
        (("--backbone-weights", "w.pth"), "--from brings all weights, those of the backbone too; leave --backbone-we"),
        (("--freeze", "stage4"), "and --freeze stage4 would make one of them; give --freeze none"),
        (("--image-size", "128"), "--image-size 128 is larger than the prepared photos, which are 64 px"),
    ],
)
def test_what_does_not_fit_the_start_is_refused(checkpoint, split_folder, biranet, tmp_path, flags, sentence):
    answer = biranet("train", split_folder, "--from", checkpoint, "--out", tmp_path / "run", *FEW, *flags)
    assert answer.status == 2 and sentence in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_one_that_looks_for_lesions_is_refused_as_such(split_folder, biranet, tmp_path):
    path = lesion_checkpoint(lesion_grader(), tmp_path / "lesions.safetensors")
    flags = ("--image-size", "64", "--out", tmp_path / "run", *FEW)
    answer = biranet("train", split_folder, "--from", path, *flags)
    assert answer.status == 2 and "lesions correct its answers" in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_neither_a_file_nor_a_model_is_refused(split_folder, biranet, tmp_path):
    for flag in ("--from", "--backbone-weights"):
        answer = biranet("train", split_folder, "--out", tmp_path / "run", flag, "idrid_lite7")
        assert answer.status == 2 and "'idrid_lite7' is neither a file nor a model that ships" in answer.err


def test_thawing_and_freezing_change_no_answer(frozen):
    start = read_start(frozen)
    thawed = build_model(THAWED)
    load_start(start, thawed, THAWED)
    torch.testing.assert_close(logits(thawed), logits(load_checkpoint(frozen)[0]))

    again = FlipAverage(build_model(FROZEN))
    load_start(start._replace(weights=thawed.state_dict()), again, FROZEN)
    torch.testing.assert_close(logits(again.model), logits(thawed))

    with torch.no_grad():
        next(thawed.stream_b.backbone.parameters()).add_(1)
    with pytest.raises(InputError, match="each for itself, and freeze='stage4' would make one of them; give freeze="):
        load_start(start._replace(weights=thawed.state_dict()), again, FROZEN)


def test_a_backbone_is_taken_from_a_checkpoint_that_left_it_alone(frozen, checkpoint, tmp_path):
    model = build_model(dataclasses.replace(FROZEN, model="plain", backbone_weights=frozen))
    stored = load_checkpoint(frozen)[0].state_dict()
    for name, tensor in model.frozen.state_dict(prefix="frozen.").items():
        torch.testing.assert_close(tensor, stored[name], rtol=0, atol=0)

    with pytest.raises(
        InputError, match="its backbone was trained on photographs; a training that starts from all of its"
    ):
        build_model(dataclasses.replace(FROZEN, backbone_weights=checkpoint))
    with pytest.raises(InputError, match="its backbone is test_resnet, not resnet18; give backbone='test_resnet'"):
        build_model(ModelConfig(backbone="resnet18", backbone_weights=frozen))
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(frozen.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.safetensors is damaged: its weights are not those"):
        build_model(dataclasses.replace(FROZEN, backbone_weights=damaged))
