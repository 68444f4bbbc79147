import math

import pytest
import torch
from torch import nn

from biranet.config import OptimizerConfig
from biranet.errors import InputError
from biranet.learning.schedule import Schedule, cosine_factor, make_optimizer


@pytest.fixture
def model():
    """Two layers, of which the first is frozen."""
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    layers[0].requires_grad_(False)
    return layers


def _schedule(model, steps=100, **settings):
    config = OptimizerConfig(lr=0.1, **settings)
    return Schedule(make_optimizer(model, config), config, steps)


def _rates(schedule, kappas):
    """The rate after each epoch with these validation kappas."""
    rates = []
    for kappa in kappas:
        schedule.after_epoch(kappa)
        rates.append(schedule.lr)
    return rates


def test_sgd_has_the_published_momentum_and_decay(model):
    optimizer = make_optimizer(model, OptimizerConfig())
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (2e-4, 0.9, 1e-8)
    assert not group["nesterov"]


def test_adamw_takes_its_rate_and_its_decay(model):
    optimizer = make_optimizer(model, OptimizerConfig(optimizer="adamw", lr=0.5, weight_decay=0.25))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.5, 0.25)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_frozen_weights_are_left_out(model, name):
    optimizer = make_optimizer(model, OptimizerConfig(optimizer=name))
    moved = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert {id(weight) for weight in moved} == {id(weight) for weight in model[1].parameters()}


def test_plateau_takes_a_tenth_after_six_epochs_without_gain(model):
    rates = _rates(_schedule(model), [0.5] * 15)
    # The first epoch is the best one; six without gain are borne, and the seventh lowers the rate.
    assert rates == pytest.approx([0.1] * 7 + [0.01] * 7 + [0.001])


def test_plateau_counts_anew_after_a_gain_and_a_loss_is_no_gain(model):
    assert _rates(_schedule(model), [0.1] * 7 + [0.2] + [0.15] * 6) == [0.1] * 14
    assert _rates(_schedule(model), [0.3, *(0.3 - 0.01 * step for step in range(1, 8))])[-1] == pytest.approx(0.01)
    assert _rates(_schedule(model), [0.02 * step for step in range(20)]) == [0.1] * 20


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_other_schedules_do_not_look_at_the_kappa(model, name):
    schedule = _schedule(model, schedule=name)
    assert schedule.state_dict() == {}
    schedule.load_state_dict({})
    assert set(_rates(schedule, [0.5] * 20)) == {0.1}


@pytest.mark.parametrize("name", ["constant", "plateau"])
def test_other_schedules_do_not_look_at_the_step(model, name):
    schedule = _schedule(model, schedule=name)
    for step in (0, 50, 99):
        schedule.before_step(step)
        assert schedule.lr == 0.1


def test_cosine_sets_the_rate_of_every_step_whatever_came_before(model):
    schedule = _schedule(model, schedule="cosine", steps=40)
    for step in [0, 39, 20, 3]:
        schedule.before_step(step)
        assert schedule.lr == pytest.approx(0.1 * cosine_factor(step, 40))
        assert {group["lr"] for group in schedule.optimizer.param_groups} == {schedule.lr}


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 100, 1001])
def test_cosine_rises_for_a_tenth_then_falls_and_is_never_zero_in_use(steps):
    factors = [cosine_factor(step, steps) for step in range(steps)]
    top = factors.index(max(factors))
    assert max(factors) == 1
    assert all(0 < factor <= 1 for factor in factors)
    assert top == max(1, round(steps / 10)) - 1
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if steps >= 10:
        assert factors[-1] < 0.03 + 0.5 / steps


def test_cosine_is_the_published_curve():
    # Loshchilov and Hutter 2017, equation 5, over the 90 steps after the warm-up, and a straight line before.
    for step in range(10, 100):
        assert cosine_factor(step, 100) == pytest.approx(math.cos(math.pi * (step - 10) / 180) ** 2)
    assert [cosine_factor(step, 100) for step in range(10)] == pytest.approx([0.1 * step for step in range(1, 11)])


@pytest.mark.parametrize(
    "changes",
    [
        {"num_bad_epochs": "2"},
        {"num_bad_epochs": -1},
        {"last_epoch": True},
        {"best": math.nan},
        {"best": 3},
        {"best": "high"},
        {"factor": 10.0},
        {"new": 1},
    ],
)
def test_a_state_that_this_schedule_cannot_have_is_refused(model, changes):
    schedule = _schedule(model)
    with pytest.raises(InputError, match="none of this schedule; start the training anew"):
        schedule.load_state_dict(schedule.state_dict() | changes)
    schedule.load_state_dict(schedule.state_dict() | {"num_bad_epochs": 2, "best": 0.5})
    assert schedule.plateau.num_bad_epochs == 2
