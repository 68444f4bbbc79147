import dataclasses
import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from biranet.config import ModelConfig, OptimiserConfig
from biranet.errors import InputError, RefusedError
from biranet.evaluation.rules import OperatingPoint, Rules
from biranet.learning.checkpoint import Card, load_checkpoint, read_tensors, save_checkpoint, write_tensors
from biranet.learning.model import build_model
from biranet.learning.schedule import make_optimiser
from biranet.learning.state import Progress, save_state
from biranet.photos.prepare import Preparation


def _model(**settings):
    torch.manual_seed(0)
    return build_model(ModelConfig(**{"trunk": "test_resnet", "pretrained": False, "freeze": "none", **settings}))


def _card(**settings):
    return Card(
        model=ModelConfig(**{"trunk": "test_resnet", "pretrained": False, "freeze": "none", **settings}),
        image_size=64,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        preparation=Preparation(size_px=64),
        epoch=3,
        validation_kappa=0.625,
        rules=Rules(
            temperature=1.7,
            decoder="expected_grade",
            grade_thresholds=(0.4, 1.5, 2.6, 3.5),
            operating_points=(OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.6)),
            set_threshold=0.8,
            fitted_on="10 photos in 9 groups",
        ),
        trained_on="drawn",
        software={"torch": "2"},
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, _model(), _card())
    return path


def _rewrite(path, **changes):
    """Change entries of a checkpoint's header; None takes one away."""
    with safe_open(path, framework="pt") as opened:
        header = json.loads(opened.metadata()["biranet"]) | changes
    header = {key: value for key, value in header.items() if value is not None}
    save_file(load_file(path), path, {"biranet": json.dumps(header)})


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
@pytest.mark.parametrize("freeze", ["none", "stage2"])
def test_a_checkpoint_gives_back_the_same_model_and_card(name, freeze, tmp_path):
    model, card = _model(model=name, freeze=freeze), _card(model=name, freeze=freeze)
    model.train()(torch.rand(4, 3, 64, 64))  # moves the statistics of the batch normalisation
    save_checkpoint(tmp_path / "a.safetensors", model, card)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert found == card
    assert not loaded.training
    image = torch.rand(2, 3, 64, 64)
    for ours, theirs in zip(loaded(image), model.eval()(image), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_with_a_flip_has_the_same_weights_and_other_answers(file, tmp_path):
    loaded, card = load_checkpoint(file)
    flipping = dataclasses.replace(card, model=dataclasses.replace(card.model, test_time_flip=True))
    save_checkpoint(tmp_path / "flip.safetensors", loaded, flipping)
    assert load_file(tmp_path / "flip.safetensors").keys() == load_file(file).keys()
    images, built = torch.rand(2, 3, 64, 64), []

    def of_ones_own(config):
        built.append(config)
        return build_model(config)

    shares = [loaded(view).logits.softmax(dim=1) for view in (images, images.flip(-1))]
    model, found = load_checkpoint(tmp_path / "flip.safetensors", of_ones_own)
    torch.testing.assert_close(model(images).logits.softmax(dim=1), (shares[0] + shares[1]) / 2)
    assert built and not torch.allclose(*shares, atol=1e-4)
    # What was loaded is written again by the same names.
    save_checkpoint(tmp_path / "again.safetensors", model, found)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "flip.safetensors").read_bytes()

    assert card.network == "biranet, trunk test_resnet, images of 64 px"
    assert (
        found.network
        == f"{card.network}; each answer is the mean of the probabilities for a photo and its mirror image"
    )


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
def test_half_precision_rounds_the_weights_and_nothing_else(name, tmp_path):
    model, card = _model(model=name), _card(model=name)
    model.train()(torch.rand(4, 3, 64, 64))
    save_checkpoint(tmp_path / "a.safetensors", model, card, half=True)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert found == card
    weights, counts = model.state_dict(), 0
    for key, tensor in loaded.state_dict().items():
        floating = weights[key].is_floating_point()
        assert tensor.dtype == (torch.float32 if floating else torch.int64)
        assert torch.equal(tensor, weights[key].half().float() if floating else weights[key])
        counts += int(not floating)
    assert counts > 3  # batches that each batch normalisation has seen


@pytest.mark.parametrize("value", [65_520.0, -1e30, float("inf"), float("nan")])
def test_a_weight_that_half_precision_cannot_hold_is_named(file, value):
    before = file.read_bytes()
    model = _model()
    model.stream_a.net_a[0].running_var[1] = 65_504  # the largest there is
    save_checkpoint(file.with_name("b.safetensors"), model, _card(), half=True)
    model.stream_b.net_a[0].running_mean[1] = value
    with pytest.raises(RefusedError, match=r"weights stream_b\.net_a\.0\.running_mean do not fit into half precision"):
        save_checkpoint(file, model, _card(), half=True)
    assert file.read_bytes() == before


