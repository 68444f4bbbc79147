"""Checkpoints of the lesion branch: its weights and what must be known to use them, in one guarded safetensors file."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from biranet.errors import InputError
from biranet.learning.backbone import load_backbone
from biranet.learning.checkpoint import check_fit
from biranet.learning.checkpoint_info import FORMAT, LESIONS_FORMAT
from biranet.learning.lesion_settings import DEFAULT_THRESHOLD, check_thresholds
from biranet.learning.lesions.network import LesionNet
from biranet.learning.lesions.settings import CHECKPOINT_NAME, LesionConfig
from biranet.learning.tensors import open_tensors, write_tensors
from biranet.lesion_kinds import KINDS
from biranet.photos.prepare import Preparation
from biranet.validated import STRICT, validated

VERSION = 2


@dataclass(frozen=True)
class LesionInfo:
    """What a checkpoint of the lesion branch says of itself.

    Attributes:
        config: Backbone, width, sizes and all other settings of the training.
        mean: Mean of R, G, B on a 0-1 scale, subtracted from the photo.
        std: Standard deviation of R, G, B, by which it is divided.
        preparation: How photos must be prepared.
        trained_on: Names of the data sets.
        photos: How many photos it has learned from.
        photos_sha256: A sum of their names and masks.
        steps: Steps of training it has had.
        thresholds: From which share of a cell on it counts as a lesion, by kind.
        software: Versions of the packages it was trained with.
    """

    __pydantic_config__ = STRICT

    config: LesionConfig
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preparation: Preparation
    trained_on: str = ""
    photos: int = 0
    photos_sha256: str = ""
    steps: int = 0
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(KINDS, DEFAULT_THRESHOLD))
    software: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_thresholds(self.thresholds)
        if not all(0 < each <= 10 for each in self.std):
            raise InputError("std must lie between 0 and 10")


class LoadedLesions(NamedTuple):
    """What was loaded from a checkpoint of the lesion branch.

    Attributes:
        network: On the CPU, in evaluation mode.
        info: Its description.
        sha256: SHA-256 of the bytes that it was loaded from.
    """

    network: LesionNet
    info: LesionInfo
    sha256: str


def build_lesion_net(config: LesionConfig) -> LesionNet:
    """Build the network of a configuration, with the start weights that it names.

    Raises:
        InputError: If there is no such backbone, or no such weights.
    """
    return LesionNet(load_backbone(config.backbone_config), config)


def save_lesions(path: Path, network: LesionNet, info: LesionInfo) -> None:
    """Write a checkpoint, whole or not at all."""
    write_tensors(
        path, network.state_dict(), {"format": LESIONS_FORMAT, "version": VERSION, **dataclasses.asdict(info)}
    )


def load_lesion_net(path: Path) -> LoadedLesions:
    """Read a checkpoint of the lesion branch.

    Args:
        path: A file that `save_lesions` wrote.

    Raises:
        InputError: If the file is missing, none such, not as it was written, or what it says is impossible.
    """
    with open_tensors(path, "a checkpoint of lesions", f"RUN/{CHECKPOINT_NAME}") as stored:
        header = dict(stored.header)
        kind, version = header.pop("format", None), header.pop("version", None)
        if kind == FORMAT:
            raise InputError(f"{path} grades photos, and finds no lesions; give RUN/{CHECKPOINT_NAME} of train-lesions")
        if kind != LESIONS_FORMAT or version != VERSION:
            raise InputError(f"{path} is not a checkpoint of lesions of this version of biranet")
        stored.check_guarded()
        info = validated(LesionInfo, header, f"{path} says of itself what cannot be")
        network = build_lesion_net(dataclasses.replace(info.config, pretrained=False, backbone_weights=None))
        tensors = stored.tensors()
        check_fit(path, tensors, network.state_dict())
        network.load_state_dict(tensors)
        return LoadedLesions(network.eval(), info, stored.sha256)
