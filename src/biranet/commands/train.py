"""The command that trains."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from biranet.commands.flags import PreparedFolder
from biranet.config import TrainConfig, lasting_settings, read_recipe, train_config_from
from biranet.errors import InputError
from biranet.files import read_json


@dataclass(frozen=True)
class Train:
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
    config: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Train":
        """Read the recipe, or the settings of the run to resume, before the other flags."""
        early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        early.add_argument("--recipe", type=Path)
        early.add_argument("--out", type=Path)
        early.add_argument("--resume", action="store_true")
        try:
            known, _ = early.parse_known_args(arguments)
        except argparse.ArgumentError:
            return cls()  # the parser of the whole command says it better
        if known.resume:
            if known.out is None:
                raise InputError("--resume needs the run folder: biranet train --resume --out RUN")
            if known.recipe is not None:
                raise InputError("--resume keeps the settings of the run; leave --recipe out")
            stored = read_json(path := known.out / "config.json")
            if not (isinstance(stored, dict) and isinstance(stored.get("prepared"), str) and "train" in stored):
                raise InputError(f"{path} does not hold the settings of a training; it may have been edited by hand")
            return cls(prepared=Path(stored["prepared"]), config=train_config_from(stored["train"], str(path)))
        return cls(config=read_recipe(known.recipe)) if known.recipe else cls()

    def run(self) -> int:
        """Train in the run folder."""
        from biranet.learning.train import train

        if self.resume:
            kept = Train.defaults(["--resume", "--out", str(self.out)]).config
            if differences := _differences(self.config, kept):
                raise InputError(f"--resume keeps the settings of the run; leave out what differs: {differences}")
        run = self.out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
        train(self.prepared, run, self.config, resume=self.resume)
        return 0


def _differences(given: TrainConfig, kept: TrainConfig) -> str:
    """Name the settings that differ between two configurations, but for those that leave no trace in the result."""
    ours, theirs = lasting_settings(given), lasting_settings(kept)
    return ", ".join(
        f"{name} is {ours[name]} here and {theirs[name]} in the run" for name in ours if ours[name] != theirs[name]
    )
