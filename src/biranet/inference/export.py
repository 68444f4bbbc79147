"""Export: a checkpoint as a file for others, whose answers are compared with the checkpoint's own.

An ONNX model takes the pixels of prepared photos and gives the probabilities that `biranet grade` gives: calibrated.
What makes grades and decisions of them stands in its metadata; docs/export.md shows how it is used.
"""

import dataclasses
import io
import json
import logging
import mmap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from biranet.decisions.rules import decide
from biranet.errors import InputError, RefusedError
from biranet.files import parse_json, write_bytes
from biranet.grades import DISCLAIMER
from biranet.learning.checkpoint import save_checkpoint
from biranet.learning.checkpoint_info import FORMAT, CheckpointInfo, info_header
from biranet.learning.normalization import normalize
from biranet.learning.predictor import Predictor
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.transforms import Pixels
from biranet.outputs import file_kind
from biranet.photos.drawn.synthetic import draw_photo

OPSET = 18
"""Version of ONNX's operators: the one that every torch we run on writes by itself."""

TOLERANCE = 1e-4
"""Answers of an ONNX model must lie nearer to the checkpoint's than this."""

MAX_PROTOBUF_BYTES = 2_000_000_000
"""Weights that fit into one ONNX file, which ends at 2 GiB with all that is in it."""


def _is_onnx(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(FORMAT.encode()) >= 0  # the metadata stands at the end


def _is_half(path: Path) -> bool:
    """Whether a file is a checkpoint in half precision: those of trainings are not, and are never replaced."""
    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json((file.metadata() or {})["biranet"])
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a dict)
            return header["format"] == FORMAT and "F16" in kinds and not kinds & {"F32", "F64", "BF16"}
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        return False


ONNX = file_kind("an exported model", _is_onnx)
HALF = file_kind("an exported checkpoint", _is_half)


class Exported(NamedTuple):
    """What is known of a file that was exported.

    Attributes:
        difference: Largest difference of a probability, or of a cell of the attention, from the checkpoint's, on three
            drawn photos and a black one.
        temperature: The checkpoint's.
    """

    difference: float
    temperature: float


def export_half(checkpoint: Path, out: Path) -> Exported:
    """Write a checkpoint with its weights in half precision; all else in it stays.

    Args:
        checkpoint: A file that training wrote.
        out: Checkpoint to write, a `.safetensors` file.

    Returns:
        How near its answers are; no limit is set to that, since rounded weights are what was asked for.

    Raises:
        InputError: If the checkpoint cannot be used.
        RefusedError: If a weight does not fit into half precision.
    """
    predictor = load_predictor(checkpoint, "cpu")
    photos = _drawn_photos(predictor.info.image_size)
    answers = _answers(predictor, photos)
    save_checkpoint(out, predictor.model, predictor.info, half=True)
    halved = load_predictor(out, "cpu")
    return Exported(_difference(answers, _answers(halved, photos)), predictor.info.rules.temperature)


def export_onnx(checkpoint: Path, out: Path) -> Exported:
    """Write a model as ONNX in one file, once it has answered as the checkpoint does.

    Args:
        checkpoint: A file that training wrote.
        out: File to write. Its input `image` is RGB pixels of prepared photos, (batch, size, size, 3), uint8; its
            outputs are `probabilities`, calibrated, (batch, 5), float32, and where the model has streams `attention`,
            (batch, streams, h, w), float32. Its metadata `biranet` is the checkpoint's header as JSON.

    Returns:
        How near its answers are.

    Raises:
        InputError: If the checkpoint cannot be used, or the extra `[onnx]` is not installed.
        RefusedError: If the model does not fit into one file, cannot be written as ONNX, or answers otherwise there.
    """
    try:
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise InputError(f"writing ONNX needs {error.name}; install it with: pip install 'biranet[onnx]'") from None
    predictor = load_predictor(checkpoint, "cpu")
    model, info = predictor.model, predictor.info
    weights_bytes = sum(tensor.nbytes for tensor in model.state_dict().values())
    if weights_bytes > MAX_PROTOBUF_BYTES:
        raise RefusedError(
            f"{checkpoint} has {weights_bytes / 1e9:.1f} GB of weights, and one ONNX file holds 2; "
            "export a .safetensors"
        )
    photos = _drawn_photos(info.image_size)
    answers = _answers(predictor, photos)
    try:
        with _quiet():
            content = _as_onnx(model, info, ["probabilities", "attention"][: len(answers)])
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        # One photo, then three: a model that takes batches of one size only fails here.
        batches = [session.run(None, {"image": batch}) for batch in (photos[:1], photos[1:])]
    except Exception as error:  # the exporter and the runtime raise errors of many kinds
        raise RefusedError(
            f"torch {torch.__version__} with onnxscript {onnxscript.__version__} cannot write {checkpoint} "
            f"(backbone {info.model.backbone}) as ONNX: {type(error).__name__}; newer versions may"
        ) from error
    difference = _difference(answers, [np.concatenate(parts) for parts in zip(*batches, strict=True)])
    if not difference < TOLERANCE:
        raise RefusedError(
            f"as ONNX, {checkpoint} gives answers that differ by {difference:.1e}, and the limit is {TOLERANCE:g}, "
            f"so {out} was not written; other versions of torch and onnxruntime may come nearer"
        )
    write_bytes(out, content)
    return Exported(difference, info.rules.temperature)


class _Calibrated(nn.Module):
    """A model with what grading does before and after it: pixels in, calibrated probabilities out."""

    def __init__(self, model: nn.Module, info: CheckpointInfo) -> None:
        super().__init__()
        self.model = model
        self.normalization = info.normalization
        self.temperature = info.rules.temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        logits, attention = self.model(normalize(pixels, self.normalization))
        probabilities = (logits / self.temperature).softmax(dim=1)
        return (probabilities, attention) if attention.shape[1] else (probabilities,)


def _as_onnx(model: nn.Module, info: CheckpointInfo, outputs: list[str]) -> bytes:
    # Two photos, since torch takes a batch of one for a constant.
    pixels = torch.zeros(2, info.image_size, info.image_size, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        _Calibrated(model, info).eval(),
        (pixels,),
        dynamo=True,
        optimize=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=outputs,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    proto = cast(torch.onnx.ONNXProgram, program).model_proto
    graph = proto.graph
    # Here torch notes which line of which file made what: paths of this machine.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
    # The temperature is in the graph, so the rules for what comes out of it have none.
    rules = dataclasses.replace(info.rules, temperature=1.0)
    header = info_header(dataclasses.replace(info, rules=rules))
    header |= {"temperature_applied": info.rules.temperature, "disclaimer": DISCLAIMER}
    proto.metadata_props.add(key="biranet", value=json.dumps(header, default=str))
    content: bytes = proto.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch warns, logs and prints about its own internals; where it fails, hundreds of lines."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _drawn_photos(size_px: int) -> Pixels:
    """Three drawn photos and a black one, (4, size_px, size_px, 3)."""
    drawn = [draw_photo(grade, grade, size_px, size_px) for grade in (0, 2, 4)]
    return np.stack([*drawn, np.zeros_like(drawn[0])])


def _answers(predictor: Predictor, photos: Pixels) -> list[NDArray[np.floating]]:
    """Answer as `grade` does: calibrated probabilities, and the attention where there is any."""
    predicted = predictor.predict(photos)
    probabilities = decide(predicted.probabilities, predictor.info.rules).probabilities
    return [probabilities, predicted.attention] if predicted.attention.shape[1] else [probabilities]


def _difference(ours: Sequence[NDArray[np.floating]], theirs: Sequence[NDArray[np.floating]]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))
