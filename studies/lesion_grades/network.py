"""BiRA-Net with lesion evidence, on features that were kept.

Our own idea, no part of the method: the vector of `pool_lesions`, standardized, stands beside the normalized bilinear
vector before the last layer. Since that layer is linear, the logits are those of BiRA-Net plus a linear function of the
vector, and what each value of it did to the referral score can still be told in closed form.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from biranet.config import TrainConfig
from biranet.grades import GRADE_COUNT
from biranet.learning.flip import FlipAverage
from biranet.learning.loss import make_loss
from biranet.learning.model import BilinearHead, Output, Stream
from studies.cached_training import Rows, draw_batches, fit, show_views

_SMALLEST_DEVIATION = 1e-3


class Shown(NamedTuple):
    """What the network is shown of photos.

    Attributes:
        maps: Features, (N, views, C, h, w), float16: of the photo, of its mirror image, and of random changes.
        lesions: (N, V), float32; V may be 0.
        grades: (N,).
    """

    maps: Tensor
    lesions: Tensor
    grades: Rows


class LesionBiraNet(nn.Module):
    """Two attention streams, joined by a bilinear head, and a linear function of what was found of lesions.

    Args:
        channels: C, of the feature map.
        lesions: (N, V), of the photos that are learned from: their mean and deviation standardize the vector.
        gain: Factor on the standardized vector. Steps of AdamW do not depend on the size of a gradient, so it is how
            fast that part of the layer learns beside the other.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, lesions: Tensor, gain: float) -> None:
        super().__init__()
        self.stream_a, self.stream_b = (Stream(nn.Identity(), channels) for _ in range(2))
        self.head = BilinearHead(channels)
        self.lesions = nn.Parameter(torch.zeros(GRADE_COUNT, lesions.shape[1]))
        self.register_buffer("mean", lesions.mean(dim=0))
        deviation = (lesions - self.mean).square().mean(dim=0).sqrt()
        self.register_buffer("scale", gain / deviation.clamp_min(_SMALLEST_DEVIATION))

    def forward(self, features: Tensor, lesions: Tensor) -> Output:
        """Grade feature maps (B, C, h, w) and vectors of lesions (B, V)."""
        vector_a, mask_a = self.stream_a(features)
        vector_b, mask_b = self.stream_b(features)
        with torch.autocast(lesions.device.type, enabled=False):
            of_lesions = ((lesions - self.mean) * self.scale) @ self.lesions.T
        logits = self.head(vector_a, vector_b) + of_lesions
        return Output(logits, torch.cat([mask_a, mask_b], dim=1))


def train(shown: Shown, rows: Rows, config: TrainConfig, gain: float) -> LesionBiraNet:
    """Train on some photos.

    Args:
        shown: All photos.
        rows: Those that are learned from.
        config: The recipe: loss, rate, batches, epochs, and how grades are balanced.
        gain: See `LesionBiraNet`.
    """
    torch.manual_seed(config.seed)
    network = LesionBiraNet(shown.maps.shape[2], shown.lesions[rows], gain)
    loss, batches = make_loss(config.optimizer), []
    for epoch in range(config.epochs):
        random = np.random.default_rng([config.seed, epoch, 1])
        drawn = draw_batches(shown.grades, rows, config.data, config.seed, epoch)
        batches += show_views(drawn, shown.maps.shape[1], random)

    def loss_of(batch: Rows, views: Rows) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # half the time; the head computes in float32 all the same
            output = network(shown.maps[batch, views].float(), shown.lesions[batch])
        of_grades: Tensor = loss(output.logits, torch.from_numpy(shown.grades[batch]))
        return of_grades

    fit(network, config.optimizer, batches, loss_of)
    return network


@torch.inference_mode()
def answer(network: LesionBiraNet, shown: Shown, rows: Rows) -> npt.NDArray[np.float64]:
    """Give the probabilities of grades, (n, 5), each the mean over the photo and its mirror image."""
    straight, mirrored = (network(shown.maps[rows, view].float(), shown.lesions[rows]) for view in range(2))
    return FlipAverage.average(straight, mirrored).logits.double().softmax(dim=1).numpy()
