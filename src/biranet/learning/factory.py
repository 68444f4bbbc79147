"""Models by their names, in the manner of `timm.create_model`."""

from pathlib import Path

from biranet.config import Architecture, ModelConfig, Stage
from biranet.errors import InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.model import BiraNet, PlainNet, RANet, build_model
from biranet.learning.shipped_models import find_checkpoint


def create_model(
    model_name: Architecture = "biranet",
    *,
    backbone: str = "resnet50",
    pretrained: bool = True,
    backbone_weights: Path | str | None = None,
    num_grades: int = GRADE_COUNT,
    freeze: Stage = "none",
) -> BiraNet | RANet | PlainNet:
    """Create a model, in the manner of `timm.create_model`.

    It differs in three things: ImageNet weights are taken unless `pretrained=False`; the grades are `num_grades`, for
    they are ordered, so there is no `num_classes`; and a model of the whole kind, trained on photographs, is not
    created by name but loaded, by `load`.

    Args:
        model_name: `biranet`: two attention streams and a bilinear head; `ranet`: one attention stream; `plain`, the
            baseline: the backbone with average pooling and a linear layer; `probe`: that, the whole backbone frozen.
        backbone: Any timm model with feature maps, by its timm name.
        pretrained: Whether to start from the backbone's ImageNet weights, which timm downloads once. The rest of the
            model starts at random.
        backbone_weights: Local file with the backbone's weights (safetensors, or a PyTorch state dict) instead of the
            download; or the name of a model that ships, such as `idrid_lite0`, whose backbone is
            `tf_efficientnet_lite0`.
        num_grades: K, the number of ordered grades, from 2.
        freeze: Layers that are not trained, up to the feature map at stride 2 (`stem`), 4 (`stage1`), 8 (`stage2`), 16
            or 32; the published training has `stage2`. Both streams share frozen layers, which saves half their time.

    Returns:
        The model in training mode, a plain `nn.Module` from images (B, 3, H, W) to `Output`. Images are normalized as
        the backbone's weights expect, by `timm.get_pretrained_cfg(backbone).mean` and `.std`.

    Raises:
        InputError: If there is no such model, backbone or stage, the weights cannot be had or do not fit, or
            `num_grades` is not a whole number from 2.

    Example:
        >>> import biranet, torch
        >>> model = biranet.create_model("biranet", backbone="test_resnet", pretrained=False, num_grades=3)
        >>> output = model(torch.rand(2, 3, 96, 96))
        >>> output.logits.shape, output.attention.shape
        (torch.Size([2, 3]), torch.Size([2, 2, 3, 3]))
    """
    if not isinstance(backbone, str):
        raise InputError(
            f"backbone must be the name of a timm model, not {type(backbone).__name__}; BiraNet and RANet take modules"
        )
    weights = None if backbone_weights is None else find_checkpoint(backbone_weights)
    return build_model(ModelConfig(model_name, backbone, pretrained, weights, freeze), num_grades)
