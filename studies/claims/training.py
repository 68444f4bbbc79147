"""Train an arm in a fold: choose its settings inside, learn from all training photos, answer for the others."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biranet.config import DataConfig, OptimizerConfig
from biranet.confusion import confusion_matrix, quadratic_weighted_kappa
from biranet.grades import GRADE_COUNT
from biranet.learning.data import sample_epoch, sampling_chances
from biranet.learning.linear import PENALTIES, choose_penalty, fit_logistic
from biranet.learning.loss import make_loss
from biranet.learning.probe import FOLDS as PROBE_FOLDS
from biranet.learning.schedule import make_optimizer
from biranet.learning.split import allocate
from studies.claims.arms import Arm, Head, Probe

OPTIMIZER = OptimizerConfig(weight_scale="unit", optimizer="adamw", weight_decay=1e-2, schedule="constant")
"""What all heads share; rate and loss are their own. At a constant rate one training tells of every length."""

DRAWS = DataConfig(batch_size=16)
"""Batches, drawn so that every grade is as likely."""

Shares = NDArray[np.float64]


class Fold(NamedTuple):
    """What a fold holds.

    Attributes:
        photos: Rows of the manifest.
        maps: (2, N, C, h, w), of the photos and of their mirror images, all channels of the backbone.
        projected: (2, N, K, h, w), what heads see.
        inner: Numbers of the photos that settings learn from.
        held_back: Numbers of those that choose among them.
        test: Numbers of those that are answered for.
        seed: Of weights, draws and dropout.
    """

    photos: pd.DataFrame
    maps: Tensor
    projected: Tensor
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
    """Settings that were chosen, or taken over.

    Attributes:
        setting: The learning rate of a head; the penalty of a probe.
        steps: Steps of a head; 0 for a probe, which has none.
        kappa: On the photos that were held back; None where nothing was chosen by it.
        at_edge: Where it stands in what there was to choose from: `lowest`, `highest`, or empty.
        longest: Whether no training could have been longer.
    """

    setting: float
    steps: int = 0
    kappa: float | None = None
    at_edge: str = ""
    longest: bool = False


def answer(arm: Arm, fold: Fold, taken_over: Choice | None) -> tuple[Choice, Shares]:
    """Choose, learn, and answer for the test photos of a fold.

    Args:
        arm: The arm.
        fold: The fold.
        taken_over: The choice of another arm, for one that makes none of its own.

    Returns:
        The choice, and the probabilities (N, 5) of the test photos.
    """
    if isinstance(arm, Probe):
        return _answer_probe(arm, fold)
    choice = taken_over or choose(arm, fold)
    answers = answers_along(arm, fold, fold.training, fold.test, choice.setting, (choice.steps,))
    # What diverges on more photos than those it was chosen by has no opinion.
    undecided = np.full((len(fold.test), GRADE_COUNT), 1 / GRADE_COUNT)
    return choice, answers.get(choice.steps, undecided)


def choose(arm: Head, fold: Fold) -> Choice:
    """Choose rate and length by the kappa on photos held back; of equals the lowest rate, and the shortest length."""
    best: Choice | None = None
    for rate in arm.rates:
        answers = answers_along(arm, fold, fold.inner, fold.held_back, rate, arm.lengths)
        for steps, shares in answers.items():
            kappa = kappa_of(fold.grades[fold.held_back], shares)
            if best is None or kappa > (best.kappa or 0.0):
                best = Choice(rate, steps, kappa, edge_of(rate, arm.rates), steps == max(arm.lengths))
    assert best is not None, f"{arm.title} diverges at every rate"
    return best


def edge_of(value: float, values: Sequence[float]) -> str:
    """Say where a value stands among those there were.

    Example:
        >>> edge_of(1, (1, 2, 3)), edge_of(2, (1, 2, 3)), edge_of(3, (1, 2, 3))
        ('lowest', '', 'highest')
    """
    return {min(values): "lowest", max(values): "highest"}.get(value, "")


def kappa_of(truth: NDArray[np.int64], shares: Shares) -> float:
    """Quadratic weighted kappa of the most probable grades; 0 where it is not defined."""
    return float(np.nan_to_num(quadratic_weighted_kappa(confusion_matrix(truth, shares.argmax(axis=1)))))


def answers_along(
    arm: Head, fold: Fold, learned: NDArray[np.int64], asked: NDArray[np.int64], rate: float, lengths: Sequence[int]
) -> dict[int, Shares]:
    """Train a head, and ask it after some lengths.

    Args:
        arm: The head.
        fold: The fold.
        learned: Numbers of the photos to learn from; each time one is drawn it is mirrored half the time.
        asked: Numbers of the photos to answer for, as they are.
        rate: Learning rate.
        lengths: Steps after which it is asked.

    Returns:
        By length the probabilities (N, 5); none after training has diverged.
    """
    maps = fold.projected.mean(dim=(3, 4), keepdim=True) if arm.averaged else fold.projected
    torch.manual_seed(fold.seed)
    network = arm.build(maps.shape[2]).to(memory_format=torch.channels_last)
    config = dataclasses.replace(OPTIMIZER, lr=rate, loss=arm.loss)
    optimizer, loss = make_optimizer(network, config), make_loss(config)
    count = DRAWS.batch_size * max(lengths)
    drawn = sample_epoch(fold.grades[learned], dataclasses.replace(DRAWS, draws_per_epoch=count), fold.seed, 0)
    rows = torch.from_numpy(learned[drawn])
    views = torch.from_numpy(np.random.default_rng(fold.seed).integers(2, size=count))
    grades, questions = torch.from_numpy(fold.grades), maps[0, torch.from_numpy(asked)]
    answers: dict[int, Shares] = {}
    batches = zip(views.split(DRAWS.batch_size), rows.split(DRAWS.batch_size), strict=True)
    for step, (mirrored, batch) in enumerate(batches, 1):
        network.train()
        optimizer.zero_grad()
        try:
            loss(network(maps[mirrored, batch]).logits, grades[batch]).backward()
        except FloatingPointError:
            break
        optimizer.step()
        if step in lengths:
            shares = _ask(network, questions)
            if not np.isfinite(shares).all():
                break
            answers[step] = shares
    return answers


@torch.inference_mode()
def _ask(network: nn.Module, maps: Tensor) -> Shares:
    shares: Shares = network.eval()(maps).logits.double().softmax(dim=1).numpy()
    return shares


def _answer_probe(arm: Probe, fold: Fold) -> tuple[Choice, Shares]:
    """Fit as `biranet train --model probe` does: on each photo once, its penalty chosen among folds by visit."""
    features = (fold.projected if arm.projected else fold.maps)[0].mean(dim=(2, 3)).double()
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
