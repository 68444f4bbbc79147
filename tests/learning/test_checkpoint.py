import dataclasses
import json
import pickle
import re
import resource
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from biranet.config import ModelConfig, OptimizerConfig
from biranet.decisions.rules import OperatingPoint, Rules
from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_file import read_info
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.model import build_model
from biranet.learning.schedule import make_optimizer
from biranet.learning.state import Progress, save_state
from biranet.learning.tensors import open_tensors, write_tensors
from biranet.photos.prepare import Preparation


def _model(**settings):
    torch.manual_seed(0)
    return build_model(ModelConfig(**{"backbone": "test_resnet", "pretrained": False, "freeze": "none", **settings}))


def _info(**settings):
    return CheckpointInfo(
        model=ModelConfig(**{"backbone": "test_resnet", "pretrained": False, "freeze": "none", **settings}),
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
    save_checkpoint(path, _model(), _info())
    return path


def _rewrite(path, weights=None, **changes):
    """Write a checkpoint anew, digests included, with other entries of its header (None takes one away) or weights."""
    with open_tensors(path, "a checkpoint") as stored:
        tensors, header = stored.tensors(), stored.header | changes
    header = {key: value for key, value in header.items() if value is not None}
    write_tensors(path, tensors if weights is None else weights, header)


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
@pytest.mark.parametrize("freeze", ["none", "stage2"])
def test_a_checkpoint_gives_back_the_same_model_and_card(name, freeze, tmp_path):
    model, info = _model(model=name, freeze=freeze), _info(model=name, freeze=freeze)
    model.train()(torch.rand(4, 3, 64, 64))  # moves the statistics of the batch normalization
    save_checkpoint(tmp_path / "a.safetensors", model, info)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert found == info
    assert not loaded.training
    image = torch.rand(2, 3, 64, 64)
    for ours, theirs in zip(loaded(image), model.eval()(image), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_with_a_flip_has_the_same_weights_and_other_answers(file, tmp_path):
    loaded, info = load_checkpoint(file)
    flipping = dataclasses.replace(info, model=dataclasses.replace(info.model, test_time_flip=True))
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

    assert info.network == "biranet, backbone test_resnet, images of 64 px"
    assert (
        found.network
        == f"{info.network}; each answer is the mean of the probabilities for a photo and its mirror image"
    )


@pytest.mark.parametrize("name", ["biranet", "ranet", "plain"])
def test_half_precision_rounds_the_weights_and_nothing_else(name, tmp_path):
    model, info = _model(model=name), _info(model=name)
    model.train()(torch.rand(4, 3, 64, 64))
    save_checkpoint(tmp_path / "a.safetensors", model, info, half=True)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert found == info
    weights, counts = model.state_dict(), 0
    for key, tensor in loaded.state_dict().items():
        floating = weights[key].is_floating_point()
        assert tensor.dtype == (torch.float32 if floating else torch.int64)
        assert torch.equal(tensor, weights[key].half().float() if floating else weights[key])
        counts += int(not floating)
    assert counts > 3  # batches that each batch normalization has seen


@pytest.mark.parametrize("value", [65_520.0, -1e30, float("inf"), float("nan")])
def test_a_weight_that_half_precision_cannot_hold_is_named(file, value):
    before = file.read_bytes()
    model = _model()
    model.stream_a.net_a[0].running_var[1] = 65_504  # the largest there is
    save_checkpoint(file.with_name("b.safetensors"), model, _info(), half=True)
    model.stream_b.net_a[0].running_mean[1] = value
    with pytest.raises(RefusedError, match=r"weights stream_b\.net_a\.0\.running_mean do not fit into half precision"):
        save_checkpoint(file, model, _info(), half=True)
    assert file.read_bytes() == before


def test_a_model_that_began_with_downloaded_weights_loads_without_them(tmp_path):
    # No test can reach the hub, so this fails if loading asks for the download, or for the weights file.
    info = _info(pretrained=True, freeze="stage2", backbone_weights=tmp_path / "gone.pt")
    save_checkpoint(tmp_path / "a.safetensors", _model(freeze="stage2"), info)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(loaded.head.weight, _model(freeze="stage2").head.weight)
    assert found.model.backbone == "test_resnet"


def test_no_validation_kappa_stays_none(tmp_path):
    info = dataclasses.replace(_info(), validation_kappa=None)
    save_checkpoint(tmp_path / "a.safetensors", _model(), info)
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
    monkeypatch.setattr("safetensors.torch.save", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        save_checkpoint(file, _model(), _info())
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "content",
    [b"", b"no tensors at all, only a few words", bytes(range(256)) * 50, pickle.dumps({"weights": [1, 2]})],
)
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a checkpoint of biranet, or it is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"best\.safetensors is not a checkpoint"):
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
    optimizer = make_optimizer(model, OptimizerConfig())
    save_state(tmp_path / "state.safetensors", model, optimizer, {}, Progress(), {})
    with pytest.raises(InputError, match=r"state\.safetensors is not a checkpoint; give RUN/best\.safetensors"):
        load_checkpoint(tmp_path / "state.safetensors")


@pytest.mark.parametrize("version", [0, 1, 5, "4", None, "\x1b[31m4"])
def test_another_version_is_refused(file, version):
    _rewrite(file, version=version)
    said = repr(version) if version == "\x1b[31m4" else version  # nothing that a terminal obeys
    sentence = re.escape(f"a checkpoint of version {said}, and this program reads version 4;")
    with pytest.raises(InputError, match=sentence):
        load_checkpoint(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"backbone": "test_resnet", "model": "ranet"}},
        {"model": {"backbone": "test_efficientnet"}},
    ],
)
def test_a_description_of_another_model_is_refused(file, changes):
    _rewrite(file, **changes)
    with pytest.raises(InputError, match="its weights and its description do not belong together: its weights are not"):
        load_checkpoint(file)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_size": "large"}, r"image_size: Input should be a valid integer"),
        ({"image_size": None}, r"image_size: Field required"),
        ({"image_size": 0}, "image_size must lie between 32 and 64, not 0"),
        ({"image_size": 10**6}, "image_size must lie between 32 and 64, not 1000000"),
        ({"mean": [0.5, 0.5]}, r"mean.2: Field required"),
        ({"mean": [0.5, 0.5, 300.0]}, "mean must lie between 0 and 1, not 300"),
        ({"std": [0.5, 0.0, 0.5]}, "std must lie between 0.001 and 10, not 0"),
        ({"std": [0.5, -1.0, 0.5]}, "std must lie between 0.001 and 10, not -1"),
        ({"std": [0.5, float("nan"), 0.5]}, "std must lie between 0.001 and 10, not nan"),
        ({"epoch": -1}, "epoch must lie between"),
        ({"epoch": 10**30}, "epoch must lie between"),
        ({"seed": -1}, "seed must lie between"),
        ({"validation_kappa": 1.5}, "validation_kappa must lie between -1 and 1, not 1.5"),
        ({"validation_kappa": float("nan")}, "validation_kappa must lie between -1 and 1, not nan"),
        ({"model": {"model": "transformer"}}, "Input should be 'biranet', 'ranet', 'plain' or 'probe'"),
        (
            {"model": {"backbone": "\x1b[31mresnet\x07\n\nbiranet: all well"}},
            "model.backbone must be at most 200 characters",
        ),
        ({"model": {"backbone": "resnet" * 100}}, "model.backbone must be at most"),
        ({"model": {"backbone": "nonsense"}}, "cannot be used: backbone nonsense: timm has no such model"),
        ({"model": {"backbone": "resnet18.evil"}}, "timm has no weights 'evil' of resnet18"),
        ({"model": {"backbone": "vit_tiny_patch16_224"}}, "vit_tiny_patch16_224 cannot see images of 64 px"),
        ({"preparation": {"size_px": 1}}, "size_px must be at least 32 pixels, not 1"),
        ({"preparation": {"size_px": 10**6}}, "size_px must be at most 8192 pixels, not 1000000"),
        ({"preparation": {"size_px": 64, "jpeg_quality": 1000}}, "JPEG quality must lie between 1 and 95, not 1000"),
        ({"preparation": {"version": 1, "size_px": 64}}, "was trained on photos prepared by version 1"),
        ({"preparation": None}, "Field required"),
        ({"surprise": 1}, "surprise"),
        ({"\x1b[31msurprise\n": 1}, r"no setting '\\x1b\[31msurprise\\n'; known here are: model, image_size"),
        ({"rules": {"decoder": "median"}}, "rules.decoder"),
        ({"rules": {"temperature": 0.0}}, "temperature must be .* not 0.0"),
        ({"rules": {"temperature": 1e-320}}, "temperature must be .* not 1e-320"),
        ({"rules": {"temperature": 1e300}}, "temperature must be .* not 1e.300"),
        ({"rules": {"temperature": 2.0, "surprise": 1}}, "rules.surprise"),
        ({"rules": {"fitted_on": "\x1b]0;mine\x07"}}, "rules.fitted_on must be at most 10000 characters"),
        ({"trained_on": "\ud800"}, "is not a checkpoint"),
        ({"trained_on": "a" * 20_000}, "trained_on must be at most"),
        ({"doubts": ["\x1b[31mnone"]}, "doubts must be at most"),
        ({"rules": {"doubts": ["a\nb"]}}, "doubts must be at most"),
        ({"software": {"torch": "\x1b[2J"}}, "software must be at most"),
        ({"split_column": "\nsplit"}, "split_column must be at most"),
        ({"calibration_photo_hashes": ["\x00"]}, "calibration_photo_hashes must be at most"),
        ({"training_set_digest": "\u202e"}, "training_set_digest must be at most"),
    ],
)
def test_what_cannot_be_is_refused_by_a_sentence(file, changes, sentence):
    _rewrite(file, **changes)
    with pytest.raises(InputError, match=sentence) as caught:
        load_checkpoint(file)
    assert str(file) in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(("backbone", "weights"), [("vit_giant_patch14_224", 1011), ("resnetv2_152x4_bit", 928)])
