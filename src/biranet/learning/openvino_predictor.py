"""The engine that computes in OpenVINO, in 32-bit floats, whatever the processor would rather take."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.learning import onnx_file
from biranet.learning.onnx_predictor import OnnxPredictor, thread_count
from biranet.learning.transforms import Pixels


@dataclass(eq=False, repr=False)
class OpenvinoPredictor(OnnxPredictor):
    """A trained network in OpenVINO, ready to predict; its `model` is an `openvino.CompiledModel`."""

    package: str = "openvino"

    def _run(self, pixels: Pixels) -> dict[str, NDArray[np.float32]]:
        # A request of its own, so that threads may share the model.
        answers = self.model.create_infer_request().infer({onnx_file.IMAGE: pixels})
        return {output.any_name: answers[output] for output in self.model.outputs if output.any_name in onnx_file.USED}


def load_openvino(path: Path) -> OpenvinoPredictor:
    """Load a model that was exported as ONNX into OpenVINO, ready to predict.

    Args:
        path: A `.onnx` file that `biranet export` wrote.

    Raises:
        InputError: If it cannot be used.
    """
    import openvino

    content = onnx_file.read_onnx(path)
    # The default of many processors is bfloat16, which gives other grades without a word.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": thread_count()}
    try:
        graph = openvino.Core().read_model(content)
        description = graph.get_rt_info(["framework", onnx_file.DESCRIPTION]).astype(str)
        compiled = openvino.Core().compile_model(graph, "CPU", settings)
    except Exception as error:  # OpenVINO raises errors of many kinds
        raise InputError(
            f"openvino {openvino.__version__} cannot run {path}: {type(error).__name__}; another one may"
        ) from error
    described = onnx_file.parse_description(path, description)
    pixels = [each for each in graph.inputs if onnx_file.IMAGE in each.names]
    shape = [side.get_length() if side.is_static else None for each in pixels for side in each.partial_shape]
    onnx_file.check_graph(path, described.info, shape, {each.any_name for each in graph.outputs})
    sha256 = hashlib.sha256(content).hexdigest()
    return OpenvinoPredictor(compiled, described.info, str(path), sha256, described.checkpoint_sha256)
