"""The command that trains."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from biranet.commands.flags import PreparedFolder, command_line
from biranet.commands.training import TrainingCommand, default_settings, early_flags
from biranet.config import TrainConfig, result_settings, train_config_from
from biranet.errors import InputError
from biranet.files import read_json


@dataclass(frozen=True)
class Train(TrainingCommand):
    """Train a model on prepared photos.

    Settings come from the defaults below, then from the model of --from, then from the recipe, then from the flags.
    """

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder."""
    out: Annotated[Path | None, arg(metavar="RUN")] = None
    """Folder for the run; runs/<date-time> when not given."""
    resume: bool = False
    """Go on with the run in --out, with its own settings, from where it stopped."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Train | None":
        """Read the model to start from and the recipe, or the settings of the run to resume, before the other flags."""
        early = early_flags(arguments, "out")
        if early is None:
            return None
        recipe, start = early.recipe, getattr(early, "from")
        if early.resume:
            if early.out is None:
                raise InputError("--resume needs the run folder: biranet train --resume --out RUN")
            for name, path in (("recipe", recipe), ("from", start)):
                if path is not None:
                    raise InputError(f"--resume keeps the settings of the run; leave --{name} out")
            prepared, config, start = _settings_of(early.out)
            return cls(prepared=prepared, config=config, start=start)
        settings = default_settings(recipe, start)
        return None if settings is None else cls(**settings)

    @cached_property
    def run_folder(self) -> Path:
        """Folder for the run."""
        return self.out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")

    def run(self) -> int:
        """Train in the run folder."""
        from accelerate import PartialState

        from biranet.learning.probe_beside import train_probe_beside
        from biranet.learning.resume_fingerprint import describe_differences
        from biranet.learning.train import run_training
        from biranet.learning.training import TrainingPlan

        config, start = self.combine_settings()
        if self.resume and self.out is not None:
            # Settings that leave no trace in the result may differ.
            settings, run_settings = result_settings(config), result_settings(_settings_of(self.out)[1])
            if differences := describe_differences(settings, run_settings, "in the run"):
                raise InputError(f"--resume keeps the settings of the run; leave out what differs: {differences}")
        plan = TrainingPlan(self.prepared, self.run_folder, config, start, self.resume)
        run_training(plan)
        if (probe_line := train_probe_beside(plan)) and PartialState().is_main_process:
            print(probe_line)
        return 0

    def next_step(self) -> str:
        """Measure the model, on photos that had no say in it where there are some; one of several processes says so."""
        from accelerate import PartialState

        from biranet.learning.run_folder import BEST_NAME, LAST_NAME, split_column
        from biranet.manifest import graded_photos, read_manifest

        run = self.run_folder
        checkpoint = next((run / name for name in (BEST_NAME, LAST_NAME) if (run / name).exists()), None)
        if checkpoint is None or not PartialState().is_main_process:
            return ""
        if (graded_photos(read_manifest(self.prepared))[split_column(self.config)] == "test").any():
            return command_line("evaluate", checkpoint, self.prepared, "--out", run / "report")
        return command_line("grade", "NEW_PHOTOS", "--checkpoint", checkpoint)


def _settings_of(run: Path) -> tuple[Path, TrainConfig, Path | None]:
    """Read the prepared folder, the settings of a run, and the checkpoint that it started from."""
    stored = read_json(path := run / "config.json")
    if not (
        isinstance(stored, dict)
        and isinstance(stored.get("prepared"), str)
        and isinstance(stored.get("start", ""), str)
        and "train" in stored
    ):
        raise InputError(f"{path} does not hold the settings of a training; it may have been edited by hand")
    start = Path(stored["start"]) if "start" in stored else None
    return Path(stored["prepared"]), train_config_from(stored["train"], str(path)), start
