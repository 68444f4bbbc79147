"""Which engine computes a model: ONNX Runtime or OpenVINO, which are light, or torch, which training needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from biranet.config import Device, Engine, ModelConfig
from biranet.errors import InputError
from biranet.extras import require_extras
from biranet.learning.onnx_predictor import OnnxPredictor, load_onnx
from biranet.learning.openvino_predictor import load_openvino
from biranet.learning.predictor import LoadedPredictor
from biranet.learning.shipped_models import is_shipped, read_model_card
from biranet.setting_names import setting

ONNX_SUFFIX = ".onnx"


def load_engine(
    model: Path,
    engine: Engine = "auto",
    device: Device = "auto",
    build: Callable[[ModelConfig], Any] | None = None,
) -> LoadedPredictor:
    """Load a model, ready to predict, into an engine that can compute it.

    Args:
        model: What `find_checkpoint` found: a checkpoint, or a file that `biranet export` wrote as ONNX.
        engine: `onnx`, `openvino`, `torch`, or `auto`: ONNX Runtime where the model has an ONNX file, as one that ships
            does, and no GPU is asked for; else torch.
        device: Where to compute; only torch computes elsewhere than on the CPU.
        build: Builds the network of a checkpoint, an `nn.Module`, which torch computes.

    Raises:
        InputError: If the model cannot be used, or not by that engine, or there is no such device.
    """
    exported = model.suffix.lower() == ONNX_SUFFIX
    beside = model if exported else model.with_suffix(ONNX_SUFFIX)
    has_onnx = exported or (is_shipped(model) and beside.is_file())
    on_cpu = device in ("auto", "cpu")
    if engine == "auto":
        engine = "onnx" if build is None and (exported or (has_onnx and on_cpu)) else "torch"
    if engine == "torch":
        return _load_checkpoint(model, device, build)
    name, load = _ENGINES[engine]
    if build is not None:
        raise InputError("build= gives a network that torch computes; leave it out, or give engine='torch'")
    if not has_onnx:
        raise InputError(
            f"{name} cannot compute {model}, a checkpoint; export it and give what was written: "
            f"biranet export {model} {beside}"
        )
    if not on_cpu:
        raise InputError(
            f"{name} computes on the CPU here; leave out {setting('device', device)}, or give a checkpoint and "
            f"{setting('engine', 'torch')}"
        )
    with require_extras(f"computing {model} by {name}"):
        predictor = load(beside)
    if not exported:
        if predictor.checkpoint_sha256 != read_model_card(model.stem).weights_sha256:
            raise InputError(
                f"{beside} was not exported from {model.name}, which its card is about: it was replaced; install "
                "biranet anew"
            )
        predictor.sha256 = predictor.checkpoint_sha256
    return predictor


_ENGINES: dict[str, tuple[str, Callable[[Path], OnnxPredictor]]] = {
    "onnx": ("ONNX Runtime", load_onnx),
    "openvino": ("OpenVINO", load_openvino),
}
"""Name of each engine that computes exported models, and what loads one."""


def _load_checkpoint(model: Path, device: Device, build: Callable[[ModelConfig], Any] | None) -> LoadedPredictor:
    if model.suffix.lower() == ONNX_SUFFIX:
        raise InputError(
            f"torch cannot compute {model}, an exported model; give the checkpoint that it was made of, or "
            f"{setting('engine', 'onnx')}"
        )
    with require_extras(f"computing {model}"):  # not before: importing torch takes longer than grading a photo
        from biranet.learning.torch_predictor import load_predictor

        return load_predictor(model, device) if build is None else load_predictor(model, device, build)
