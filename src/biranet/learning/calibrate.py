"""Fitting the rules of a trained model.

Validation has chosen the epoch, so the model looks better on it than it is. Temperature, thresholds and prediction sets
are therefore fitted on the calibration part, which nothing else has looked at, or on out-of-fold predictions.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from biranet.config import CalibrationConfig
from biranet.decisions.fit import GIVE_MORE, fit_rules, refuse_too_few
from biranet.decisions.rules import Rules
from biranet.errors import InputError
from biranet.files import printable
from biranet.learning.checkpoint_info import CheckpointInfo, short_hash
from biranet.learning.predict import check_preparation, photos_of_part, predict_photos
from biranet.learning.predictor import Predictor
from biranet.manifest import graded_photos
from biranet.public_paths import public_name

CALIBRATION = "calibration"
"""The part of the split that rules are fitted on."""

_ENLARGE = "make a larger calibration part"
_PREDICT_FIRST = "give what biranet evaluate --split all predicts for them, with --predictions"


def calibrate_on_part(
    predictor: Predictor, prepared: Path, table: pd.DataFrame, config: CalibrationConfig, *, workers: int = 2
) -> CheckpointInfo:
    """Fit rules on the calibration part of the split that a model was trained on.

    Args:
        predictor: The model; rules that it has are forgotten.
        prepared: Prepared folder with the photos it was trained on.
        table: Its manifest.
        config: Decoder and cost.
        workers: Processes that load photos.

    Returns:
        The description of the model, with the rules.

    Raises:
        InputError: If the part is empty or too small, or holds referable or other photos only.
        RefusedError: If the photos were prepared otherwise, or the split is not the one the model was trained on.
    """
    info = predictor.info
    check_preparation(prepared, info)
    photos = photos_of_part(table, CALIBRATION, predictor, prepared, otherwise=_PREDICT_FIRST)
    origin = f"the calibration part ({info.split_column}) of {public_name(prepared)}"
    refuse_too_few(photos, origin, _ENLARGE)  # before all of them are predicted
    predictions = predict_photos(predictor, prepared, photos, Rules(), workers=workers)
    return _fit(info, predictions, config, origin, _ENLARGE)


def calibrate_on_predictions(
    info: CheckpointInfo, prepared: Path, table: pd.DataFrame, predictions: pd.DataFrame, config: CalibrationConfig
) -> CheckpointInfo:
    """Fit rules on predictions of photos that the models behind them had not seen.

    Args:
        info: Description of the model that gets the rules; those that it has are forgotten.
        prepared: Prepared folder with the photos of the predictions.
        table: Its manifest.
        predictions: Out-of-fold predictions, with probabilities, of models trained and answering likewise (with the
            flip at test time, where this one has it); nothing shows whether they are. What was fitted on folds holds
            for this model in experience only: it may have learned from these photos.
        config: Decoder and cost.

    Returns:
        The description, with the rules.

    Raises:
        InputError: If a photo is not one of the folder with its grade, or there are no probabilities or too few photos.
    """
    graded = graded_photos(table).drop_duplicates("file").set_index("file")
    unknown = predictions[~predictions["file"].isin(graded.index)]
    if len(unknown):
        raise InputError(
            f"the predictions, column 'file': {unknown['file'].iloc[0]!r} is not a graded photo of {prepared}; name "
            "the prepared folder that these predictions are of"
        )
    photos = graded.loc[predictions["file"]]
    changed = predictions[photos["grade"].to_numpy(int) != predictions["grade"].to_numpy(int)]
    if len(changed):
        file, grade = changed["file"].iloc[0], changed["grade"].iloc[0]
        raise InputError(
            f"the predictions, column 'grade': {grade} for {file!r}, which has the grade "
            f"{graded.loc[file, 'grade']} in {prepared}; name the prepared folder that these predictions are of"
        )
    # The folder knows the patients, whatever the table says of them.
    predictions = predictions.assign(sha256=photos["sha256"].to_numpy(), group=photos["group"].to_numpy())
    origin = f"out-of-fold predictions of {public_name(prepared)} (so what they promise is empirical)"
    return _fit(info, predictions, config, origin, GIVE_MORE)


def _fit(
    info: CheckpointInfo, predictions: pd.DataFrame, config: CalibrationConfig, origin: str, advice: str
) -> CheckpointInfo:
    decoder, cost = config.decoder, config.cost_of_missed
    rules = fit_rules(predictions, decoder=decoder, cost_of_missed=cost, origin=origin, advice=advice)
    rules = dataclasses.replace(rules, fitted_on=printable(f"{rules.fitted_on} of {origin}"))
    return dataclasses.replace(
        info, rules=rules, calibration_photo_hashes=tuple(sorted(predictions["sha256"].map(short_hash)))
    )
