"""Every setting of biranet: one typed field each, whose docstring is its help on the command line.

A setting has one place. The defaults below are the published recipe where the design of the method lists it; recipes in
TOML override the defaults, and the command line overrides the recipe.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from biranet.errors import InputError
from biranet.files import read_toml
from biranet.setting_names import setting
from biranet.validated import STRICT, validated

CONFIG_NAME = "config.json"
"""Holds the settings of a run, in its folder."""

MAX_SEED = 2**64 - 1
"""The largest seed that torch takes."""

Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where a network computes: on the CPU, an NVIDIA GPU or an Apple GPU; `auto` takes a GPU where there is one."""

Engine = Literal["auto", "onnx", "openvino", "torch"]
"""What computes a network: ONNX Runtime, OpenVINO or torch; `auto` takes ONNX Runtime where that can, else torch."""

OVERLAY_OPACITY = 0.35
"""How strongly the colours of a map cover the photo that it is drawn over, unless something else is asked for."""


def check_opacity(opacity: float) -> None:
    """Refuse an opacity that is no number from 0 to 1.

    Raises:
        InputError: If it is none.
    """
    if not 0 <= opacity <= 1:
        raise InputError(f"{setting('opacity', flag='overlay-opacity')} must be a number from 0 to 1, not {opacity}")


class Choices:
    """Refuses a word that a setting does not have among its choices, also where a configuration is built in Python.

    Printed is what differs from the defaults, as it is typed.
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                choices = ", ".join(get_args(hint))
                raise InputError(f"{setting(name)} must be one of {choices}, not {value!r}")

    def __repr__(self) -> str:
        changed = []
        for item in dataclasses.fields(self):  # type: ignore[arg-type]  # its subclasses are dataclasses
            value = getattr(self, item.name)
            if value != (item.default if item.default_factory is dataclasses.MISSING else item.default_factory()):
                changed.append(f"{item.name}={value!r}")
        return f"{type(self).__name__}({', '.join(changed)})"


Architecture = Literal["biranet", "ranet", "plain", "probe"]
Stage = Literal["none", "stem", "stage1", "stage2", "stage3", "stage4"]


@dataclass(frozen=True, repr=False)
class ModelConfig(Choices):
    """Architecture, backbone and start weights of the network.

    Example:
        >>> ModelConfig(backbone="resnet18").freeze
        'stage2'
    """

    __pydantic_config__ = STRICT

    model: Architecture = "biranet"
    """Architecture: two attention streams and a bilinear head, one stream, the backbone with average pooling, or a
    linear probe: one layer on the average of the backbone's features, which stay as they are."""
    backbone: str = "resnet50"
    """Any timm model with feature maps, by its timm name."""
    pretrained: bool = True
    """Whether to start from the backbone's ImageNet weights, which timm downloads once."""
    backbone_weights: Path | None = None
    """Local file with the backbone's weights (safetensors, or a PyTorch state dict) instead of the download."""
    freeze: Stage = "stage2"
    """Do not train layers up to the feature map at stride 2 (stem), 4, 8 (stage2: layer2 of a ResNet), 16 or 32."""
    test_time_flip: bool = False
    """Answer with the mean of the probabilities for a photo and its mirror image; the network then computes twice."""


MEAN_OF_MIRRORED = "each answer is the mean of the probabilities for a photo and its mirror image"
"""What `test_time_flip` does, as a clause."""


def describe_network(model: str, backbone: str, size_px: int, *, test_time_flip: bool, lesions_px: int | None) -> str:
    """Say what a network is and what it looks at, in words; lesions in images of `lesions_px` may correct its answer.

    Example:
        >>> describe_network("biranet", "resnet18", 224, test_time_flip=False, lesions_px=None)
        'biranet, backbone resnet18, images of 224 px'
    """
    flip = f"; {MEAN_OF_MIRRORED}" if test_time_flip else ""
    lesions = f"; corrected by lesions found in images of {lesions_px} px" if lesions_px else ""
    return f"{model}, backbone {backbone}, images of {size_px} px{flip}{lesions}"


