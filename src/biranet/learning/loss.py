"""The grading loss: an error costs more the more grades it is off.

Source: the loss of BiRA-Net (Zhao et al., ICIP 2019). For a photo of grade y, predicted as yhat = argmax p:

    w = (|yhat - y| + 1) / sum over j = 0..4 of (|j - y| + 1)          loss = w * (-log p[y])

and the batch's loss is the mean. The weight has no gradient (argmax has none); the log-likelihood has.

The weights lie between 1/15 and 1/3 and average 1/5 over predictions, so at one learning rate the loss moves the
network five times less than cross-entropy does. `scale="unit"` is the same loss times five.

Labels may be smoothed, which is not in the paper: graders seldom agree on more than the grade or its neighbour, so a
share of each label goes to the grades next to it, and `-log p[y]` becomes `-sum over k of q[k] * log p[k]`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from biranet.config import OptimizerConfig
from biranet.grades import GRADE_COUNT


def _check(logits: Tensor, grades: Tensor) -> None:
    if logits.ndim != 2 or logits.shape[1] != GRADE_COUNT or grades.shape != logits.shape[:1]:
        raise ValueError(
            f"the loss takes logits (B, {GRADE_COUNT}) and grades (B,), "
            f"not {tuple(logits.shape)} and {tuple(grades.shape)}"
        )
    if len(grades) == 0:
        raise ValueError("the loss of an empty batch is not defined")
    if grades.is_floating_point() or int(grades.min()) < 0 or int(grades.max()) >= GRADE_COUNT:
        raise ValueError(f"grades must be integers from 0 to {GRADE_COUNT - 1}")
    if not bool(torch.isfinite(logits).all()):
        raise FloatingPointError("the logits are not all finite numbers")


def smooth_labels(grades: Tensor, smoothing: float) -> Tensor:
    """Give a share of each label to its neighbours.

    Args:
        grades: True grades 0 to 4, integers, (B,).
        smoothing: Share in [0, 1): each neighbour gets half of it, also where there is but one.

    Returns:
        q, (B, 5), float32, summing to 1.

    Example:
        >>> smooth_labels(torch.tensor([0, 2]), 0.2)
        tensor([[0.9000, 0.1000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.1000, 0.8000, 0.1000, 0.0000]])
    """
    labels = functional.one_hot(grades, GRADE_COUNT).float()
    neighbours = functional.pad(labels[:, 1:], (0, 1)) + functional.pad(labels[:, :-1], (1, 0))
    share = neighbours * smoothing / 2
    return labels * (1 - share.sum(dim=1, keepdim=True)) + share


def _target(grades: Tensor, smoothing: float, dtype: torch.dtype) -> Tensor:
    """What torch's cross-entropy takes as target: grades as they are, or smoothed labels."""
    return smooth_labels(grades, smoothing).to(dtype) if smoothing else grades


def grading_loss(
    logits: Tensor, grades: Tensor, scale: Literal["paper", "unit"] = "paper", smoothing: float = 0.0
) -> Tensor:
    """Weigh the cross-entropy of each photo by the distance in grades of its prediction.

    Args:
        logits: Scores before the softmax, (B, 5).
        grades: True grades 0 to 4, integers, (B,).
        scale: `paper`: weights as published; `unit`: five times that, so that the weights average 1 over predictions.
        smoothing: Share of each label that goes to its neighbours; see `smooth_labels`.

    Returns:
        The mean over the batch, a scalar of the logits' dtype (float32 for half precision).

    Raises:
        ValueError: If the shapes do not fit, the batch is empty or a grade is not from 0 to 4.
        FloatingPointError: If a logit is NaN or infinite.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0, 0.0, 0.0, 0.0]])
        >>> near, far = (grading_loss(logits, torch.tensor([grade])) for grade in (1, 4))
        >>> bool(near < far)
        True
    """
    _check(logits, grades)
    scores = logits.float() if logits.dtype.itemsize < 4 else logits
    log_likelihood = -functional.cross_entropy(scores, _target(grades, smoothing, scores.dtype), reduction="none")
    distance = (torch.arange(GRADE_COUNT, device=grades.device) - grades[:, None]).abs() + 1
    predicted = logits.detach().argmax(dim=1, keepdim=True)
    weight = distance.gather(1, predicted).squeeze(1).to(log_likelihood.dtype) / distance.sum(dim=1)
    if scale == "unit":
        weight = weight * GRADE_COUNT
    return -(weight * log_likelihood).mean()


class GradingLoss(nn.Module):
    """`grading_loss` as a module.

    Args:
        scale: `paper` or `unit`; see `grading_loss`.
        smoothing: Share of each label that goes to its neighbours.

    Example:
        >>> GradingLoss(scale="unit")(torch.zeros(2, 5), torch.tensor([0, 0])).item() > 0
        True
    """

    def __init__(self, scale: Literal["paper", "unit"] = "paper", smoothing: float = 0.0) -> None:
        super().__init__()
        self.scale: Literal["paper", "unit"] = scale
        self.smoothing = smoothing

    def forward(self, logits: Tensor, grades: Tensor) -> Tensor:
        """Return the loss of logits (B, 5) for grades (B,)."""
        return grading_loss(logits, grades, self.scale, self.smoothing)


class CrossEntropy(nn.Module):
    """Cross-entropy with the checks of the grading loss, the control.

    Args:
        smoothing: Share of each label that goes to its neighbours; see `smooth_labels`.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: Tensor, grades: Tensor) -> Tensor:
        """Return the loss of logits (B, 5) for grades (B,)."""
        _check(logits, grades)
        return functional.cross_entropy(logits, _target(grades, self.smoothing, logits.dtype))


def make_loss(config: OptimizerConfig) -> nn.Module:
    """Make the loss that a configuration asks for: a module of logits (B, 5) and grades (B,)."""
    if config.loss == "grading":
        return GradingLoss(config.weight_scale, config.label_smoothing)
    return CrossEntropy(config.label_smoothing)
