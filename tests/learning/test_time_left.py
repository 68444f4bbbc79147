"""What a training says of how long it will take."""

import copy
import itertools

import pytest
import torch
from accelerate import Accelerator

from biranet.config import ModelConfig, TrainConfig
from biranet.learning.model import build_model
from biranet.learning.time_left import StepTimes, describe_epochs_left, describe_time_left
from biranet.learning.train import train
from biranet.learning.training import TrainingPlan, prepare_training
from biranet.learning.trial_step import time_trial_step
from biranet.setting_names import settings_as_flags


@pytest.mark.parametrize(
    ("seconds", "answers"),
    [
        ([1, 1, 1, 1, 3, 9], [None, None, None, None, 1.5, None]),  # the fifth settles it, the first does not count
        ([60, 60], [60, None]),  # one is enough where it is slow
        ([6, 5, 5], [None, 5, None]),
    ],
)
def test_a_step_is_known_after_a_few_or_after_ten_seconds(seconds, answers):
    times = StepTimes()
    assert [times.add(each) for each in seconds] == answers


def test_a_long_training_says_so_and_what_would_shorten_it():
    with settings_as_flags():
        slow = describe_time_left(60, 1440, TrainConfig(), "cpu").splitlines()
    assert slow[0] == "A step takes 60 s, so the 1,440 that are left take about 24.0 h, and validation comes on top."
    assert slow[1].startswith("This training will not end today. What would shorten it: a GPU, --freeze stage3, ")
    assert "shorten it: a GPU, freeze='stage3', where" in describe_time_left(60, 1440, TrainConfig(), "cpu")
    fully = TrainConfig(ModelConfig(freeze="stage4"))
    assert "GPU" not in describe_time_left(60, 1440, fully, "cuda") and "freeze" not in describe_time_left(
        60, 1440, fully, "cuda"
    )
    assert len(describe_time_left(60, 700, TrainConfig(), "cpu").splitlines()) == 1
    assert describe_time_left(0.01, 100, TrainConfig(), "cpu") == ""
    assert describe_epochs_left(30.0, 1) == ""
    assert describe_epochs_left(30.0, 4) == ", about 2 min left"


def test_who_will_not_see_the_end_today_hears_it_before_the_first_step(split_folder, tmp_path, capsys, tiny_config):
    said = []

    def build(config):
        """A network that stops in training for the third time: after two trials, in the first step."""
        network = build_model(config)
        times = itertools.count(1)

        def stop(module, _):
            if module.training and next(times) == 3:
                said.append(capsys.readouterr().out)
                raise KeyboardInterrupt

        network.register_forward_pre_hook(stop)
        return network

    with pytest.raises(KeyboardInterrupt):
        train(split_folder, tmp_path / "run", tiny_config(epochs=100_000_000), build=build)
    assert said[0].count("A step takes ") == said[0].count("This training will not end today.") == 1

    train(split_folder, tmp_path / "short", tiny_config(epochs=1))
    assert "A step takes " not in capsys.readouterr().out


@pytest.mark.parametrize("learned", [0, 1.0], ids=["new", "saved after the last batch of an epoch"])
def test_a_trial_step_leaves_no_trace(split_folder, tmp_path, tiny_config, learned):
    (tmp_path / "run").mkdir()
    plan = TrainingPlan(split_folder, tmp_path / "run", tiny_config())
    training = prepare_training(Accelerator(cpu=True), plan)
    training.wrapped_model.train()
    training.progress.batch = int(learned * len(training.sampler))
    before, progress = copy.deepcopy(training.model.state_dict()), copy.deepcopy(training.progress)
    assert time_trial_step(training) > 0
    after = training.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(weight.grad is None for weight in training.model.parameters())
    assert training.progress == progress and not (tmp_path / "run" / "state.safetensors").exists()


def test_it_is_said_in_a_log_in_the_first_epoch(split_folder, tmp_path, capsys, tiny_config):
    def stop(progress):
        if progress.epoch or progress.batch == 7:
            raise KeyboardInterrupt

    config = tiny_config(epochs=100_000_000, data={"batch_size": 2})
    with pytest.raises(KeyboardInterrupt):
        train(split_folder, tmp_path / "run", config, after_batch=stop)
    said = capsys.readouterr().out
    assert f"Watch it: tensorboard --logdir {tmp_path / 'run'}\n" in said
    assert said.count("A step takes ") == said.count("This training will not end today.") == 1
    assert " days, and validation comes on top.\n" in said
