"""The grading loss: an error costs more the more grades it is off.

Source: the loss of BiRA-Net (Zhao et al., ICIP 2019). For a photo of grade y out of K, predicted as yhat = argmax p:

    w = (|yhat - y| + 1) / sum over j = 0..K-1 of (|j - y| + 1)        loss = w * (-log p[y])

and the batch's loss is the mean. The weight has no gradient (argmax has none); the log-likelihood has. The paper has
K = 5; the formula asks for nothing but an order, so it serves any scale of ordered grades.

The weights average 1/K over predictions; with five grades they lie between 1/15 and 1/3. So at one learning rate the
loss moves the network K times less than cross-entropy does. `weight_scale="unit"` is the same loss times K.

Labels may be smoothed, which is not in the paper: graders seldom agree on more than the grade or its neighbour, so a
share of each label goes to the grades next to it, and `-log p[y]` becomes `-sum over k of q[k] * log p[k]`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from biranet.config import OptimizerConfig
from biranet.errors import InputError
from biranet.grades import GRADE_COUNT


def _check_shapes(logits: Tensor, grades: Tensor) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2 or grades.shape != logits.shape[:1]:
        raise InputError(
            "the loss takes logits (B, K) of at least two grades, and grades (B,), "
            f"not {tuple(logits.shape)} and {tuple(grades.shape)}"
        )
    if len(grades) == 0:
        raise InputError("the loss of an empty batch is not defined")
    if grades.is_floating_point():
        raise _not_grades(logits)


def _check_values(logits: Tensor, grades: Tensor) -> None:
    """Look at the values, for which a GPU has to be waited, and which no compiled graph knows."""
    if not bool(torch.isfinite(logits).all()):
        raise FloatingPointError("the logits are not all finite numbers")
    if int(grades.min()) < 0 or int(grades.max()) >= logits.shape[1]:
        raise _not_grades(logits)


def _not_grades(logits: Tensor) -> InputError:
    num_grades = logits.shape[1]
    return InputError(f"grades must be integers from 0 to {num_grades - 1}, as the logits are of {num_grades}")


def _check_settings(weight_scale: str, label_smoothing: float) -> None:
    if weight_scale not in ("paper", "unit"):
        raise InputError(f"weight_scale must be 'paper' or 'unit', not {weight_scale!r}")
    if not 0 <= label_smoothing < 1:
        raise InputError(f"label_smoothing must be at least 0 and below 1, not {label_smoothing}")


def smooth_labels(grades: Tensor, label_smoothing: float, num_grades: int = GRADE_COUNT) -> Tensor:
    """Give a share of each label to its neighbours.

    Args:
        grades: True grades 0 to K - 1, integers, (B,).
        label_smoothing: Share in [0, 1): each neighbour gets half of it, also where there is but one.
        num_grades: K.

    Returns:
        q, (B, K), float32, summing to 1.

    Example:
        >>> smooth_labels(torch.tensor([0, 2]), 0.2)
        tensor([[0.9000, 0.1000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.1000, 0.8000, 0.1000, 0.0000]])
    """
    labels = functional.one_hot(grades, num_grades).float()
    neighbours = functional.pad(labels[:, 1:], (0, 1)) + functional.pad(labels[:, :-1], (1, 0))
    share = neighbours * label_smoothing / 2
    return labels * (1 - share.sum(dim=1, keepdim=True)) + share


def _target(logits: Tensor, grades: Tensor, label_smoothing: float) -> Tensor:
    """What torch's cross-entropy takes as target: grades as they are, or smoothed labels."""
    return smooth_labels(grades, label_smoothing, logits.shape[1]).to(logits.dtype) if label_smoothing else grades


