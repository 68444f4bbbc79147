"""The command that shows the models that ship."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from biranet.commands.flags import Command, command_line
from biranet.grades import DISCLAIMER

if TYPE_CHECKING:
    from biranet.decisions.rules import Rules
    from biranet.learning.shipped_models import CardFigure, ModelCard

WIDTH = 96
"""Columns of what is printed."""

INTERVALS = "In brackets: 95 % intervals."

MAIN_FIGURES = 2
"""How many figures of each way of measuring stand in the list of models: the first ones of the card."""


@dataclass(frozen=True)
class Models(Command):
    """List the models that ship with biranet, or show the card of one: data, figures, limits, licence."""

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """Model whose card to show."""

    def next_step(self) -> str:
        """Use the model whose card was shown, or see the card of the first one."""
        from biranet.learning.shipped_models import shipped

        if self.name is not None:
            return command_line("grade", "NEW_PHOTOS", "--checkpoint", self.name)
        return command_line("models", shipped()[0]) if shipped() else ""

    def run(self) -> int:
        """Print the list or the card."""
        from biranet.learning.shipped_models import DEFAULT, read_model_card, shipped

        if self.name is not None:
            print("\n".join([*_card(self.name, read_model_card(self.name)), "", f"{INTERVALS}\n{DISCLAIMER}"]))
            return 0
        if not shipped():
            print("No model ships with this biranet, as in a checkout without the weights.")
            return 0
        for name in shipped():
            print("\n".join(_entry(name, read_model_card(name), marked=name == DEFAULT)), end="\n\n")
        print("The default one is used where no model is named. All of a card: biranet models NAME")
        print(f"{INTERVALS}\n{DISCLAIMER}")
        return 0


def _entry(name: str, card: "ModelCard", *, marked: bool) -> Iterator[str]:
    """A model in the list."""
    from biranet.files import sha256_of
    from biranet.learning.shipped_models import check_card, find_checkpoint

    path = find_checkpoint(name)
    check_card(path, sha256_of(path))
    yield f"{name}{' (default)' * marked}, {_megabytes(path):.1f} MB"
    yield from _wrapped(card.summary, "  ")
    for measured in card.metrics:
        yield from _wrapped(f"{measured.how}:", "  ")
        for key, figure in list(measured.figures.items())[:MAIN_FIGURES]:
            yield f"    {_figure(key, figure)}"


def _card(name: str, card: "ModelCard") -> Iterator[str]:
    """All of a card, with what the checkpoint says of itself."""
    from biranet.evaluation.measures import point_name
    from biranet.learning.checkpoint_file import read_info
    from biranet.learning.shipped_models import find_checkpoint

    path = find_checkpoint(name)
    its = read_info(path)
    data, rules, size_px = card.data, its.rules, its.preparation.size_px
    fitted_on = rules.fitted_on or "nothing"
    points = [f"{point.threshold:.3f} for {point_name(point.name)}" for point in rules.operating_points]
    grades = ", ".join(map(str, data.grades))
    yield from (f"{name}: {card.title}", "", *_wrapped(card.summary, ""))
    sections = [
        ("Network", [its.network]),
        ("Photos", [f"prepared at {size_px} px, as by: biranet prepare --size {size_px}"]),
        ("Rules", [f"decoder {rules.decoder}, temperature {rules.temperature:.3f}", f"fitted on {fitted_on}"]),
        ("Decisions", [_decision(rules)]),
        ("Operating points, on p2 + p3 + p4", points or ["none"]),
        (
            "Learned from",
            [
                f"{data.name}: {data.photographs} photographs, of grades 0 to 4: {grades}",
                data.license,
                data.attribution,
            ],
        ),
        ("Started from", [card.start]),
        ("Trained", [f"{card.date}, {card.recipe}"]),
        *(
            (f"Measured: {measured.how}", [_figure(*each) for each in measured.figures.items()])
            for measured in card.metrics
        ),
        *([("Promised of missed photographs", [str(card.missed)])] if card.missed else []),
        ("Intended use", [card.intended_use]),
        ("Limits", [f"- {limit}" for limit in card.limits]),
        ("Weights", [f"{_megabytes(path):.1f} MB, {card.license}"]),
    ]
    for head, lines in sections:
        yield from ("", *_wrapped(head, ""))
        for line in lines:
            yield from _wrapped(line, "  ", hanging="  " * line.startswith("- "))
    yield f"  {path}"


def _decision(rules: "Rules") -> str:
    from biranet.decisions.rules import decision_bounds

    if not rules.operating_points:
        return "refers from grade 2 on"
    below, above = decision_bounds(rules)
    return (
        f"refers where p2 + p3 + p4 reaches {above:.3f} and the grade is 2 or more; does not refer where it is below "
        f"{below:.3f} and the grade is 0 or 1; else asks a human"
    )


def _figure(key: str, figure: "CardFigure") -> str:
    from biranet.evaluation.estimates import meaning_of

    return f"{meaning_of(key).name:48} {figure.value:.3f}  [{figure.ci[0]:.3f}, {figure.ci[1]:.3f}]"


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _wrapped(text: str, indent: str, *, hanging: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False)
