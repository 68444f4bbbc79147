"""What a training learns from, what it writes, and what it refuses; `test_train_resumed.py` stops it."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from biranet.config import ModelConfig, SplitConfig, TrainConfig
from biranet.confusion import confusion_matrix, quadratic_weighted_kappa
from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint import load_checkpoint
from biranet.learning.checkpoint_file import read_info
from biranet.learning.history import read_history
from biranet.learning.loss import CrossEntropy, GradingLoss
from biranet.learning.model import PlainNet, build_model
from biranet.learning.predict import predict_photos
from biranet.learning.split import split_photos
from biranet.learning.state import Progress
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import _precision, early_stop_reached, train
from biranet.manifest import graded_photos, read_manifest, write_manifest


def test_what_a_run_folder_holds(folder, tmp_path, capsys, tiny_config):
    config = tiny_config(model={"model": "biranet"}, epochs=3, save_epoch=2)
    progress = train(folder, tmp_path / "run", config)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    checkpoints = {"best.safetensors", "last.safetensors", "epoch_002.safetensors"}
    assert names == checkpoints | {"config.json", "state.safetensors", "history.jsonl", "tensorboard"}
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["train"] == json.loads(json.dumps(dataclasses.asdict(config)))
    assert stored["prepared"] == str(folder)
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [1, 2, 3]
    assert set(read_history(tmp_path / "run")[0]) == {
        "epoch", "lr", "train_loss", "train_kappa", "validation_loss", "validation_kappa", "seconds",
    }  # fmt: skip
    assert progress.epoch == 3
    assert load_checkpoint(tmp_path / "run" / "epoch_002.safetensors")[1].epoch == 2
    said = capsys.readouterr().out.splitlines()
    counts = graded_photos(read_manifest(folder))["split"].value_counts()
    assert said[0].startswith(
        f"Training biranet on {counts['train']} photos ({counts['validation']} for validation) on cpu, fp32; run folder"
    )
    assert sum(line.startswith("epoch") and "validation kappa" in line for line in said) == 3


def test_same_seed_same_bits_and_another_seed_other_bits(
    folder, tmp_path, reference, tiny_config, same_weights, assert_same_run
):
    train(folder, tmp_path / "again", tiny_config())
    assert_same_run(tmp_path / "again", reference)
    train(folder, tmp_path / "other", tiny_config(seed=2))
    assert not same_weights(tmp_path / "other" / "last.safetensors", reference / "last.safetensors")


def _validation_kappa(checkpoint, folder):
    """Kappa of a checkpoint on the validation part; 0 where it is not defined, as training counts it."""
    table = graded_photos(read_manifest(folder))
    table = table[table["split"] == "validation"].reset_index(drop=True)
    answers = predict_photos(load_predictor(checkpoint, "cpu"), folder, table, workers=0)
    kappa = quadratic_weighted_kappa(confusion_matrix(answers["grade"], answers["predicted_grade"]))
    return 0 if math.isnan(kappa) else kappa


def _by_heart(config, **settings):
    """Settings with which eight photos are soon known by heart."""
    data = {"augmentation": "none", "draws_per_epoch": 40}
    optimizer = {"optimizer": "adamw", "lr": 2e-3, "schedule": "cosine"}
    model = {"model": "biranet"} | settings.pop("model", {})
    return config(model=model, data=data, optimizer=optimizer, epochs=4, save_epoch=1, **settings)


@pytest.fixture(scope="module")
def eight(split_folder, tmp_path_factory):
    """A prepared folder with eight photos to learn from, and the same pictures under other names for validation."""
    copy = Path(shutil.copytree(split_folder, tmp_path_factory.mktemp("eight") / "prepared"))
    table = read_manifest(copy)
    teaching = [row for grade in range(4) for row in table.index[table["grade"] == grade][:2]]
    choosing = table.index.difference(teaching)[:8]
    table["split"] = ""
    table.loc[teaching, "split"], table.loc[choosing, "split"] = "train", "validation"
    table["group"] = table["file"]
    for ours, theirs in zip(choosing, teaching, strict=True):
        shutil.copyfile(copy / table.loc[theirs, "prepared"], copy / table.loc[ours, "prepared"])
    for column in ("prepared_sha256", "grade"):
        table.loc[choosing, column] = table.loc[teaching, column].to_numpy()
    write_manifest(copy, table.drop(columns="row_sha256"))
    return copy


@pytest.fixture(scope="module")
def learned(eight, tmp_path_factory, tiny_config):
    """The run that knows the eight photos by heart; read only."""
    run = tmp_path_factory.mktemp("learned") / "run"
    train(eight, run, _by_heart(tiny_config))
    return run


def test_a_flip_at_test_time_changes_the_answers_and_not_the_steps(eight, learned, tmp_path, tiny_config, same_weights):
    train(eight, tmp_path / "run", _by_heart(tiny_config, model={"test_time_flip": True}))
    assert same_weights(tmp_path / "run" / "last.safetensors", learned / "last.safetensors")
    # The answers are others, and the epoch is chosen by them.
    last = tmp_path / "run" / "last.safetensors"
    assert read_history(tmp_path / "run")[-1]["validation_kappa"] == _validation_kappa(last, eight)
    photo = torch.rand(1, 3, 64, 64)
    answers = [load_checkpoint(path)[0](photo).logits.softmax(dim=1) for path in (last, learned / "last.safetensors")]
    assert (answers[0] - answers[1]).abs().max() > 1e-4


def test_it_learns_eight_photos_by_heart(learned):
    history = read_history(learned)
    assert history[-1]["train_kappa"] > 0.9
    assert history[-1]["validation_kappa"] > 0.2
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_the_best_checkpoint_has_the_highest_validation_kappa(eight, learned, same_weights):
    kappas = [row["validation_kappa"] for row in read_history(learned)]
    assert len(set(kappas)) > 1
    best = load_checkpoint(learned / "best.safetensors")[1]
    assert best.validation_kappa == max(kappas)
    assert best.epoch == kappas.index(max(kappas)) + 1
    for epoch, kappa in enumerate(kappas, start=1):
        assert _validation_kappa(learned / f"epoch_{epoch:03d}.safetensors", eight) == kappa
    assert same_weights(learned / "best.safetensors", learned / f"epoch_{best.epoch:03d}.safetensors")
    assert same_weights(learned / "last.safetensors", learned / "epoch_004.safetensors")


def test_the_validation_part_chooses_but_does_not_teach(eight, learned, tmp_path, tiny_config, same_weights):
    folder = Path(shutil.copytree(eight, tmp_path / "prepared"))
    table = read_manifest(folder)
    chosen = table["split"] == "validation"
    table.loc[chosen, "grade"] = 4 - table.loc[chosen, "grade"]
    write_manifest(folder, table)
    progress = train(folder, tmp_path / "run", _by_heart(tiny_config))
    assert same_weights(tmp_path / "run" / "last.safetensors", learned / "last.safetensors")
    assert progress.best_epoch != load_checkpoint(learned / "best.safetensors")[1].epoch


def test_the_test_and_calibration_parts_have_no_say(folder, tmp_path, reference, tiny_config, assert_same_run):
    # In the released code the test set chose the learning rate, the stopping and the checkpoint.
    table = read_manifest(folder)
    kept = table["split"].isin(["test", "calibration"])
    assert kept.sum() > 5
    table.loc[kept, "grade"] = 4 - table.loc[kept, "grade"]
    write_manifest(folder, table)
    for file in table.loc[kept, "prepared"]:
        (folder / file).unlink()
    train(folder, tmp_path / "run", tiny_config())
    assert_same_run(tmp_path / "run", reference)


def test_training_stops_early_and_a_resumed_run_does_too(folder, tmp_path, capsys, tiny_config):
    run = tmp_path / "run"
    config = tiny_config(epochs=9, early_stop=2, optimizer={"lr": 1e-12})
    progress = train(folder, run, config)
    assert len(read_history(run)) == progress.best_epoch + 2 < 9
    assert "Stopped early: no better validation kappa in 2 epochs." in capsys.readouterr().out
    before = (run / "last.safetensors").read_bytes()
    train(folder, run, config, resume=True)
    assert (run / "last.safetensors").read_bytes() == before


def test_early_stop_counts_from_the_best_epoch():
    assert not early_stop_reached(Progress(epoch=4, best_epoch=2, best_kappa=0.5), 3)
    assert early_stop_reached(Progress(epoch=5, best_epoch=2, best_kappa=0.5), 3)
    assert not early_stop_reached(Progress(epoch=50, best_epoch=2, best_kappa=0.5), 0)
    assert not early_stop_reached(Progress(epoch=50), 3)


def test_without_a_validation_part_the_last_epoch_is_the_result(folder, tmp_path, capsys, tiny_config):
    table = read_manifest(folder)
    table["split"] = table["split"].replace("validation", "train")
    write_manifest(folder, table)
    with pytest.raises(InputError, match="schedule='plateau' follows the validation kappa, and there is no"):
        train(folder, tmp_path / "run", tiny_config())
    assert not (tmp_path / "run").exists()
    progress = train(folder, tmp_path / "run", tiny_config(optimizer={"schedule": "constant"}, early_stop=1))
    assert progress == Progress(epoch=2)
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1].validation_kappa is None
    assert [row["validation_kappa"] for row in read_history(tmp_path / "run")] == [None, None]
    assert "There is no validation part" in capsys.readouterr().out


def test_a_fold_is_trained_on_its_own_split(folder, tmp_path, capsys, tiny_config):
    table = split_photos(read_manifest(folder), SplitConfig(folds=2, validation=0.25, calibration=0))
    write_manifest(folder, table)
    train(folder, tmp_path / "run", tiny_config(fold=1, epochs=1))
    count = (table["fold_1"] == "train").sum()
    assert f"on {count} photos ({(table['fold_1'] == 'validation').sum()} for validation)" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1].split_column == "fold_1"
    with pytest.raises(InputError, match=r"has no fold 2; make folds with: biranet split .* --folds 5"):
        train(folder, tmp_path / "other", tiny_config(fold=2))


def test_a_manifest_without_a_split_gets_one_and_says_so(prepared, tmp_path, capsys, tiny_config):
    shutil.copytree(prepared, tmp_path / "bare")
    train(tmp_path / "bare", tmp_path / "run", tiny_config(epochs=1, seed=5))
    assert "The manifest had no split; made one by group with seed 5. split: train " in capsys.readouterr().out
    expected = split_photos(read_manifest(prepared), SplitConfig(seed=5))
    assert list(read_manifest(tmp_path / "bare")["split"]) == list(expected["split"])


def test_folds_are_not_replaced_by_a_split_that_nobody_asked_for(folder, tmp_path, tiny_config):
    write_manifest(folder, split_photos(read_manifest(folder), SplitConfig(folds=3, calibration=0)))
    before = (folder / "manifest.csv").read_bytes()
    with pytest.raises(InputError, match=r"is divided into folds 0 to 2; say which .* fold, or .*: biranet split "):
        train(folder, tmp_path / "run", tiny_config(epochs=1))
    assert (folder / "manifest.csv").read_bytes() == before
    assert not (tmp_path / "run").exists()


def test_a_split_that_is_there_is_kept(folder, tmp_path, tiny_config):
    before = (folder / "manifest.csv").read_bytes()
    train(folder, tmp_path / "run", tiny_config(epochs=1))
    assert (folder / "manifest.csv").read_bytes() == before


@pytest.mark.parametrize("key", ["group", "sha256"])
def test_a_torn_split_is_refused_before_anything_is_written(folder, tmp_path, key, tiny_config):
    table = read_manifest(folder)
    first, other = table.index[table["split"] == "train"][0], table.index[table["split"] == "validation"][0]
    # What goes with the hash of the photo's file goes along.
    columns = [key] if key == "group" else [key, "prepared", "prepared_sha256"]
    table = table.drop(columns="row_sha256")  # as an older version wrote it
    table.loc[other, columns] = table.loc[first, columns]
    write_manifest(folder, table)
    with pytest.raises(RefusedError, match="stands in more than one part of the split") as caught:
        train(folder, tmp_path / "run", tiny_config())
    assert table.loc[other, "file"] in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch_size", [8, 40])
def test_a_training_that_diverges_stops_and_keeps_what_was_good(folder, tmp_path, batch_size, tiny_config):
    # With a large batch the only step is the last of its epoch: the network that diverged never sees another batch.
    config = tiny_config(optimizer={"lr": 1e30}, data={"batch_size": batch_size}, epochs=1)
    with pytest.raises(InputError, match=r"not (all )?finite numbers"):
        train(folder, tmp_path / "run", config)
    assert not (tmp_path / "run" / "last.safetensors").exists()
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())


def test_frozen_layers_keep_the_weights_they_were_given(folder, tmp_path, tiny_config):
    torch.manual_seed(9)
    given = build_model(ModelConfig(backbone="test_resnet", pretrained=False, freeze="none", model="plain")).backbone
    torch.save(given.state_dict(), tmp_path / "weights.pt")
    model = {"model": "biranet", "backbone_weights": tmp_path / "weights.pt", "pretrained": True, "freeze": "stage2"}
    train(folder, tmp_path / "run", tiny_config(model=model))
    # The checkpoint names the weights, and no place of this machine.
    assert read_info(tmp_path / "run" / "last.safetensors").model.backbone_weights == Path("weights.pt")
    assert str(tmp_path).encode() not in (tmp_path / "run" / "last.safetensors").read_bytes()
    learned = load_file(tmp_path / "run" / "last.safetensors")
    frozen = [key for key in learned if key.startswith("frozen.")]
    assert len(frozen) > 10
    assert all(torch.equal(learned[key], given.state_dict()[key.removeprefix("frozen.")]) for key in frozen)
    for key, value in given.state_dict().items():
        if key.startswith("layer4") and key.endswith("conv1.weight"):
            assert not torch.equal(learned[f"stream_a.backbone.{key}"], value)
            assert not torch.equal(learned[f"stream_a.backbone.{key}"], learned[f"stream_b.backbone.{key}"])


def _moved(run, folder, config, **optimizer):
    """How far one step moves the weights."""
    settings = {"optimizer": {"lr": 1.0, "weight_decay": 0.0, **optimizer}, "data": {"batch_size": 40}}
    train(folder, run, config(epochs=1, **settings))
    torch.manual_seed(1)
    start = build_model(config().model)
    learned = load_file(run / "last.safetensors")
    return sum((learned[name] - weight).square().sum() for name, weight in start.named_parameters()).sqrt().item()


def test_gradients_are_clipped_to_their_norm(folder, tmp_path, tiny_config):
    assert _moved(tmp_path / "free", folder, tiny_config) > 0.1
    assert _moved(tmp_path / "clipped", folder, tiny_config, clip_norm=0.01) == pytest.approx(0.01, rel=1e-3)


def test_the_history_tells_loss_and_kappa_of_the_epoch(folder, tmp_path, monkeypatch, tiny_config):
    seen = []
    original = GradingLoss.forward

    def forward(self, logits, grades):
        loss = original(self, logits, grades)
        if logits.requires_grad:  # what equal probabilities cost is asked for without
            seen.append((loss.item(), grades.tolist(), logits.argmax(dim=1).tolist()))
        return loss

    monkeypatch.setattr(GradingLoss, "forward", forward)
    train(folder, tmp_path / "run", tiny_config(epochs=1))
    row = read_history(tmp_path / "run")[0]
    grades = [grade for _, batch, _ in seen for grade in batch]
    predicted = [grade for *_, batch in seen for grade in batch]
    assert row["train_loss"] == pytest.approx(sum(loss * len(batch) for loss, batch, _ in seen) / len(grades))
    assert row["train_kappa"] == pytest.approx(quadratic_weighted_kappa(confusion_matrix(grades, predicted)))
    assert row["lr"] == 0.01


def test_the_loss_is_the_one_asked_for(folder, tmp_path, monkeypatch, tiny_config):
    used = []
    for kind in (GradingLoss, CrossEntropy):
        original = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, *a, _f=original: used.append(self) or _f(self, *a))
    train(folder, tmp_path / "ce", tiny_config(epochs=1, optimizer={"loss": "ce"}))
    assert {type(loss) for loss in used} == {CrossEntropy}
    used.clear()
    train(folder, tmp_path / "paper", tiny_config(epochs=1, optimizer={"weight_scale": "paper"}))
    assert {(type(loss), loss.weight_scale) for loss in used} == {(GradingLoss, "paper")}


def test_flags_reach_the_images_the_batches_and_the_device(folder, tmp_path, monkeypatch, tiny_config):
    images, devices = [], []
    original, build = PlainNet.forward, Accelerator.__init__
    monkeypatch.setattr(
        PlainNet, "forward", lambda self, image: images.append((self.training, *image.shape)) or original(self, image)
    )

    def spy(self, *arguments, **settings):
        devices.append(settings["cpu"])
        build(self, *arguments, **settings)

    monkeypatch.setattr(Accelerator, "__init__", spy)
    shutil.copytree(folder, tmp_path / "large")
    train(folder, tmp_path / "run", tiny_config(epochs=1, data={"batch_size": 5, "draws_per_epoch": 12}))
    learned = [shape[1:] for shape in images if shape[0]]
    assert learned == [(5, 3, 64, 64), (5, 3, 64, 64), (2, 3, 64, 64)]
    assert devices == [True]
    with pytest.raises(InputError, match="image_size 80 is larger than the prepared photos, which are 64 px"):
        train(folder, tmp_path / "larger", tiny_config(data={"image_size": 80}))
    assert not (tmp_path / "larger").exists()


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"data": {"augmentation": "none"}}, False),
        ({"data": {"balance": False}}, False),
        ({"save_epoch": 1}, True),
        ({"early_stop": 7}, True),
    ],
)
def test_settings_change_the_weights_where_they_should(
    folder, tmp_path, reference, settings, same, tiny_config, same_weights
):
    train(folder, tmp_path / "run", tiny_config(**settings))
    assert same_weights(tmp_path / "run" / "last.safetensors", reference / "last.safetensors") == same


@pytest.fixture
def other_precision():
    """Lets a test train in another precision: accelerate keeps one for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("other_precision")
def test_bf16_trains_too(folder, tmp_path, capsys, reference, tiny_config):
    train(folder, tmp_path / "run", tiny_config(epochs=1, precision="bf16"))
    assert "on cpu, bf16" in capsys.readouterr().out
    weights = load_file(tmp_path / "run" / "last.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}
    assert read_history(tmp_path / "run")[0]["train_loss"] == pytest.approx(
        read_history(reference)[0]["train_loss"], rel=0.05
    )
    assert read_history(tmp_path / "run")[0]["train_loss"] != read_history(reference)[0]["train_loss"]


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "no")])
def test_auto_precision_leaves_emulated_bf16_alone(monkeypatch, native, expected):
    """No GPU is asked: what PyTorch says of an old one (emulated bf16) and a new one is put in its place."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert _precision(TrainConfig()) == expected
    assert _precision(TrainConfig(device="cpu")) == _precision(TrainConfig(precision="fp32")) == "no"
