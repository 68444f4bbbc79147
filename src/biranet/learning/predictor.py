"""What answers for prepared photos: a trained network with its description, whatever computes it; no torch here."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.transforms import Pixels


class Predicted(NamedTuple):
    """A network's answers for some photos.

    Attributes:
        probabilities: Of the five grades, before any rule, (N, 5), float32, summing to 1.
        attention: Mask of each stream, (N, streams, h, w), float32 in [0, 1].
    """

    probabilities: NDArray[np.float32]
    attention: NDArray[np.float32]


class Predictor(Protocol):
    """A trained network, ready to predict: what grading, measuring and calibrating need of an engine.

    Attributes:
        model: The network as the engine has it; of torch an `nn.Module` that returns `Output`.
        info: Its description: image size, normalization, preparation, rules.
        origin: Where it comes from, such as its checkpoint, for errors.
    """

    model: Any
    info: CheckpointInfo
    origin: str

    def predict(self, pixels: Pixels) -> Predicted:
        """Predict prepared photos.

        Args:
            pixels: RGB, (N, image_size, image_size, 3), uint8, N from 1.

        Returns:
            Probabilities and attention, in the order of the photos.

        Raises:
            InputError: If an answer is no finite number, which argmax would take for grade 0.
        """
