"""The end of an epoch: validate, save checkpoints and state, and call `on_epoch`."""

import dataclasses
import math
import time
from typing import Any

import numpy as np
from accelerate.utils import broadcast_object_list

from biranet.confusion import confusion_matrix, quadratic_weighted_kappa
from biranet.learning.checkpoint import save_checkpoint
from biranet.learning.doubts import training_doubts
from biranet.learning.epoch_result import EpochResult, OnEpoch, is_stop_request, loss_of_predictions
from biranet.learning.predict import predict_photos
from biranet.learning.run_folder import BEST_NAME, LAST_NAME, epoch_name
from biranet.learning.training import Training


def validate(training: Training, epoch: int, started: float) -> EpochResult:
    """Measure an epoch, and lower the learning rate where the schedule says so.

    Args:
        training: The training.
        epoch: The epoch, counted from 0.
        started: When it began, on the monotonic clock.
    """
    progress, schedule, loss, kappa, predictions = training.progress, training.schedule, None, None, None
    lr = schedule.lr
    if not training.validation_photos.empty:
        workers = training.config.data.workers
        predictions = predict_photos(training.predictor, training.prepared, training.validation_photos, workers=workers)
        loss = loss_of_predictions(training.loss, predictions)
        kappa = kappa_or_zero(confusion_matrix(predictions["grade"], predictions["predicted_grade"]))
        # The processes must not disagree on when to stop, not even by a rounding.
        kappa = float(broadcast_object_list([kappa])[0])
        schedule.after_epoch(kappa)
        if progress.best_kappa is None or kappa > progress.best_kappa:
            progress.best_kappa, progress.best_epoch = kappa, epoch + 1
    return EpochResult(
        epoch=epoch + 1,
        lr=lr,
        train_loss=progress.mean_loss,
        train_kappa=kappa_or_zero(progress.confusion),
        validation_loss=loss,
        validation_kappa=kappa,
        best_kappa=progress.best_kappa,
        best_epoch=progress.best_epoch,
        seconds=round(time.monotonic() - started, 2),
        run=training.run,
        predictions=predictions,
    )


def save_epoch(training: Training, result: EpochResult) -> None:
    """Save the checkpoints of a finished epoch, its row of the history, and the state.

    The state comes last: a kill before it repeats the epoch, to the same bits.
    """
    epoch, run, model = result.epoch, training.run, training.model
    training.progress.start_epoch(epoch)
    if training.history is not None:
        doubts = training_doubts(result.train_loss, training.uniform_loss, result.validation_kappa)
        info = dataclasses.replace(
            training.predictor.info, epoch=epoch, validation_kappa=result.validation_kappa, doubts=tuple(doubts)
        )
        save_checkpoint(run / LAST_NAME, model, info)
        if result.is_best:
            save_checkpoint(run / BEST_NAME, model, info)
        if epoch % training.config.save_epoch == 0:
            save_checkpoint(run / epoch_name(epoch), model, info)
        training.history.add_epoch(result.row)
        training.history.add_attention(training.predictor, training.shown_photos, epoch)
    training.save_state()


def notify_on_epoch(training: Training, result: EpochResult, on_epoch: OnEpoch) -> bool:
    """Tell `on_epoch` of an epoch that is saved, and say whether it ends the training, in all processes alike."""
    stop = is_stop_request(on_epoch(result)) if training.accelerator.is_main_process else False
    return bool(broadcast_object_list([stop])[0])


def kappa_or_zero(matrix: Any) -> float:
    """Return quadratic weighted kappa; 0 where it is undefined because all grades are one and the same."""
    kappa = float(quadratic_weighted_kappa(np.asarray(matrix)))
    return 0.0 if math.isnan(kappa) else kappa
