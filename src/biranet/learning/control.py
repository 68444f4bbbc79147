"""The control of a run: a linear probe on the same backbone and the same photos, kept in the run's own folder.

What does not beat it has not shown that it needs to be more than a linear layer; so every report of the run shows it.
"""

import dataclasses
import io
from contextlib import redirect_stdout
from pathlib import Path

from biranet.config import TrainConfig
from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint import read_info
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.run_folder import BEST_NAME, LAST_NAME
from biranet.learning.train import train_or_resume

CONTROL_NAME = "probe"
"""Folder of the control, in that of its run."""


def fit_control(prepared: Path, run: Path, config: TrainConfig, start: Path | None = None) -> str:
    """Fit the control of a run, unless it is there already or the run is a probe itself.

    Args:
        prepared: The prepared folder.
        run: The run folder; the run has ended.
        config: Its settings.
        start: Checkpoint that it started from, whose backbone the control then has.

    Returns:
        What came of it, in a sentence; empty where nothing was to do.

    Raises:
        InterruptedRunError: If a signal came.
    """
    if config.model.model == "probe":
        return ""
    model = dataclasses.replace(config.model, model="probe")
    if start is not None:
        model = dataclasses.replace(model, backbone_weights=start)
    try:
        with redirect_stdout(io.StringIO()):  # the run has said it all
            progress = train_or_resume(prepared, run / CONTROL_NAME, dataclasses.replace(config, model=model))
    except (InputError, RefusedError) as error:
        return f"No linear probe to compare with: {error}"
    reached = "" if progress.best_kappa is None else f": validation kappa {progress.best_kappa:.3f}"
    return f"Beside it, a linear probe on the same backbone{reached}"


def find_control(checkpoint: Path, info: CheckpointInfo) -> Path | None:
    """Find the control of the run that a checkpoint is from.

    Args:
        checkpoint: A checkpoint in a run folder, or anywhere.
        info: Its description.

    Returns:
        The control's checkpoint; None where there is none that has learned from the same photos.
    """
    for name in (BEST_NAME, LAST_NAME):
        path = checkpoint.parent / CONTROL_NAME / name
        if path.exists():
            control = read_info(path)
            same = ("split_column", "training_set_digest", "preparation")
            return path if all(getattr(control, each) == getattr(info, each) for each in same) else None
    return None
