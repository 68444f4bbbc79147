"""The one loop by which heads learn from features that were computed once."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from biranet.config import DataConfig, OptimizerConfig
from biranet.learning.data import sample_epoch
from biranet.learning.schedule import Schedule, make_optimizer

Rows = NDArray[np.int64]

Batch = tuple[Rows, Rows]
"""Numbers of photos, and the number of the view in which each is shown."""


def draw_batches(grades: Rows, rows: Rows, config: DataConfig, seed: int, epoch: int) -> list[Rows]:
    """Draw the photos of an epoch, as a training does, batch by batch; the last batch may be smaller.

    Args:
        grades: Grades of all photos, (N,).
        rows: Numbers of those that teach.
        config: Batches, and how grades are balanced.
        seed: Seed of the run.
        epoch: Epoch, from 0; each is drawn by itself.

    Returns:
        Numbers of photos.

    Example:
        >>> batches = draw_batches(np.array([0, 1, 0, 1, 4]), np.arange(4), DataConfig(batch_size=3), 1, 0)
        >>> [len(batch) for batch in batches], 4 in np.concatenate(batches)
        ([3, 1], False)
    """
    drawn = rows[sample_epoch(grades[rows], config, seed, epoch)]
    return np.split(drawn, range(config.batch_size, len(drawn), config.batch_size))


def show_views(batches: Sequence[Rows], views: int, random: np.random.Generator) -> list[Batch]:
    """Draw for each photo of each batch in which of its views it is shown, all as likely."""
    return [(batch, random.integers(views, size=len(batch))) for batch in batches]


def fit(
    network: nn.Module, config: OptimizerConfig, batches: Sequence[Batch], loss_of: Callable[[Rows, Rows], Tensor]
) -> None:
    """Train a network, a step a batch, by the optimizer and the schedule of a training.

    Args:
        network: The network; in evaluation mode afterwards.
        config: Optimizer, rates and schedule.
        batches: All of the training, in order.
        loss_of: What a batch and its views cost.

    Raises:
        FloatingPointError: By a loss of the product, if training diverges.
    """
    network.train()
    optimizer = make_optimizer(network, config)
    schedule = Schedule(optimizer, config, len(batches))
    for step, (batch, views) in enumerate(batches):
        schedule.before_step(step)
        optimizer.zero_grad()
        loss_of(batch, views).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
