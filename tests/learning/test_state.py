import copy

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from biranet.config import OptimizerConfig
from biranet.errors import InputError
from biranet.learning.loss import grading_loss
from biranet.learning.model import BiraNet, PlainNet
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.state import Progress, load_state, save_state
from biranet.learning.tensors import open_tensors, write_tensors

CHANNELS = 6  # of the small backbone
CONDITIONS = {"epochs": 2, "data.class_weights": (1.0, 0.5), "preparation.size_px": 64, "photos_sha256": "ab"}


def _step(model, optimizer, step):
    torch.manual_seed(step)
    images, grades = torch.rand(4, 3, 32, 32), torch.randint(5, (4,))
    optimizer.zero_grad()
    grading_loss(model.train()(images).logits, grades, "unit").backward()
    optimizer.step()


@pytest.fixture
def make(small_backbone):
    """Function from the optimizer's settings to a model with its optimizer, always from the same start."""

    def build(**settings):
        torch.manual_seed(0)
        model = BiraNet(small_backbone(), small_backbone(), CHANNELS)
        return model, make_optimizer(model, OptimizerConfig(lr=0.05, **settings))

    return build


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_training_goes_on_to_the_same_bits(make, tmp_path, name, steps):
    model, optimizer = make(optimizer=name, weight_decay=1e-2)
    for step in range(steps):
        _step(model, optimizer, step)
    save_state(tmp_path / "state.safetensors", model, optimizer, {}, Progress(batch=steps), CONDITIONS)
    other, its_optimizer = make(optimizer=name, weight_decay=1e-2)
    progress, _ = load_state(tmp_path / "state.safetensors", other, its_optimizer, CONDITIONS)
    assert progress.batch == steps
    for step in range(steps, steps + 3):
        _step(model, optimizer, step)
        _step(other, its_optimizer, step)
    ours, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_saving_disturbs_nothing(make, tmp_path):
    (model, optimizer), (plain, plain_optimizer) = make(), make()
    for step in range(3):
        _step(model, optimizer, step)
        _step(plain, plain_optimizer, step)
        save_state(tmp_path / "state.safetensors", model, optimizer, {}, Progress(), CONDITIONS)
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in model.state_dict().items())


def test_progress_comes_back_whole(make, tmp_path):
    model, optimizer = make()
    progress = Progress(epoch=4, best_kappa=0.1 + 0.2, best_epoch=3)
    progress.add_batch(1 / 3, np.eye(5, dtype=np.int64))
    progress.add_batch(2 / 3, np.ones((5, 5), dtype=np.int64))
    save_state(tmp_path / "state.safetensors", model, optimizer, {}, progress, CONDITIONS)
    found, _ = load_state(tmp_path / "state.safetensors", model, optimizer, CONDITIONS)
    assert found == progress
    assert (found.batch, found.loss_sum, found.mean_loss) == (2, 1.0, 1 / 30)


def test_an_epoch_begins_with_empty_sums_and_keeps_the_best():
    progress = Progress(epoch=4, batch=7, loss_sum=3.0, confusion=[[1] * 5] * 5, best_kappa=0.5, best_epoch=3)
    progress.start_epoch(5)
    assert progress == Progress(epoch=5, best_kappa=0.5, best_epoch=3)
    assert progress.mean_loss == 0


def test_the_learning_rate_comes_back(make, tmp_path):
    model, optimizer = make()
    schedule = Schedule(optimizer, OptimizerConfig(lr=0.05), steps=100)
    fresh = schedule.state_dict()
    save_state(tmp_path / "fresh.safetensors", model, optimizer, fresh, Progress(), CONDITIONS)
    assert load_state(tmp_path / "fresh.safetensors", model, optimizer, CONDITIONS)[1] == fresh
    for _ in range(8):
        schedule.after_epoch(0.5)
    assert schedule.lr == pytest.approx(0.005)
    save_state(tmp_path / "state.safetensors", model, optimizer, schedule.state_dict(), Progress(), CONDITIONS)
    other, its_optimizer = make()
    again = Schedule(its_optimizer, OptimizerConfig(lr=0.05), steps=100)
    again.load_state_dict(load_state(tmp_path / "state.safetensors", other, its_optimizer, CONDITIONS)[1])
    assert again.lr == schedule.lr
    for kappa in [0.5] * 7:
        schedule.after_epoch(kappa)
        again.after_epoch(kappa)
        assert again.lr == schedule.lr
    assert again.lr == pytest.approx(0.0005)


def test_the_state_of_another_model_or_optimizer_is_refused(make, small_backbone, tmp_path):
    model, optimizer = make()
    _step(model, optimizer, 0)
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    other = PlainNet(small_backbone(), CHANNELS)
    with pytest.raises(InputError, match="another model or optimizer"):
        load_state(path, other, make_optimizer(other, OptimizerConfig()), CONDITIONS)
    frozen = copy.deepcopy(model)
    frozen.stream_a.requires_grad_(False)
    with pytest.raises(InputError, match="another model or optimizer"):
        load_state(path, frozen, make_optimizer(frozen, OptimizerConfig()), CONDITIONS)


