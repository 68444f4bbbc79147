"""Starting a training from a checkpoint: from all of its weights, which must be those of the same network."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.files import printable
from biranet.learning.backbone import FROZEN, TRAINED
from biranet.learning.checkpoint import check_fit, read_weights
from biranet.learning.checkpoint_info import CheckpointInfo, StartedFrom
from biranet.learning.shipped_models import DEFAULT, find_checkpoint
from biranet.public_paths import public_name
from biranet.setting_names import setting


class Start(NamedTuple):
    """A checkpoint to start from.

    Attributes:
        path: Its file.
        weights: Its weights by name.
        info: Its description.
        sha256: SHA-256 of the file.
    """

    path: Path
    weights: Mapping[str, Tensor]
    info: CheckpointInfo
    sha256: str

    @property
    def origin(self) -> StartedFrom:
        """What the checkpoints of the training say of it: what it has learned from, it and all before it."""
        info, before = self.info, self.info.started_from or StartedFrom()
        listed = bool(info.training_set_fingerprints)
        digest = () if listed or not info.training_set_digest else (info.training_set_digest,)
        return StartedFrom(
            file=printable(public_name(self.path)),
            sha256=self.sha256,
            trained_on=info.trained_on,
            fingerprints=tuple(sorted({*info.training_set_fingerprints, *before.fingerprints})),
            training_set_digests=tuple(sorted({*digest, *before.training_set_digests})),
        )


def read_start(name_or_path: Path | str) -> Start:
    """Read a checkpoint to start from: a file, or the model of a name that ships.

    Raises:
        InputError: If it cannot be used.
    """
    path = find_checkpoint(name_or_path)
    return Start(path, *read_weights(path))


def check_start(start: Start, config: ModelConfig) -> None:
    """Refuse a checkpoint of another network than the one that is to be trained.

    Raises:
        InputError: If it is one, or its answers are corrected by lesions.
    """
    its = start.info.model
    if start.info.lesions is not None:
        raise InputError(
            f"{setting('start', flag='from')} {start.path}: lesions correct its answers, and that was fitted to the "
            "network as it is, so no training goes on from it; give one without a lesion branch, such as "
            f"{DEFAULT}, or only its backbone by {setting('backbone_weights')}"
        )
    if (its.model, its.backbone) != (config.model, config.backbone):
        raise InputError(
            f"{setting('start', flag='from')} {start.path}: it is {its.model} on the backbone {its.backbone}, and the "
            f"training is to be of {config.model} on {config.backbone}; give {setting('model', its.model)} and "
            f"{setting('backbone', its.backbone)}"
        )


def load_start(start: Start, model: nn.Module, config: ModelConfig) -> None:
    """Load all weights of a checkpoint into a model that may have other layers frozen.

    Args:
        start: A checkpoint that `check_start` lets pass.
        model: What `build_model` has made of `config`.
        config: Says which layers are frozen.

    Raises:
        InputError: If layers that both streams are to share are not the same in both, or the weights are not those of
            the network that the checkpoint says it is.
    """
    placed, used = {}, set()
    for name in model.state_dict():
        names = [each for each in (name, *_elsewhere(name)) if each in start.weights]
        if not names:
            continue
        used.update(names)
        offered = [start.weights[each] for each in names]
        if not all(torch.equal(offered[0], each) for each in offered):
            raise InputError(
                f"{setting('start', flag='from')} {start.path}: its two streams have trained "
                f"{name.removeprefix(FROZEN)} each for itself, and {setting('freeze', config.freeze)} would make one "
                f"of them; give {setting('freeze', start.info.model.freeze)}"
            )
        placed[name] = offered[0]
    unused = {name: start.weights[name] for name in start.weights.keys() - used}
    check_fit(start.path, placed | unused, model.state_dict())
    model.load_state_dict(placed)


def _elsewhere(name: str) -> list[str]:
    """Where else a weight can stand: where a layer is frozen, both streams share it."""
    if name.startswith(FROZEN):
        return [prefix + name.removeprefix(FROZEN) for prefix in TRAINED]
    return [FROZEN + name.removeprefix(prefix) for prefix in TRAINED if name.startswith(prefix)]
