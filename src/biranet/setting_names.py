"""What a sentence calls a setting: its keyword where Python asked, its flag where the command line did."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_as_flags = ContextVar("as_flags", default=False)


@contextmanager
def settings_as_flags() -> Iterator[None]:
    """Have sentences made meanwhile call settings by their flags.

    Example:
        >>> with settings_as_flags():
        ...     setting("backbone_weights"), setting("pretrained", False), setting("size_px", 64, flag="size")
        ('--backbone-weights', '--no-pretrained', '--size 64')
    """
    token = _as_flags.set(True)
    try:
        yield
    finally:
        _as_flags.reset(token)


def setting(name: str, value: str | float | None = None, *, flag: str = "") -> str:
    """Name a setting in a sentence, perhaps with the value to give it.

    Args:
        name: Its keyword in Python.
        value: The value; the name alone when not given. Of what is on or off, whether it is on.
        flag: Its flag without dashes, where it is not the keyword's.

    Example:
        >>> setting("backbone_weights"), setting("pretrained", False), setting("freeze", "none")
        ('backbone_weights', 'pretrained=False', "freeze='none'")
    """
    if not _as_flags.get():
        return name if value is None else f"{name}={value!r}"
    flag = flag or name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag}" if value is None else f"--{flag} {value}"
