"""What is compared: heads on the feature maps of one frozen backbone, and the linear probe."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import nn

from biranet.learning.model import BiraNet, PlainNet, RANet
from studies.idrid.variants import EvenAttention, RawHead

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
"""Learning rates that a head chooses among."""

RATES_OF_LINEAR = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""Those of a head that is one linear layer, whose best ones are higher."""

LENGTHS = (20, 40, 80, 120)
"""Steps after which training may end."""

LENGTHS_OF_LINEAR = (20, 40, 80, 160, 320)
"""Those of a head that is one linear layer, which costs next to nothing."""

WEAK_PENALTY = 1e-5
"""Of the logistic regression that is tuned badly on purpose: almost none."""


@dataclass(frozen=True)
class Head:
    """Learns by gradient descent.

    Attributes:
        title: What the page calls it.
        build: From the channels of feature maps to the network on them.
        loss: What it is trained with.
        rates: Learning rates that it chooses among.
        lengths: Steps after which its training may end.
        as_chosen_by: The arm whose choice it takes over, where it makes none of its own.
        averaged: Whether it sees nothing but the average over the cells, so it can be given that.
    """

    title: str
    build: Callable[[int], nn.Module]
    loss: Literal["ce", "grading"] = "ce"
    rates: tuple[float, ...] = RATES
    lengths: tuple[int, ...] = LENGTHS
    as_chosen_by: str | None = None
    averaged: bool = False


@dataclass(frozen=True)
class Probe:
    """Logistic regression on the average over the cells.

    Attributes:
        title: What the page calls it.
        projected: Whether it sees what heads see; else all channels of the backbone.
        penalty: Its penalty; chosen by cross-validation inside the training photos where None.
    """

    title: str
    projected: bool = False
    penalty: float | None = None


Arm = Head | Probe


def _plain(channels: int) -> nn.Module:
    return PlainNet(nn.Identity(), channels)


def _ranet(channels: int) -> nn.Module:
    return RANet(nn.Identity(), channels)


def _biranet(channels: int) -> BiraNet:
    return BiraNet(nn.Identity(), nn.Identity(), channels)


def _without_attention(channels: int) -> nn.Module:
    network = _biranet(channels)
    for stream in (network.stream_a, network.stream_b):
        stream.net_a = EvenAttention()  # type: ignore[assignment]
    return network


def _without_normalization(channels: int) -> nn.Module:
    network = _biranet(channels)
    network.head = RawHead(channels)
    return network


PROBE, METHOD = "probe", "biranet_ce"
"""What the first question is about: the linear probe, and BiRA-Net as the model that ships is trained."""

_linear = partial(
    Head,
    "Plain network",
    _plain,
    rates=RATES_OF_LINEAR,
    lengths=LENGTHS_OF_LINEAR,
    averaged=True,
)

ARMS: dict[str, Arm] = {
    PROBE: Probe("Linear probe"),
    "plain_ce": _linear(),
    "plain_grading": _linear(loss="grading"),
    "ranet_ce": Head("RA-Net", _ranet),
    "ranet_grading": Head("RA-Net", _ranet, "grading"),
    METHOD: Head("BiRA-Net", _biranet),
    "biranet_grading": Head("BiRA-Net", _biranet, "grading"),
    "no_attention": Head("BiRA-Net, attention off (masks of ones)", _without_attention),
    "no_normalization": Head("BiRA-Net, signed square root and L2 norm off", _without_normalization),
    "probe_projected": Probe("Linear probe on the channels that heads see", projected=True),
    "plain_untuned": replace(_linear(), title="Plain network tuned badly, by what suits BiRA-Net", as_chosen_by=METHOD),
    "probe_untuned": Probe("Linear probe tuned badly, hardly any penalty", penalty=WEAK_PENALTY),
}
"""All of them, in the order in which they are trained: an arm stands behind the one whose choice it takes over."""

UNTUNED = ("probe_untuned", "plain_untuned")
"""Controls that are tuned badly on purpose."""

COMPARISONS = (
    ("probe", PROBE, METHOD),
    ("probe", PROBE, "biranet_grading"),
    ("whole", "plain_ce", "biranet_grading"),
    ("attention", "plain_ce", "ranet_ce"),
    ("attention", "plain_grading", "ranet_grading"),
    ("attention", "no_attention", METHOD),
    ("streams", "ranet_ce", METHOD),
    ("streams", "ranet_grading", "biranet_grading"),
    ("normalization", "no_normalization", METHOD),
    ("loss", "plain_ce", "plain_grading"),
    ("loss", "ranet_ce", "ranet_grading"),
    ("loss", METHOD, "biranet_grading"),
)
"""What carries a claim: the question, the first, and the other, whose value is the minuend. Adjusted together."""

CONTROLS = (
    (PROBE, METHOD),
    ("probe_untuned", METHOD),
    ("plain_ce", METHOD),
    ("plain_untuned", METHOD),
)
"""BiRA-Net against controls that are tuned, and against the same controls tuned badly."""

PRICES = (("probe", "probe_projected"),)
"""What fewer channels cost."""