@dataclass(frozen=True, repr=False)
class DataConfig(Choices):
    """Image size, batches, sampling and augmentation.

    Example:
        >>> DataConfig(image_size=320, batch_size=16).augmentation
        'fundus'
    """

    __pydantic_config__ = STRICT

    image_size: int = 610
    """Side of the square image in pixels; at most the size the photos were prepared at."""
    batch_size: int = 30
    """Photos per optimizer step."""
    augmentation: Literal["none", "flips", "fundus"] = "fundus"
    """Random changes of a training photo: none, horizontal flips, or flips, rotation, small scale and light colour."""
    balance: bool = True
    """Whether to draw training photos so that every grade is seen about equally often."""
    class_weights: tuple[float, float, float, float, float] | None = None
    """Relative chance of one photo of grade 0 1 2 3 4 to be drawn; from the manifest when not given."""
    draws_per_epoch: int | None = None
    """Photos drawn in one epoch; the number of training photos when not given."""
    workers: int = 2
    """Processes that load photos."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, image_size=64, batch_size=1, workers=0)
        if self.draws_per_epoch is not None:
            _at_least(self, draws_per_epoch=1)
        if self.class_weights is not None and not self.balance:
            raise InputError(
                f"{setting('class_weights')} sets the chance of each grade to be drawn, "
                f"which {setting('balance', False)} turns off"
            )
        weights = self.class_weights
        if weights is not None and not (all(0 <= weight < math.inf for weight in weights) and any(weights)):
            raise InputError(f"{setting('class_weights')} must be five numbers of at least 0, one of them above 0")


@dataclass(frozen=True, repr=False)
class OptimizerConfig(Choices):
    """Optimizer, learning rate schedule and loss.

    Example:
        >>> OptimizerConfig(optimizer="adamw", lr=3e-4).schedule
        'plateau'
    """

    __pydantic_config__ = STRICT

    loss: Literal["grading", "ce"] = "grading"
    """Grading loss, which weighs an error by its distance in grades, or cross-entropy."""
    weight_scale: Literal["paper", "unit"] = "paper"
    """Scale of the grading loss: as published (mean weight 1/5), or five times that, comparable with cross-entropy."""
    label_smoothing: float = 0.0
    """Share of each label that the grades next to it get, half of it each; the paper has none."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum 0.9, or AdamW."""
    lr: float = 2e-4
    """Learning rate."""
    weight_decay: float = 1e-8
    """Weight decay."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """A tenth of the rate after 6 epochs without a better validation kappa; warm-up and cosine; or constant."""
    clip_norm: float | None = None
    """Scale gradients down to this norm where they exceed it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lr < math.inf:
            raise InputError(f"{setting('lr')} must be above 0, not {self.lr}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"{setting('weight_decay')} must be at least 0, not {self.weight_decay}")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"{setting('label_smoothing')} must be at least 0 and below 1, not {self.label_smoothing}")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise InputError(f"{setting('clip_norm')} must be above 0, not {self.clip_norm}")


@dataclass(frozen=True, repr=False)
class CalibrationConfig(Choices):
    """How a trained model's probabilities become grades and decisions.

    Example:
        >>> CalibrationConfig().decoder
        'argmax'
    """

    __pydantic_config__ = STRICT

    decoder: Literal["argmax", "expected_grade"] = "argmax"
    """The grade: the most probable one, or the mean over the probabilities, cut at thresholds that are fitted."""
    cost_of_missed: float = 5.0
    """How many needless referrals weigh as much as one referable photo that is missed, for the point of least cost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cost_of_missed < math.inf:
            raise InputError(f"{setting('cost_of_missed')} must be above 0, not {self.cost_of_missed}")


@dataclass(frozen=True, repr=False)
class TrainConfig(Choices):
    """One training: model, data, optimizer, how long, and how its answers are calibrated.

    Example:
        >>> config = TrainConfig(ModelConfig(backbone="resnet18"), DataConfig(image_size=320), epochs=30)
        >>> config.optimizer.lr, config.early_stop
        (0.0002, 10)
    """

    __pydantic_config__ = STRICT

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    epochs: int = 10
    """Passes over the training photos (or over --draws-per-epoch draws)."""
    seed: int = 1
    """Seed of everything random: start values, draws, augmentation, dropout, and the split where there is none yet."""
    fold: int | None = None
    """Fold that is kept back as test part, after `biranet split --folds`."""
    early_stop: int = 10
    """Stop after this many epochs without a better validation kappa; 0: never."""
    save_epoch: int = 5
    """Keep a checkpoint every so many epochs, beside the best and the last."""
    save_minutes: float = 5.0
    """Save the training state this often within an epoch, in minutes."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto: bf16 on a GPU that has it, else fp32."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, epochs=1, seed=0, early_stop=0, save_epoch=1)
        if self.seed > MAX_SEED:
            raise InputError(f"{setting('seed')} must be at most {MAX_SEED}, not {self.seed}")
        model = self.model
        if model.freeze != "none" and not model.pretrained and model.backbone_weights is None:
            raise InputError(
                f"{setting('pretrained', False)} together with {setting('freeze', model.freeze)} would keep layers at "
                f"random values for ever; add {setting('freeze', 'none')}, or give {setting('backbone_weights')}"
            )
        if not self.save_minutes > 0:
            raise InputError(f"{setting('save_minutes')} must be above 0, not {self.save_minutes}")


