"""Models by their names, as a user of timm would ask for them."""

import pytest
import timm
import torch

import biranet
from biranet.config import ModelConfig
from biranet.learning.backbone import load_backbone
from biranet.learning.model import BiraNet, PlainNet, RANet

CLASSES = {"biranet": BiraNet, "ranet": RANet, "plain": PlainNet}
SMALL = {"backbone": "test_resnet", "pretrained": False}


@pytest.mark.parametrize("num_grades", [2, 3, 5, 7])
@pytest.mark.parametrize("name", CLASSES)
def test_every_model_takes_any_number_of_grades(name, num_grades):
    model = biranet.create_model(name, **SMALL, num_grades=num_grades)
    assert type(model) is CLASSES[name]
    output = model(torch.rand(2, 3, 64, 64))
    assert output.logits.shape == (2, num_grades)
    biranet.grading_loss(output.logits, torch.arange(2)).backward()
    assert all(weight.requires_grad for weight in model.parameters())


def test_the_method_on_five_grades_is_what_is_made_unasked(monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **rest: _asked(name, pretrained, rest))
    model = biranet.create_model()
    assert isinstance(model, BiraNet)
    assert (len(model.head.bias), model.head.weight.shape[1]) == (5, 512)
    assert ASKED == [("resnet50", True), ("resnet50", True)]


ASKED = []
_create = timm.create_model


def _asked(name, pretrained, rest):
    """A smaller network than was asked for, since ImageNet weights are not at hand."""
    ASKED.append((name, pretrained))
    return _create("resnet18", **rest)


def test_layers_are_frozen_where_that_is_asked_for():
    model = biranet.create_model("ranet", **SMALL, freeze="stage2")
    assert [name for name, _ in model.frozen.named_children()][-1] == "layer2"
    assert not any(weight.requires_grad for weight in model.frozen.parameters())


def test_a_file_of_weights_is_named_by_text_or_path(tmp_path):
    file, weights = tmp_path / "weights.pt", load_backbone(ModelConfig(**SMALL)).layers.state_dict()
    torch.save(weights, file)
    for given in (file, str(file)):
        model = biranet.create_model("plain", backbone="test_resnet", backbone_weights=given)
        assert all(torch.equal(model.backbone.state_dict()[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_name": "birannet"}, "^model must be one of biranet, ranet, plain, probe, not 'birannet'$"),
        ({"backbone": "resnet5O"}, "^backbone resnet5O: timm has no such model; did you mean .*resnet50"),
        ({"backbone": torch.nn.Conv2d(3, 8, 3)}, "^backbone must be the name of a timm model, not Conv2d; BiraNet"),
        ({"freeze": "stage7"}, "^freeze must be one of none, stem, .*, not 'stage7'$"),
        ({"backbone": "convnext_atto", "freeze": "stem"}, "^freeze stem: the backbone convnext_atto has no stem; its"),
        ({"backbone": "test_vit", "freeze": "stage2"}, "cannot be cut into stages, so use freeze='none'"),
        ({"backbone_weights": "nowhere.pth"}, "^backbone_weights nowhere.pth: no such file$"),
        (
            {"pretrained": True},
            "with backbone_weights, .*or start from random weights with pretrained=False and freeze='none'$",
        ),
        ({"num_grades": 1}, "^num_grades must be a whole number from 2, not 1$"),
        ({"num_grades": True}, "^num_grades must be a whole number from 2, not True$"),
        ({"num_grades": 2.0}, "^num_grades must be a whole number from 2, not 2.0$"),
    ],
)
def test_wrong_words_are_named_as_keywords(settings, message, monkeypatch):
    def no_network(name, pretrained, **rest):
        if pretrained:
            raise OSError("no network")
        return _create(name, **rest)

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(biranet.InputError, match=message):
        biranet.create_model(**(SMALL | settings))


@pytest.mark.parametrize("model", [BiraNet, RANet, PlainNet])
def test_no_model_is_made_of_one_grade(model):
    backbones = [torch.nn.Identity()] * (2 if model is BiraNet else 1)
    with pytest.raises(biranet.InputError, match="num_grades must be a whole number from 2, not 1"):
        model(*backbones, channels=3, num_grades=1)