def test_what_is_no_state_is_refused(make, tmp_path):
    model, optimizer = make()
    path = tmp_path / "state.safetensors"
    with pytest.raises(InputError, match="is no file; give a training state"):
        load_state(path, model, optimizer, CONDITIONS)
    path.write_bytes(b"words")
    with pytest.raises(InputError, match="is not a training state of biranet, or it is damaged"):
        load_state(path, model, optimizer, CONDITIONS)
    for header in ('{"format": "biranet-checkpoint", "version": 1}', '{"format": "biranet-training-state"}', "[]"):
        save_file({"model.a": torch.zeros(1)}, path, {"biranet": header})
        with pytest.raises(InputError, match="is not a training state"):
            load_state(path, model, optimizer, CONDITIONS)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.999])
def test_a_flipped_bit_of_a_state_is_refused(make, tmp_path, place):
    model, optimizer = make()
    _step(model, optimizer, 0)
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 4
    path.write_bytes(data)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InputError, match=r"state\.safetensors is .*damaged"):
        load_state(path, model, optimizer, CONDITIONS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preparation.size_px": 96}, "preparation.size_px is 96 here and 64 in the run; train anew"),
        (
            {"epochs": 3, "photos_sha256": "cd"},
            "epochs is 3 here and 2 in the run, the photos have changed since it began; train anew",
        ),
        ({"data.class_weights": None}, "data.class_weights is None here and"),
        ({"new": 1}, "new is 1 here and None in the run"),
    ],
)
def test_a_state_of_other_conditions_is_refused_by_what_differs(make, tmp_path, changes, sentence):
    model, optimizer = make()
    save_state(tmp_path / "state.safetensors", model, optimizer, {}, Progress(), CONDITIONS)
    with pytest.raises(InputError, match=sentence):
        load_state(tmp_path / "state.safetensors", model, optimizer, CONDITIONS | changes)
    with pytest.raises(InputError, match="was written under other conditions: epochs is None here"):
        load_state(tmp_path / "state.safetensors", model, optimizer, {})


@pytest.mark.parametrize(
    "changes",
    [
        *({key: None} for key in ("progress", "groups", "schedule", "conditions")),
        *({key: [1]} for key in ("progress", "groups", "schedule", "conditions")),
        {"progress": {"epoch": "many"}},
        {"progress": {"surprise": 1}},
        {"groups": [{"params": "all"}]},
    ],
)
def test_a_state_that_lacks_something_is_refused(make, tmp_path, changes):
    model, optimizer = make()
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    with open_tensors(path, "a state") as stored:
        header = {key: value for key, value in (stored.header | changes).items() if value is not None}
        write_tensors(path, stored.tensors(), header)
    with pytest.raises(InputError, match="start the training anew"):
        load_state(path, model, optimizer, CONDITIONS)


@pytest.mark.parametrize(
    "values",
    [
        {"epoch": -1},
        {"batch": 10**30},
        {"loss_sum": float("nan")},
        {"best_kappa": 3.0},
        {"confusion": [[0] * 5] * 4},
        {"confusion": [[0] * 5] * 4 + [[0, 0, -1, 0, 0]]},
    ],
)
def test_progress_that_no_training_makes_is_refused(values):
    with pytest.raises(InputError, match="must"):
        Progress(**values)


@pytest.mark.parametrize(
    "changes", [{"lr": 1.0}, {"lr": float("nan")}, {"lr": "fast"}, {"momentum": -1.0}, {"weight_decay": [1]}]
)
def test_a_state_with_other_settings_of_the_optimizer_is_refused(make, tmp_path, changes):
    model, optimizer = make()
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    with open_tensors(path, "a state") as stored:
        groups = [stored.header["groups"][0] | changes]
        write_tensors(path, stored.tensors(), stored.header | {"groups": groups})
    with pytest.raises(InputError, match="belongs to another model or optimizer; start the training anew"):
        load_state(path, model, optimizer, CONDITIONS)
    assert optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("name", ["optimizer.0.momentum_buffer", "optimizer.9999.momentum_buffer"])
def test_a_state_whose_tensors_do_not_fit_the_weights_is_refused(make, tmp_path, name):
    model, optimizer = make()
    _step(model, optimizer, 0)
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    with open_tensors(path, "a state") as stored:
        write_tensors(path, stored.tensors() | {name: torch.zeros(2, 7, 1)}, stored.header)
    with pytest.raises(InputError, match="another model or optimizer"):
        load_state(path, model, optimizer, CONDITIONS)


@pytest.mark.parametrize("name", ["weight", "optimizer.first.momentum_buffer", "optimizer.1", "other.0.a"])
def test_a_state_with_tensors_of_other_names_is_refused(make, tmp_path, name):
    model, optimizer = make()
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    with open_tensors(path, "a state") as stored:
        write_tensors(path, stored.tensors() | {name: torch.zeros(1)}, stored.header)
    with pytest.raises(InputError, match="start the training anew"):
        load_state(path, model, optimizer, CONDITIONS)


def test_a_truncated_state_is_refused(make, tmp_path):
    model, optimizer = make()
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_state(path, model, optimizer, CONDITIONS)


def test_the_state_holds_tensors_and_json_only(make, tmp_path):
    model, optimizer = make(optimizer="adamw")
    _step(model, optimizer, 0)
    path = tmp_path / "state.safetensors"
    save_state(path, model, optimizer, {}, Progress(), CONDITIONS)
    names = set(load_file(path))
    assert {f"model.{name}" for name in model.state_dict()} < names
    assert {name.split(".")[0] for name in names} == {"model", "optimizer"}
    with safe_open(path, framework="pt") as file:
        assert set(file.metadata()) == {"biranet"}