@dataclass(frozen=True, repr=False)
class ComputeConfig(Choices):
    """Where a trained network computes, and what loads its photos."""

    workers: int = 2
    """Processes that load photos; with 0, this one does."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, workers=0)


@dataclass(frozen=True)
class SplitConfig:
    """How photos are divided into parts; groups stay whole."""

    validation: float = 0.15
    """Share of the photos that choose the checkpoint."""
    calibration: float = 0.15
    """Share of the photos that set thresholds and temperature."""
    test: float = 0.2
    """Share of the photos that are read once, by `evaluate`."""
    folds: int | None = None
    """Make this many splits, each with another fold as its test part, instead of one split by --test."""
    seed: int = 1
    """Seed of the division."""

    def __post_init__(self) -> None:
        shares = (self.validation, self.calibration, self.test)
        if not (min(shares) >= 0 and sum(shares) < 1):
            raise InputError(
                f"{setting('validation')}, {setting('calibration')} and {setting('test')} must be at least 0 and "
                "leave something to train on"
            )
        if self.folds is not None:
            _at_least(self, folds=2)
        _at_least(self, seed=0)


@dataclass(frozen=True)
class EvaluationConfig:
    """How predictions are measured."""

    seed: int = 1
    """Seed of the bootstrap resamples."""
    stratify: bool = False
    """Resample groups within their worst true grade, so that the mix of grades stays as it is. A grade that is the
    worst one of a single group then shows no spread."""
    referable_prevalence: float | None = None
    """Share of referable photos that PPV and NPV are given for; that of the photos measured when not given."""
    any_dr_prevalence: float | None = None
    """Share of photos with any DR (grade 1 and above) that PPV and NPV are given for; likewise."""

    def __post_init__(self) -> None:
        _at_least(self, seed=0)
        for name in ("referable_prevalence", "any_dr_prevalence"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise InputError(f"{setting(name)} must lie between 0 and 1, not {share}")


@dataclass(frozen=True)
class ReportConfig(EvaluationConfig):
    """How predictions are measured, as a whole and in parts, and what the report on them is called."""

    by: tuple[str, ...] = ()
    """Columns whose values make subgroups; columns of many numbers, such as a quality, are divided into thirds."""
    title: str = ""
    """Title of the report; what was measured when not given."""


def _at_least(config: Any, **lowest: float) -> None:
    for name, bound in lowest.items():
        value = getattr(config, name)
        if not value >= bound:
            raise InputError(f"{setting(name)} must be at least {bound}, not {value}")


_NO_EFFECT_ON_RESULT = {"data.workers", "save_minutes"}
"""Settings that leave no trace in what is learned."""


def result_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that leave a trace in what is learned, by their names in a recipe, as plain values.

    Example:
        >>> result_settings(TrainConfig())["optimizer.schedule"]
        'plateau'
    """
    return {name: value for name, value in _flat(dataclasses.asdict(config)) if name not in _NO_EFFECT_ON_RESULT}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value) if isinstance(value, Path) else value


def train_config_from(values: dict[str, Any], origin: str) -> TrainConfig:
    """Build a training configuration from nested plain values, as a recipe or a run folder holds them.

    Args:
        values: For example `{"epochs": 3, "model": {"backbone": "resnet18"}}`; what is left out keeps its default.
        origin: Where the values come from, for the error.

    Returns:
        The whole configuration.

    Raises:
        InputError: If a key is not known (the known ones are named) or a value is not allowed.

    Example:
        >>> train_config_from({"model": {"backbone": "resnet18"}}, "here").model.backbone
        'resnet18'
    """
    return validated(TrainConfig, values, origin)


def read_recipe(path: Path, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> TrainConfig:
    """Read a training configuration from a TOML file.

    Args:
        path: The file.
        defaults: What holds where the recipe is silent, table by table, instead of the defaults of the settings.

    Raises:
        InputError: If the file is missing, is not TOML, or holds an unknown key or a value that is not allowed.
    """
    values = read_toml(path, "the recipe")
    for table, kept in (defaults or {}).items():
        stated = values.get(table, {})
        values[table] = {**kept, **stated} if isinstance(stated, dict) else stated
    return train_config_from(values, str(path))
