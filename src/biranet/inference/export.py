"""Export: a checkpoint as a file for others, whose answers are compared with the checkpoint's own.

An ONNX model takes the pixels of prepared photos and gives the probabilities that `biranet grade` gives: calibrated;
and those before any rule, from which `biranet grade` starts where it is given such a model. What makes grades and
decisions of them stands in its metadata; docs/export.md shows how it is used.
"""

import io
import json
import logging
import mmap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from biranet.decisions.rules import decide
from biranet.errors import RefusedError
from biranet.extras import require_extras
from biranet.files import parse_json, write_bytes
from biranet.learning.checkpoint import save_checkpoint
from biranet.learning.checkpoint_info import FORMAT
from biranet.learning.evidence import explain, look
from biranet.learning.evidence_graph import trace_conclusion
from biranet.learning.normalization import normalize
from biranet.learning.onnx_file import (
    ATTENTION,
    DESCRIPTION,
    EVIDENCE,
    IMAGE,
    LESION_EVIDENCE,
    LESIONS,
    PROBABILITIES,
    RAW_PROBABILITIES,
    describe,
    with_digest,
)
from biranet.learning.onnx_predictor import open_onnx
from biranet.learning.predictor import Predictor
from biranet.learning.torch_predictor import TorchPredictor, load_predictor
from biranet.learning.transforms import Pixels
from biranet.outputs import file_kind
from biranet.photos.drawn.synthetic import draw_photo

OPSET = 18
"""Version of ONNX's operators: the one that every torch we run on writes by itself."""

TOLERANCE = 1e-4
"""Answers of an ONNX model must lie nearer to the checkpoint's than this."""

SMALL_EVIDENCE = 0.01
"""Where cells have less evidence than this on average, their differences count as if they had as much."""

