"""What answers for prepared photos: a trained network with its description, whatever computes it; no torch here."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.transforms import Pixels
from biranet.words import counted


class Predicted(NamedTuple):
    """A network's answers for some photos.

    Attributes:
        probabilities: Of the five grades, before any rule, (N, 5), float32, summing to 1.
        attention: Mask of each stream, (N, streams, h, w), float32 in [0, 1].
        evidence: How much each cell moved the referral score, (N, h, w), float32, in units of log-odds
            (`biranet.learning.evidence`), in finer cells than those of the attention; None where the engine does not
            say.
        lesions: What a lesion branch found: the share of each cell that is each of `biranet.lesion_kinds.KINDS`,
            (N, 5, h, w), float32 in [0, 1]; None where there is no branch.
        lesion_evidence: How much each kind of lesion moved the referral score, (N, 4), float32, in units of log-odds.

    Example:
        >>> import biranet
        >>> certain = np.eye(5, dtype=np.float32)[[3]]
        >>> biranet.Predicted(certain, np.ones((1, 2, 7, 7), np.float32)).probabilities.argmax()
        np.int64(3)
    """

    probabilities: NDArray[np.float32]
    attention: NDArray[np.float32]
    evidence: NDArray[np.float32] | None = None
    lesions: NDArray[np.float32] | None = None
    lesion_evidence: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"Predicted({counted(len(self.probabilities), 'photo')})"


def in_turn(pixels: Pixels, info: CheckpointInfo, predict: Callable[[Pixels], Predicted]) -> Predicted:
    """Predict a batch as its network can be asked: one photo after the other where it looks for lesions.

    Each takes hundreds of megabytes, and its answer does not depend on others then.

    Args:
        pixels: The batch, as `Predictor.predict` takes it.
        info: Of the network.
        predict: Predicts what is given to it at once.
    """
    if info.lesions is None or len(pixels) == 1:
        return predict(pixels)
    each = [predict(photo[None]) for photo in pixels]
    parts: Any = (None if of[0] is None else np.concatenate(of) for of in zip(*each, strict=True))
    return Predicted(*parts)


def refuse_not_finite(predicted: Predicted, origin: str) -> Predicted:
    """Return the answers of a network, if they are finite numbers.

    Args:
        predicted: The answers.
        origin: Where the network comes from, for the error.

    Raises:
        InputError: If one is none, which argmax would take for grade 0.
    """
    if not all(np.isfinite(values).all() for values in predicted if values is not None):
        raise InputError(
            f"the answers of {origin} are not finite numbers: its training has diverged; train again with a lower --lr"
        )
    return predicted


class Predictor(Protocol):
    """A trained network, ready to predict: what grading, measuring and calibrating need of an engine.

    Attributes:
        model: The network as the engine has it: in torch an `nn.Module` that returns `Output`, in ONNX Runtime an
            `InferenceSession`.
        info: Its description: image size, normalization, preparation, rules.
        origin: Where it comes from, such as its checkpoint, for errors.

    Example:
        >>> import biranet
        >>> class Unsure:  # an engine that finds all grades equally probable
        ...     model, origin = None, "the unsure one"
        ...     info = biranet.load().info
        ...     def predict(self, pixels):
        ...         probabilities = np.full((len(pixels), 5), 0.2, np.float32)
        ...         return biranet.Predicted(probabilities, np.zeros((len(pixels), 0, 1, 1), np.float32))
        >>> prediction = biranet.Grader(Unsure()).grade(biranet.draw_photo(grade=0, seed=7))
        >>> prediction.expected_grade
        2.0
    """

    model: Any
    info: CheckpointInfo
    origin: str

    def predict(self, pixels: Pixels) -> Predicted:
        """Predict prepared photos.

        Args:
            pixels: RGB, (N, image_size, image_size, 3), uint8, N from 1.

        Returns:
            Probabilities, attention and evidence, in the order of the photos.

        Raises:
            InputError: If an answer is no finite number, which argmax would take for grade 0.
        """


class LoadedPredictor(Predictor, Protocol):
    """A predictor that was loaded from a file.

    Attributes:
        sha256: SHA-256 of the file, as it was loaded.
        package: The package that computes.
    """

    sha256: str
    package: str