def test_a_model_that_began_with_downloaded_weights_loads_without_them(tmp_path):
    # No test can reach the hub, so this fails if loading asks for the download, or for the weights file.
    card = _card(pretrained=True, freeze="stage2", trunk_weights=tmp_path / "gone.pt")
    save_checkpoint(tmp_path / "a.safetensors", _model(freeze="stage2"), card)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(loaded.head.weight, _model(freeze="stage2").head.weight)
    assert found.model.trunk == "test_resnet"


def test_no_validation_kappa_stays_none(tmp_path):
    card = dataclasses.replace(_card(), validation_kappa=None)
    save_checkpoint(tmp_path / "a.safetensors", _model(), card)
    assert load_checkpoint(tmp_path / "a.safetensors")[1].validation_kappa is None


def test_the_file_is_safetensors_and_no_pickle(file):
    length = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["biranet"])["format"] == "biranet-checkpoint"
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(file.read_bytes())
    assert set(load_file(file)) == set(_model().state_dict())


def test_saving_replaces_the_file_whole(file, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr("biranet.learning.checkpoint.save", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        save_checkpoint(file, _model(), _card())
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a checkpoint of biranet, or it is damaged"),
        (b"no tensors at all, only a few words", "is not a checkpoint of biranet, or it is damaged"),
        (bytes(range(256)) * 50, "is not a checkpoint of biranet, or it is damaged"),
        (pickle.dumps({"weights": [1, 2]}), "is not a checkpoint of biranet, or it is damaged"),
    ],
)
def test_another_file_is_refused(content, message, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"best\.safetensors is not a checkpoint of biranet, or it is damaged"):
        load_checkpoint(file)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(InputError, match=r"is no file; give a checkpoint, such as RUN/best\.safetensors"):
            load_checkpoint(path)


def test_safetensors_of_others_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}, {"biranet": "{"}, {"biranet": "[1]"}, {"biranet": "3"}):
        save_file({"weight": torch.zeros(2)}, path, metadata)
        with pytest.raises(InputError, match=r"model\.safetensors is not a checkpoint"):
            load_checkpoint(path)


def test_a_training_state_is_no_checkpoint(tmp_path):
    model = _model()
    optimiser = make_optimiser(model, OptimiserConfig())
    save_state(tmp_path / "state.safetensors", model, optimiser, {}, Progress())
    with pytest.raises(InputError, match=r"state\.safetensors is not a checkpoint; give RUN/best\.safetensors"):
        load_checkpoint(tmp_path / "state.safetensors")


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_another_version_is_refused(file, version):
    _rewrite(file, version=version)
    with pytest.raises(InputError, match=rf"a checkpoint of version {version}, and this program reads version 2"):
        load_checkpoint(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": "large"},
        {"image_size": None},
        {"mean": [0.5, 0.5]},
        {"model": {"model": "transformer"}},
        {"model": {"trunk": "test_resnet", "model": "ranet"}},
        {"model": {"trunk": "test_efficientnet"}},
        {"preparation": {"size_px": 1}},
        {"preparation": None},
        {"surprise": 1},
        {"rules": {"decoder": "median"}},
        {"rules": {"temperature": 0.0}},
        {"rules": {"temperature": 2.0, "surprise": 1}},
    ],
)
def test_a_changed_header_is_refused(file, changes):
    _rewrite(file, **changes)
    with pytest.raises(InputError, match="its weights and its description do not belong together"):
        load_checkpoint(file)


def test_weights_that_lack_or_exceed_the_model_are_refused(file):
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    weights = load_file(file)
    lacking = {key: value for key, value in weights.items() if key != "head.bias"}
    for changed in (lacking, {**weights, "extra": torch.zeros(1)}, {**weights, "head.bias": torch.zeros(6)}):
        save_file(changed, file, metadata)
        with pytest.raises(InputError, match="do not belong together"):
            load_checkpoint(file)


def test_tensors_keep_their_bits_and_kinds(tmp_path):
    tensors = {
        "float": torch.randn(3, 4).T,
        "half": torch.randn(5).bfloat16(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    write_tensors(tmp_path / "a.safetensors", tensors, {"a": [1, None, "ü"]})
    found, header = read_tensors(tmp_path / "a.safetensors", "a test")
    assert header == {"a": [1, None, "ü"]}
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].flatten().view(torch.uint8).equal(tensor.flatten().view(torch.uint8))
