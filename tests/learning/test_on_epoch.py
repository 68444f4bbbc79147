"""Who hears of each epoch of a training, and may end it."""

import dataclasses

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional

import biranet
from biranet.errors import InputError
from biranet.files import sha256_of
from biranet.inference.evaluate import load_probe_beside
from biranet.learning.checkpoint_file import read_info
from biranet.learning.data import PreparedPhotos
from biranet.learning.history import read_history
from biranet.learning.loss import make_loss
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train


class PrunedError(ConnectionError):
    """What a logger raises whose server is gone; workers that load photos break connections, too."""


def test_each_epoch_is_told_once_it_is_saved(split_folder, tmp_path, reference, tiny_config, assert_same_run):
    told, config = [], tiny_config()

    def on_epoch(result):
        history = read_history(tmp_path / "run")
        assert history[-1] == result.row
        assert (tmp_path / "run" / "last.safetensors").exists()
        told.append(result)

    progress = biranet.train(str(split_folder), str(tmp_path / "run"), config, on_epoch=on_epoch)
    assert_same_run(tmp_path / "run", reference)  # it changes nothing
    assert [result.epoch for result in told] == [1, 2]
    last = told[-1]
    assert (last.best_kappa, last.best_epoch) == (progress.best_kappa, progress.best_epoch)
    assert last.run == tmp_path / "run"
    assert list(last.metrics) == ["lr", "train_loss", "train_kappa", "validation_loss", "validation_kappa", "seconds"]
    assert biranet.measure(last.predictions)["quadratic_weighted_kappa"] == pytest.approx(last.validation_kappa)
    assert "\n" not in repr(last) and len(repr(last)) < 400
    board = EventAccumulator(str(last.run / "tensorboard")).Reload()
    assert [event.value for event in board.Scalars("validation_loss")] == pytest.approx(
        [result.validation_loss for result in told]
    )
    # The loss of the training, of the network as it was saved.
    photos = PreparedPhotos(split_folder, "validation")
    probabilities = torch.from_numpy(
        load_predictor(tmp_path / "run" / "last.safetensors", "cpu")
        .predict(torch.stack([image for image, _ in photos]).permute(0, 2, 3, 1).numpy())
        .probabilities
    )
    expected = make_loss(config.optimizer)(probabilities.log(), torch.tensor(photos.grades)).item()
    assert last.validation_loss == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(functional.nll_loss(probabilities.log(), torch.tensor(photos.grades)).item())


@pytest.mark.parametrize("name", ["on_epoch", "build", "after_batch"])
def test_what_cannot_be_called_is_refused_before_anything_is_begun(split_folder, tmp_path, tiny_config, name):
    with pytest.raises(InputError, match=f"^{name} must be a function, not 'x'$"):
        biranet.train(split_folder, tmp_path / "run", tiny_config(), **{name: "x"})
    assert not (tmp_path / "run").exists()


def test_the_probe_that_reports_show_beside_a_model_is_one_call(split_folder, tmp_path, tiny_config):
    config, run = tiny_config(), tmp_path / "run"
    biranet.train(split_folder, run, config)
    info = read_info(run / "last.safetensors")
    assert load_probe_beside(run / "last.safetensors", info, "cpu") is None
    probe = dataclasses.replace(config, model=dataclasses.replace(config.model, model="probe"))
    biranet.train(split_folder, f"{run}/probe", probe)
    beside = load_probe_beside(run / "last.safetensors", info, "cpu")
    assert beside.sha256 == sha256_of(run / "probe" / "best.safetensors")


def test_it_ends_a_training_in_good_order_which_can_go_on(
    split_folder, tmp_path, reference, capsys, tiny_config, assert_same_run
):
    config = tiny_config()
    progress = train(split_folder, tmp_path / "run", config, on_epoch=lambda result: result.epoch == 1)
    assert progress.epoch == 1
    said = capsys.readouterr().out
    assert "Stopped after epoch 1, as on_epoch asked." in said and "Done. The best model is" in said
    told = []
    train(split_folder, tmp_path / "run", config, resume=True, on_epoch=lambda result: told.append(result.epoch))
    assert told == [2]
    assert read_history(tmp_path / "run")[-1]["train_loss"] == read_history(reference)[-1]["train_loss"]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_it_raises_comes_out_as_it_is_and_nothing_is_lost(
    split_folder, tmp_path, reference, tiny_config, assert_same_run, workers
):
    config, error = tiny_config(data={"workers": workers}), PrunedError("no server")

    def on_epoch(result):
        raise error

    with pytest.raises(PrunedError) as caught:
        train(split_folder, tmp_path / "run", config, on_epoch=on_epoch)
    assert caught.value is error and error.__cause__ is None
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [1]
    train(split_folder, tmp_path / "run", config, resume=True)  # nothing holds the folder
    assert_same_run(tmp_path / "run", reference)


def test_an_answer_that_could_mean_anything_is_refused_and_a_probe_is_told_too(split_folder, tmp_path, tiny_config):
    config = tiny_config(model={"model": "probe", "freeze": "none"})
    with pytest.raises(
        InputError, match=r"^on_epoch must return True, .* not 0\.5; the epoch is saved, so resume=True"
    ):
        train(split_folder, tmp_path / "run", config, on_epoch=lambda result: 0.5)
    assert (tmp_path / "run" / "last.safetensors").exists()
