"""BiRA-Net's heads on cached feature maps, whose attention may be taught with masks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biranet.config import TrainConfig
from biranet.learning.attention_loss import attention_loss
from biranet.learning.evidence import explain
from biranet.learning.flip import FlipAverage
from biranet.learning.loss import make_loss
from biranet.learning.model import BiraNet
from biranet.lesion_kinds import KINDS, LESIONS
from studies.cached_maps import MIRRORED, PLAIN, Maps
from studies.cached_training import Rows, draw_batches, fit, show_views

RED, BRIGHT = ("MA", "HE"), ("EX", "SE")
"""Lesions that are blood, and lesions that are not."""


class Answers(NamedTuple):
    """What heads say of photos.

    Attributes:
        logits: (N, 5), of the mean over a photo and its mirror image.
        attention: (N, 2, h, w), likewise.
        evidence: (N, 1, h, w), of the photo alone.
    """

    logits: Tensor
    attention: Tensor
    evidence: Tensor


@dataclass(frozen=True)
class Lesson:
    """What the streams are taught to look at.

    Attributes:
        name: What it is called.
        kinds: Kinds of lesions, for stream A and for stream B; none: nothing is taught.
        weight: How much the term of the masks counts beside the loss of the grades.
    """

    name: str
    kinds: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    weight: float = 0.0

    def shares(self, of_kinds: Tensor) -> Tensor:
        """What is drawn for each stream: (..., 5, h, w) to (..., 2, h, w); NaN where a kind is not known."""
        assert self.kinds is not None
        return torch.stack([share_of(of_kinds, kinds) for kinds in self.kinds], dim=-3)


UNTAUGHT = Lesson("untaught")
LESSONS = (Lesson("same", (tuple(LESIONS), tuple(LESIONS))), Lesson("red_bright", (RED, BRIGHT)))
"""Both streams the same lesions; red ones for stream A and bright ones for stream B. Both are our own ideas."""


def share_of(of_kinds: Tensor, kinds: tuple[str, ...]) -> Tensor:
    """Which share of each cell is drawn as any of some kinds: (..., 5, h, w) to (..., h, w).

    Where two kinds overlap, which they hardly ever do, a place counts twice.
    """
    return of_kinds[..., [KINDS.index(kind) for kind in kinds], :, :].sum(dim=-3).clamp(max=1)


def fit_heads(
    maps: Maps,
    grades: Rows,
    rows: Rows,
    config: TrainConfig,
    seed: int,
    lesson: Lesson = UNTAUGHT,
) -> BiraNet:
    """Train all of BiRA-Net that stands on a frozen backbone, as a training does, but on views drawn beforehand.

    Args:
        maps: What the backbone made of the photos.
        grades: Grades of all photos, (N,).
        rows: Which of them teach.
        config: Epochs, batches and optimizer.
        seed: Of start weights, draws and views.
        lesson: What the masks of these photos teach the streams.

    Returns:
        The network without its backbone, from feature maps (B, C, h, w) to `Output`, in evaluation mode.
    """
    torch.manual_seed(seed)
    network = BiraNet(nn.Identity(), nn.Identity(), maps.features.shape[2]).to(memory_format=torch.channels_last)
    loss = make_loss(config.optimizer)

    def loss_of(batch: Rows, views: Rows) -> Tensor:
        output = network(maps.features[batch, views].float())
        of_grades: Tensor = loss(output.logits, torch.from_numpy(grades[batch]))
        if not lesson.kinds:
            return of_grades
        return of_grades + lesson.weight * attention_loss(output.attention, lesson.shares(maps.shares[batch, views]))

    batches = [
        batch for epoch in range(config.epochs) for batch in draw_batches(grades, rows, config.data, seed, epoch)
    ]
    random = np.random.default_rng(seed)
    fit(network, config.optimizer, show_views(batches, maps.features.shape[1], random), loss_of)
    return network


@torch.inference_mode()
def answer(network: BiraNet, maps: Maps, rows: Rows) -> Answers:
    """Ask heads of photos, with the mean over each and its mirror image, as the model that ships does."""
    both = FlipAverage.average(*(network(maps.features[rows, view].float()) for view in (PLAIN, MIRRORED)))
    _, evidence, *_ = explain(network, maps.features[rows, PLAIN].float())
    return Answers(both.logits, both.attention.contiguous(), evidence.contiguous())


def maps_of(answers: Answers, place: int) -> dict[str, NDArray[np.float64]]:
    """The maps of a photo, (h, w): the attention of each stream, the mean of both, and the evidence."""
    a, b = answers.attention[place].double().numpy()
    return {"a": a, "b": b, "both": (a + b) / 2, "evidence": answers.evidence[place, 0].double().numpy()}
