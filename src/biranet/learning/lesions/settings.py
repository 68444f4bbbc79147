"""The settings of a training of the lesion branch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biranet.config import MAX_SEED, Choices, Device, ModelConfig, Stage
from biranet.errors import InputError
from biranet.learning.lesion_settings import LARGEST_WIDTH, PATCH_STEP_PX
from biranet.setting_names import setting
from biranet.validated import STRICT

CHECKPOINT_NAME = "lesions.safetensors"
"""Name of what a training writes into its run folder."""

LARGEST_PX = 8192
"""No camera gives a larger field."""


@dataclass(frozen=True, repr=False)
class LesionConfig(Choices):
    """Backbone, patches and steps of a training of the lesion branch.

    Example:
        >>> LesionConfig(steps=200, freeze="none")
        LesionConfig(freeze='none', steps=200)
    """

    __pydantic_config__ = STRICT

    backbone: str = "tf_efficientnet_lite0"
    """Any timm model with feature maps, by its timm name."""
    pretrained: bool = True
    """Whether to start from the backbone's ImageNet weights, which timm downloads once."""
    backbone_weights: Path | None = None
    """Local file with the backbone's weights, or a model that ships, instead of the download."""
    freeze: Stage = "stage4"
    """Do not train the backbone up to the feature map at stride 2 (stem), 4, 8, 16 or 32 (stage4: all of it)."""
    width: int = 48
    """Channels of the layers that are trained on the stages."""
    image_size: int = 1024
    """Side of the largest photo that is learned from, in pixels across the field."""
    smallest_size: int = 384
    """Side of the smallest: a photo is learned from at a size between the two, half the time at the largest."""
    patch: int = 256
    """Side of a patch, in pixels."""
    batch_size: int = 8
    """Patches a step."""
    steps: int = 2000
    """Steps of the training."""
    round_steps: int = 250
    """Steps on the same views: photos turned, mirrored, relit and resized. The frozen stages see each view once."""
    round_photos: int = 48
    """Views that are learned from at a time, each of another photo; they are kept in memory."""
    lr: float = 3e-3
    """Learning rate at its highest: it rises over a tenth of the steps and falls along a cosine."""
    seed: int = 1
    """Seed of weights, patches and augmentation."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    save_minutes: float = 5
    """Minutes between saved states, from which a training goes on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, lowest, highest in (
            ("width", 1, LARGEST_WIDTH),
            ("image_size", PATCH_STEP_PX, LARGEST_PX),
            ("smallest_size", PATCH_STEP_PX, self.image_size),
            ("patch", PATCH_STEP_PX, self.smallest_size),
            ("batch_size", 1, 10_000),
            ("steps", 1, 10**9),
            ("round_steps", 1, 10**9),
            ("round_photos", 1, 10**6),
            ("seed", 0, MAX_SEED),
            ("lr", 0, 10),
            ("save_minutes", 0, 10**6),
        ):
            if not lowest <= getattr(self, name) <= highest:
                bounds = f"between {lowest:,} and {highest:,}"
                raise InputError(f"{setting(name)} must lie {bounds}, not {getattr(self, name)}")
        for name in ("patch", "image_size", "smallest_size"):
            if getattr(self, name) % PATCH_STEP_PX:
                raise InputError(f"{setting(name)} must be a multiple of {PATCH_STEP_PX}, not {getattr(self, name)}")

    @property
    def backbone_config(self) -> ModelConfig:
        """What names the backbone and its start weights."""
        return ModelConfig(
            backbone=self.backbone,
            pretrained=self.pretrained,
            backbone_weights=self.backbone_weights,
            freeze=self.freeze,
        )

    def result_settings(self) -> dict[str, Any]:
        """Those that leave a trace in what is learned, as plain values."""
        values = {name: value for name, value in vars(self).items() if name not in ("device", "save_minutes")}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
