"""What the tests of learning share: the smallest trunk there can be."""

import pytest
import torch
from torch import nn

from biranet.learning.model import BiraNet, PlainNet, RANet

CHANNELS = 6


def _small_trunk():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, CHANNELS, 3, stride=2, padding=1),
        nn.Softplus(),
    )


@pytest.fixture
def small_trunk():
    """Function that makes a trunk of a few layers, with `CHANNELS` channels and stride 4."""
    return _small_trunk


@pytest.fixture(params=["biranet", "ranet", "plain"])
def small_model(request):
    """Each architecture on a small trunk of its own, always with the same start weights."""
    torch.manual_seed(0)
    if request.param == "biranet":
        return BiraNet(_small_trunk(), _small_trunk(), CHANNELS)
    return {"ranet": RANet, "plain": PlainNet}[request.param](_small_trunk(), CHANNELS)
