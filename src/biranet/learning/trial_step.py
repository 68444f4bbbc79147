"""A step that leaves no trace, so that it is known how long one takes before the first is made."""

import time

import torch
from torch.func import functional_call

from biranet.errors import BiranetError
from biranet.learning.normalization import normalize
from biranet.learning.training import Training


def time_trial_step(training: Training) -> float:
    """Compute what a step computes on the next batch of the epoch, and throw it away: no weight, no statistic changes.

    Where the epoch has no batch left, as a training was saved after its last one, the first one stands in.

    Args:
        training: A training.

    Returns:
        How long a step takes, in seconds: loading its photos or computing, whichever is longer, as they go on side by
        side; 0 where the batch is at fault, which its own step says better.
    """
    model, device, workers = training.model, training.accelerator.device, training.config.data.workers
    progress = training.progress
    training.sampler.epoch, training.sampler.first = progress.epoch, progress.batch % len(training.sampler)
    started = time.monotonic()
    batch = training.loader.dataset[next(iter(training.sampler))]
    loaded = time.monotonic()
    if isinstance(batch, BiranetError):
        return 0.0
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    images = normalize(batch.pixels.to(device), training.predictor.info.normalization)
    with training.accelerator.autocast():
        output = functional_call(model, buffers, (images,))
    try:
        loss = training.loss(output.logits, batch.grades.to(device))
    except FloatingPointError:
        return 0.0
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    # Reading a number waits for a GPU to have computed all.
    float(next(each for each in gradients if each is not None).sum())
    return max((loaded - started) / max(1, workers), time.monotonic() - loaded)
