"""What the trainings of a study depend on, and how they go on, end and predict."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.config import ModelConfig, TrainConfig
from biranet.decisions.columns import PREDICTION_COLUMNS
from biranet.errors import InputError
from biranet.files import read_json, sha256_of, write_json
from biranet.learning.predict import predict_photos
from biranet.learning.predictor import Predictor
from biranet.manifest import graded_photos, photos_digest, read_manifest
from biranet.photos.prepare import read_preparation

BEGUN_WITH_NAME = "begun_with.json"
"""Holds what a working folder was begun with."""


def with_weights(config: TrainConfig, weights: Path | None) -> TrainConfig:
    """Have settings start from a file of the backbone's weights; where none is given, from their own.

    Raises:
        InputError: If they start from ImageNet weights, and there is no file of them.
    """
    if weights is not None:
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, backbone_weights=weights))
    if config.model.pretrained and config.model.backbone_weights is None:
        raise InputError("--backbone-weights is missing; give the file with the backbone's ImageNet weights")
    return config


def fingerprint_of_inputs(prepared: Path, config: TrainConfig, **more: Any) -> dict[str, Any]:
    """Sum up what every training in a working folder depends on; where files lie is no part of it.

    Args:
        prepared: The prepared photos.
        config: The settings that all trainings share.
        more: What else they depend on.

    Raises:
        InputError: If the photos or the weights cannot be read.
    """
    photos = fingerprint_of_photos(prepared)
    train_settings = dataclasses.replace(config, model=dataclasses.replace(config.model, backbone_weights=None))
    return {
        "train": dataclasses.asdict(train_settings),
        "backbone_weights_sha256": _sha256_of_weights(config.model),
        **photos,
        **more,
    }


def fingerprint_of_photos(prepared: Path) -> dict[str, Any]:
    """Sum up prepared photos, and how they were prepared.

    Raises:
        InputError: If they cannot be read.
    """
    photos_sha256 = photos_digest(read_manifest(prepared), ["file", "sha256", "group", "grade"])
    return {"preparation": read_preparation(prepared).as_dict(), "photos_sha256": photos_sha256}


def _sha256_of_weights(model: ModelConfig) -> str | None:
    if model.backbone_weights is None:
        return None
    try:
        return sha256_of(model.backbone_weights)
    except InputError as error:
        raise InputError(f"{error}; give the file with the backbone's weights") from error


def mark_folder(folder: Path, inputs: dict[str, Any]) -> None:
    """Mark a new working folder with what its trainings depend on.

    Raises:
        InputError: If it was begun with something else.
    """
    path = folder / BEGUN_WITH_NAME
    inputs = json.loads(json.dumps(inputs, default=str))
    if path.exists() and read_json(path) != inputs:
        raise InputError(f"{folder} was begun with other settings or other photos (see {path}); choose another --out")
    write_json(path, inputs)


def predict_test_part(folder: Path, predictor: Predictor, config: TrainConfig) -> pd.DataFrame:
    """Predict the test part of the split that a model was trained on: the fixed columns, before any rule."""
    photos = graded_photos(read_manifest(folder))
    photos = photos[photos[predictor.info.split_column] == "test"].reset_index(drop=True)
    return predict_photos(predictor, folder, photos, workers=config.data.workers)[list(PREDICTION_COLUMNS)]