def test_a_backbone_too_large_for_its_file_is_never_made(file, backbone, weights):
    model, preparation = {"backbone": backbone, "model": "plain"}, {"size_px": 224}
    _rewrite(file, model=model, preparation=preparation, image_size=224)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        InputError, match=rf"its backbone has {weights:,} million weights, which so small a file cannot hold"
    ):
        load_checkpoint(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_weights_that_lack_or_exceed_the_model_are_refused(file):
    weights = load_file(file)
    lacking = {key: value for key, value in weights.items() if key != "head.bias"}
    for changed in (lacking, {**weights, "extra": torch.zeros(1)}, {**weights, "head.bias": torch.zeros(6)}):
        _rewrite(file, weights=changed)
        with pytest.raises(InputError, match="do not belong together: its weights are not those of such a model"):
            load_checkpoint(file)


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.float8_e4m3fn, torch.float64, torch.bfloat16])
def test_weights_that_are_other_numbers_are_refused(file, kind):
    _rewrite(file, weights=load_file(file) | {"head.bias": torch.ones(5).to(kind)})
    with pytest.raises(
        InputError, match=rf"do not belong together: the weights head\.bias are {kind}, not torch.float32"
    ):
        load_checkpoint(file)


def test_counts_that_are_no_whole_numbers_are_refused(file):
    weights = load_file(file)
    name = next(key for key in weights if key.endswith("num_batches_tracked"))
    _rewrite(file, weights=weights | {name: torch.tensor(1.5)})
    with pytest.raises(InputError, match=rf"the weights {name} are torch.float32, not torch.int64"):
        load_checkpoint(file)


