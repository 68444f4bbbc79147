"""Backbones: any timm network with feature maps, as a sequence of layers that can be cut at a stage."""

import difflib
import itertools
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.learning.shipped_models import DEFAULT, find_checkpoint, shipped
from biranet.learning.tensors import is_written_here, open_checkpoint
from biranet.setting_names import setting

STAGE_OF_STRIDE = {2: "stem", 4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}
"""Stages by the stride of their feature map: conv1 of a ResNet is the stem, layer1 is stage1, and so on."""

FROZEN = "frozen."
TRAINED = ("backbone.", "stream_a.backbone.", "stream_b.backbone.")
"""How the names of a backbone's weights begin in a model: in the layers that are frozen, and in all others."""


_WEIGHT_FILES = (
    *("model.safetensors", "pytorch_model.bin"),
    *("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
)
"""Names under which timm looks for weights on the hub."""


class Backbone(NamedTuple):
    """A network without its head.

    Attributes:
        layers: The layers in the order an image passes them; the result is a feature map (B, C, h, w).
        channels: C.
        stages: For each stage the number of layers up to its end.
        name: Name in timm.
    """

    layers: nn.Sequential
    channels: int
    stages: dict[str, int]
    name: str

    def cut(self, stage: str) -> tuple[nn.Sequential, nn.Sequential]:
        """Cut the layers in two after a stage.

        Args:
            stage: `none`, or a stage the backbone has.

        Returns:
            The layers up to the end of the stage (empty for `none`), and the rest.

        Raises:
            InputError: If the backbone has no such stage.
        """
        if stage == "none":
            return nn.Sequential(), self.layers
        if stage not in self.stages:
            names = ", ".join(self.stages)
            whole = f"it cannot be cut into stages, so use {setting('freeze', 'none')}"
            remedy = f"its stages are {names}" if names else whole
            raise InputError(f"{setting('freeze')} {stage}: the backbone {self.name} has no {stage}; {remedy}")
        children = list(self.layers.named_children())
        end = self.stages[stage]
        # An activation that works in place, behind the cut, would change the features under the other stream.
        while end < len(children) and getattr(children[end][1], "inplace", False):
            end += 1
        return nn.Sequential(OrderedDict(children[:end])), nn.Sequential(OrderedDict(children[end:]))


def cut_all(layers: Sequence[nn.Module], ends: Iterable[int]) -> list[nn.Sequential]:
    """Cut layers into their stages, which hold the very same modules; what comes after the last end is left out."""
    return [nn.Sequential(*layers[start:end]) for start, end in itertools.pairwise([0, *ends])]


def maps_of(stages: Iterable[nn.Module], image: Tensor) -> list[Tensor]:
    """Pass an image (B, C, H, W) through stages, and give what comes out of each: (B, C_i, H / s_i, W / s_i)."""
    return list(itertools.accumulate(stages, lambda features, stage: stage(features), initial=image))[1:]


class FrozenLayers(nn.Sequential):
    """The first layers of a backbone, which training leaves alone: no gradients, BatchNorm always in evaluation mode.

    Nothing but their `requires_grad` keeps the weights from being trained. Who sets it trains them, for both streams
    together; the statistics of their BatchNorm stay.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__(OrderedDict(layers.named_children()))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenLayers":
        """Stay in evaluation mode whatever the rest of the model does."""
        return super().train(False)


@cache
def check_backbone(name: str, image_size: int) -> int:
    """Build a backbone without memory for its weights, and show it an image without pixels.

    Args:
        name: Its timm name.
        image_size: Side of the images it shall see, in pixels.

    Returns:
        How many weights it has.

    Raises:
        InputError: If timm does not know the backbone, or it cannot see images of that size.

    Example:
        >>> check_backbone("test_resnet", 64)
        374783
    """
    with torch.device("meta"):
        layers = load_backbone(ModelConfig(backbone=name, pretrained=False, freeze="none")).layers.eval()
    try:
        with torch.inference_mode():
            layers(torch.empty(1, 3, image_size, image_size, device="meta"))
    except Exception as error:  # each network has its own way to say it
        # Some networks compute with values on their way, which a tensor without memory has none of: they are passed.
        if "meta tensor" not in str(error):
            raise InputError(
                f"{setting('backbone')} {name} cannot see images of {image_size} px ({_one_line(error)}); "
                f"choose another {setting('image_size')}"
            ) from error
    return sum(tensor.numel() for tensor in layers.state_dict().values())


def load_backbone(config: ModelConfig, weights: Mapping[str, Tensor] | None = None) -> Backbone:
    """Build a backbone with its start weights: from a local file, from timm, or at random.

    Args:
        config: Names the backbone and where its weights come from.
        weights: What the file with its weights holds, where that was read before.

    Returns:
        The backbone.

    Raises:
        InputError: If timm does not know the backbone, or the weights cannot be had or do not fit.
    """
    download = config.pretrained and config.backbone_weights is None
    _check_name(config.backbone)
    try:
        with warnings.catch_warnings():
            # timm and the hub warn about their own internals here; none of it is for the user.
            warnings.simplefilter("ignore")
            if download:
                _fail_without_hub(config.backbone)
            network = timm.create_model(config.backbone, features_only=True, pretrained=download)
    except Exception as error:  # the network stack below timm raises many kinds
        if not download:
            raise InputError(
                f"{setting('backbone')} {config.backbone}: timm gives no feature maps of this model "
                f"({_one_line(error)})"
            ) from error
        raise InputError(
            f"cannot download the ImageNet weights of the backbone {config.backbone} ({type(error).__name__}); "
            f"give them as a file with {setting('backbone_weights')}, {_offline_way()}or start from random weights "
            f"with {setting('pretrained', False)} and {setting('freeze', 'none')}"
        ) from error
    if config.backbone_weights is not None:
        if weights is None:
            weights = read_backbone_weights(config.backbone_weights, config.backbone)
        _load_weights(network, weights, config.backbone, config.backbone_weights)
    layers, stages = _sequence(network)
    return Backbone(layers, network.feature_info.channels()[-1], stages, config.backbone)


def _offline_way() -> str:
    """Name the backbone that comes along with the model that ships, where one does."""
    if DEFAULT not in shipped():
        return ""
    with open_checkpoint(find_checkpoint(DEFAULT)) as stored:
        backbone = stored.header["model"]["backbone"]
    return f"or take those that ship, with {setting('backbone_weights', DEFAULT)} {setting('backbone', backbone)}, "


def _fail_without_hub(name: str) -> None:
    """Ask the hub once for a backbone's weights, where they are not here yet.

    Left to timm, a hub that cannot be reached is asked twelve times in 46 seconds. What else may be wrong, or slow, is
    left to it.

    Raises:
        Exception: What the hub's client raises where nothing can be connected to.
    """
    settings = timm.get_pretrained_cfg(name)
    repository = settings.hf_hub_id if settings else None
    if not repository or any(isinstance(try_to_load_from_cache(repository, file), str) for file in _WEIGHT_FILES):
        return
    try:
        get_hf_file_metadata(hf_hub_url(repository, _WEIGHT_FILES[0]), timeout=HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        # ConnectError, ConnectTimeout, ConnectionError: each version of the client has another library's.
        if type(error).__name__.startswith("Connect"):
            raise


def _check_name(name: str) -> None:
    """Refuse a name that timm does not know, with the nearest ones."""
    model, _, weights = name.partition(".")
    if not timm.is_model(name):
        close = difflib.get_close_matches(model, timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; timm.list_models() names all of them"
        raise InputError(f"{setting('backbone')} {name}: timm has no such model{hint}")
    if name != model and name not in timm.list_pretrained(f"{model}.*"):
        raise InputError(
            f"{setting('backbone')} {name}: timm has no weights {weights!r} of {model}; "
            "leave out what follows the point"
        )


class _LastFeatureMap(nn.Module):
    """A network that cannot be cut, kept whole."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.network(image)[-1]
        channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if channels_last else features


def _sequence(network: nn.Module) -> tuple[nn.Sequential, dict[str, int]]:
    """Lay the children of a timm feature network out in the order an image passes them.

    Feature networks either run through their children in order (`FeatureListNet`) or hold them in a sequence called
    `blocks` (EfficientNet, MobileNetV3). Others, with their own order or channels last, are kept whole.
    """
    features: list[dict[str, Any]] = cast(Any, network.feature_info).info
    in_order = isinstance(network, timm.models.FeatureListNet) and network.output_fmt == "NCHW"
    blocks = getattr(network, "blocks", None)
    if not in_order and not isinstance(blocks, nn.Sequential):
        return nn.Sequential(OrderedDict({"whole": _LastFeatureMap(network)})), {}
    layers: dict[str, nn.Module] = {}
    for name, child in network.named_children():
        if child is blocks:
            layers |= {f"blocks_{position}": block for position, block in child.named_children()}
        else:
            layers[name] = child
    names = list(layers)
    ends = [names.index(info["module"].replace(".", "_")) + 1 for info in features]
    strides = [info["reduction"] for info in features]
    stages = {
        STAGE_OF_STRIDE[stride]: end for stride, end in zip(strides, ends, strict=True) if stride in STAGE_OF_STRIDE
    }
    last = ends[-1]
    return nn.Sequential(OrderedDict(list(layers.items())[:last])), stages


def _load_weights(network: nn.Module, weights: Mapping[str, Tensor], name: str, path: Path) -> None:
    """Load a backbone's weights from a file: tensors are matched by name, or else all of them by order and shape."""
    stored = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}

    # timm writes a.0.b as a_0.b in feature networks, and wraps those it keeps whole; data-parallel training wraps too.
    by_name = {
        key.removeprefix("module.").removeprefix("model.").replace(".", "_"): value for key, value in stored.items()
    }
    matched = {key: by_name.get(key.removeprefix("model.").replace(".", "_")) for key in expected}
    if any(value is None for value in matched.values()):
        # Ports of one network to another library keep the order. A safetensors file has none.
        ordered = list(stored.values()) if path.suffix != ".safetensors" else []
        matched = dict(zip(expected, ordered, strict=False))
    for key, value in expected.items():
        tensor = matched.get(key)
        if tensor is None or tensor.shape != value.shape or _kind(tensor) != _kind(value):
            offered = "nothing" if tensor is None else f"a tensor of shape {tuple(tensor.shape)} ({_kind(tensor)})"
            raise InputError(
                f"{path} does not hold weights of the backbone {name}: for {key} of shape {tuple(value.shape)} "
                f"({_kind(value)}) it has {offered}; give the file that belongs to this backbone"
            )
    network.load_state_dict({key: tensor for key, tensor in matched.items() if tensor is not None}, strict=False)


