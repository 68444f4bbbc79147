"""What the commands that train share: where their settings come from."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Fixed, OmitArgPrefixes, Suppress, arg

from biranet.commands.flags import Command, combine_device
from biranet.config import TrainConfig, read_recipe, train_config_from
from biranet.errors import InputError

if TYPE_CHECKING:
    from biranet.learning.checkpoint_info import CheckpointInfo
    from biranet.learning.start import Start


@dataclass(frozen=True)
class TrainingCommand(Command):
    """A command that trains, and its settings."""

    recipe: Annotated[Path | None, arg(metavar="FILE")] = None
    """TOML file with settings."""
    start: Annotated[Path | None, arg(name="from", metavar="NAME|FILE")] = None
    """Start from all weights of a model of yours, such as RUN/best.safetensors, or of one that ships, by its name; its
    architecture, backbone, frozen layers and image size then stand where the defaults below do."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU; the same as --device cpu."""
    config: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    # What `start` names, a `Start`, where the defaults of the settings were read from it; no flag.
    loaded: Suppress[Fixed[Any]] = None

    def combine_settings(self) -> "tuple[TrainConfig, Start | None]":
        """Combine the settings, with files in place of the names of models.

        Returns:
            The settings, and what to start from.

        Raises:
            InputError: If they contradict each other, or no such model ships.
        """
        from biranet.learning.shipped_models import find_checkpoint
        from biranet.learning.start import read_start

        config = dataclasses.replace(self.config, device=combine_device(self.config.device, no_cuda=self.no_cuda))
        weights = config.model.backbone_weights
        if self.start is not None and weights is not None:
            raise InputError("--from brings all weights, those of the backbone too; leave --backbone-weights out")
        if weights is not None:
            model = dataclasses.replace(config.model, backbone_weights=find_checkpoint(weights))
            config = dataclasses.replace(config, model=model)
        return config, self.loaded if self.start is None or self.loaded is not None else read_start(self.start)


def early_flags(arguments: Sequence[str], *more: str) -> argparse.Namespace | None:
    """Read the flags that the defaults of the others hang on.

    Args:
        arguments: The words after the command.
        more: Names of further flags with a path, beside `recipe` and `from`.

    Returns:
        Their paths by name, and `resume`; None where the parser of the whole command says better what is wrong.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("recipe", "from", *more):
        early.add_argument(f"--{name}", dest=name, type=Path)
    early.add_argument("--resume", action="store_true")
    try:
        return early.parse_known_args(arguments)[0]
    except argparse.ArgumentError:
        return None


def default_settings(recipe: Path | None, start: Path | None) -> dict[str, Any] | None:
    """Give the defaults of the settings: those of the model to start from, and above them those of a recipe.

    Args:
        recipe: A recipe.
        start: What `--from` names.

    Returns:
        `config`, the settings, and `loaded`, what `--from` names; None where neither is given.
    """
    loaded, of_start = None, {}
    if start is not None:
        from biranet.learning.start import read_start

        loaded = read_start(start)
        of_start = _settings_of_model(loaded.info)
    if recipe is not None:
        return {"config": read_recipe(recipe, of_start), "loaded": loaded}
    return {"config": train_config_from(of_start, str(start)), "loaded": loaded} if loaded else None


def _settings_of_model(info: "CheckpointInfo") -> dict[str, Mapping[str, Any]]:
    """What a training that starts from a model takes over from it where nothing else is said."""
    names = ("model", "backbone", "freeze", "test_time_flip")
    return {"model": {name: getattr(info.model, name) for name in names}, "data": {"image_size": info.image_size}}
