"""What is compared: heads on the feature maps of one frozen backbone, and the linear probe."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from biranet.learning.model import BiraNet, PlainNet, RANet
from studies.idrid.variants import without_attention, without_normalization

RATES = (1e-3, 5e-3, 2.5e-2)
"""Learning rates that a head of two streams chooses among."""

RATES_OF_RANET = (2e-4, 1e-3, 5e-3, 2.5e-2)
"""Those of a head of one stream."""

RATES_OF_LINEAR = (1e-3, 5e-3, 2.5e-2, 0.125)
"""Those of a head that is one linear layer, whose best ones are higher."""

LENGTHS = (25, 100)
"""Steps of a training that a head chooses among."""

LENGTHS_OF_LINEAR = (25, 100, 400)
"""Those of a head that is one linear layer, which costs next to nothing."""

LONGER = 4
"""So many times as long as the longest one is a longer training."""

RECIPE_RATE = 1e-3
"""Rate by which the model that ships is trained; too low for a linear layer in so few steps."""

WEAK_PENALTY = 1e-5
"""Of the logistic regression that is meant to be tuned badly: almost none."""


@dataclass(frozen=True)
class Head:
    """Learns by gradient descent.

    Attributes:
        title: What the page calls it.
        build: From the channels of feature maps to the network on them.
        loss: What it is trained with.
        rates: Learning rates that it chooses among.
        lengths: Steps of its training that it chooses among.
        averaged: Whether it sees nothing but the average over the cells, so it can be given that.
        taught: How much the term counts that teaches its attention with masks of lesions, where there are some.
    """

    title: str
    build: Callable[[int], nn.Module]
    loss: Literal["ce", "grading"] = "ce"
    rates: tuple[float, ...] = RATES
    lengths: tuple[int, ...] = LENGTHS
    averaged: bool = False
    taught: float = 0.0


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


def lengthened(arm: Arm) -> Arm:
    """Let a head that chooses its length choose among longer trainings and a lower rate as well.

    Example:
        >>> head = lengthened(Head("BiRA-Net", _biranet, rates=(1e-3, 5e-3), lengths=(25, 100)))
        >>> head.rates, head.lengths
        ((0.0002, 0.001, 0.005), (25, 100, 400))
    """
    if isinstance(arm, Probe) or len(arm.lengths) == 1:
        return arm
    lowest, longest = min(RATES_OF_RANET), LONGER * max(arm.lengths)
    return dataclasses.replace(arm, rates=tuple(sorted({lowest, *arm.rates})), lengths=(*arm.lengths, longest))


def settings_of(arm: Arm) -> dict[str, Any]:
    """What the answers of an arm depend on; its title is no part of it.

    Example:
        >>> settings_of(Probe("Linear probe", penalty=1.0))
        {'projected': False, 'penalty': 1.0}
    """
    settings = dataclasses.asdict(arm)
    del settings["title"]
    return settings | ({"build": arm.build.__name__} if isinstance(arm, Head) else {})


def _plain(channels: int) -> nn.Module:
    return PlainNet(nn.Identity(), channels)


def _ranet(channels: int) -> nn.Module:
    return RANet(nn.Identity(), channels)


def _biranet(channels: int) -> BiraNet:
    return BiraNet(nn.Identity(), nn.Identity(), channels)


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

CORE: dict[str, Arm] = {
    PROBE: Probe("Linear probe on all channels"),
    "plain_ce": _linear(),
    "plain_grading": _linear(loss="grading"),
    METHOD: Head("BiRA-Net", _biranet),
    "biranet_grading": Head("BiRA-Net", _biranet, "grading"),
    "ranet_ce": Head("RA-Net", _ranet, rates=RATES_OF_RANET),
    "probe_projected": Probe("Linear probe on what heads see", projected=True),
    "plain_untuned": Head(
        "Plain network tuned badly (rate 0.001)",
        _plain,
        rates=(RECIPE_RATE,),
        lengths=LENGTHS_OF_LINEAR[-1:],
        averaged=True,
    ),
    "probe_untuned": Probe("Linear probe meant to be tuned badly (hardly any penalty)", penalty=WEAK_PENALTY),
}
"""What the first questions are about."""

FURTHER: dict[str, Arm] = {
    "taught": Head("BiRA-Net, attention taught with masks of lesions", _biranet, taught=1.0),
    "no_attention": Head(
        "BiRA-Net, attention off (masks of ones)", lambda channels: without_attention(_biranet(channels))
    ),
    "ranet_grading": Head("RA-Net", _ranet, "grading", RATES_OF_RANET),
    "no_normalization": Head(
        "BiRA-Net, signed square root and L2 norm off", lambda channels: without_normalization(_biranet(channels))
    ),
}
"""All others, which are trained behind them."""

ARMS = CORE | FURTHER

UNTUNED = ("probe_untuned", "plain_untuned")
"""Controls that were meant to be tuned badly."""


def known_arms(*, longer: bool = False) -> dict[str, Arm]:
    """Give all arms, by name; `longer` lets heads choose among longer trainings and a lower rate, too."""
    return {name: lengthened(arm) for name, arm in ARMS.items()} if longer else ARMS


COMPARISONS = (
    ("probe", PROBE, METHOD),
    ("probe", "probe_projected", METHOD),
    ("probe", "probe_projected", "biranet_grading"),
    ("whole", "plain_ce", "biranet_grading"),
    ("attention", "plain_ce", "ranet_ce"),
    ("attention", "plain_grading", "ranet_grading"),
    ("attention", "no_attention", METHOD),
    ("streams", "ranet_ce", METHOD),
    ("streams", "ranet_grading", "biranet_grading"),
    ("normalization", "no_normalization", METHOD),
    ("taught", METHOD, "taught"),
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
