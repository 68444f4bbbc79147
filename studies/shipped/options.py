"""What the settings of the model that ships are chosen among once more, and how: on photos that were held back."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from biranet.config import CalibrationConfig, TrainConfig
from biranet.confusion import quadratic_weighted_kappa
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.decisions.fit import MIN_GROUPS
from biranet.errors import InputError
from biranet.evaluation.metrics import validated_confusion_matrix
from biranet.grades import REFERABLE_GRADE
from biranet.learning.flip import FlipAverage

PIECES = 5
"""Into how many pieces the photos that were held back are divided: rules for one are fitted on the others."""


def _optimizer(config: TrainConfig, **changes: Any) -> TrainConfig:
    return dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, **changes))


RECIPE = "recipe"
"""Name of the setting that changes nothing."""

SETTINGS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    RECIPE: lambda config: config,
    "unsmoothed": lambda config: _optimizer(config, label_smoothing=0.0),
    "grading": lambda config: _optimizer(config, loss="grading", weight_scale="unit", label_smoothing=0.0),
}
"""Trainings to choose from: what each changes of the recipe, by name."""

FLIP_MODES = {"mirrored": True, "alone": False}
"""Whether a trained model sees a photo with its mirror image too, whatever the recipe says."""


class Option(NamedTuple):
    """One of the ways to answer that there are to choose from.

    Attributes:
        setting: Key of `SETTINGS`.
        view: Key of `FLIP_MODES`.
        decoder: How probabilities become a grade.
    """

    setting: str
    view: str
    decoder: Literal["expected_grade", "argmax"]


OPTIONS = [
    Option(setting, view, decoder)
    for setting in SETTINGS
    for view in FLIP_MODES
    for decoder in ("expected_grade", "argmax")
]
"""All of them; of equal ones the first is chosen."""


def recipe_option(config: TrainConfig) -> Option:
    """The option that a recipe is."""
    view = next(view for view, flip in FLIP_MODES.items() if flip == config.model.test_time_flip)
    return Option(RECIPE, view, config.calibration.decoder)


def set_flip(model: nn.Module, *, flip: bool) -> nn.Module:
    """Let a trained model see a photo with its mirror image, or without it, whatever it did before."""
    plain = model.model if isinstance(model, FlipAverage) else model
    return FlipAverage(plain) if flip else plain


def refuse_too_few(table: pd.DataFrame, fold: int) -> None:
    """Refuse a division by which no option could be measured, before anything is trained on it.

    Args:
        table: The manifest that a fold learns from; `test` photos are held back.
        fold: The fold, for the error.

    Raises:
        InputError: If the photos of some pieces are too few to fit rules on.
    """
    held_back = table[table["split"] == "test"].reset_index(drop=True)
    referable = held_back["grade"].astype(int) >= REFERABLE_GRADE
    for number in range(PIECES):
        others = _piece(held_back) != number
        groups = held_back.loc[others, "group"].nunique()
        if groups < MIN_GROUPS or referable[others].nunique() < 2:
            raise InputError(
                f"fold {fold} holds too few photos back to choose by: rules would be fitted on {others.sum()} photos "
                f"of {groups} groups, and need {MIN_GROUPS} groups, and photos that are referable and others; "
                "prepare more photos"
            )


def _piece(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Number of the piece that each photo is in; groups stay whole."""
    return pd.factorize(table["group"])[0] % PIECES


def kappa_of(option: Option, answers: pd.DataFrame, calibration: CalibrationConfig) -> float:
    """Measure an option on photos that were held back.

    Args:
        option: The option.
        answers: Its answers for them, before any rule.
        calibration: How rules are fitted; the decoder is the option's.

    Returns:
        Quadratic weighted kappa, each piece graded by rules that were fitted on the others.
    """
    tables = [answers[_piece(answers) == number].reset_index(drop=True) for number in range(PIECES)]
    judged = decide_cross_fitted(tables, dataclasses.replace(calibration, decoder=option.decoder))
    return float(quadratic_weighted_kappa(validated_confusion_matrix(judged)))
