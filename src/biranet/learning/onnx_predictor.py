"""The engine that computes in ONNX Runtime: light to install and quick to load."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.learning import onnx_file
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.predictor import Predicted, in_turn, refuse_not_finite
from biranet.learning.transforms import Pixels

_ERRORS_ALONE = 3
"""Severity from which ONNX Runtime writes to the terminal."""


@dataclass(eq=False)
class OnnxPredictor:
    """A trained network in ONNX Runtime, ready to predict; a `Predictor`.

    Args:
        model: An `onnxruntime.InferenceSession` with the inputs and outputs that `onnx_file` names.
        info: Its description: image size, normalization, preparation, rules.
        origin: Where it comes from, such as its file, for errors.
        sha256: Of its file, as it was loaded; of a model that ships that of the checkpoint.
        checkpoint_sha256: SHA-256 of the checkpoint that it was exported from.
        package: What computes.
    """

    model: Any
    info: CheckpointInfo
    origin: str = "the model"
    sha256: str = ""
    checkpoint_sha256: str = ""
    package: str = "onnxruntime"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info.network}, from {self.origin!r})"

    def predict(self, pixels: Pixels) -> Predicted:
        """Predict prepared photos, as `Predictor.predict` says."""
        return refuse_not_finite(in_turn(pixels, self.info, self._predict), self.origin)

    def _predict(self, pixels: Pixels) -> Predicted:
        answers = self._run(pixels)
        return Predicted(
            answers[onnx_file.RAW_PROBABILITIES],
            answers.get(onnx_file.ATTENTION, np.zeros((len(pixels), 0, 1, 1), np.float32)),
            answers[onnx_file.EVIDENCE][:, 0] if onnx_file.EVIDENCE in answers else None,
            answers.get(onnx_file.LESIONS),
            answers.get(onnx_file.LESION_EVIDENCE),
        )

    def _run(self, pixels: Pixels) -> dict[str, NDArray[np.float32]]:
        """What the graph gives for photos, by name."""
        named = [output.name for output in self.model.get_outputs() if output.name in onnx_file.USED]
        return dict(zip(named, self.model.run(named, {onnx_file.IMAGE: pixels}), strict=True))


def load_onnx(path: Path) -> OnnxPredictor:
    """Load a model that was exported as ONNX, ready to predict.

    Args:
        path: A `.onnx` file that `biranet export` wrote.

    Raises:
        InputError: If it cannot be used.
    """
    return open_onnx(onnx_file.read_onnx(path), path)


def open_onnx(content: bytes, path: Path) -> OnnxPredictor:
    """Make a predictor of the bytes of an exported model.

    Args:
        content: The bytes.
        path: Where they come from, for errors.

    Raises:
        InputError: As `load_onnx`.
    """
    # Left to itself, ONNX Runtime from 1.29 on keeps a number of this machine in the home folder, and tells its makers
    # which models are run. It looks for this when it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # late, since it takes longer than what asks for none of it

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ALONE
    # As many threads as torch would have; left to itself, ONNX Runtime also binds each to a processor.
    options.intra_op_num_threads = thread_count()
    # Threads that wait for work busily would take the processors from those who prepare the photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Plans of memory for each size of batch would double what the network takes, and save no time.
    options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises errors of many kinds
        raise InputError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path}: {type(error).__name__}; a newer one may"
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    description = session.get_modelmeta().custom_metadata_map.get(onnx_file.DESCRIPTION, "")
    described = onnx_file.parse_description(path, description)
    inputs = {each.name: each for each in session.get_inputs() if each.type == "tensor(uint8)"}
    shape = inputs[onnx_file.IMAGE].shape if onnx_file.IMAGE in inputs else []
    onnx_file.check_graph(path, described.info, shape, {each.name for each in session.get_outputs()})
    return OnnxPredictor(session, described.info, str(path), sha256, described.checkpoint_sha256)


def thread_count() -> int:
    """How many threads an engine may compute with: as many as torch would."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
