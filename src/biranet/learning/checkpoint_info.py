"""What a checkpoint says about itself: all that is needed to use its network rightly, whatever computes it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from biranet.config import MAX_SEED, ModelConfig, describe_network
from biranet.decisions.rules import Rules
from biranet.errors import InputError
from biranet.files import printable
from biranet.learning.lesion_settings import PATCH_STEP_PX, LesionBranch
from biranet.photos.prepare import MIN_SIZE_PX, Preparation
from biranet.photos.prepare import VERSION as PREPARATION_VERSION
from biranet.training_record import TrainingRecord
from biranet.validated import STRICT, validated

FORMAT = "biranet-checkpoint"
LESIONS_FORMAT = "biranet-lesions"
"""Kinds of checkpoints: of networks that grade, and of the lesion branch."""
VERSION = 4
FORMER_VERSIONS = (2, 3)
"""Versions that `studies/convert_checkpoint.py` writes anew: 2 holds no digests, 3 has other names."""

MAX_NAME_LENGTH = 200
MAX_TEXT_LENGTH = 10_000


class Normalization(NamedTuple):
    """Mean and standard deviation of R, G and B, on a 0-1 scale, that a backbone's weights expect.

    Example:
        >>> import biranet
        >>> biranet.Normalization(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)).mean
        (0.5, 0.5, 0.5)
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class StartedFrom:
    """The checkpoint that a training started from, and what that and all before it had learned from.

    Attributes:
        file: Its name.
        sha256: SHA-256 of its file.
        trained_on: Name of its training data.
        fingerprints: Those of the photos learned from, of all checkpoints that carry them.
        training_set_digests: The `training_set_digest` of all checkpoints that carry none.

    Example:
        >>> import biranet
        >>> print(biranet.StartedFrom("best.safetensors", "0a1b", "aptos"))
        best.safetensors, sha256 0a1b, trained on aptos
    """

    __pydantic_config__ = STRICT

    file: str = ""
    sha256: str = ""
    trained_on: str = ""
    fingerprints: tuple[str, ...] = ()
    training_set_digests: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}, sha256 {self.sha256}, trained on {self.trained_on or 'nobody knows what'}"


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
        started_from: The checkpoint whose weights the training started from; None where it was none.
        seed: Seed of the training.
        software: Versions of the packages it was trained with.
        doubts: What makes one doubt that it has learned, a sentence each.
        training: How it was trained; None in a checkpoint from before this was kept.
        lesions: The lesion branch that corrects its answer; None where it has none.

    Example:
        >>> import biranet
        >>> info = biranet.load().info
        >>> info.preparation.size_px >= info.image_size, info.rules.decoder in ("argmax", "expected_grade")
        (True, True)
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
    started_from: StartedFrom | None = None
    seed: int = 1
    software: dict[str, str] = dataclasses.field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    training: TrainingRecord | None = None
    lesions: LesionBranch | None = None

    def __post_init__(self) -> None:
        numbers: dict[str, tuple[tuple[float | None, ...], float, float]] = {
            "image_size": ((self.image_size,), MIN_SIZE_PX, self.preparation.size_px),
            "mean": (self.mean, 0, 1),
            "std": (self.std, 1e-3, 10),
            "epoch": ((self.epoch,), 0, 1e9),
            "validation_kappa": ((self.validation_kappa,), -1, 1),
            "seed": ((self.seed,), 0, MAX_SEED),
        }
        for name, (values, lowest, highest) in numbers.items():
            for value in values:
                if value is not None and not lowest <= value <= highest:
                    raise InputError(f"{name} must lie between {lowest:g} and {highest:g}, not {value}")
        # What a file says of itself is shown to people: on a terminal, in a report.
        texts = {
            "model.backbone": ((self.model.backbone,), MAX_NAME_LENGTH),
            "split_column": ((self.split_column,), MAX_NAME_LENGTH),
            "calibration_photo_hashes": (self.calibration_photo_hashes, MAX_NAME_LENGTH),
            "training_set_digest": ((self.training_set_digest,), MAX_NAME_LENGTH),
            "training_set_fingerprints": (self.training_set_fingerprints, MAX_TEXT_LENGTH),
            "trained_on": ((self.trained_on,), MAX_TEXT_LENGTH),
            "software": ((*self.software, *self.software.values()), MAX_NAME_LENGTH),
            "rules.fitted_on": ((self.rules.fitted_on,), MAX_TEXT_LENGTH),
            "doubts": ((*self.doubts, *self.rules.doubts), MAX_TEXT_LENGTH),
            "rules.operating_points": (tuple(point.name for point in self.rules.operating_points), MAX_NAME_LENGTH),
        }
        if self.lesions is not None:
            texts["lesions"] = ((self.lesions.trained_on, self.lesions.photos_sha256), MAX_TEXT_LENGTH)
            step = math.lcm(self.lesions.factor, PATCH_STEP_PX)
            if self.image_size % step:
                raise InputError(f"image_size must be a multiple of {step}, not {self.image_size}")
        if self.training is not None:
            settings = self.training.settings
            texts["training"] = ((settings.backbone_start, settings.device), MAX_NAME_LENGTH)
        if (start := self.started_from) is not None:
            words = (start.file, start.sha256, start.trained_on, *start.fingerprints, *start.training_set_digests)
            texts["started_from"] = (words, MAX_TEXT_LENGTH)
        for name, (words, longest) in texts.items():
            if any(len(word) > longest or not word.isprintable() for word in words):
                raise InputError(f"{name} must be at most {longest} characters, and all of them printable")

    def __repr__(self) -> str:
        kappa = "" if self.validation_kappa is None else f", validation kappa {self.validation_kappa:.3f}"
        calibrated = "calibrated" if self.rules.fitted_on else "not calibrated"
        return f"CheckpointInfo({self.network}, epoch {self.epoch}{kappa}, {calibrated})"

    @property
    def normalization(self) -> Normalization:
        """Mean and standard deviation of the images."""
        return Normalization(self.mean, self.std)

    @property
    def network(self) -> str:
        """What the network is and what it looks at, in words."""
        its, size, flip = self.model, self.network_px, self.model.test_time_flip
        lesions_px = self.image_size if self.lesions else None
        return describe_network(its.model, its.backbone, size, test_time_flip=flip, lesions_px=lesions_px)

    @property
    def network_px(self) -> int:
        """Side of what the network itself sees: the image, or a smaller copy where lesions are looked for in it."""
        return self.image_size // self.lesions.factor if self.lesions else self.image_size


