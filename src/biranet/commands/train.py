"""The command that trains."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from biranet.commands.flags import Command, PreparedFolder, combine_device
from biranet.config import TrainConfig, lasting_settings, read_recipe, train_config_from
from biranet.errors import InputError
from biranet.files import read_json


@dataclass(frozen=True)
class Train(Command):
    """Train a model on prepared photos.

    Settings come from the defaults below, then from the recipe, then from the flags.
    """

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder."""
    out: Annotated[Path | None, arg(metavar="RUN")] = None
    """Folder for the run; runs/<date-time> when not given."""
    recipe: Annotated[Path | None, arg(metavar="FILE")] = None
    """TOML file with settings."""
    resume: bool = False
    """Go on with the run in --out, with its own settings, from where it stopped."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU; the same as --device cpu."""
    config: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Train | None":
        """Read the recipe, or the settings of the run to resume, before the other flags."""
        early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        early.add_argument("--recipe", type=Path)
        early.add_argument("--out", type=Path)
        early.add_argument("--resume", action="store_true")
        try:
            early_arguments, _ = early.parse_known_args(arguments)
        except argparse.ArgumentError:
            return None  # the parser of the whole command says it better
        if early_arguments.resume:
            if early_arguments.out is None:
                raise InputError("--resume needs the run folder: biranet train --resume --out RUN")
            if early_arguments.recipe is not None:
                raise InputError("--resume keeps the settings of the run; leave --recipe out")
            prepared, config = _settings_of(early_arguments.out)
            return cls(prepared=prepared, config=config)
        return cls(config=read_recipe(early_arguments.recipe)) if early_arguments.recipe else None

    def run(self) -> int:
        """Train in the run folder."""
        from biranet.learning.train import train

        device = combine_device(self.config.device, no_cuda=self.no_cuda)
        config = dataclasses.replace(self.config, device=device)
        if self.resume and self.out is not None and (differences := _differences(config, _settings_of(self.out)[1])):
            raise InputError(f"--resume keeps the settings of the run; leave out what differs: {differences}")
        run = self.out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
        train(self.prepared, run, config, resume=self.resume)
        return 0


def _settings_of(run: Path) -> tuple[Path, TrainConfig]:
    """Read the prepared folder and the settings of a run."""
    stored = read_json(path := run / "config.json")
    if not (isinstance(stored, dict) and isinstance(stored.get("prepared"), str) and "train" in stored):
        raise InputError(f"{path} does not hold the settings of a training; it may have been edited by hand")
    return Path(stored["prepared"]), train_config_from(stored["train"], str(path))


def _differences(asked: TrainConfig, kept: TrainConfig) -> str:
    """Name the settings that differ between two configurations, but for those that leave no trace in the result."""
    ours, theirs = lasting_settings(asked), lasting_settings(kept)
    return ", ".join(
        f"{name} is {ours[name]} here and {theirs[name]} in the run" for name in ours if ours[name] != theirs[name]
    )