MIN_HALVED = 32
"""Numbers that a tensor must have at least for a cast to take less room than they."""

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
        difference: Largest difference of a probability, of a cell of the attention or of the maps of lesions, a tenth
            of that of the evidence of kinds of lesions, or a hundredth of that of the evidence of cells on average, as
            a part of its mean size, from the checkpoint's, on three drawn photos and a black one.
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
            outputs are `probabilities`, calibrated, (batch, 5), float32; where the model has streams `attention`,
            (batch, streams, h, w), float32; `raw_probabilities`, before any rule, as the first; where the network is
            one of ours `evidence`, (batch, 1, h, w), float32; and where it has a lesion branch `lesions`,
            (batch, 5, size / 4, size / 4), and `lesion_evidence`, (batch, 4), float32. Its metadata `biranet` is the
            checkpoint's header as JSON. Weights in half precision stay so, and are computed with in float32.

    Returns:
        How near its answers are.

    Raises:
        InputError: If the checkpoint cannot be used, or the extra `[onnx]` is not installed.
        RefusedError: If the model does not fit into one file, cannot be written as ONNX, or answers otherwise there.
    """
    with require_extras("writing ONNX"):
        import onnx  # noqa: F401 (asked for before torch begins to write the graph)
        import onnxscript
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
            content = _as_onnx(predictor, list(answers))
        session = open_onnx(content, out).model
        # One photo, then three: a model that takes batches of one size only fails here.
        batches = [session.run(list(answers), {IMAGE: batch}) for batch in (photos[:1], photos[1:])]
    except Exception as error:  # the exporter and the runtime raise errors of many kinds
        raise RefusedError(
            f"torch {torch.__version__} with onnxscript {onnxscript.__version__} cannot write {checkpoint} "
            f"(backbone {info.model.backbone}) as ONNX: {type(error).__name__}; newer versions may"
        ) from error
    theirs = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    difference = _difference(answers, dict(zip(answers, theirs, strict=True)))
    if not difference < TOLERANCE:
        raise RefusedError(
            f"as ONNX, {checkpoint} gives answers that differ by {difference:.1e}, and the limit is {TOLERANCE:g}, "
            f"so {out} was not written; other versions of torch and onnxruntime may come nearer"
        )
    write_bytes(out, content)
    return Exported(difference, info.rules.temperature)


class _Calibrated(nn.Module):
    """A model with what grading does before and after it: pixels in, probabilities out, calibrated and raw.

    Args:
        predictor: The model, and its description.
        pixels: Of any photos.
    """

    def __init__(self, predictor: TorchPredictor, pixels: Tensor) -> None:
        super().__init__()
        self.model, info = predictor.model.eval(), predictor.info
        self.normalization, self.temperature = info.normalization, info.rules.temperature
        seen = look(self.model, normalize(pixels[:1], self.normalization))
        self.concluding = trace_conclusion(self.model, self.temperature, seen)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        image = normalize(pixels, self.normalization)
        explained = explain(self.model, image, self.temperature, self.concluding)
        logits, attention = explained.output
        masks, *outputs = ((maps,) if maps.shape[1] else () for maps in (attention, *explained[1:]))
        return (logits / self.temperature).softmax(dim=1), *masks, logits.softmax(dim=1), *chain(*outputs)


def _as_onnx(predictor: TorchPredictor, outputs: list[str]) -> bytes:
    model, info = predictor.model, predictor.info
    # Two photos, since torch takes a batch of one for a constant.
    pixels = torch.zeros(2, info.image_size, info.image_size, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        _Calibrated(predictor, pixels).eval(),
        (pixels,),
        dynamo=True,
        optimize=True,
        verbose=False,
        opset_version=OPSET,
        input_names=[IMAGE],
        output_names=outputs,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    proto = cast(torch.onnx.ONNXProgram, program).model_proto
    graph = proto.graph
    # Here torch notes which line of which file made what: paths of this machine.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
    if all(_fits_half(tensor.numpy()) for tensor in model.state_dict().values() if tensor.is_floating_point()):
        _store_as_half(graph)
    proto.metadata_props.add(key=DESCRIPTION, value=json.dumps(describe(info, predictor.sha256), default=str))
    return with_digest(proto.SerializeToString())


def _fits_half(weights: NDArray[np.floating]) -> bool:
    """Whether half precision holds weights to the bit."""
    with np.errstate(over="ignore"):
        return bool((weights.astype(np.float16).astype(weights.dtype) == weights).all())


def _store_as_half(graph: Any) -> None:
    """Store the weights of a graph in half precision, where it holds them, and make float32 of them as it is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype == np.float32 and weights.size >= MIN_HALVED and _fits_half(weights):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


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


_Answers = Mapping[str, NDArray[np.floating]]
"""What a model says of photos, by the names of its outputs."""


def _answers(predictor: Predictor, photos: Pixels) -> _Answers:
    """Answer as `grade` does, in the order of the outputs; without those that the model does not have."""
    predicted = predictor.predict(photos)
    answers = {
        PROBABILITIES: decide(predicted.probabilities, predictor.info.rules).probabilities,
        ATTENTION: predicted.attention if predicted.attention.shape[1] else None,
        RAW_PROBABILITIES: predicted.probabilities,
        EVIDENCE: None if predicted.evidence is None else predicted.evidence[:, None],
        LESIONS: predicted.lesions,
        LESION_EVIDENCE: predicted.lesion_evidence,
    }
    return {name: values for name, values in answers.items() if values is not None}


def _difference(ours: _Answers, theirs: _Answers) -> float:
    def of_output(name: str) -> float:
        distance, sizes = np.abs(ours[name] - theirs[name]), np.abs(ours[name])
        if name == EVIDENCE:
            # Single cells leap where the last digits decide on which side of the bend of a ReLU a feature lies.
            return float(distance.mean()) / (100 * max(SMALL_EVIDENCE, float(sizes.mean())))
        return float(distance.max()) / (10 * max(1, float(sizes.max())) if name == LESION_EVIDENCE else 1)

    return max(map(of_output, ours))
