"""From plain values, as files hold them, to a dataclass."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from biranet.errors import InputError
from biranet.files import printable

STRICT = {"extra": "forbid"}
"""The `__pydantic_config__` of such dataclasses: keys that they do not have are refused."""

FORMER_NAMES = {
    "trunk": "backbone",
    "trunk_weights": "backbone_weights",
    "optimiser": "optimizer",
    "loss_scale": "weight_scale",
    "miss_cost": "cost_of_missed",
    "no_cuda": "device",
}
"""What settings of earlier versions are called today."""

_MAX_KEY_LENGTH = 200

Kind = TypeVar("Kind")


def validated(kind: type[Kind], values: Any, origin: str) -> Kind:
    """Build a dataclass from plain values.

    Args:
        kind: The dataclass; its fields may be dataclasses, too.
        values: For example `{"epochs": 3, "model": {"backbone": "resnet18"}}`; what is left out keeps its default.
        origin: Where the values come from, and what they cannot be; the error begins with it.

    Returns:
        The dataclass.

    Raises:
        InputError: If a key is not known (the known ones are named), is missing, or a value is not allowed; of several
            faults the first.

    Example:
        >>> from biranet.config import TrainConfig
        >>> validated(TrainConfig, {"optimizer": {"lr": -1}}, "recipe.toml")
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: recipe.toml: optimizer: lr must be above 0, not -1.0
    """
    # Imported here, so that whoever reads no such file does not wait for it.
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        location = first["loc"]
        key = ".".join(map(str, location))[:_MAX_KEY_LENGTH]
        if first["type"] == "unexpected_keyword_argument":
            keys = ", ".join(_fields_at(kind, location[:-1]))
            name = str(location[-1])
            today = f", which is {FORMER_NAMES[name]} now" if name in FORMER_NAMES else ""
            raise InputError(f"{origin}: there is no setting {key!r}{today}; known here are: {keys}") from error
        ours = first.get("ctx", {}).get("error")
        message = str(ours) if isinstance(ours, ValueError) else first["msg"]
        raise InputError(": ".join(filter(None, (origin, printable(key), message)))) from error


def _fields_at(kind: Any, location: Sequence[str | int]) -> list[str]:
    """Names of the fields that the dataclass at a place inside another one has."""
    for part in location:
        if is_dataclass(kind):
            kind = _if_given(get_type_hints(kind)[str(part)])
        else:  # the values of a dictionary, the members of a tuple
            kind = _if_given(next(each for each in reversed(get_args(kind)) if each is not ...))
    return [field.name for field in fields(kind)]


def _if_given(kind: Any) -> Any:
    """What `X | None` is where it is something: no part of a place inside it, so pydantic does not name it there."""
    return next(each for each in get_args(kind) if each is not NoneType) if isinstance(kind, UnionType) else kind
