"""A small network that grades and looks for lesions, and its checkpoint."""

from pathlib import Path

import torch

from biranet.config import ModelConfig
from biranet.decisions.rules import Rules
from biranet.learning.backbone import load_backbone
from biranet.learning.checkpoint import save_checkpoint
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.flip import FlipAverage, with_test_time_flip
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.lesion_settings import LesionBranch
from biranet.learning.model import build_model
from biranet.photos.prepare import Preparation

BRANCH = LesionBranch(width=8, factor=4, trained_on="drawings", photos=3)
IMAGE_PX = 256


def lesion_grader(*, test_time_flip: bool = False) -> LesionGrader:
    """A network whose answers differ from photo to photo, and are corrected by what it finds."""
    torch.manual_seed(1)
    config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage4", test_time_flip=test_time_flip)
    network = LesionGrader(with_test_time_flip(build_model(config), config), load_backbone(config).stages, BRANCH)
    correction, head = network.lesions["correction"], network.lesions["head"]
    with torch.no_grad():
        correction.weight.normal_(std=0.1)
        correction.bias.normal_()
        correction.sharpness.fill_(0.8)
        head.maps.weight.normal_(std=2)
        head.maps.bias.copy_(torch.tensor([0.0, 0.0, 1.5, 0.0, -9.0]))  # some exudates, and no disc
    return network.eval()


def lesion_info(network: LesionGrader) -> CheckpointInfo:
    """What its checkpoint says of it."""
    flip = isinstance(network.model, FlipAverage)
    config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage4", test_time_flip=flip)
    half = (0.5, 0.5, 0.5)
    rules = Rules(1.5, fitted_on="drawings")
    return CheckpointInfo(config, IMAGE_PX, half, half, Preparation(size_px=IMAGE_PX), rules, lesions=BRANCH)


def lesion_checkpoint(network: LesionGrader, path: Path) -> Path:
    """Write its checkpoint."""
    save_checkpoint(path, network, lesion_info(network))
    return path
