"""The engine that computes in torch."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from biranet.config import Device, ModelConfig
from biranet.errors import InputError
from biranet.learning.checkpoint import load_with_sha256
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.evidence import explain
from biranet.learning.model import build_model
from biranet.learning.normalization import normalize
from biranet.learning.predictor import Predicted, in_turn, refuse_not_finite
from biranet.learning.transforms import Pixels


def choose_device(name: Device = "auto") -> torch.device:
    """Return the device of a name.

    Args:
        name: `auto` takes an NVIDIA GPU where there is one, else an Apple GPU where there is one, else the CPU.

    Raises:
        InputError: If there is no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(each for each in available if available[each]) if name == "auto" else name
    if not available.get(chosen):
        present = ", ".join(each for each in available if available[each])
        raise InputError(f"the device {chosen} is not available to torch here; there is: {present}")
    return torch.device(chosen)


@dataclass(eq=False)
class TorchPredictor:
    """A trained network in torch, ready to predict; a `Predictor`.

    It predicts in evaluation mode and leaves the network in the mode it was in, so a training of one's own goes on
    undisturbed.

    Args:
        model: A plain `nn.Module` that returns `Output`; it is moved to `device` and left there.
        info: Its description: image size, normalization, preparation, rules.
        device: Where it computes.
        origin: Where it comes from, such as its checkpoint, for errors.
        sha256: Of the checkpoint's file, as it was loaded; empty where there is none.
        package: What computes.
    """

    model: nn.Module
    info: CheckpointInfo
    device: torch.device
    origin: str = "the model"
    sha256: str = ""
    package: str = "torch"

    def __post_init__(self) -> None:
        self.model.to(self.device)

    def __repr__(self) -> str:
        return f"TorchPredictor({self.info.network}, on {self.device}, from {self.origin!r})"

    @torch.inference_mode()
    def predict(self, pixels: Pixels) -> Predicted:
        """Predict prepared photos, as `Predictor.predict` says."""
        return refuse_not_finite(in_turn(pixels, self.info, self._explain), self.origin)

    def _explain(self, pixels: Pixels) -> Predicted:
        on_device = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        with evaluation_mode(self.model):
            image = normalize(on_device, self.info.normalization)
            explained = explain(self.model, image, self.info.rules.temperature)
        attention, evidence, lesions, of_lesions = (
            values.float().cpu().numpy() for values in (explained.output.attention, *explained[1:])
        )
        return Predicted(
            explained.output.logits.float().softmax(dim=1).cpu().numpy(),
            attention,
            evidence[:, 0] if evidence.shape[1] else None,
            lesions if lesions.shape[1] else None,
            of_lesions if of_lesions.shape[1] else None,
        )


def load_predictor(
    checkpoint: Path, device: Device = "auto", build: Callable[[ModelConfig], nn.Module] = build_model
) -> TorchPredictor:
    """Load a checkpoint, ready to predict.

    Args:
        checkpoint: A file that training wrote.
        device: Where to compute: `auto`, `cpu`, `cuda` or `mps`.
        build: What built the model, where `train` was given another function.

    Raises:
        InputError: If the checkpoint cannot be used, or there is no such device.
    """
    chosen = choose_device(device)
    model, info, sha256 = load_with_sha256(checkpoint, build)
    return TorchPredictor(model, info, chosen, str(checkpoint), sha256)


class _EvaluationUse:
    """How many threads have a model in evaluation mode, and which of its parts were in training mode before."""

    def __init__(self) -> None:
        self.threads = 0
        self.training: list[nn.Module] = []


_in_use: WeakKeyDictionary[nn.Module, _EvaluationUse] = WeakKeyDictionary()
_in_use_lock = threading.Lock()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and give each part of it its mode back afterwards.

    Threads may share a model: the first to enter sets the mode, and the last to leave gives it back.
    """
    with _in_use_lock:
        use = _in_use.setdefault(model, _EvaluationUse())
        if not use.threads:
            use.training = [part for part in model.modules() if part.training]
            model.eval()
        use.threads += 1
    try:
        yield
    finally:
        with _in_use_lock:
            use.threads -= 1
            if not use.threads:
                del _in_use[model]  # it holds the model through its parts
                for part in use.training:
                    part.training = True
