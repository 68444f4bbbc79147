"""Checkpoints: a model and all that is needed to use it rightly, in one safetensors file. Nothing is ever unpickled.

The tensors are the weights. The header holds a `CheckpointInfo` as JSON: architecture, image size, normalization, how
photos must be prepared, and the rules that turn probabilities into grades and decisions. Both are read only as they
were written (`biranet.learning.tensors`), and nothing that a header says is believed beyond its bounds.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.errors import InputError, RefusedError
from biranet.learning.backbone import check_backbone, load_backbone
from biranet.learning.checkpoint_file import info_of
from biranet.learning.checkpoint_info import CheckpointInfo, info_header
from biranet.learning.flip import with_test_time_flip
from biranet.learning.lesion_branch.grader import LesionGrader
from biranet.learning.model import build_model
from biranet.learning.tensors import open_checkpoint, write_tensors

MAX_UNBACKED_WEIGHTS = 50_000_000
"""So many weights take no memory that matters; a backbone with more must be as large as the file lets expect."""


class LoadedCheckpoint(NamedTuple):
    """What was loaded from a checkpoint.

    Attributes:
        model: The network, on the CPU in evaluation mode.
        info: Its description.
        sha256: SHA-256 of the very bytes that it was loaded from, whoever replaces the file meanwhile.
    """

    model: nn.Module
    info: CheckpointInfo
    sha256: str


def save_checkpoint(path: Path, model: nn.Module, info: CheckpointInfo, *, half: bool = False) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: A `.safetensors` file.
        model: The model that `info.model` describes.
        info: Its description.
        half: Store the floating weights in half precision; `load_checkpoint` makes float32 of them again.

    Raises:
        RefusedError: If a weight does not fit into half precision.
    """
    tensors = model.state_dict()
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    write_tensors(path, tensors, info_header(info))


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all():
        raise RefusedError(
            f"the weights {name} do not fit into half precision, which ends at 65,504; pass on the checkpoint as it is"
        )
    return halved


def load_checkpoint(
    path: Path, build: Callable[[ModelConfig], nn.Module] = build_model
) -> tuple[nn.Module, CheckpointInfo]:
    """Read a checkpoint.

    Args:
        path: A file that training wrote.
        build: What built the model, where `train` was given another function.

    Returns:
        The model, on the CPU in evaluation mode, and its description.

    Raises:
        InputError: If the file is missing, no checkpoint, of a version this program does not read, not as it was
            written, or what it says is impossible.
    """
    return load_with_sha256(path, build)[:2]


def load_with_sha256(path: Path, build: Callable[[ModelConfig], nn.Module] = build_model) -> LoadedCheckpoint:
    """Read a checkpoint as `load_checkpoint` does, and name the bytes it was read from."""
    with open_checkpoint(path) as stored:
        info = info_of(path, stored)
        with _name_in_errors(path):
            weights = check_backbone(info.model.backbone, info.image_size)
        if weights > max(MAX_UNBACKED_WEIGHTS, stored.size_bytes):
            raise _mismatch(
                path, f"its backbone has {weights / 1e6:,.0f} million weights, which so small a file cannot hold"
            )
        with _name_in_errors(path):
            config = dataclasses.replace(info.model, pretrained=False, backbone_weights=None)
            model = _with_all_parts(build(config), info)
        expected = model.state_dict()
        if stored.shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
            raise _mismatch(path, "its weights are not those of such a model")
        tensors = stored.tensors()
        check_fit(path, tensors, expected)
        model.load_state_dict(tensors)
        return LoadedCheckpoint(model.eval(), info, stored.sha256)


def _with_all_parts(model: nn.Module, info: CheckpointInfo) -> nn.Module:
    model = with_test_time_flip(model, info.model)
    if info.lesions is None:
        return model
    with torch.device("meta"):
        stages = load_backbone(dataclasses.replace(info.model, pretrained=False, backbone_weights=None)).stages
    return LesionGrader(model, stages, info.lesions)


def check_fit(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights of another network, or of other kinds of numbers, which loading would cut to those of the model.

    Args:
        path: The checkpoint they are from, for the error.
        tensors: The weights by name.
        expected: Those of the model as it is.

    Raises:
        InputError: If they do not fit.
    """
    if {name: each.shape for name, each in tensors.items()} != {name: each.shape for name, each in expected.items()}:
        raise _mismatch(path, "its weights are not those of such a model")
    for name, tensor in tensors.items():
        kind = expected[name].dtype
        kinds = {kind, torch.float16, torch.float32} if kind.is_floating_point else {kind}
        if tensor.dtype not in kinds:
            raise _mismatch(path, f"the weights {name} are {tensor.dtype}, not {kind}")


class StoredWeights(NamedTuple):
    """What stands in a checkpoint.

    Attributes:
        weights: By name, on the CPU, as they are stored.
        info: The description.
        sha256: SHA-256 of the very bytes that they were read from.
    """

    weights: Mapping[str, Tensor]
    info: CheckpointInfo
    sha256: str


def read_weights(path: Path) -> StoredWeights:
    """Read the weights of a checkpoint as they are stored, and build no network of them.

    Args:
        path: A file that training wrote.

    Raises:
        InputError: As `load_checkpoint`, but for what only the network shows.
    """
    with open_checkpoint(path) as stored:
        info = info_of(path, stored)
        return StoredWeights(stored.tensors(), info, stored.sha256)


@contextmanager
def _name_in_errors(path: Path) -> Iterator[None]:
    """Name the checkpoint in an error about what it asks for, which knows of no file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def _mismatch(path: Path, how: str) -> InputError:
    return InputError(f"{path}: its weights and its description do not belong together: {how}; the file was changed")