def _kind(tensor: Tensor) -> str:
    """What a tensor holds; floating numbers of any width can take each other's place."""
    if tensor.is_meta:
        return "without values"
    return "floating" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")


def read_backbone_weights(path: Path, name: str) -> dict[str, Tensor]:
    """Read a backbone's named tensors from a checkpoint, a safetensors file or a PyTorch state dict.

    Nothing is unpickled but tensors.

    Args:
        path: The file.
        name: The backbone's timm name.

    Raises:
        InputError: If timm does not know the backbone, or the file is none such, or a checkpoint of another backbone or
            of one that was trained.
    """
    _check_name(name)
    if not path.is_file():
        raise InputError(f"{setting('backbone_weights')} {path}: no such file")
    if path.suffix == ".safetensors" and is_written_here(path):
        return _backbone_of_checkpoint(path, name)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{setting('backbone_weights')} {path}: not a safetensors file or a state dict ({_one_line(error)})"
        ) from error
    except Exception as error:  # pickle raises its own kinds for what weights_only refuses
        raise InputError(
            f"{setting('backbone_weights')} {path}: holds more than tensors, so it is not loaded"
        ) from error
    # Training scripts wrap the tensors once more.
    if isinstance(values, dict):
        values = values.get("state_dict", values)
    if not isinstance(values, dict) or not any(isinstance(value, Tensor) for value in values.values()):
        raise InputError(f"{setting('backbone_weights')} {path}: holds no named tensors")
    return {str(key): value for key, value in values.items() if isinstance(value, Tensor)}


