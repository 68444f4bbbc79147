"""The loop by which heads learn from features that were computed once."""

import numpy as np
import pytest
import torch
from torch import nn

from biranet.config import DataConfig, OptimizerConfig
from biranet.learning.data import sample_epoch
from biranet.learning.schedule import Schedule, make_optimizer
from studies.cached_training import draw_batches, fit, show_views

GRADES, TEACHING = np.arange(40) % 5, np.arange(3, 40, 2)
CONFIG = OptimizerConfig(optimizer="adamw", lr=1e-2, weight_decay=1e-2, schedule="cosine")


@pytest.mark.parametrize("balance", [True, False])
def test_batches_hold_what_a_training_draws_in_its_order(balance):
    config = DataConfig(batch_size=4, balance=balance)
    batches = draw_batches(GRADES, TEACHING, config, seed=2, epoch=1)
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 3]
    expected = TEACHING[sample_epoch(GRADES[TEACHING], config, 2, 1)]
    assert np.concatenate(batches).tolist() == expected.tolist()


def test_views_do_not_depend_on_the_size_of_batches():
    whole = [(np.arange(37), np.random.default_rng(5).integers(6, size=37))]
    small = show_views(np.split(np.arange(37), range(7, 37, 7)), 6, np.random.default_rng(5))
    for part in range(2):
        assert np.concatenate([each[part] for each in small]).tolist() == whole[0][part].tolist()


def test_it_learns_as_a_loop_written_out_does_and_ends_in_evaluation_mode():
    features = torch.rand(40, 2, 6, generator=torch.Generator().manual_seed(1))
    batches = show_views(draw_batches(GRADES, TEACHING, DataConfig(batch_size=4), 1, 0), 2, np.random.default_rng(1))
    torch.manual_seed(3)
    by_loop, written_out = nn.Linear(6, 5), nn.Linear(6, 5)
    written_out.load_state_dict(by_loop.state_dict())

    def loss_of(network):
        return lambda rows, views: nn.functional.cross_entropy(
            network(features[rows, views]), torch.from_numpy(GRADES[rows])
        )

    fit(by_loop.eval(), CONFIG, batches, loss_of(by_loop))
    optimizer = make_optimizer(written_out, CONFIG)
    schedule = Schedule(optimizer, CONFIG, 5)
    for step in range(5):
        schedule.before_step(step)
        optimizer.zero_grad()
        loss_of(written_out)(*batches[step]).backward()
        optimizer.step()
    assert torch.equal(by_loop.weight, written_out.weight) and not by_loop.training


def test_networks_learn_in_training_mode():
    network, modes = nn.Linear(2, 5), []

    def loss_of(rows, views):
        modes.append(network.training)
        return network(torch.ones(1, 2)).sum()

    before = network.weight.clone()
    fit(network.eval(), CONFIG, [(TEACHING, TEACHING)] * 3, loss_of)
    assert modes == [True] * 3 and not torch.equal(network.weight, before)
