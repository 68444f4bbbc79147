"""Checkpoints: a model and all that is needed to use it rightly, in one safetensors file. Nothing is ever unpickled.

The tensors are the weights. The header holds a `Card` as JSON: architecture, image size, normalisation, how photos must
be prepared, and the rules that turn probabilities into grades and decisions.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from biranet.config import STRICT, ModelConfig
from biranet.errors import InputError, RefusedError
from biranet.evaluation.rules import Rules
from biranet.files import parse_json, write_bytes
from biranet.learning.model import as_it_answers, build_model
from biranet.photos.prepare import VERSION as PREPARATION_VERSION
from biranet.photos.prepare import Preparation

FORMAT = "biranet-checkpoint"
VERSION = 2
_HEADER = "biranet"


@dataclass(frozen=True)
class Card:
    """What a checkpoint says about itself.

    Attributes:
        model: Architecture and trunk.
        image_size: Side of the images in pixels.
        mean: Mean of R, G, B on a 0-1 scale, subtracted from the image.
        std: Standard deviation of R, G, B, by which it is divided.
        preparation: How photos must be prepared; others are refused.
        rules: How probabilities become grades and decisions; those of `Rules()` until something is fitted.
        calibrated_on: The `photo_key` of every photo the rules were fitted on.
        epoch: Epochs of training it has had.
        validation_kappa: Quadratic weighted kappa on the validation part; None where there was none.
        split_column: Column of the manifest with the split it was trained on.
        learned_digest: Which photos it learned from or was chosen on; see `biranet.manifest.learned_digest`.
        learned_fingerprints: Fingerprints of the photos it learned from or was chosen on, by which copies of them are
            known in any prepared folder; only in a model that is given away, see `studies/shipped/ship.py`.
        trained_on: Name of the training data.
        seed: Seed of the training.
        software: Versions of the packages it was trained with.
        doubts: What makes one doubt that it has learned, a sentence each.
    """

    # A key that is not known may change what the grades mean, so it must not be passed over.
    __pydantic_config__ = STRICT

    model: ModelConfig
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preparation: Preparation
    rules: Rules = dataclasses.field(default_factory=Rules)
    calibrated_on: tuple[str, ...] = ()
    epoch: int = 0
    validation_kappa: float | None = None
    split_column: str = "split"
    learned_digest: str = ""
    learned_fingerprints: tuple[str, ...] = ()
    trained_on: str = ""
    seed: int = 1
    software: dict[str, str] = dataclasses.field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """What the network is and what it looks at, in words."""
        flip = (
            "; each answer is the mean of the probabilities for a photo and its mirror image"
            if self.model.test_time_flip
            else ""
        )
        return f"{self.model.model}, trunk {self.model.trunk}, images of {self.image_size} px{flip}"


def photo_key(sha256: str) -> str:
    """Shorten the hash of a photo: among a million photos two have one key once in 500 times."""
    return sha256[:12]


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write named tensors with a JSON header, whole or not at all.

    Args:
        path: A `.safetensors` file.
        tensors: Tensors on any device.
        header: Anything JSON can hold.
    """
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(owned, {_HEADER: json.dumps(header, default=str)}))


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Args:
        path: The file.
        what: What it should be, for the error.

    Raises:
        InputError: If the file is missing, damaged or of another kind.
    """
    with _opened(path, what) as (file, header):
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (not a dict)


@contextmanager
def _opened(path: Path, what: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open what `write_tensors` wrote: the file, whose tensors can be asked for, and its header."""
    if not path.is_file():
        raise InputError(f"{path} is no file; give {what}, such as RUN/best.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json((file.metadata() or {})[_HEADER])
            if not isinstance(header, dict):
                raise ValueError("the header is no JSON object")
            yield file, header
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is not {what} of biranet, or it is damaged") from error


def card_header(card: Card) -> dict[str, Any]:
    """What stands of a card in the header of its checkpoint, keys that say what the header is included."""
    return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(card)}


def save_checkpoint(path: Path, model: nn.Module, card: Card, *, half: bool = False) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: A `.safetensors` file.
        model: The model that `card.model` describes.
        card: Its description.
        half: Store the floating weights in half precision; `load_checkpoint` makes float32 of them again.

    Raises:
        RefusedError: If a weight does not fit into half precision.
    """
    tensors = model.state_dict()
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    write_tensors(path, tensors, card_header(card))


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all():
        raise RefusedError(
            f"the weights {name} do not fit into half precision, which ends at 65,504; pass on the checkpoint as it is"
        )
    return halved


def load_checkpoint(path: Path, build: Callable[[ModelConfig], nn.Module] = build_model) -> tuple[nn.Module, Card]:
    """Read a checkpoint.

    Args:
        path: A file that training wrote.
        build: What built the model, where `train` was given another function.

    Returns:
        The model, on the CPU in evaluation mode, and its card.

    Raises:
        InputError: If the file is missing, damaged, no checkpoint, or of a version this program does not read.
    """
    tensors, header = read_tensors(path, "a checkpoint")
    card = _card(path, header)
    try:
        model = as_it_answers(build(dataclasses.replace(card.model, pretrained=False, trunk_weights=None)), card.model)
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise _altered(path) from error
    return model.eval(), card


def read_card(path: Path) -> Card:
    """Read what a checkpoint says about itself, and none of its weights.

    Args:
        path: A file that training wrote.

    Returns:
        Its card.

    Raises:
        InputError: As `load_checkpoint`.
    """
    with _opened(path, "a checkpoint") as (_, header):
        pass  # an error in the card is no error of the file
    return _card(path, header)


def _card(path: Path, header: dict[str, Any]) -> Card:
    if header.pop("format", None) != FORMAT:
        raise InputError(f"{path} is not a checkpoint; give RUN/best.safetensors or RUN/last.safetensors")
    version = header.pop("version", None)
    if version != VERSION:
        raise InputError(
            f"{path} is a checkpoint of version {version}, and this program reads version {VERSION}; "
            "use the biranet that wrote it, or train again"
        )
    try:
        card = TypeAdapter(Card).validate_python(header)
    except ValidationError as error:
        raise _altered(path) from error
    if card.preparation.version != PREPARATION_VERSION:
        raise InputError(
            f"{path} was trained on photos prepared by version {card.preparation.version} of the preparation, and "
            f"this biranet prepares by version {PREPARATION_VERSION}, which gives other pixels; "
            "use the biranet that wrote it, or train again"
        )
    return card


def _altered(path: Path) -> InputError:
    return InputError(f"{path}: its weights and its description do not belong together; the file was changed")
