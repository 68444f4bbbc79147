"""The command line: finds the command, lets tyro parse its flags, runs it, and ends with its status."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from biranet.console import GuardedStream, guarded_streams
from biranet.errors import BiranetError, InputError, InterruptedRunError, PhotoError
from biranet.extras import require_extras
from biranet.grades import DISCLAIMER
from biranet.public_paths import check_utf8_name
from biranet.setting_names import settings_as_flags
from biranet.signals import forget_interrupts, leave_quietly, stop_by_interrupt

if TYPE_CHECKING:
    from biranet.commands.flags import Command

STOPPED = InterruptedRunError.exit_status

BROKEN_PIPE = 128 + 13
"""Status where the reader of our output, such as head, has seen enough: that of a process ended by SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Args:
        arguments: Words after the program's name; those of this process when not given.
    """
    with guarded_streams() as out, stop_by_interrupt() as stopped, settings_as_flags():
        status = _exit_status(list(sys.argv[1:] if arguments is None else arguments), out, stopped)
    if arguments is None:
        leave_quietly()
    forget_interrupts()
    sys.exit(status)


def _exit_status(arguments: list[str], out: GuardedStream, stopped: list[int]) -> int:
    """Run the command line to its end, whichever that is, and give its status."""
    try:
        status = _run(arguments)
    except SystemExit as ended:  # of tyro, which has said why
        status = ended.code if isinstance(ended.code, int) else 2
    except (BiranetError, PhotoError) as error:
        _print_error(str(error))
        return STOPPED if stopped else error.exit_status
    except KeyboardInterrupt:
        _print_error("stopped")
        return STOPPED
    except Exception as error:
        if stopped:  # whatever the signal has become on its way
            _print_error("stopped")
            return STOPPED
        from biranet.faults import EXIT_STATUS, describe

        _print_error(describe(error, arguments[0] if arguments else ""))
        return EXIT_STATUS
    out.flush()
    if out.failure is None or status > 1:
        return status
    if isinstance(out.failure, BrokenPipeError):
        return BROKEN_PIPE
    _print_error(f"the work is done, but what it says cannot be written to standard output: {out.failure.strerror}")
    return InputError.exit_status


def _print_error(sentence: str) -> None:
    if len(sentence) > _MAX_SENTENCE_LENGTH:  # it quotes a cell as long as a file
        sentence = f"{sentence[: _MAX_SENTENCE_LENGTH - _END_OF_SENTENCE]} … {sentence[-_END_OF_SENTENCE:]}"
    print(f"biranet: {sentence}", file=sys.stderr)


_MAX_SENTENCE_LENGTH, _END_OF_SENTENCE = 3_000, 500


def _run(arguments: list[str]) -> int:
    for word in arguments:
        check_utf8_name(word, word)
        if not word or re.fullmatch("--[^=]+=", word):
            # For a path it would mean the current folder, and all that lies in it.
            raise InputError(f"nothing is given by the word {word!r}; write what it should be, or leave it out")
    # Only now, so that whatever happens while they load is told by the sentences above.
    from biranet.commands import COMMANDS

    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(COMMANDS))
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"biranet {version('biranet')}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}; the commands are: {', '.join(COMMANDS)}")
    with require_extras(f"biranet {name}"):
        return _run_command(COMMANDS[name], name, rest)


def _run_command(kind: "type[Command]", name: str, rest: list[str]) -> int:
    import tyro

    from biranet.commands.flags import check_paths

    settings: dict[str, Any] = {"config": (tyro.conf.FlagCreatePairsOff,)}
    if not {"-h", "--help"} & set(rest) and (defaults := kind.defaults(rest)) is not None:
        # They may have turned a flag around, so now both of its forms have a meaning.
        settings = {"default": defaults}
    command: Command = tyro.cli(
        kind, prog=f"biranet {name}", args=rest, registry=_plain_none(tyro.constructors), **settings
    )
    check_paths(command, rest)
    status = command.run()
    if step := command.next_step():
        print(f"Next: {step}")
    return status


def _plain_none(constructors: Any) -> Any:
    """Have the help write None for a setting that may be left open, not the braces of a choice among one."""
    registry = constructors.ConstructorRegistry()

    @registry.primitive_rule  # type: ignore[untyped-decorator]
    def of_none(type_info: Any) -> Any:
        if type_info.type is not type(None):
            return None
        return constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="None",
            choices=("None",),
            instance_from_str=lambda words: None,
            is_instance=lambda value: value is None,
            str_from_instance=lambda value: ["None"],
        )

    return registry


def _overview(commands: "Mapping[str, type[Command]]") -> str:
    lines = [f"  {name:15}{(command.__doc__ or '').splitlines()[0]}" for name, command in commands.items()]
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
