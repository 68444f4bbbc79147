"""The command line: finds the command, lets tyro parse its flags, runs it, and ends with its status."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from biranet.commands import COMMANDS
from biranet.commands.flags import Command
from biranet.commands.train import Train
from biranet.errors import BiranetError, InputError, PhotoError
from biranet.grades import DISCLAIMER


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Args:
        arguments: Words after the program's name; those of this process when not given.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a letter gets another one, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except (BiranetError, PhotoError) as error:
        print(f"biranet: {error}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:
        print("biranet: stopped", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The reader of our output, such as head, has seen enough. The flush at the end must not complain of it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"biranet {version('biranet')}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}; the commands are: {', '.join(COMMANDS)}")
    settings: dict[str, Any] = {"config": (tyro.conf.FlagCreatePairsOff,)}
    if name == "train" and not {"-h", "--help"} & set(rest) and (defaults := Train.defaults(rest)) != Train():
        # A recipe or a run may have turned a flag around, so now both of its forms have a meaning.
        settings = {"default": defaults}
    command: Command = tyro.cli(COMMANDS[name], prog=f"biranet {name}", args=rest, **settings)
    return command.run()


def _overview() -> str:
    lines = [f"  {name:10}{(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: biranet COMMAND …      (biranet COMMAND --help says all of a command)",
            "",
            "Grade diabetic retinopathy from fundus photographs with BiRA-Net.",
            "",
            *lines,
            "",
            DISCLAIMER,
        ]
    )
