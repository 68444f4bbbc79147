"""The control of a run: a linear probe on the same backbone and the same photos, kept in the run's own folder.

What does not beat it has not shown that it needs to be more than a linear layer; so every report of the run shows it.
"""

import dataclasses
import io
from contextlib import redirect_stdout
from pathlib import Path

from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint import read_info
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.run_folder import BEST_NAME, LAST_NAME
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan

CONTROL_NAME = "probe"
"""Folder of the control, in that of its run."""


def fit_control(plan: TrainingPlan) -> str:
    """Fit the control of a run, unless it is there already or the run is a probe itself.

    Args:
        plan: That of the run, which has ended; the control has the backbone of the checkpoint that it started from.

    Returns:
        What came of it, in a sentence; empty where nothing was to do.

    Raises:
        InterruptedRunError: If a signal came.
    """
    if plan.config.model.model == "probe":
        return ""
    model = dataclasses.replace(plan.config.model, model="probe")
    if plan.start is not None:
        model = dataclasses.replace(model, backbone_weights=plan.start.path)
    try:
        with redirect_stdout(io.StringIO()):  # the run has said it all
            config = dataclasses.replace(plan.config, model=model)
            progress = train_or_resume(TrainingPlan(plan.prepared, plan.run / CONTROL_NAME, config))
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
