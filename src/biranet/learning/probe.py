"""The linear probe: a baseline that shows what the backbone is worth as it is, before anything else is learned.

One linear layer on the average of the backbone's features, fitted by logistic regression (`linear.py`) to the training
photos, each once and without augmentation. What does better has learned what the backbone did not know.

Source: Alain and Bengio, Understanding intermediate layers using linear classifier probes (2016), arXiv:1610.01644.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from biranet.config import DataConfig
from biranet.console import progress_bar
from biranet.grades import GRADE_COUNT
from biranet.learning.data import PreparedPhotos, SequentialBatchSampler, load_batches, sampling_chances
from biranet.learning.flip import FlipAverage
from biranet.learning.linear import choose_penalty, fit_logistic
from biranet.learning.model import PlainNet
from biranet.learning.normalization import normalize
from biranet.learning.split import allocate, inseparable_units
from biranet.learning.torch_predictor import TorchPredictor, evaluation_mode

FOLDS = 5
"""Folds of the training photos among which the penalty is chosen; fewer where there are fewer patients."""


def fit_probe(
    predictor: TorchPredictor,
    prepared: Path,
    photos: pd.DataFrame,
    config: DataConfig,
    seed: int,
    after_batch: Callable[[], None],
) -> Tensor:
    """Fit the linear layer of a probe.

    Args:
        predictor: Its network is what `build_model` builds for `probe`; its layer is replaced.
        prepared: The prepared folder.
        photos: Rows of its manifest to learn from, of at least two grades and two patients.
        config: Image size, how the grades are balanced, and processes that load photos.
        seed: Divides the photos into folds.
        after_batch: Called after each batch of photos that the backbone has seen.

    Returns:
        Logits of the photos, (N, 5), float64.
    """
    grades = photos["grade"].to_numpy(np.int64)
    network = cast(PlainNet, predictor.model.model if isinstance(predictor.model, FlipAverage) else predictor.model)
    fold_count = min(FOLDS, int(inseparable_units(photos).max()) + 1)
    folds = allocate(photos, [1 / fold_count] * fold_count, seed)
    weights = torch.from_numpy(sampling_chances(grades, config))
    batches = []
    for features in _pooled_features(predictor, network, prepared, photos, config):
        batches.append(features)
        after_batch()
    features, targets = torch.cat(batches), torch.from_numpy(grades)
    penalty = choose_penalty(features, targets, weights, folds, GRADE_COUNT)
    layer = fit_logistic(features, targets, weights, penalty, GRADE_COUNT)
    with torch.no_grad():
        network.head.weight.copy_(layer.weight)
        network.head.bias.copy_(layer.bias)
    return layer(features)


@torch.inference_mode()
def _pooled_features(
    predictor: TorchPredictor, network: PlainNet, prepared: Path, photos: pd.DataFrame, config: DataConfig
) -> Iterator[Tensor]:
    """Yield the mean over the feature map of the photos, in order, (B, C), float64 on the CPU."""
    images = PreparedPhotos(prepared, photos, config.image_size)
    loader = load_batches(images, SequentialBatchSampler(len(photos), config.batch_size), config.workers)
    for batch in progress_bar(loader, desc="features", unit="batch", leave=False):
        pixels = batch.pixels.to(predictor.device, non_blocking=True)
        with evaluation_mode(network):
            features = network.features(normalize(pixels, predictor.info.normalization))
        yield features.mean(dim=(2, 3)).double().cpu()
