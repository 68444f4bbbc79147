"""A network that grades, corrected by lesions: the formula written out, its file, and what moved its answer."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.learning.backbone import load_backbone
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.evidence import explain, referral_log_odds
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.lesion_branch.pooling import pool_lesions
from biranet.learning.lesion_settings import LesionBranch
from biranet.learning.model import build_model
from biranet.learning.torch_predictor import TorchPredictor, load_predictor
from biranet.lesion_kinds import LESIONS
from lesion_models import BRANCH, lesion_checkpoint, lesion_grader, lesion_info

TEMPERATURE = 1.7
IMAGE = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=[False, True], ids=["straight", "flipped"])
def network(request):
    return lesion_grader(test_time_flip=request.param)


def test_the_answer_is_the_formula(network):
    small = functional.interpolate(IMAGE, size=(64, 64), mode="area")
    alone = network.model(small)
    stages = load_backbone(ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage4")).stages
    layers, maps = list(network.model.frozen if hasattr(network.model, "frozen") else network.model.model.frozen), []

    def look(image):
        each, image = [], image
        for place, layer in enumerate(layers):
            image = layer(image)
            if place + 1 in stages.values():
                each.append(image)
        return network.lesions["head"](each).sigmoid()

    maps = (look(IMAGE) + look(IMAGE.flip(-1)).flip(-1)) / 2
    correction = network.lesions["correction"]
    logs = alone.logits.softmax(dim=1).log() * correction.sharpness
    expected = logs + pool_lesions(maps) @ correction.weight.T + correction.bias
    told = network(IMAGE)
    torch.testing.assert_close(told.logits, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(told.attention, alone.attention)
    torch.testing.assert_close(network.find(IMAGE), maps)
    assert (told.logits - alone.logits.log_softmax(dim=1)).abs().max() > 0.1


def test_its_file_holds_the_model_by_its_own_names(network, tmp_path):
    names = set(network.state_dict())
    assert {name for name in names if not name.startswith("lesions.")} == set(network.model.state_dict())
    path = lesion_checkpoint(network, tmp_path / "best.safetensors")
    loaded, info = load_checkpoint(path)
    assert isinstance(loaded, LesionGrader) and info.lesions == BRANCH
    assert torch.equal(loaded(IMAGE).logits, network(IMAGE).logits)
    assert "images of 64 px" in info.network and "corrected by lesions found in images of 256 px" in info.network


def test_what_moved_the_answer(network):
    told = explain(network, IMAGE, TEMPERATURE)
    torch.testing.assert_close(told.output.logits, network(IMAGE).logits)
    assert torch.equal(told.lesions, network.find(IMAGE)) and told.lesion_evidence.shape == (2, len(LESIONS))
    whole = referral_log_odds(told.output.logits, TEMPERATURE)
    alone = network.model(network.shrink(IMAGE)).logits
    for kind in range(len(LESIONS)):
        none = told.lesions.clone()
        none[:, kind] = 0
        without = referral_log_odds(network.correct(alone, pool_lesions(none)), TEMPERATURE)
        torch.testing.assert_close(told.lesion_evidence[:, kind], whole - without)
    assert told.lesion_evidence.abs().max() > 1e-3
    # Where the correction is none, cells have to do with the answer what they have to do with the model's own.
    with torch.no_grad():
        network.lesions["correction"].weight.zero_()
        network.lesions["correction"].bias.zero_()
        network.lesions["correction"].sharpness.fill_(1)
    torch.testing.assert_close(
        explain(network, IMAGE, TEMPERATURE).evidence,
        explain(network.model, network.shrink(IMAGE), TEMPERATURE).evidence,
    )


def test_an_answer_does_not_depend_on_the_other_photos(network, tmp_path):
    predictor = load_predictor(lesion_checkpoint(network, tmp_path / "best.safetensors"), "cpu")
    pixels = np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    together = predictor.predict(pixels)
    for row in range(3):
        for one, all_of_them in zip(predictor.predict(pixels[row : row + 1]), together, strict=True):
            assert np.array_equal(one[0], all_of_them[row])


def test_what_cannot_be(tmp_path, network):
    config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage2")
    with pytest.raises(InputError, match="frozen as a whole"):
        LesionGrader(build_model(config), load_backbone(config).stages, BRANCH)
    whole = dataclasses.replace(config, freeze="stage4")
    with pytest.raises(InputError, match="cut into stages"):
        LesionGrader(build_model(whole), {}, BRANCH)
    for wrong, told in (
        ({"factor": 0}, "factor between 1 and 64"),
        ({"width": 5000}, "width must lie between 1 and 1024"),
        ({"thresholds": {"MA": 0.5}}, "thresholds must be numbers between 0 and 1"),
    ):
        with pytest.raises(InputError, match=told):
            LesionBranch(**({"width": 8, "factor": 2} | wrong))
    _, info = load_checkpoint(lesion_checkpoint(network, tmp_path / "best.safetensors"))
    with pytest.raises(InputError, match="image_size must be a multiple of 32, not 100"):
        dataclasses.replace(info, image_size=100)
    # A file whose header lacks the branch has tensors that no model has.
    model, _ = load_checkpoint(tmp_path / "best.safetensors")
    save_checkpoint(tmp_path / "cut.safetensors", model, dataclasses.replace(info, lesions=None))
    with pytest.raises(InputError, match="do not belong together"):
        load_checkpoint(tmp_path / "cut.safetensors")


def test_the_model_in_training_mode_is_left_so(network):
    network.train()
    pixels = np.zeros((1, 256, 256, 3), np.uint8)
    TorchPredictor(network, lesion_info(network), torch.device("cpu")).predict(pixels)
    assert network.training and network.lesions["head"].training
