"""The linear probe beside a run: on the same backbone and the same photos, kept in the run's own folder.

What does not beat it has not shown that it needs to be more than a linear layer; so every report of the run shows it.
"""

import dataclasses
import io
from contextlib import redirect_stdout
from functools import partial

from biranet.errors import InputError, RefusedError
from biranet.learning.backbone import backbone_as_it_was
from biranet.learning.model import build_model
from biranet.learning.run_folder import PROBE_FOLDER
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan


def train_probe_beside(plan: TrainingPlan) -> str:
    """Fit the probe of a run, unless it is there already or the run is a probe itself.

    Args:
        plan: That of the run, which has ended; the probe has the backbone of the checkpoint that it started from.

    Returns:
        What came of it, in a sentence; empty where nothing was to do.

    Raises:
        InterruptedRunError: If a signal came.
    """
    if plan.config.model.model == "probe":
        return ""
    try:
        with redirect_stdout(io.StringIO()):  # the run has said it all
            progress = train_or_resume(_plan_probe(plan))
    except (InputError, RefusedError) as error:
        return f"No linear probe to compare with: {error}"
    reached = "" if progress.best_kappa is None else f": validation kappa {progress.best_kappa:.3f}"
    return f"Beside it, a linear probe on the same backbone{reached}"


def _plan_probe(plan: TrainingPlan) -> TrainingPlan:
    """Plan the probe of a run, on the backbone of the checkpoint that the run started from, as it was read for it."""
    run, start = plan.run / PROBE_FOLDER, plan.start
    model = dataclasses.replace(plan.config.model, model="probe")
    if start is None:
        return TrainingPlan(plan.prepared, run, dataclasses.replace(plan.config, model=model))
    its, trained = start.info.model.backbone, start.info.started_from is not None
    weights = backbone_as_it_was(start.path, start.weights, model.backbone, its=its, trained=trained)
    model = dataclasses.replace(model, backbone_weights=start.path)
    build = partial(build_model, backbone_weights=weights)
    return TrainingPlan(plan.prepared, run, dataclasses.replace(plan.config, model=model), build=build)
