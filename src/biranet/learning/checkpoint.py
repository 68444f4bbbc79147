"""Checkpoints: a model and all that is needed to use it rightly, in one safetensors file. Nothing is ever unpickled.

The tensors are the weights. The header holds a `CheckpointInfo` as JSON: architecture, image size, normalization, how
photos must be prepared, and the rules that turn probabilities into grades and decisions. Both are read only as they
were written (`biranet.learning.tensors`), and nothing that a header says is believed beyond its bounds.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biranet.config import LARGEST_SEED, ModelConfig
from biranet.decisions.rules import Rules
from biranet.errors import InputError, RefusedError
from biranet.files import printable
from biranet.learning.backbone import check_backbone
from biranet.learning.flip import with_test_time_flip
from biranet.learning.model import build_model
from biranet.learning.tensors import StoredTensors, open_tensors, write_tensors
from biranet.photos.prepare import SMALLEST_PX, Preparation
from biranet.photos.prepare import VERSION as PREPARATION_VERSION
from biranet.validated import STRICT, validated

FORMAT = "biranet-checkpoint"
VERSION = 4
FORMER_VERSIONS = (2, 3)
"""Versions that `studies/convert_checkpoint.py` writes anew: 2 holds no digests, 3 has other names."""

HARMLESS_WEIGHTS = 50_000_000
"""So many weights take no memory that matters; a backbone with more must be as large as the file lets expect."""

LONGEST_NAME = 200
LONGEST_TEXT = 10_000


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    Attributes:
        model: Architecture and backbone.
        image_size: Side of the images in pixels.
        mean: Mean of R, G, B on a 0-1 scale, subtracted from the image.
        std: Standard deviation of R, G, B, by which it is divided.
        preparation: How photos must be prepared; others are refused.
        rules: How probabilities become grades and decisions; those of `Rules()` until something is fitted.
        calibration_photo_hashes: The `short_hash` of every photo the rules were fitted on.
        epoch: Epochs of training it has had.
        validation_kappa: Quadratic weighted kappa on the validation part; None where there was none.
        split_column: Column of the manifest with the split it was trained on.
        training_set_digest: Which photos it learned from or was chosen on; see `biranet.manifest.training_set_digest`.
        training_set_fingerprints: Fingerprints of the photos it learned from or was chosen on, by which copies of them
            are known in any prepared folder; only in a model that is given away, see `studies/shipped/ship.py`.
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
    calibration_photo_hashes: tuple[str, ...] = ()
    epoch: int = 0
    validation_kappa: float | None = None
    split_column: str = "split"
    training_set_digest: str = ""
    training_set_fingerprints: tuple[str, ...] = ()
    trained_on: str = ""
    seed: int = 1
    software: dict[str, str] = dataclasses.field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        numbers: dict[str, tuple[tuple[float | None, ...], float, float]] = {
            "image_size": ((self.image_size,), SMALLEST_PX, self.preparation.size_px),
            "mean": (self.mean, 0, 1),
            "std": (self.std, 1e-3, 10),
            "epoch": ((self.epoch,), 0, 1e9),
            "validation_kappa": ((self.validation_kappa,), -1, 1),
            "seed": ((self.seed,), 0, LARGEST_SEED),
        }
        for name, (values, lowest, highest) in numbers.items():
            for value in values:
                if value is not None and not lowest <= value <= highest:
                    raise InputError(f"{name} must lie between {lowest:g} and {highest:g}, not {value}")
        # What a file says of itself is shown to people: on a terminal, in a report.
        texts = {
            "model.backbone": ((self.model.backbone,), LONGEST_NAME),
            "split_column": ((self.split_column,), LONGEST_NAME),
            "calibration_photo_hashes": (self.calibration_photo_hashes, LONGEST_NAME),
            "training_set_digest": ((self.training_set_digest,), LONGEST_NAME),
            "training_set_fingerprints": (self.training_set_fingerprints, LONGEST_TEXT),
            "trained_on": ((self.trained_on,), LONGEST_TEXT),
            "software": ((*self.software, *self.software.values()), LONGEST_NAME),
            "rules.fitted_on": ((self.rules.fitted_on,), LONGEST_TEXT),
            "doubts": ((*self.doubts, *self.rules.doubts), LONGEST_TEXT),
            "rules.operating_points": (tuple(point.name for point in self.rules.operating_points), LONGEST_NAME),
        }
        for name, (words, longest) in texts.items():
            if any(len(word) > longest or not word.isprintable() for word in words):
                raise InputError(f"{name} must be at most {longest} characters, and all of them printable")

    @property
    def network(self) -> str:
        """What the network is and what it looks at, in words."""
        flip = (
            "; each answer is the mean of the probabilities for a photo and its mirror image"
            if self.model.test_time_flip
            else ""
        )
        return f"{self.model.model}, backbone {self.model.backbone}, images of {self.image_size} px{flip}"


def short_hash(sha256: str) -> str:
    """Shorten the hash of a photo: among a million photos two have one key once in 500 times."""
    return sha256[:12]


def card_header(card: CheckpointInfo) -> dict[str, Any]:
    """What stands of a card in the header of its checkpoint, keys that say what the header is included."""
    return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(card)}


def save_checkpoint(path: Path, model: nn.Module, card: CheckpointInfo, *, half: bool = False) -> None:
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


def load_checkpoint(
    path: Path, build: Callable[[ModelConfig], nn.Module] = build_model
) -> tuple[nn.Module, CheckpointInfo]:
    """Read a checkpoint.

    Args:
        path: A file that training wrote.
        build: What built the model, where `train` was given another function.

    Returns:
        The model, on the CPU in evaluation mode, and its card.

    Raises:
        InputError: If the file is missing, no checkpoint, of a version this program does not read, not as it was
            written, or what it says is impossible.
    """
    with open_tensors(path, "a checkpoint") as stored:
        card = _card(path, stored)
        with _blamed_on(path):
            weights = check_backbone(card.model.backbone, card.image_size)
        if weights > max(HARMLESS_WEIGHTS, stored.size_bytes):
            raise _altered(
                path, f"its backbone has {weights / 1e6:,.0f} million weights, which so small a file cannot hold"
            )
        with _blamed_on(path):
            config = dataclasses.replace(card.model, pretrained=False, backbone_weights=None)
            model = with_test_time_flip(build(config), card.model)
        expected = model.state_dict()
        if stored.shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
            raise _altered(path, "its weights are not those of such a model")
        model.load_state_dict(_of_the_kinds(path, stored.tensors(), expected))
    return model.eval(), card


def _of_the_kinds(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Refuse weights of other kinds of numbers, which loading would cut to those of the model."""
    for name, tensor in tensors.items():
        kind = expected[name].dtype
        kinds = {kind, torch.float16, torch.float32} if kind.is_floating_point else {kind}
        if tensor.dtype not in kinds:
            raise _altered(path, f"the weights {name} are {tensor.dtype}, not {kind}")
    return tensors


