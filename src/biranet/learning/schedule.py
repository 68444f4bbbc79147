"""The optimizer, and the schedule of its learning rate."""

import math
from typing import Any

import torch
from torch import nn

from biranet.config import OptimizerConfig
from biranet.errors import InputError

WARM_UP_FRACTION = 0.1
MOMENTUM = 0.9


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimizer over the weights that are not frozen.

    Args:
        model: The model.
        config: Names the optimizer, its rate and its weight decay.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=config.lr, momentum=MOMENTUM, weight_decay=config.weight_decay)
    return torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)


class Schedule:
    """The learning rate over time.

    Args:
        optimizer: Whose rate is set.
        config: Names the schedule and the base rate.
        steps: Steps of the whole training.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: OptimizerConfig, steps: int) -> None:
        self.optimizer, self.config, self.steps = optimizer, config, steps
        self.plateau = (
            torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=6)
            if config.schedule == "plateau"
            else None
        )

    @property
    def lr(self) -> float:
        """The rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def before_step(self, step: int) -> None:
        """Set the rate of a step, counted from 0 over the whole training."""
        if self.config.schedule == "cosine":
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * cosine_factor(step, self.steps)

    def after_epoch(self, validation_kappa: float) -> None:
        """Lower the rate where the validation kappa has stopped rising."""
        if self.plateau is not None:
            self.plateau.step(validation_kappa)

    def state_dict(self) -> dict[str, Any]:
        """State as plain values."""
        return {} if self.plateau is None else self.plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state back.

        Raises:
            InputError: If it is not one of this schedule.
        """
        if self.plateau is None:
            return
        ours = self.plateau.state_dict()
        settings = ours.keys() - _STATE_KEYS
        if not (
            ours.keys() == state.keys()
            and all(state[name] == ours[name] for name in settings)
            and all(type(state[name]) is int and state[name] >= 0 for name in _COUNTS)
            and _is_kappa(state["best"])
        ):
            raise InputError("the saved state of the learning rate is none of this schedule; start the training anew")
        self.plateau.load_state_dict(state)


_COUNTS = ("num_bad_epochs", "cooldown_counter", "last_epoch")
_STATE_KEYS = {*_COUNTS, "best", "_last_lr"}
"""What changes in the state of torch's plateau; everything else in it is a setting."""


def _is_kappa(best: Any) -> bool:
    """Whether the best value so far is a kappa, or -inf before the first."""
    return isinstance(best, int | float) and (-1 <= best <= 1 or best == -math.inf)


def cosine_factor(step: int, steps: int) -> float:
    """Rise linearly over the first tenth of the steps, then fall to zero along a half cosine.

    Args:
        step: Step, from 0.
        steps: All steps.

    Returns:
        Factor on the base rate, in [0, 1].

    Example:
        >>> [round(cosine_factor(step, 100), 2) for step in (0, 9, 10, 55, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, round(WARM_UP_FRACTION * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
