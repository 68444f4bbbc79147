"""Train an arm in a fold: choose its settings inside, learn from all training photos, answer for the others."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biranet.config import DataConfig, OptimizerConfig
from biranet.errors import InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.attention_loss import attention_loss
from biranet.learning.data import sampling_chances
from biranet.learning.linear import PENALTIES, choose_penalty, fit_logistic
from biranet.learning.loss import make_loss
from biranet.learning.split import allocate
from studies.cached_maps import PLAIN
from studies.cached_training import Rows, draw_batches, fit, show_views
from studies.claims.arms import Arm, Head, Probe
from studies.claims.maps import VIEWS

OPTIMIZER = OptimizerConfig(weight_scale="unit", optimizer="adamw", weight_decay=1e-2, schedule="cosine")
"""What all heads share; rate and loss are their own."""

DRAWS = DataConfig(batch_size=16)
"""Batches, drawn so that every grade is as likely."""

PROBE_FOLDS = 3
"""Folds by visit among which a probe chooses its penalty."""

Shares = NDArray[np.float64]


class Fold(NamedTuple):
    """What a fold holds.

    Attributes:
        photos: Rows of the manifest.
        maps: (N, 2, C, h, w), of the photos and of their mirror images, all channels of the backbone.
        projected: (N, 2, K, h, w), what heads see.
        drawn: (N, 2, h, w), the share of each cell in which lesions are drawn; NaN where nobody has looked.
        inner: Numbers of the photos that settings learn from.
        held_back: Numbers of those that choose among them.
        test: Numbers of those that are answered for.
        seed: Of weights, draws and dropout.
    """

    photos: pd.DataFrame
    maps: Tensor
    projected: Tensor
    drawn: Tensor
    inner: NDArray[np.int64]
    held_back: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    @property
    def training(self) -> NDArray[np.int64]:
        """Numbers of the photos that the answers are learned from."""
        return np.sort(np.concatenate([self.inner, self.held_back]))

    @property
    def grades(self) -> NDArray[np.int64]:
        """Grades of all photos."""
        return self.photos["grade"].to_numpy(np.int64)


class Choice(NamedTuple):
    """Settings that were chosen, or given.

    Attributes:
        setting: The learning rate of a head; the penalty of a probe.
        steps: Steps of a head; 0 for a probe, which has none.
        score: Ranked probability score on the photos that were held back; None where nothing was chosen by it.
        at_edge: Where it stands in what there was to choose from: `lowest`, `highest`, or empty.
        longest: Whether no training could have been longer.
    """

    setting: float
    steps: int = 0
    score: float | None = None
    at_edge: str = ""
    longest: bool = False


def answer(arm: Arm, fold: Fold) -> tuple[Choice, Shares]:
    """Choose, learn, and answer for the test photos of a fold.

    Args:
        arm: The arm.
        fold: The fold.

    Returns:
        The choice, and the probabilities (N, 5) of the test photos.
    """
    if isinstance(arm, Probe):
        return _answer_probe(arm, fold)
    choice = choose(arm, fold)
    shares = train_and_ask(arm, fold, fold.training, fold.test, choice.setting, choice.steps)
    if shares is None:  # diverged on more photos than those it was chosen by: it has no opinion
        shares = np.full((len(fold.test), GRADE_COUNT), 1 / GRADE_COUNT)
    return choice, shares


def choose(arm: Head, fold: Fold) -> Choice:
    """Choose rate and length by the score on photos held back; of equals the lowest rate, and the shortest length.

    Raises:
        InputError: If training diverges whatever the rate.
    """
    best, lowest = None, np.inf
    for rate, steps in itertools.product(arm.rates, arm.lengths):
        shares = train_and_ask(arm, fold, fold.inner, fold.held_back, rate, steps)
        if shares is not None:
            score = ranked_probability_score(fold.grades[fold.held_back], shares)
            if score < lowest:
                lowest = score
                best = Choice(rate, steps, score, edge_of(rate, arm.rates), steps == max(arm.lengths))
    if best is None:
        raise InputError(f"{arm.title} diverges at every rate")
    return best


def edge_of(value: float, values: Sequence[float]) -> str:
    """Say where a value stands among those there were.

    Example:
        >>> edge_of(1, (1, 2, 3)), edge_of(2, (1, 2, 3)), edge_of(3, (1, 2, 3))
        ('lowest', '', 'highest')
    """
    return {min(values): "lowest", max(values): "highest"}.get(value, "")


def ranked_probability_score(grades: NDArray[np.int64], shares: Shares) -> float:
    """Say how far probabilities are from the true grades, in order: the less the better.

    A kappa of the some 50 photos that are held back is mostly chance; this is smooth, and knows the order of grades.

    Args:
        grades: True grades, (N,).
        shares: Probabilities of the five grades, (N, 5).

    Returns:
        The mean over the photos of the squared distance of the two distribution functions, summed over the grades.

    Source:
        Epstein, A Scoring System for Probability Forecasts of Ranked Categories, Journal of Applied Meteorology 8
        (1969).

    Example:
        >>> ranked_probability_score(np.array([0, 2]), np.eye(5)[[0, 4]])
        1.0
    """
    truth = grades[:, None] <= np.arange(GRADE_COUNT)
    return float(np.square(shares.cumsum(axis=1) - truth).sum(axis=1).mean())


def train_and_ask(
    arm: Head, fold: Fold, learned: NDArray[np.int64], asked: NDArray[np.int64], rate: float, steps: int
) -> Shares | None:
    """Train a head, and ask it.

    Args:
        arm: The head.
        fold: The fold.
        learned: Numbers of the photos to learn from; each time one is drawn it is mirrored half the time.
        asked: Numbers of the photos to answer for, as they are.
        rate: Learning rate.
        steps: Length of the training.

    Returns:
        The probabilities (N, 5); None where training diverges.
    """
    maps = fold.projected.mean(dim=(3, 4), keepdim=True) if arm.averaged else fold.projected
    torch.manual_seed(fold.seed)
    network = arm.build(maps.shape[2]).to(memory_format=torch.channels_last)
    config = dataclasses.replace(OPTIMIZER, lr=rate, loss=arm.loss)
    loss, grades = make_loss(config), torch.tensor(fold.grades)

    def loss_of(batch: Rows, views: Rows) -> Tensor:
        output = network(maps[batch, views])
        of_grades: Tensor = loss(output.logits, grades[batch])
        if not arm.taught:
            return of_grades
        drawn = fold.drawn[batch, views, None].expand_as(output.attention)
        return of_grades + arm.taught * attention_loss(output.attention, drawn)

    draws = dataclasses.replace(DRAWS, draws_per_epoch=DRAWS.batch_size * steps)
    batches = draw_batches(fold.grades, learned, draws, fold.seed, epoch=0)
    try:
        fit(network, config, show_views(batches, VIEWS, np.random.default_rng(fold.seed)), loss_of)
    except FloatingPointError:
        return None
    shares = _ask(network, maps[torch.from_numpy(asked), PLAIN])
    return shares if np.isfinite(shares).all() else None


@torch.inference_mode()
def _ask(network: nn.Module, maps: Tensor) -> Shares:
    shares: Shares = network(maps).logits.double().softmax(dim=1).numpy()
    return shares


def _answer_probe(arm: Probe, fold: Fold) -> tuple[Choice, Shares]:
    """Fit as `biranet train --model probe` does: on each photo once, its penalty chosen among folds by visit."""
    features = (fold.projected if arm.projected else fold.maps)[:, PLAIN].mean(dim=(2, 3)).double()
    rows = fold.training
    grades = fold.grades[rows]
    taught = features[rows], torch.from_numpy(grades), torch.from_numpy(sampling_chances(grades, DRAWS))
    penalty = arm.penalty
    if penalty is None:
        photos = fold.photos.iloc[rows].reset_index(drop=True)
        folds = allocate(photos, [1 / PROBE_FOLDS] * PROBE_FOLDS, fold.seed)
        penalty = choose_penalty(*taught, folds, GRADE_COUNT)
    layer = fit_logistic(*taught, penalty, GRADE_COUNT)
    edge = "" if arm.penalty else edge_of(penalty, PENALTIES)
    return Choice(penalty, at_edge=edge), layer(features[fold.test]).softmax(dim=1).numpy()