def read_card(path: Path) -> CheckpointInfo:
    """Read what a checkpoint says about itself, and none of its weights.

    Args:
        path: A file that training wrote.

    Returns:
        Its card.

    Raises:
        InputError: As `load_checkpoint`, but for what only the weights show.
    """
    with open_tensors(path, "a checkpoint") as stored:
        return _card(path, stored)


def _card(path: Path, stored: StoredTensors) -> CheckpointInfo:
    header = dict(stored.header)
    if header.pop("format", None) != FORMAT:
        raise InputError(f"{path} is not a checkpoint; give RUN/best.safetensors or RUN/last.safetensors")
    version = header.pop("version", None)
    if version in FORMER_VERSIONS:
        raise InputError(
            f"{path} is a checkpoint of version {version}, and this program reads version {VERSION}; if you trust it, "
            "write it anew by studies/convert_checkpoint.py of the source, or train again"
        )
    if version != VERSION:
        raise InputError(
            f"{path} is a checkpoint of version {printable(str(version))[:20]}, and this program reads version "
            f"{VERSION}; use the biranet that wrote it, or train again"
        )
    stored.check_guarded()
    preparation = header.get("preparation")
    prepared_by = preparation.get("version") if isinstance(preparation, dict) else None
    if isinstance(prepared_by, int) and prepared_by != PREPARATION_VERSION:
        raise InputError(
            f"{path} was trained on photos prepared by version {prepared_by} of the preparation, and "
            f"this biranet prepares by version {PREPARATION_VERSION}, which gives other pixels; "
            "use the biranet that wrote it, or train again"
        )
    return validated(CheckpointInfo, header, f"{path} says of itself what cannot be")


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Name the checkpoint in an error about what it asks for, which knows of no file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def _altered(path: Path, how: str) -> InputError:
    return InputError(f"{path}: its weights and its description do not belong together: {how}; the file was changed")