def short_hash(sha256: str) -> str:
    """Shorten the SHA-256 of a photo to 12 hexadecimal digits.

    Two of a million photos share a short hash with a probability of 1 in 500.

    Example:
        >>> short_hash("0123456789abcdef" * 4)
        '0123456789ab'
    """
    return sha256[:12]


def info_header(info: CheckpointInfo) -> dict[str, Any]:
    """Return the header of a checkpoint: its description, with the keys that name format and version."""
    return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(info)}


def check_version(path: Path, header: Mapping[str, Any]) -> None:
    """Refuse a header that is not that of a checkpoint of this version.

    Args:
        path: The file it stands in, for the error.
        header: As it was read.

    Raises:
        InputError: If it is of another kind or another version.
    """
    if header.get("format") == LESIONS_FORMAT:
        raise InputError(
            f"{path} finds lesions, and grades nothing; give it to: biranet lesions PHOTOS --checkpoint {path}"
        )
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint; give RUN/best.safetensors or RUN/last.safetensors")
    version = header.get("version")
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


def parse_info(path: Path, header: Mapping[str, Any]) -> CheckpointInfo:
    """Parse a header that `info_header` made.

    Args:
        path: The file it stands in, for the error.
        header: As it was read, of this version.

    Returns:
        The description.

    Raises:
        InputError: If the photos were prepared by another version of the preparation, a key is unknown, or a value is
            impossible.
    """
    described = {key: value for key, value in header.items() if key not in ("format", "version")}
    preparation = described.get("preparation")
    prepared_by = preparation.get("version") if isinstance(preparation, dict) else None
    if isinstance(prepared_by, int) and prepared_by != PREPARATION_VERSION:
        raise InputError(
            f"{path} was trained on photos prepared by version {prepared_by} of the preparation, and "
            f"this biranet prepares by version {PREPARATION_VERSION}, which gives other pixels; "
            "use the biranet that wrote it, or train again"
        )
    return validated(CheckpointInfo, described, f"{path} says of itself what cannot be")
