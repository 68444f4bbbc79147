"""What others measured of the model that ships, on photographs that nobody who made it has seen: results/outside.toml.

These figures cannot be computed again here. The table is typed from what was told, and card, page and README are held
to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from biranet.files import read_toml
from biranet.learning.shipped_models import DEFAULT
from biranet.validated import STRICT, validated

OUTSIDE_NAME = "outside.toml"


@dataclass(frozen=True)
class Told:
    """A figure as it was told.

    Attributes:
        value: It.
        ci: Its 95 % interval, where one was told.
        counts: What it is a share of, as in `15 of 75`.
    """

    __pydantic_config__ = STRICT

    value: float
    ci: tuple[float, float] | None = None
    counts: str = ""


@dataclass(frozen=True)
class MeasuredOutside:
    """What was measured on some photographs.

    Attributes:
        on: Which, in a few words.
        figures: By key, as in `metrics.json`.
        how: What the card says of them; empty where they do not stand on it.
        model: What was measured.
    """

    __pydantic_config__ = STRICT

    on: str
    figures: Mapping[str, Told]
    how: str = ""
    model: str = DEFAULT


@dataclass(frozen=True)
class Outside:
    """The table.

    Attributes:
        answers_sha256: Of the model that was measured, as `card.answers_sha256` sums it up.
        measured: What was measured.
    """

    __pydantic_config__ = STRICT

    answers_sha256: str
    measured: tuple[MeasuredOutside, ...]


def read_outside(results: Path) -> Outside | None:
    """Read the table of a folder of results, where it has one.

    Raises:
        InputError: If it is none.
    """
    path = results / OUTSIDE_NAME
    if not path.exists():
        return None
    return validated(Outside, read_toml(path, "the table"), f"{path} is no table of figures from outside")


def card_blocks(outside: Outside) -> Iterator[str]:
    """Give what the card says of it, as TOML: a block for each set of photographs, figures with an interval."""
    for measured in outside.measured:
        if not measured.how:
            continue
        lines = ["[[metrics]]", f'how = "{measured.how}"', "[metrics.figures]"]
        lines += [
            f'"{key}" = {{ value = {told.value}, ci = [{told.ci[0]}, {told.ci[1]}] }}'
            for key, told in measured.figures.items()
            if told.ci is not None
        ]
        yield "\n".join([*lines, ""])