def grading_loss(
    logits: Tensor,
    grades: Tensor,
    weight_scale: Literal["paper", "unit"] = "paper",
    label_smoothing: float = 0.0,
    *,
    check: bool = True,
) -> Tensor:
    """Weigh the cross-entropy of each photo by the distance in grades of its prediction.

    Args:
        logits: Scores before the softmax, (B, K) of any K ordered grades, from 2; five in the paper.
        grades: True grades 0 to K - 1, integers, (B,).
        weight_scale: `paper`: weights as published; `unit`: K times that, so that the weights average 1 over
            predictions.
        label_smoothing: Share of each label that goes to its neighbours; see `smooth_labels`.
        check: Whether to look at the values of logits and grades first. Without it `torch.compile` makes one graph of
            the loss and a GPU is not waited for, but a NaN makes the loss NaN, and what a wrong grade does is torch's.

    Returns:
        The mean over the batch, a scalar of the logits' dtype (float32 for half precision).

    Raises:
        InputError: If the shapes do not fit, the batch is empty, or a setting is wrong; with `check` also if a grade is
            not from 0 to K - 1.
        FloatingPointError: With `check`, if a logit is NaN or infinite.

    Example:
        >>> import biranet, torch
        >>> logits = torch.tensor([[4.0, 0.0, 0.0, 0.0, 0.0]])
        >>> near, far = (biranet.grading_loss(logits, torch.tensor([grade])) for grade in (1, 4))
        >>> bool(near < far)
        True
    """
    _check_settings(weight_scale, label_smoothing)
    _check_shapes(logits, grades)
    if check:
        _check_values(logits, grades)
    grades = grades.long()
    scores = logits.float() if logits.dtype.itemsize < 4 else logits
    log_likelihood = -functional.cross_entropy(scores, _target(scores, grades, label_smoothing), reduction="none")
    distance = (torch.arange(logits.shape[1], device=grades.device) - grades[:, None]).abs() + 1
    predicted = logits.detach().argmax(dim=1, keepdim=True)
    weight = distance.gather(1, predicted).squeeze(1).to(log_likelihood.dtype) / distance.sum(dim=1)
    if weight_scale == "unit":
        weight = weight * logits.shape[1]
    return -(weight * log_likelihood).mean()


class GradingLoss(nn.Module):
    """`grading_loss` as a module.

    Args:
        weight_scale: `paper` or `unit`; see `grading_loss`.
        label_smoothing: Share of each label that goes to its neighbours.
        check: Whether to look at the values of logits and grades first; see `grading_loss`.

    Raises:
        InputError: If a setting is wrong.

    Example:
        >>> import biranet, torch
        >>> loss = biranet.GradingLoss(weight_scale="unit")
        >>> loss(torch.zeros(2, 3), torch.tensor([0, 2]))
        tensor(1.0986)
    """

    def __init__(
        self, weight_scale: Literal["paper", "unit"] = "paper", label_smoothing: float = 0.0, *, check: bool = True
    ) -> None:
        super().__init__()
        _check_settings(weight_scale, label_smoothing)
        self.weight_scale: Literal["paper", "unit"] = weight_scale
        self.label_smoothing = label_smoothing
        self.check = check

    def forward(self, logits: Tensor, grades: Tensor) -> Tensor:
        """Return the loss of logits (B, K) for grades (B,), a scalar."""
        return grading_loss(logits, grades, self.weight_scale, self.label_smoothing, check=self.check)


class CrossEntropy(nn.Module):
    """Cross-entropy with the checks of the grading loss, as its baseline.

    Args:
        label_smoothing: Share of each label that goes to its neighbours; see `smooth_labels`.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, grades: Tensor) -> Tensor:
        """Return the loss of logits (B, K) for grades (B,), a scalar."""
        _check_shapes(logits, grades)
        _check_values(logits, grades)
        grades = grades.long()
        return functional.cross_entropy(logits, _target(logits, grades, self.label_smoothing))


def make_loss(config: OptimizerConfig) -> nn.Module:
    """Make the loss that a configuration asks for: a module of logits (B, K) and grades (B,)."""
    if config.loss == "grading":
        return GradingLoss(config.weight_scale, config.label_smoothing)
    return CrossEntropy(config.label_smoothing)
