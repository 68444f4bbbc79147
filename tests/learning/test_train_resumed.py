"""Trainings that are stopped at a batch and resumed: they end like one that was not, to the bit."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from biranet.errors import InputError, InterruptedRunError
from biranet.images import image_path
from biranet.learning.history import read_history
from biranet.learning.loss import GradingLoss
from biranet.learning.model import PlainNet
from biranet.learning.train import train
from biranet.manifest import graded_photos, photos_digest, read_manifest, write_manifest

BATCHES = 3
"""Batches of one epoch: about twenty photos to learn from, eight at a time."""


@pytest.fixture
def at_forward(monkeypatch):
    """Function that has something done at the n-th batch, counted from 1, of learning or of grading."""

    def plan(number, act, *, learning=True):
        seen = []
        original = PlainNet.grade

        def grade(self, features):
            if self.training == learning:
                seen.append(len(features))
                if len(seen) == number:
                    act()
            return original(self, features)

        monkeypatch.setattr(PlainNet, "grade", grade)
        return seen

    return plan


def _stop():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("batch", [1, 2, BATCHES, BATCHES + 1, 2 * BATCHES])
def test_a_run_stopped_at_any_batch_ends_like_one_that_was_not(
    folder, tmp_path, reference, at_forward, batch, tiny_config, assert_same_run
):
    run = tmp_path / "run"
    at_forward(batch, _stop)
    with pytest.raises(InterruptedRunError) as caught:
        train(folder, run, tiny_config())
    epoch, in_epoch = (batch - 1) // BATCHES + 1, (batch - 1) % BATCHES + 1
    assert f"stopped in epoch {epoch} of 2, after batch {in_epoch} of {BATCHES}; everything is saved" in str(
        caught.value
    )
    assert f"--resume --out {run}" in str(caught.value)
    assert len(read_history(run)) == epoch - 1
    train(folder, run, tiny_config(), resume=True)
    assert_same_run(run, reference)


def test_a_run_stopped_while_it_validates_ends_like_one_that_was_not(
    folder, tmp_path, reference, at_forward, tiny_config, assert_same_run
):
    run = tmp_path / "run"
    at_forward(1, _stop, learning=False)
    with pytest.raises(InterruptedRunError, match="stopped after epoch 1 of 2"):
        train(folder, run, tiny_config())
    train(folder, run, tiny_config(), resume=True)
    assert_same_run(run, reference)


def test_a_run_resumed_twice_ends_like_one_that_was_not_stopped(
    folder, tmp_path, reference, at_forward, tiny_config, assert_same_run
):
    run = tmp_path / "run"
    at_forward(2, _stop)
    with pytest.raises(InterruptedRunError):
        train(folder, run, tiny_config())
    at_forward(3, _stop)
    with pytest.raises(InterruptedRunError, match="stopped in epoch 2 of 2, after batch 2"):
        train(folder, run, tiny_config(), resume=True)
    train(folder, run, tiny_config(), resume=True)
    assert_same_run(run, reference)


@pytest.mark.parametrize("batch", [2, BATCHES + 2])
@pytest.mark.parametrize("save_minutes", [1e-9, 60.0])
def test_a_run_that_crashed_goes_on_from_its_last_save(
    folder, tmp_path, reference, at_forward, batch, save_minutes, tiny_config, assert_same_run
):
    config, run = tiny_config(save_minutes=save_minutes), tmp_path / "run"

    def crash():
        raise KeyError("power cut")

    at_forward(batch, crash)
    with pytest.raises(KeyError):
        train(folder, run, config)
    seen = at_forward(0, crash)
    train(folder, run, config, resume=True)
    saved_batches = batch - 1 if save_minutes < 1 else (batch - 1) // BATCHES * BATCHES
    assert len(seen) == 2 * BATCHES - saved_batches
    assert_same_run(run, reference)


def test_dropout_adamw_cosine_flip_and_workers_resume_to_the_same_bits(
    folder, tmp_path, monkeypatch, tiny_config, same_weights, assert_same_run
):
    settings = {
        "model": {"model": "ranet", "test_time_flip": True},
        "optimizer": {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "clip_norm": 1.0},
    }
    config = tiny_config(**settings)
    train(folder, tmp_path / "reference", config)
    original, calls = GradingLoss.forward, []

    def forward(self, *batch):
        calls.append(1)
        if len(calls) == 2:
            _stop()
        return original(self, *batch)

    monkeypatch.setattr(GradingLoss, "forward", forward)
    with pytest.raises(InterruptedRunError):
        train(folder, tmp_path / "run", config)
    train(folder, tmp_path / "run", config, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "reference")
    train(folder, tmp_path / "workers", tiny_config(**settings, data={"workers": 2}))
    assert same_weights(tmp_path / "workers" / "last.safetensors", tmp_path / "reference" / "last.safetensors")


def test_a_finished_run_that_is_resumed_stays_as_it_is(folder, finished, tiny_config):
    before = {path.name: path.read_bytes() for path in finished.glob("*.*")}
    assert train(folder, finished, tiny_config(), resume=True).epoch == 2
    assert {path.name: path.read_bytes() for path in finished.glob("*.*")} == before


def test_a_run_folder_is_not_overwritten(folder, finished, tiny_config):
    before = {path.name: path.read_bytes() for path in finished.glob("*.*")}
    with pytest.raises(
        InputError, match=r"already holds a training; go on with it by resume=True, or choose another run"
    ):
        train(folder, finished, tiny_config())
    assert {path.name: path.read_bytes() for path in finished.glob("*.*")} == before


def test_a_folder_without_a_state_cannot_be_resumed(folder, tmp_path, tiny_config):
    with pytest.raises(InputError, match="holds no saved state to go on from"):
        train(folder, tmp_path / "nothing", tiny_config(), resume=True)


@pytest.mark.parametrize("column", ["grade", "split", "sha256"])
def test_a_run_does_not_go_on_with_other_photos(folder, finished, column, tiny_config):
    table = read_manifest(folder)
    row = table.index[table["split"] == "train"][0]
    if column == "split":
        table.loc[table["group"] == table.loc[row, "group"], "split"] = "test"
    elif column == "grade":
        table.loc[row, "grade"] = (table.loc[row, "grade"] + 1) % 5
    else:
        place = image_path("0" * 64)
        (folder / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / table.loc[row, "prepared"], folder / place)
        table.loc[row, ["sha256", "prepared"]] = "0" * 64, place
        table = table.drop(columns="row_sha256")
    write_manifest(folder, table)
    with pytest.raises(InputError, match=r"the photos, grades or split in .* have changed since"):
        train(folder, finished, tiny_config(), resume=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"prepared": "prepared", "train": {}}', r"config\.json does not say which photos the run .* train anew"),
        ('["photos_sha256"]', r"holds other things than a run of biranet's, such as config\.json"),
    ],
)
def test_a_run_whose_settings_do_not_say_its_photos_does_not_go_on(folder, finished, text, words, tiny_config):
    (finished / "config.json").write_text(text)
    with pytest.raises(InputError, match=words):
        train(folder, finished, tiny_config(), resume=True)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_what_the_state_says_of_the_photos_counts_whatever_the_settings_say(folder, finished, part, tiny_config):
    table = read_manifest(folder)
    row = table.index[table["split"] == part][0]
    table.loc[row, "grade"] = (table.loc[row, "grade"] + 1) % 5
    write_manifest(folder, table)
    stored = json.loads((finished / "config.json").read_text())
    digest = photos_digest(graded_photos(table), ["file", "sha256", "grade", "split"])
    (finished / "config.json").write_text(json.dumps(stored | {"photos_sha256": digest}))
    before = {path.name: path.read_bytes() for path in finished.glob("*.*")}
    with pytest.raises(InputError, match="the photos have changed"):
        train(folder, finished, tiny_config(), resume=True)
    assert {path.name: path.read_bytes() for path in finished.glob("*.*")} == before


def test_a_run_does_not_go_on_with_photos_of_another_size(drawn_photos, finished, tmp_path, tiny_config):
    from biranet.photos.datasets import LabelSource
    from biranet.photos.folder import prepare_folder

    larger = tmp_path / "larger"
    prepare_folder(drawn_photos, larger, labels=LabelSource(drawn_photos / "labels.csv"), size_px=72)
    table = read_manifest(larger).set_index("file")
    parts = read_manifest(Path(json.loads((finished / "config.json").read_text())["prepared"])).set_index("file")
    table = table.assign(split=parts["split"]).reset_index()
    write_manifest(larger, table)
    with pytest.raises(InputError, match=r"preparation\.size_px is 72 here and 64 in the run"):
        train(larger, finished, tiny_config(), resume=True)


def test_a_run_does_not_go_on_by_other_settings(folder, finished, tiny_config):
    with pytest.raises(InputError, match=r"optimizer\.lr is 0\.02 here and 0\.01 in the run, seed is 2 here and 1 in"):
        train(folder, finished, tiny_config(optimizer={"lr": 0.02}, seed=2), resume=True)
    # How fast it is read, and how often saved, leaves no trace in what is learned.
    train(folder, finished, tiny_config(data={"workers": 1}, save_minutes=1.0), resume=True)


def test_a_run_does_not_go_on_from_a_damaged_state(folder, finished, tiny_config):
    state = finished / "state.safetensors"
    data = bytearray(state.read_bytes())
    data[-100] ^= 1
    state.write_bytes(data)
    with pytest.raises(InputError, match=r"state\.safetensors is damaged"):
        train(folder, finished, tiny_config(), resume=True)
    assert state.read_bytes() == bytes(data)


@pytest.mark.parametrize("cut", ["half", "words", "list"])
def test_a_torn_history_is_said_and_can_be_done_without(folder, finished, cut, tiny_config):
    history = finished / "history.jsonl"
    lines = history.read_text().splitlines()
    torn = {"half": lines[1][:20], "words": "and so on", "list": "[1]"}[cut]
    history.write_text(f"{lines[0]}\n{torn}")
    with pytest.raises(InputError, match=r"history\.jsonl, line 2 "):
        train(folder, finished, tiny_config(), resume=True)
    history.unlink()
    assert train(folder, finished, tiny_config(), resume=True).epoch == 2
