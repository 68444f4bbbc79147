"""Valid files of every kind that is read, for the fuzzers to damage."""

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

from damage import damage_rows, encode_rows
from fuzzing import mutate

GRADES = range(5)
TINY_MODEL = {"pretrained": False, "freeze": "none", "backbone": "test_resnet"}


class Samples:
    """A folder of valid files of every kind, made once in each child."""

    def __init__(self, workdir: Path) -> None:
        import torch

        from biranet.config import ModelConfig, SplitConfig
        from biranet.decisions.rules import OperatingPoint, Rules
        from biranet.learning.checkpoint_info import CheckpointInfo, info_header
        from biranet.learning.model import build_model
        from biranet.learning.split import split_photos
        from biranet.manifest import read_manifest, write_manifest
        from biranet.photos.datasets import LabelSource
        from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
        from biranet.photos.folder import prepare_folder
        from biranet.photos.prepare import read_preparation

        self.workdir = workdir
        self.photos, self.prepared, self.run = workdir / "photos", workdir / "prepared", workdir / "run"
        draw_folder(self.photos, balanced_grades(10), seed=7, width_px=96, height_px=80)
        prepare_folder(self.photos, self.prepared, labels=LabelSource(self.photos / "labels.csv"), size_px=64)
        write_manifest(self.prepared, split_photos(read_manifest(self.prepared), SplitConfig()))
        self.labels = list(csv.reader((self.photos / "labels.csv").read_text().splitlines()))
        self.manifest = list(csv.reader((self.prepared / "manifest.csv").read_text().splitlines()))
        points = (OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.6))
        info = CheckpointInfo(
            ModelConfig(**TINY_MODEL),
            64,
            (0.5, 0.5, 0.5),
            (0.2, 0.2, 0.2),
            read_preparation(self.prepared),
            rules=Rules(1.5, operating_points=points, set_threshold=0.8, fitted_on="40 drawn photographs"),
            calibration_photo_hashes=("0123456789ab",),
            validation_kappa=0.5,
        )
        self.header: dict[str, Any] = json.loads(json.dumps(info_header(info), default=str))
        self.weights = build_model(info.model).state_dict()
        self.few_weights = {"head.weight": torch.zeros(2, 3), "steps": torch.zeros((), dtype=torch.int64)}
        self.shipped = workdir / "shipped"
        for folder in (self.run, self.shipped, workdir / "report", workdir / "arrays", workdir / "labels"):
            folder.mkdir()
        (self.shipped / "tiny.safetensors").touch()


def write(path: Path, data: bytes) -> Path:
    # A new file each time: some readers keep what they read by the time and the length of a file.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def corrupt(data: bytes, rng: random.Random, share: float = 0.3) -> bytes:
    """Damage the bytes too, now and then."""
    return mutate(data, data, rng) if rng.random() < share else data


def write_rows(path: Path, rows: list[list[str]], rng: random.Random) -> Path:
    return write(path, corrupt(encode_rows(damage_rows(rows, rng), rng), rng))


def check_finite(*values: float | None) -> None:
    assert all(value is None or math.isfinite(value) for value in values), values
