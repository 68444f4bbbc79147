"""A report for a paper to take from: a table, its rules, and all that can be known of how it came about."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from biranet.config import OptimizerConfig
from biranet.decisions.rules import OperatingPoint, Rules
from biranet.reports.fact_kinds import (
    AuditFact,
    DecoderFact,
    EpochFact,
    LeftOutFact,
    ModelFact,
    PhotosFact,
    RulesFact,
    SplitFact,
    TrainedOnFact,
    TrainingFact,
)
from biranet.reports.facts import Fact, HashedFile
from biranet.training_record import TrainingRun, TrainingSettings

STRANGE = ["A&B_50%", "\\input{/etc/passwd}", "[x] -- ``q''", "=1+1", "眼科 ^~|<>"]
SETTINGS = TrainingSettings(
    OptimizerConfig(optimizer="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", weight_scale="unit"),
    "imagenet",
    batch_size=16,
    augmentation="fundus",
    balance=True,
    epochs=30,
    early_stop=10,
    precision="fp32",
    device="cpu",
)
RUN = TrainingRun(80, 55, 12, epochs=22, best_epoch=12)
FACTS: dict[str, Fact] = {
    "Model": ModelFact("biranet", "tf_efficientnet_lite0", 224, test_time_flip=True),
    "Checkpoint": HashedFile("best.safetensors", "0a1b"),
    "Epoch": EpochFact(12, 0.8, "quadratic_weighted_kappa"),
    "Trained on": TrainedOnFact("idrid", 3),
    "Training": TrainingFact("stage2", SETTINGS, (RUN,)),
    "Photos": PhotosFact("prepared", "test", "split"),
    "Left out": LeftOutFact(165, {"ungradable": 4, "ungraded": 1}),
    "Split": SplitFact("split: …", {"train": 80, "validation": 12, "calibration": 8, "test": 60}, trained_by=True),
    "Audit": AuditFact((), leaks=False),
    "Decoder": DecoderFact("expected_grade", (0.9, 1.7, 2.5, 3.1)),
    "Rules": RulesFact("8 photos in 5 groups", 1.4, photos=8, calibration_part=True),
    "Thresholds": {"sensitivity_90": 0.3, "specificity_90": 0.7},
    "Trained with": "torch 2",
    "Measured with": "biranet 0.1.0",
    "Command": "biranet evaluate",
}
RULES = Rules(1.4, operating_points=(OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.7)))


def predictions(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, rows)
    shares = (2 * random.dirichlet(np.ones(5), rows) + np.eye(5)[truth]) / 3
    table = pd.DataFrame(shares.astype(np.float32), columns=[f"p{grade}" for grade in range(5)])
    return table.assign(
        file=[f"{number}.png" for number in range(rows)],
        group=[f"patient {number // 2}" for number in range(rows)],
        grade=truth,
        predicted_grade=shares.argmax(axis=1),
        camera=[STRANGE[number % 5] for number in range(rows)],
        source="idrid",
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
