"""Print to the terminal: control characters are written out, and a closed or full stream does not end the work."""

import errno
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

_STANDARD = (0, 1, 2)
"""Descriptors of standard input, output and error."""

_CONTROL = re.compile(r"[^\n\t -~]")
"""What may be an order to a terminal; most of it is letters."""


def escape_control(text: str) -> str:
    r"""Write orders to a terminal, and whatever else is no letter, sign or space, out; line breaks and tabs stay.

    Example:
        >>> print(escape_control("\x1b[31mred ü"))
        \x1b[31mred ü
    """
    return _CONTROL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    letter = match[0]
    # Wide spaces are no orders, although they do not count as printable.
    return letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else ascii(letter)[1:-1]


class GuardedStream(io.TextIOBase):
    """A stream to a terminal, a file or a pipe that takes all that is written, whether or not it can pass it on.

    Args:
        stream: Where to.

    Attributes:
        failure: Why nothing more can be passed on; None as long as it can.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.failure: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self.stream.encoding

    def fileno(self) -> int:
        """Descriptor of the stream."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """It always is."""
        return True

    def write(self, text: str) -> int:
        """Pass text on, without orders to a terminal; so there are no colours, and it does not claim to be one."""
        self._attempt(lambda: self.stream.write(escape_control(text)))
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        self._attempt(self.stream.flush)

    def _attempt(self, act: Any) -> None:
        if self.failure is not None:
            return
        try:
            act()
        except OSError as error:
            self.failure = error
            # What still waits in the stream must not complain again when the process ends.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


@contextmanager
def guarded_streams() -> Iterator[GuardedStream]:
    """Guard standard output and standard error, closed ones included.

    Yields:
        Standard output.
    """
    _occupy_standard_descriptors()
    before = sys.stdout, sys.stderr
    opened = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: PTH123, SIM115
    for stream in opened:
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter gets another one, not a traceback.
            stream.reconfigure(errors="replace")
    out, err = map(GuardedStream, opened)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _occupy_standard_descriptors() -> None:
    """Give closed ones to the null device, or the next file would get one, with all that libraries print."""
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)  # the lowest one that is free


def progress_bar(*arguments: Any, shown: bool = True, **settings: Any) -> "tqdm[Any]":
    """Make a bar of `tqdm` that is shown on terminals, and vanishes.

    Args:
        *arguments: As `tqdm` takes them.
        shown: Whether to show it at all.
        **settings: As `tqdm` takes them.
    """
    from tqdm import tqdm

    stream = sys.stderr.stream if isinstance(sys.stderr, GuardedStream) else sys.stderr  # a bar moves the cursor
    disable = None if shown and stream is not None else True
    bar: tqdm[Any] = tqdm(*arguments, **settings, file=stream, disable=disable)  # type: ignore[call-overload]
    return bar