def _backbone_of_checkpoint(path: Path, name: str) -> dict[str, Tensor]:
    with open_checkpoint(path) as stored:
        described = stored.header.get("model")
        if not isinstance(described, dict):
            raise InputError(
                f"{setting('backbone_weights')} {path}: is no checkpoint of a network that grades; give "
                "RUN/best.safetensors"
            )
        trained = bool(stored.header.get("started_from"))
        return backbone_as_it_was(path, stored.tensors(), name, its=str(described.get("backbone")), trained=trained)


def backbone_as_it_was(
    path: Path, weights: Mapping[str, Tensor], name: str, *, its: str, trained: bool
) -> dict[str, Tensor]:
    """Take the backbone out of the weights of a checkpoint, as long as it is still as its training found it.

    One that was trained has seen photos, and nothing would say of which when figures are measured with it.

    Args:
        path: The checkpoint, for the errors.
        weights: All its weights.
        name: Timm name of the backbone that is asked for.
        its: That of the backbone that it says it has.
        trained: Whether its training started from a checkpoint, which may have trained the backbone.

    Raises:
        InputError: If it has another backbone, or one that was trained.
    """
    if its != name:
        raise InputError(
            f"{setting('backbone_weights')} {path}: its backbone is {its}, not {name}; give {setting('backbone', its)}"
        )
    backbone = {key: value for key, value in weights.items() if key.startswith((FROZEN, *TRAINED))}
    if trained or not all(key.startswith(FROZEN) for key in backbone):
        raise InputError(
            f"{setting('backbone_weights')} {path}: its backbone was trained on photographs; a training that "
            f"starts from all of its weights, by {setting('start', flag='from')}, keeps account of those"
        )
    return {key.removeprefix(FROZEN): value for key, value in backbone.items()}


def _one_line(error: Exception) -> str:
    """What a library says of an error, cut to a line for a sentence of ours."""
    return next(iter(str(error).splitlines()), type(error).__name__)
