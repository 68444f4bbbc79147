"""The commands: one dataclass each, whose fields are its flags and whose docstrings are its help.

Nothing heavy is imported before a command runs, so help and mistakes answer at once; nor does a command wait for the
flags of the others.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biranet.commands.flags import Command

_HOMES = {
    "demo": "demo",
    "prepare": "photos",
    "audit": "photos",
    "split": "photos",
    "train": "train",
    "train-lesions": "lesions",
    "crossval": "crossval",
    "calibrate": "evaluate",
    "evaluate": "evaluate",
    "compare": "evaluate",
    "models": "models",
    "grade": "grade",
    "lesions": "lesions",
    "serve": "serve",
    "export": "export",
}
"""The module of each command, whose class has its name, by the word that is typed, in the order of the work."""


class _Commands(Mapping[str, "type[Command]"]):
    """Imports a command when it is asked for."""

    def __getitem__(self, name: str) -> "type[Command]":
        class_name = name.title().replace("-", "")
        command: type[Command] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), class_name)
        return command

    def __contains__(self, name: object) -> bool:
        return name in _HOMES

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


COMMANDS = _Commands()
"""By the word that is typed, in the order of the work."""
