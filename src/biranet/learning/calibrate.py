"""Fitting the rules of a trained model, and writing them into its checkpoint.

Validation has chosen the epoch, so the model looks better on it than it is. Temperature, thresholds and prediction sets
are therefore fitted on the calibration part, which nothing else has looked at, or on out-of-fold predictions.
"""

import dataclasses
from pathlib import Path

import pandas as pd
import torch

from biranet.config import CalibrationConfig
from biranet.evaluation.decisions import fit_rules
from biranet.evaluation.rules import Rules
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.parts import photos_of_part
from biranet.learning.predict import card_photos, check_preparation, predict_photos

CALIBRATION = "calibration"
"""The part of the split that rules are fitted on."""


def calibrate_on_part(
    checkpoint: Path,
    prepared: Path,
    table: pd.DataFrame,
    config: CalibrationConfig,
    *,
    device: torch.device,
    workers: int = 2,
) -> Rules:
    """Fit rules on the calibration part, and write them into the checkpoint.

    Args:
        checkpoint: The model; its file is replaced, whole or not at all. Rules that it held are forgotten.
        prepared: Prepared folder with the photos it was trained on.
        table: Its manifest.
        config: Decoder and cost.
        device: Where to compute.
        workers: Processes that load photos.

    Returns:
        The rules.

    Raises:
        InputError: If the part is empty or too small, or holds referable or other photos only.
        RefusedError: If the photos were prepared otherwise, or the split is not the one the model was trained on.
    """
    model, card = load_checkpoint(checkpoint)
    check_preparation(prepared, card)
    photos = photos_of_part(table, CALIBRATION, checkpoint=checkpoint, card=card, prepared=prepared)
    raw = dataclasses.replace(card, rules=Rules())
    predictions = predict_photos(
        model.to(device), raw, card_photos(raw, prepared, photos), photos, device=device, workers=workers
    )
    rules = _fit(predictions, config, f"of the calibration part ({card.split_column}) of {prepared}")
    save_checkpoint(checkpoint, model, dataclasses.replace(card, rules=rules))
    return rules


def calibrate_on_predictions(
    checkpoint: Path, predictions: pd.DataFrame, config: CalibrationConfig, *, origin: str
) -> Rules:
    """Fit rules on predictions of photos that the models behind them had not seen, and write them into a checkpoint.

    Args:
        checkpoint: The model; its file is replaced, whole or not at all.
        predictions: Out-of-fold predictions of models trained likewise, with probabilities. What was fitted on folds
            holds for this model in experience only: it has learned from these photos, and more of them.
        config: Decoder and cost.
        origin: Where the predictions come from, in words.

    Returns:
        The rules.

    Raises:
        InputError: If there are no probabilities, or too few photos.
    """
    model, card = load_checkpoint(checkpoint)
    rules = _fit(predictions, config, f"of {origin} (other models' out-of-fold predictions: empirical)")
    save_checkpoint(checkpoint, model, dataclasses.replace(card, rules=rules))
    return rules


def _fit(predictions: pd.DataFrame, config: CalibrationConfig, whose: str) -> Rules:
    rules = fit_rules(predictions, decoder=config.decoder, miss_cost=config.miss_cost)
    return dataclasses.replace(rules, fitted_on=f"{rules.fitted_on} {whose}")
