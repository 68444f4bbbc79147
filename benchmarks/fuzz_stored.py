"""Damage to what the program keeps and what models say of themselves: each kind writes a file and gives its reader."""

import contextlib
import dataclasses
import io
import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from damage import damage_json, damage_toml
from fuzz_samples import GRADES, TINY_MODEL, Samples, check_finite, corrupt, write, write_rows

# What we keep: JSON and lines of JSON


def preparation(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """How a folder was prepared."""
    from biranet.photos.prepare import MAX_SIZE_PX, MIN_SIZE_PX, read_preparation

    told = json.loads((samples.prepared / "preparation.json").read_text())
    write(samples.run / "preparation.json", corrupt(damage_json(told, rng), rng))

    def read() -> None:
        assert MIN_SIZE_PX <= read_preparation(samples.run).size_px <= MAX_SIZE_PX

    return read


def settings(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The settings of a run that is to go on."""
    from biranet.commands.train import Train
    from biranet.config import ModelConfig, TrainConfig

    train = TrainConfig(model=ModelConfig(**TINY_MODEL))
    told = {"train": dataclasses.asdict(train), "prepared": str(samples.prepared), "photos_sha256": "0" * 64}
    write(samples.run / "config.json", corrupt(damage_json(told, rng), rng))
    return lambda: _check_settings(Train.defaults(["--resume", "--out", str(samples.run)]).config)


def recipe(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A recipe."""
    from biranet.config import read_recipe

    recipes = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
    text = damage_toml(rng.choice(recipes).read_text(), rng)
    path = write(samples.run / "recipe.toml", corrupt(text, rng))
    return lambda: _check_settings(read_recipe(path))


def _check_settings(config: Any) -> None:
    from biranet.config import result_settings

    check_finite(*(value for value in result_settings(config).values() if isinstance(value, float)))
    assert 0 <= config.seed < 2**64, config.seed
    assert config.data.batch_size >= 1
    assert config.epochs >= 1
    assert config.save_minutes > 0
    json.dumps(dataclasses.asdict(config), default=str, ensure_ascii=False).encode()


def journal(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The journal or the manifest of a prepared folder, in which `prepare` goes on."""
    from biranet.manifest import MANIFEST_NAME, read_manifest
    from biranet.photos.datasets import LabelSource
    from biranet.photos.folder import prepare_folder

    folder = samples.workdir / "again"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(samples.prepared, folder)
    header, *rows = samples.manifest
    if rng.random() < 0.5:
        write_rows(folder / MANIFEST_NAME, samples.manifest, rng)
    else:
        (folder / MANIFEST_NAME).unlink()
        outcomes = [dict(zip(header, row, strict=True)) for row in rows]
        write(folder / "progress.jsonl", corrupt(b"\n".join(damage_json(row, rng) for row in outcomes), rng))

    def read() -> None:
        prepare_folder(samples.photos, folder, labels=LabelSource(samples.photos / "labels.csv"), size_px=64)
        table = read_manifest(folder)
        # What was damaged is made anew; of a measure that another could be, only the bounds are known.
        assert len(table) == len(rows)
        assert table["status"].isin(("ok", "ungradable")).all(), table[["status", "reason"]]
        assert (table["prepared"] != "").all()
        assert table["brightness_fraction"].astype(float).between(0, 1).all()
        assert table["fundus_score"].astype(float).between(0, 1).all()
        assert not (folder / "progress.jsonl").exists()

    return read


def history(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The epochs of a run, or the readings of a test part."""
    from biranet.inference.readings_of_test_part import READINGS_NAME, record_reading
    from biranet.learning.history import HISTORY_NAME, read_history

    epoch = {"epoch": 1, "lr": 0.1, "train_loss": 0.5, "validation_kappa": None}
    reading = {"when": "", "split_column": "split", "run": "abc", "checkpoint": "best", "sha256": "0" * 64}
    for name, row in ((HISTORY_NAME, epoch), (READINGS_NAME, reading)):
        write(samples.run / name, corrupt(b"\n".join(damage_json(row, rng) for _ in range(3)), rng))

    def read() -> None:
        readings = record_reading(samples.run, "split", samples.run / "best.safetensors", "0" * 64)
        assert min(readings.by_run, readings.by_others) >= 0
        for row in read_history(samples.run):
            check_finite(*row.values())

    return read


def report(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The report beside a table that is measured again."""
    from biranet.files import sha256_of
    from biranet.reports.facts import TABLE_FACT, HashedFile, SourceTable, source_lines
    from biranet.reports.notes import Note
    from biranet.reports.table_provenance import METRICS_NAME, Provenance, describe_tables

    path = samples.workdir / "report" / "predictions.csv"
    if not path.exists():
        path.write_text("file,grade,predicted_grade\na.jpg,1,2\n")
    notes = Note.of("no_groups"), Note("method", "Something else.", ("a.csv",))
    facts = {TABLE_FACT: HashedFile(path.name, sha256_of(path)), "Audit": ["a", "b"], "Thresholds": {"youden": 0.5}}
    told = {**Provenance(notes, facts, (SourceTable("a.csv", "0a", {"Model": "best"}),)).as_json(), "n": 1}
    write(path.with_name(METRICS_NAME), corrupt(damage_json(told, rng), rng))

    def read() -> None:
        (table,), notes = describe_tables([path], new_rules=rng.random() < 0.5)
        for line in (*(note.sentence for note in notes), *source_lines(table)):
            line.encode()

    return read


# What models say of themselves


def model_card(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The card of a model that ships."""
    from biranet.learning import shipped_models as models

    text = (models.Path(models.__file__).parents[1] / "shipped" / "idrid_lite0.toml").read_text()
    write(samples.shipped / "tiny.toml", corrupt(damage_toml(text, rng), rng))

    def read() -> None:
        models.SHIPPED = samples.shipped
        card = models.read_model_card("tiny")
        for measured in card.metrics:
            for figure in measured.figures.values():
                check_finite(figure.value, *figure.ci)
        assert min(card.data.grades) >= 0

    return read


def checkpoint(samples: Samples, rng: random.Random, *, whole: bool = False) -> Callable[[], object]:
    """A checkpoint: its description alone, or with its weights."""
    from biranet.learning.checkpoint import load_checkpoint
    from biranet.learning.checkpoint_file import read_info
    from biranet.learning.tensors import write_tensors

    path = samples.run / "model.safetensors"
    header = _plain(damage_json(samples.header, rng), samples.header)
    tensors = samples.weights if whole else samples.few_weights
    write_tensors(path, tensors, header)
    write(path, corrupt(path.read_bytes(), rng, 0.5 if whole else 0.2))

    def read() -> None:
        if whole:
            model, info = load_checkpoint(path)
            assert not model.training
        else:
            info = read_info(path)
        check_finite(*info.mean, *info.std, info.validation_kappa, info.rules.temperature, info.rules.set_threshold)
        check_finite(*(point.threshold for point in info.rules.operating_points), *(info.rules.grade_thresholds or ()))
        assert 0.01 <= info.rules.temperature <= 100
        assert min(info.std) > 0
        assert 32 <= info.image_size <= info.preparation.size_px
        assert -1 <= (info.validation_kappa or 0) <= 1
        assert info.network.isprintable()

    return read


def whole_checkpoint(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A checkpoint with its weights."""
    return checkpoint(samples, rng, whole=True)


def _plain(data: bytes, otherwise: dict[str, Any]) -> dict[str, Any]:
    """The header that was damaged; the whole one where it is no JSON object any more."""
    try:
        header = json.loads(data)
        return header if isinstance(header, dict) else otherwise
    except (ValueError, RecursionError):
        return otherwise


def state(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The state of a training, with which it takes a step and ends an epoch."""
    import torch

    from biranet.config import OptimizerConfig
    from biranet.learning.schedule import Schedule, make_optimizer
    from biranet.learning.state import Progress, load_state, save_state
    from biranet.learning.tensors import open_tensors, write_tensors

    config = OptimizerConfig(optimizer=rng.choice(("sgd", "adamw")))

    def begin() -> tuple[Any, Any, Any]:
        model = torch.nn.Linear(2, 2)
        optimizer = make_optimizer(model, config)
        return model, optimizer, Schedule(optimizer, config, 10)

    def step(model: Any, optimizer: Any, schedule: Any) -> None:
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        schedule.after_epoch(0.5)

    path, conditions = samples.run / "state.safetensors", {"epochs": 3}
    model, optimizer, schedule = begin()
    step(model, optimizer, schedule)
    save_state(
        path, model, optimizer, schedule.state_dict(), Progress(epoch=1, best_kappa=0.5, best_epoch=1), conditions
    )
    with open_tensors(path, "a state") as stored:
        header, tensors = stored.header, stored.tensors()
    write_tensors(path, tensors, _plain(damage_json(header, rng), header))
    write(path, corrupt(path.read_bytes(), rng, 0.2))

    def read() -> None:
        model, optimizer, schedule = begin()
        progress, told = load_state(path, model, optimizer, conditions)
        schedule.load_state_dict(told)
        check_finite(progress.mean_loss, progress.best_kappa)
        assert min(progress.epoch, progress.batch, progress.best_epoch) >= 0, progress
        assert np.shape(progress.confusion) == (5, 5), progress
        assert np.min(progress.confusion) >= 0, progress
        assert -1 <= (progress.best_kappa or 0) <= 1, progress
        step(model, optimizer, schedule)
        check_finite(*model.weight.flatten().tolist(), schedule.lr)

    return read


def arrays(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A published archive of arrays."""
    from biranet.errors import PhotoError
    from biranet.photos.datasets import LabelSource, read_labels
    from biranet.photos.read import read_photo

    pixels = np.random.default_rng(1).integers(0, 255, (3, 8, 8, 3), np.uint8)
    kinds = (np.uint8, np.uint8, np.int64, np.float64, np.bool_, object, "U3")
    held = {f"{part}_images": pixels for part in ("train", "val", "test")}
    held |= {f"{part}_labels": np.array([[0], [3], [4]], np.uint8) for part in ("train", "val", "test")}
    for name in rng.sample(sorted(held), rng.choice((0, 1, 2))):
        change = rng.choice(("drop", "kind", "shape", "value"))
        if change == "drop":
            del held[name]
        elif change == "kind":
            held[name] = held[name].astype(rng.choice(kinds))
        elif change == "shape":
            held[name] = rng.choice((held[name][:0], held[name][0], held[name].ravel(), held[name][None]))
        else:
            held[name] = np.full(held[name].shape, rng.choice((5, -1, math.nan, 255, 2**40)))
    file = io.BytesIO()
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(file, **held)
    path = write(samples.workdir / "arrays" / "retinamnist.npz", corrupt(file.getvalue(), rng, 0.7))
    os.utime(path, ns=(rng.getrandbits(60), rng.getrandbits(60)))

    def read() -> None:
        with contextlib.suppress(PhotoError):
            picture = read_photo(path / "train_images" / "0001")
            assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
        for photo in read_labels(path.parent, LabelSource(path, "retinamnist")).photos:
            assert photo.grade is None or photo.grade in GRADES, photo

    return read
