"""Trainings that are ended from outside at every point there is; resumed, they end like one that was not.

`test_train_resumed.py` stops them at batches, by SIGTERM; here are the other ways to go.
"""

import multiprocessing
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from biranet.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from biranet.errors import InputError, InterruptedRunError
from biranet.learning import data
from biranet.learning.history import read_history
from biranet.learning.model import BiraNet
from biranet.learning.train import train
from biranet.learning.workers import worker_errors
from biranet.manifest import read_manifest
from biranet.signals import STOPPING


def _config(*, epochs=2, draws=16, workers=0, **settings):
    """Two batches of eight in an epoch, unless other draws are asked for."""
    return TrainConfig(
        model=ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
        data=DataConfig(image_size=64, batch_size=8, draws_per_epoch=draws, workers=workers),
        optimizer=OptimizerConfig(optimizer="adamw", lr=3e-3, schedule="constant"),
        epochs=epochs,
        device="cpu",
        **settings,
    )


@pytest.fixture(scope="module")
def undisturbed(split_folder, tmp_path_factory):
    """A run of two epochs that nothing stopped; read only."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    train(split_folder, run, _config())
    return run


def _assert_same_run(run, reference):
    # Hidden: what a kill left of a file that was just being written beside its place.
    names = {path.name for path in reference.glob("[!.]*.*")}
    assert {path.name for path in run.glob("[!.]*.*")} == names
    for name in names:
        if name.endswith(".safetensors"):
            ours, theirs = load_file(run / name), load_file(reference / name)
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours), name
    for row, expected in zip(read_history(run), read_history(reference), strict=True):
        assert {**row, "seconds": 0} == {**expected, "seconds": 0}


def _at(number, act):
    """Have something done when the n-th batch of a training, from 1, was learned."""
    learned = []

    def after_batch(_progress):
        learned.append(1)
        if len(learned) == number:
            act()

    return after_batch


class PowerCutError(BaseException):
    """What no code of ours catches."""


def _send(number):
    return lambda: os.kill(os.getpid(), number)


# Signals


@pytest.mark.parametrize("number", STOPPING)
def test_one_signal_saves_and_the_handlers_are_as_before(split_folder, tmp_path, undisturbed, number):
    before = [signal.getsignal(each) for each in STOPPING]
    with pytest.raises(InterruptedRunError, match="stopped in epoch 2 of 2, after batch 1 of 2; everything is saved"):
        train(split_folder, tmp_path / "run", _config(), after_batch=_at(3, _send(number)))
    assert [signal.getsignal(each) for each in STOPPING] == before
    train(split_folder, tmp_path / "run", _config(), resume=True)
    _assert_same_run(tmp_path / "run", undisturbed)


def test_second_ctrl_c_stops_at_once_and_the_last_save_stands(split_folder, tmp_path, undisturbed):
    def twice():
        _send(signal.SIGINT)()
        _send(signal.SIGINT)()

    with pytest.raises(KeyboardInterrupt):
        train(split_folder, tmp_path / "run", _config(), after_batch=_at(4, twice))
    train(split_folder, tmp_path / "run", _config(), resume=True)
    _assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.parametrize(("first", "then"), [(0, 1), (1, 0)])
def test_workers_may_change_on_the_way(split_folder, tmp_path, undisturbed, first, then):
    with pytest.raises(InterruptedRunError, match="in epoch 1 of 2, after batch 1 of 2"):
        train(split_folder, tmp_path / "run", _config(workers=first), after_batch=_at(1, _send(signal.SIGTERM)))
    train(split_folder, tmp_path / "run", _config(workers=then), resume=True)
    _assert_same_run(tmp_path / "run", undisturbed)


# Ends that leave no time to save


@pytest.fixture
def power(monkeypatch):
    """Function that cuts the power before the n-th file, from 1, takes its place; 0: never. Returns what was placed."""
    original = Path.replace

    def plan(number):
        placed = []

        def replace(self, target):
            if len(placed) + 1 == number:
                raise PowerCutError
            placed.append(Path(target).name)
            return original(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        return placed

    return plan


def test_power_cuts_before_one_file_after_another_do_no_harm(split_folder, tmp_path, undisturbed, power):
    run, cuts = tmp_path / "run", []
    placed = power(3)
    with pytest.raises(PowerCutError):
        train(split_folder, run, _config())
    assert placed == ["config.json", "state.safetensors"]
    for number in range(1, 99):
        placed = power(number)
        try:
            train(split_folder, run, _config(), resume=True)
            break
        except PowerCutError:
            cuts.append(placed)
    # The first epoch was learned again and again, until its state, which comes last, was in its place.
    epoch = ["state", "last", "best", "history", "state"]
    assert [[name.split(".")[0] for name in placed] for placed in cuts[:6]] == [epoch[:count] for count in range(6)]
    _assert_same_run(run, undisturbed)


def test_a_power_cut_at_the_very_start_says_what_to_do(split_folder, tmp_path, power):
    run = tmp_path / "run"
    power(1)
    with pytest.raises(PowerCutError):
        train(split_folder, run, _config())
    power(2)
    with pytest.raises(PowerCutError):  # nothing was begun, so the same command begins
        train(split_folder, run, _config())
    power(0)
    with pytest.raises(InputError, match="holds no saved state to go on from; delete it and train anew"):
        train(split_folder, run, _config(), resume=True)


def test_a_dead_worker_is_one_sentence_and_loses_nothing(split_folder, tmp_path, undisturbed):
    run = tmp_path / "run"

    def kill():
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()

    with pytest.raises(InputError) as caught:
        train(split_folder, run, _config(workers=1), after_batch=_at(1, kill))
    assert str(caught.value) == (
        "a process that loads photos was ended from outside or ran out of memory; the last save stands. "
        f"Go on, perhaps with fewer workers: biranet train --resume --out {run}"
    )
    train(split_folder, run, _config(), resume=True)
    _assert_same_run(run, undisturbed)


@pytest.mark.parametrize("error", [ConnectionResetError, EOFError])
def test_a_worker_that_dies_while_it_hands_a_batch_over_is_the_same_sentence(error):
    with (
        pytest.raises(InputError, match="was ended from outside or ran out of memory; do this"),
        worker_errors("do this"),
    ):
        raise error


def test_other_errors_are_not_blamed_on_workers():
    with pytest.raises(RuntimeError, match="shapes"), worker_errors("do this"):
        raise RuntimeError("shapes")


def test_a_loss_that_is_no_number_names_exactly_the_batch(split_folder, tmp_path, undisturbed, monkeypatch):
    read, seen = data.load_sample, []
    original, calls = BiraNet.forward, []

    def forward(self, image):
        output = original(self, image)
        if self.training:
            calls.append(1)
            if len(calls) == 4:
                output.logits[3, 2] = float("inf")
        return output

    monkeypatch.setattr(data, "load_sample", lambda photos, key: seen.append(key.row) or read(photos, key))
    monkeypatch.setattr(BiraNet, "forward", forward)
    with pytest.raises(InputError, match=r"^epoch 2, batch 2: the logits are not all finite numbers") as caught:
        train(split_folder, tmp_path / "run", _config())
    table = read_manifest(split_folder)
    files = table.loc[table["split"] == "train", "file"].tolist()
    said = re.search(
        r"the batch was: (.*)\. Look at these photos, or lower lr; (.*) holds the state", str(caught.value)
    )
    assert said[1].split(", ") == [files[row] for row in seen[-8:]]
    assert said[2] == str(tmp_path / "run")
    train(split_folder, tmp_path / "run", _config(), resume=True)
    _assert_same_run(tmp_path / "run", undisturbed)


# What people see of it in TensorBoard


def _events(run):
    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    found.Reload()
    return found


def test_tensorboard_shows_every_epoch_once_however_often_the_run_was_stopped(split_folder, tmp_path):
    config, run = _config(epochs=3), tmp_path / "run"
    for batch, expected in [(5, [1, 2]), (1, [1, 2, 3])]:
        with pytest.raises(InterruptedRunError):
            train(split_folder, run, config, resume=run.exists(), after_batch=_at(batch, _send(signal.SIGTERM)))
        if batch == 1:
            train(split_folder, run, config, resume=True)
        # Read at once: what is shown must not wait for the end of the process, which may be a kill.
        events = _events(run)
        assert set(events.Tags()["scalars"]) == {
            *("lr", "train_loss", "train_kappa", "validation_loss", "validation_kappa", "seconds"),
        }
        for name in ("validation_kappa", "train_loss"):
            assert [event.step for event in events.Scalars(name)] == expected
            assert [event.value for event in events.Scalars(name)] == pytest.approx(
                [row[name] for row in read_history(run)], rel=1e-6, abs=1e-7
            )
        assert events.Tags()["images"] == [f"attention/{number}" for number in range(4)]
        for name in events.Tags()["images"]:
            pictures = events.Images(name)
            assert [picture.step for picture in pictures] == expected
            # The photo, and the attention of either stream, side by side.
            assert {(picture.width, picture.height) for picture in pictures} == {(3 * 64, 64)}


# The real thing


@pytest.fixture
def kill_often(session_lives, wait_for, warm):
    """Function that trains by the real command line, killed so many times after its first save; then to the end."""

    def train_killed(kills, prepared, folder, flags, chance):
        run, state = folder / "run", folder / "run" / "state.safetensors"
        start = ["train", str(prepared), "--out", str(run), *flags]
        while True:
            arguments = ["train", "--resume", "--out", str(run)] if state.exists() else start
            saved = state.stat().st_mtime_ns if state.exists() else 0
            process = warm.start(*arguments)
            while kills and process.poll() is None and (state.stat().st_mtime_ns if state.exists() else 0) == saved:
                time.sleep(0.005)
            if kills:
                time.sleep(chance.uniform(0, 0.4))
                process.kill()
                kills -= 1
                process.communicate()
                if process.returncode == -signal.SIGKILL:
                    wait_for(lambda session=process.pid: not session_lives(session))
                    for path in run.glob("*.safetensors"):
                        if not path.name.startswith("."):
                            load_file(path)
                    continue
            process.communicate()
            assert process.returncode == 0
            return run

    return train_killed


@pytest.mark.slow
@pytest.mark.parametrize("kills", [pytest.param(3, marks=pytest.mark.sample), 15])
def test_a_killed_command_leaves_no_worker_and_goes_on_to_the_same_bits(split_folder, tmp_path, kills, kill_often):
    epochs = 3 * kills
    flags = (
        "--backbone test_resnet --no-pretrained --freeze none --image-size 64 --workers 1 --batch-size 8 --lr 0.003 "
        f"--draws-per-epoch 16 --optimizer adamw --schedule constant --no-cuda --early-stop 0 --epochs {epochs} "
        "--save-minutes 0.000001"
    )
    train(split_folder, tmp_path / "reference", _config(epochs=epochs, early_stop=0))
    run = kill_often(kills, split_folder, tmp_path, flags.split(), random.Random(kills))
    _assert_same_run(run, tmp_path / "reference")
