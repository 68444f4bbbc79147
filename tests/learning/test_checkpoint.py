import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.learning.checkpoint import VERSION, Card, load_checkpoint, save_checkpoint, write_tensors
from biranet.learning.model import build_model
from biranet.learning.state import Progress, load_state, save_state
from biranet.photos.prepare import Preparation

SMALL = ModelConfig(trunk="test_resnet", pretrained=False, freeze="none")
FROZEN = dataclasses.replace(SMALL, freeze="stage2")


def card(config=SMALL):
    return Card(
        model=config,
        image_size=64,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        preparation=Preparation(size_px=80),
        epoch=3,
        validation_kappa=0.25,
        split_column="fold_2",
        trained_on="drawn",
        software={"torch": "2"},
    )


@pytest.mark.parametrize(
    "config",
    [SMALL, FROZEN, dataclasses.replace(SMALL, model="ranet"), dataclasses.replace(FROZEN, model="plain")],
    ids=lambda config: f"{config.model}-{config.freeze}",
)
def test_a_checkpoint_gives_back_the_same_model_and_card(tmp_path, config):
    torch.manual_seed(3)
    model = build_model(config).eval()
    save_checkpoint(tmp_path / "a.safetensors", model, card(config))
    again, read = load_checkpoint(tmp_path / "a.safetensors")
    images = torch.rand(2, 3, 64, 64)
    assert read == card(config)
    assert not again.training
    for ours, theirs in zip(model(images), again(images), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_is_safetensors_with_a_readable_header_and_no_pickle(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_model(SMALL), card())
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["biranet"])["image_size"] == 64
    assert len(load_file(path)) == len(build_model(SMALL).state_dict())


def rewritten(tmp_path, **changes):
    """A checkpoint whose header was changed."""
    model = build_model(SMALL)
    header = {"format": "biranet-checkpoint", "version": VERSION, **dataclasses.asdict(card())} | changes
    write_tensors(tmp_path / "changed.safetensors", model.state_dict(), header)
    return tmp_path / "changed.safetensors"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": VERSION + 1}, rf"version {VERSION + 1}, and this program reads version {VERSION}"),
        ({"format": "biranet-training-state"}, r"not a checkpoint; give RUN/best\.safetensors"),
        ({"model": {"trunk": "test_efficientnet"}}, "do not belong together"),
        ({"image_size": "large"}, "do not belong together"),
        ({"surprise": 1}, "do not belong together"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_in_one_sentence(tmp_path, changes, sentence):
    if "model" in changes:
        changes = {"model": dataclasses.asdict(SMALL) | changes["model"]}
    with pytest.raises(InputError, match=sentence):
        load_checkpoint(rewritten(tmp_path, **changes))


def test_files_that_are_no_checkpoint_are_refused_in_one_sentence(tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_checkpoint(whole, build_model(SMALL), card())
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.safetensors").touch()
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    for name in ("cut", "text", "empty", "foreign", "pickle"):
        with pytest.raises(InputError, match=f"{name}.safetensors is not a checkpoint of biranet, or it is damaged"):
            load_checkpoint(tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="is no file; give a checkpoint"):
        load_checkpoint(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_state_gives_back_weights_optimiser_and_counters(tmp_path, kind):
    def trained(seed):
        torch.manual_seed(seed)
        model = build_model(SMALL)
        weights = model.parameters()
        optimiser = torch.optim.SGD(weights, lr=0.1, momentum=0.9) if kind == "sgd" else torch.optim.AdamW(weights)
        return model, optimiser

    def step(model, optimiser):
        model(torch.ones(4, 3, 64, 64) * torch.arange(4)[:, None, None, None]).logits.square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    model, optimiser = trained(1)
    step(model, optimiser)
    progress = Progress(epoch=2, batch=5, loss_sum=0.1 + 0.2, best_kappa=1 / 3, best_epoch=1)
    progress.confusion[4][0] = 7
    save_state(tmp_path / "s.safetensors", model, optimiser, {"best": float("-inf")}, progress)
    again, optimiser_again = trained(2)
    read, schedule = load_state(tmp_path / "s.safetensors", again, optimiser_again)
    assert read == progress
    assert schedule == {"best": float("-inf")}
    step(model, optimiser)
    step(again, optimiser_again)
    for (name, ours), theirs in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_state_of_another_model_is_refused(tmp_path):
    model = build_model(SMALL)
    save_state(tmp_path / "s.safetensors", model, torch.optim.SGD(model.parameters(), lr=1.0), {}, Progress())
    other = build_model(dataclasses.replace(SMALL, model="plain"))
    with pytest.raises(InputError, match="belongs to another model"):
        load_state(tmp_path / "s.safetensors", other, torch.optim.SGD(other.parameters(), lr=1.0))
    save_checkpoint(tmp_path / "c.safetensors", model, card())
    with pytest.raises(InputError, match="not a training state of this version"):
        load_state(tmp_path / "c.safetensors", model, torch.optim.SGD(model.parameters(), lr=1.0))
