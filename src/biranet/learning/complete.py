"""The end of a run: the model that it has led to gets its rules, and what there is to say of it is said."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from torch import nn

from biranet.config import ModelConfig
from biranet.decisions.rules import Rules
from biranet.errors import InputError, RefusedError
from biranet.learning.calibrate import CALIBRATION, calibrate_on_part
from biranet.learning.checkpoint import save_checkpoint
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.run_folder import BEST_NAME, LAST_NAME, split_column
from biranet.learning.state import Progress
from biranet.learning.torch_predictor import TorchPredictor, load_predictor
from biranet.learning.training import Training
from biranet.manifest import graded_photos, read_manifest
from biranet.training_record import TrainingRecord


def complete_run(training: Training, build: Callable[[ModelConfig], nn.Module]) -> None:
    """Complete the resulting model, and say which it is and what makes one doubt it.

    Args:
        training: A training that has come to its end.
        build: Builds the network of a checkpoint.
    """
    progress, log = training.progress, training.log
    result = training.run / (LAST_NAME if progress.best_kappa is None else BEST_NAME)
    if training.accelerator.is_main_process:
        info = _complete(result, training, build)
        log("".join(f"{doubt}\n" for doubt in (*info.doubts, *info.rules.doubts)), end="")
    training.accelerator.wait_for_everyone()
    if progress.best_kappa is None:
        log(f"Done. The model is {result}")
    else:
        log(
            f"Done. The best model is {result}: validation kappa {progress.best_kappa:.3f} "
            f"after epoch {progress.best_epoch}"
        )


def _complete(checkpoint: Path, training: Training, build: Callable[[ModelConfig], nn.Module]) -> CheckpointInfo:
    """Note in the resulting model how long was trained, and fit its rules where there are photos for it.

    Returns:
        The description of the model. What came of the rules is said.
    """
    predictor = load_predictor(checkpoint, training.config.device, build)
    info, summary = _calibrate(predictor, training)
    training.log(summary)
    info = dataclasses.replace(info, training=_with_epochs(info.training, training.progress))
    if info != predictor.info:
        save_checkpoint(checkpoint, predictor.model, info)
    return info


def _with_epochs(record: TrainingRecord | None, progress: Progress) -> TrainingRecord | None:
    """Add to a record how many epochs were run, and which was the best; one of before has none."""
    if record is None:
        return None
    best = None if progress.best_kappa is None else progress.best_epoch
    return dataclasses.replace(record, run=dataclasses.replace(record.run, epochs=progress.epoch, best_epoch=best))


def _calibrate(predictor: TorchPredictor, training: Training) -> tuple[CheckpointInfo, str]:
    """Fit the rules of the resulting model where there are photos for it.

    Returns:
        The description of the model, and what came of it, in a sentence.
    """
    prepared, config, info = training.prepared, training.config, predictor.info
    if info.rules != Rules():
        return info, "The model was calibrated before and keeps its rules."
    table = read_manifest(prepared)
    if not (graded_photos(table)[split_column(config)] == CALIBRATION).any():
        without = "There is no calibration part, so no temperature, thresholds or prediction sets"
        return info, f"{without}: see biranet calibrate."
    try:
        info = calibrate_on_part(predictor, prepared, table, config.calibration, workers=config.data.workers)
    except (InputError, RefusedError) as error:  # what has been learned is worth more than its rules
        return info, f"The model could not be calibrated: {error}"
    return info, f"Calibrated on {info.rules.fitted_on}: temperature {info.rules.temperature:.2f}"
