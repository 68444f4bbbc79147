"""Multinomial logistic regression on fixed features: its minimum is one, whatever the start, and needs no schedule.

The strength of the penalty is chosen by cross-validation among groups, so that photos of one patient never stand on
both sides.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

PENALTIES = tuple(10 ** (exponent / 2) for exponent in range(6, -11, -1))
"""Strengths of the penalty that are tried, the strongest first: from one that leaves little but the intercepts to
almost none, in half decades."""

ABSENT_LOGIT = -20.0
"""Where the intercept of a grade that no photo has lies below the lowest of the others: a probability of 2e-9."""

MAX_STEPS = 1000
SMALLEST_DEVIATION = 1e-6


class Linear(NamedTuple):
    """A linear layer.

    Attributes:
        weight: (K, C), float64.
        bias: (K,), float64.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of features (N, C)."""
        return features @ self.weight.T + self.bias


def fit_logistic(features: Tensor, grades: Tensor, weights: Tensor, penalty: float, num_grades: int) -> Linear:
    """Fit multinomial logistic regression with an L2 penalty on standardized features.

    What is minimized: the weighted mean of the cross-entropy, plus half of `penalty` times the sum of the squared
    weights of the layer on features of mean 0 and variance 1; the intercepts are free.

    Args:
        features: (N, C), float64.
        grades: (N,), int64, from 0 to `num_grades` - 1; at least two different ones.
        weights: How much each row counts, (N,), float64, of sum above 0.
        penalty: Strength of the penalty, above 0.
        num_grades: K.

    Returns:
        The layer on the features as they are: the standardization is part of it. A grade that no row has is as good as
        impossible.

    Source:
        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed. (2009), 4.4 and 18.4.

    Example:
        >>> layer = fit_logistic(
        ...     torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64),
        ...     torch.tensor([0, 0, 2, 2]), torch.ones(4, dtype=torch.float64), penalty=0.1, num_grades=3,
        ... )
        >>> layer(torch.tensor([[0.0], [3.0]], dtype=torch.float64)).argmax(dim=1)
        tensor([0, 2])
    """
    return next(_fit_along_penalties(features, grades, weights, (penalty,), num_grades))


def choose_penalty(
    features: Tensor, grades: Tensor, weights: Tensor, folds: NDArray[np.int64], num_grades: int
) -> float:
    """Choose among `PENALTIES` by cross-validation: the one with the lowest weighted log loss on rows kept back.

    Args:
        features: (N, C), float64.
        grades: (N,), int64.
        weights: How much each row counts, (N,), float64.
        folds: The fold in which each row is kept back, (N,); at least two different ones. What belongs together, such
            as photos of one patient, must stand in one.
        num_grades: K.

    Returns:
        The penalty; the strongest of equally good ones. A row whose grade no other fold has counts for none: whatever
        is learned without that grade calls it impossible.
    """
    losses = np.zeros(len(PENALTIES))
    for fold in np.unique(folds):
        rest = torch.from_numpy(folds != fold)
        kept_back = ~rest & torch.isin(grades, grades[rest])
        layers = _fit_along_penalties(features[rest], grades[rest], weights[rest], PENALTIES, num_grades)
        for number, layer in enumerate(layers):
            loss = functional.cross_entropy(layer(features[kept_back]), grades[kept_back], reduction="none")
            losses[number] += (loss @ weights[kept_back]).item()
    return PENALTIES[int(losses.argmin())]


def _fit_along_penalties(
    features: Tensor, grades: Tensor, weights: Tensor, penalties: tuple[float, ...], num_grades: int
) -> Iterator[Linear]:
    """Fit one penalty after the other, each from where the one before it ended."""
    weights = weights / weights.sum()
    mean = weights @ features
    deviation = (weights @ (features - mean).square()).sqrt()
    # A feature that is the same everywhere says nothing; it must not become noise as large as a signal.
    scale = torch.where(deviation > SMALLEST_DEVIATION, 1 / deviation.clamp_min(SMALLEST_DEVIATION), 0.0)
    standardized = (features - mean) * scale
    # With fewer rows than features only what lies in their span matters, which costs a fraction and changes nothing.
    rotation = torch.linalg.qr(standardized.T).Q if len(features) < features.shape[1] else None
    if rotation is not None:
        standardized = standardized @ rotation
    present, targets = torch.unique(grades, return_inverse=True)
    weight = torch.zeros(len(present), standardized.shape[1], dtype=torch.float64)
    bias = torch.zeros(len(present), dtype=torch.float64)
    for penalty in penalties:
        _minimize(standardized, targets, weights, penalty, weight, bias)
        whole = Linear(
            torch.zeros(num_grades, features.shape[1], dtype=torch.float64),
            torch.full((num_grades,), bias.min().item() + ABSENT_LOGIT, dtype=torch.float64),
        )
        scaled = (weight if rotation is None else weight @ rotation.T) * scale
        whole.weight[present], whole.bias[present] = scaled, bias - scaled @ mean
        yield whole


def _minimize(features: Tensor, targets: Tensor, shares: Tensor, penalty: float, weight: Tensor, bias: Tensor) -> None:
    """Move a layer, in place, from where it stands to the minimum."""
    # By NumPy and a gradient that is written out: of few rows, autograd would take ten times as long as the sums.
    rows, share = features.numpy(), shares.numpy()[:, None]
    targets_one_hot = functional.one_hot(targets).double().numpy()

    def loss_and_gradient(layer: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, intercepts = layer[: weight.numel()].reshape(weight.shape), layer[weight.numel() :]
        logits = rows @ weights.T + intercepts
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        excess = share * (np.exp(logs) - targets_one_hot)
        loss = penalty / 2 * np.vdot(weights, weights) - np.vdot(share * targets_one_hot, logs)
        return loss, np.concatenate([(excess.T @ rows + penalty * weights).ravel(), excess.sum(axis=0)])

    solution = minimize(
        loss_and_gradient,
        torch.cat([weight.flatten(), bias]).numpy(),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": MAX_STEPS, "maxfun": 10 * MAX_STEPS, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-8},
    ).x
    weight.copy_(torch.from_numpy(solution[: weight.numel()]).view_as(weight))
    bias.copy_(torch.from_numpy(solution[weight.numel() :]))