def test_a_digest_that_is_gone_is_missed(file):
    with open_tensors(file, "a checkpoint") as stored:
        header = stored.header
    save_file(load_file(file), file, {"biranet": json.dumps(header)})
    for read in (read_info, load_checkpoint):
        with pytest.raises(InputError, match="is damaged: the digest of its description is gone"):
            read(file)


def _as_formerly(version, weights, header, path):
    """Write a checkpoint by the names that versions 2 and 3 had; 2 had no digests."""

    def former(name):
        return re.sub(r"^(stream_[ab]\.)?backbone\.", r"\1trunk.", name.replace("frozen.", "stem."))

    model = {
        f"trunk{key.removeprefix('backbone')}" if "backbone" in key else key: value
        for key, value in header["model"].items()
    }
    preparation = {{"already_cropped": "whole"}.get(key, key): value for key, value in header["preparation"].items()}
    named = {
        "training_set_digest": "learned_digest",
        "training_set_fingerprints": "learned_fingerprints",
        "calibration_photo_hashes": "calibrated_on",
    }
    old = {named.get(key, key): value for key, value in header.items()}
    old |= {"version": version, "model": model, "preparation": preparation}
    tensors = {former(name): tensor for name, tensor in weights.items()}
    if version == 2:
        save_file(tensors, path, {"biranet": json.dumps(old)})
    else:
        write_tensors(path, tensors, old)


@pytest.mark.parametrize("version", [2, 3])
def test_a_checkpoint_of_an_earlier_version_is_refused_and_converted_on_request(version, file, tmp_path, monkeypatch):
    weights, info = load_file(file), load_checkpoint(file)[1]
    with open_tensors(file, "a checkpoint") as stored:
        _as_formerly(version, weights, stored.header, file)
    with pytest.raises(
        InputError, match=rf"of version {version}, .*; if you trust it, .* studies/convert_checkpoint\.py"
    ):
        load_checkpoint(file)
    # As `python studies/convert_checkpoint.py` runs it, without another start of torch.
    script = Path(__file__).parents[2] / "studies" / "convert_checkpoint.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(file), str(tmp_path / "new.safetensors")])
    runpy.run_path(str(script), run_name="__main__")
    with pytest.raises(SystemExit, match=r"new\.safetensors exists; name another file"):
        runpy.run_path(str(script), run_name="__main__")
    model, found = load_checkpoint(tmp_path / "new.safetensors")
    assert found == info
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
