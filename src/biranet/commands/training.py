"""What the commands that train share: where their settings come from."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from biranet.commands.flags import Command, combine_device
from biranet.config import TrainConfig, read_recipe, train_config_from
from biranet.errors import InputError


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

    def settle(self) -> tuple[TrainConfig, Path | None]:
        """Combine the settings, with files in place of the names of models.

        Returns:
            The settings, and the checkpoint to start from.

        Raises:
            InputError: If they contradict each other, or no such model ships.
        """
        from biranet.learning.shipped_models import find_checkpoint

        config = dataclasses.replace(self.config, device=combine_device(self.config.device, no_cuda=self.no_cuda))
        weights = config.model.backbone_weights
        if self.start is not None and weights is not None:
            raise InputError("--from brings all weights, those of the backbone too; leave --backbone-weights out")
        if weights is not None:
            model = dataclasses.replace(config.model, backbone_weights=find_checkpoint(weights))
            config = dataclasses.replace(config, model=model)
        return config, None if self.start is None else find_checkpoint(self.start)


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


def default_settings(recipe: Path | None, start: Path | None) -> TrainConfig | None:
    """Give the defaults of the settings: those of the model to start from, and above them those of a recipe.

    Args:
        recipe: A recipe.
        start: What `--from` names.

    Returns:
        The settings; None where neither is given.
    """
    of_start = _settings_of_model(start) if start is not None else {}
    if recipe is not None:
        return read_recipe(recipe, of_start)
    return train_config_from(of_start, str(start)) if of_start else None


def _settings_of_model(start: Path) -> dict[str, Mapping[str, Any]]:
    """What a training that starts from a model takes over from it where nothing else is said."""
    from biranet.learning.checkpoint import read_info
    from biranet.learning.shipped_models import find_checkpoint

    info = read_info(find_checkpoint(start))
    names = ("model", "backbone", "freeze", "test_time_flip")
    return {"model": {name: getattr(info.model, name) for name in names}, "data": {"image_size": info.image_size}}
