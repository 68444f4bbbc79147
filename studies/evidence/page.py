"""Write the figures of docs/evidence.md from the table that run.py wrote.

python -m studies.evidence.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.lesion_kinds import DISC, LESIONS
from studies.commands import ROOT, run_as_command
from studies.evidence.run import HERE, RESULT
from studies.evidence.sums import CHANCE
from studies.pages import FiguresPage, estimate, head, row, with_ci

NAMES = {
    "evidence": "evidence",
    "gradient_x_features": "gradient times features, stride 32",
    "gradient_x_features_16": "gradient times features, stride 16",
    "gradcam": "Grad-CAM",
    "occlusion": "occlusion",
    "attention_a": "attention of stream A",
    "attention_b": "attention of stream B",
    "lesions": "lesion branch",
    "contrast": "contrast to what is around",
    "dark": "darkest",
    "bright": "brightest",
    CHANCE: "chance",
}
"""What each map is called, in the order of the rows."""


def _figures(results: Path) -> Iterator[str]:
    result = json.loads((results / RESULT).read_text())
    whole, test = result["parts"]["all"], result["parts"]["test"]
    for part, title in ((whole, "All:"), (test, "Official test part, new to the lesion branch:")):
        about = f"{part['photos']} photographs of {part['groups']} visits"
        yield f"**{title} {about}.**"
        yield from ("", *_faithful(part), "", *_on_lesions(part), "")
    yield from ("Average precision by cell, for each kind of lesion, over the photographs that have it:", "")
    yield from _by_kind(whole)


def _faithful(part: dict[str, Any]) -> Iterator[str]:
    yield from head(
        ("faithful", "deletion: less is better", "insertion: more is better", "insertion minus deletion, over chance")
    )
    maps = part["faithful"]
    for name in _known(maps):
        areas = [estimate(maps[name][each]) for each in ("deletion", "insertion")]
        yield row([NAMES[name], *areas, _over(maps[name]["gap"])])


def _on_lesions(part: dict[str, Any]) -> Iterator[str]:
    yield from head(
        ("on lesions", "share of its mass", "highest cell holds one", "average precision by cell", "mass on the disc")
    )
    maps, disc = part["on"]["any"]["maps"], part["on"][DISC]["maps"]
    for name in _known(maps):
        cells = [estimate(maps[name]["mass"], 3), *(estimate(maps[name][key]) for key in ("pointing", "precision"))]
        yield row([NAMES[name], *cells, estimate(disc[name]["mass"], 3)])


def _by_kind(part: dict[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in LESIONS if kind in part["on"]]
    heads = [f"{LESIONS[kind]} ({part['on'][kind]['photos']})" for kind in kinds]
    yield from head(["", *heads])
    for name in _known(part["on"]["any"]["maps"]):
        cells = [estimate(part["on"][kind]["maps"][name]["precision"]) for kind in kinds]
        yield row([NAMES[name], *cells])


def _known(maps: dict[str, Any]) -> list[str]:
    return [name for name in NAMES if name in maps]


def _over(measured: dict[str, Any]) -> str:
    """How far over chance; of chance itself nothing."""
    if "over_chance" not in measured:
        return "0"
    return with_ci(measured["over_chance"], measured["over_chance_ci"], sign="+")


PAGE = FiguresPage(ROOT / "docs" / "evidence.md", __file__, HERE / "results", _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
