"""Write the figures of the model that ships with a lesion branch into docs/lesions.md, from the tables of make.py.

python -m studies.shipped_lesions.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.files import read_json
from biranet.learning.shipped_models import DEFAULT, LESIONS_DEFAULT
from biranet.lesion_kinds import LESIONS
from studies.commands import ROOT, run_as_command
from studies.lesion_grades.measure import AIMS, AIMS_ELSEWHERE
from studies.lesions.page import counted_in_healthy, free_response, precision
from studies.pages import FiguresPage, head, prose, row, with_ci
from studies.shipped.card import RESULTS as RESULTS_ALONE
from studies.shipped.measured import FROM_VISITS_NAME, STRETCHES_NAME
from studies.shipped_lesions.card import RESULTS

_NAMES = {
    "quadratic_weighted_kappa": "kappa",
    "referable_auc": "referable AUC",
    "any_dr_auc": "any-DR AUC",
    "aca": "ACA",
    "decisions.missed_fraction": "referable, not referred",
    "decisions.needless_fraction": "others, referred",
}

_NAMES_ELSEWHERE = {key: name for key, name in _NAMES.items() if key != "any_dr_auc"}
"""What is kept of photographs of another clinic."""


def _figures(results: Path) -> Iterator[str]:
    held_back, test, healthy = (read_json(results / f"{name}.json") for name in ("held_back", "test", "healthy"))
    yield from ("**Grades**", "", *_grades(results), "", *_elsewhere(results), "", "**Lesions**", "")
    yield from prose(
        f"The {held_back['photos']} photographs that teach ({held_back['groups']} visits), each looked at by a head "
        "that does not know its visit:"
    )
    yield from ("", *precision(held_back), "", *free_response(held_back), "")
    yield from prose(f"The model that ships, on {test['photos']} of the official test part ({test['groups']} visits):")
    yield from ("", *precision(test), "", *free_response(test), "", *_outlined(test), "")
    yield from counted_in_healthy(healthy)


def _outlined(test: dict[str, Any]) -> Iterator[str]:
    yield from head(["outlined, at the thresholds of `biranet lesions`", "of the lesions", "false marks a photo"])
    for kind, name in LESIONS.items():
        its = test["kinds"][kind]["outlined"]
        yield row([name, *(with_ci(its[key]["value"], its[key]["ci"]) for key in ("found", "false_marks"))])


def _grades(results: Path) -> Iterator[str]:
    by_stretch = results / STRETCHES_NAME
    yield from (*_out_of_fold(results, "visits"), "", *_out_of_fold(by_stretch, "stretches of the numbering"), "")
    from_visits = read_json(by_stretch / FROM_VISITS_NAME)["differences"]
    kappa, missed = (
        with_ci(from_visits[key]["difference"], from_visits[key]["ci"], 3, "+")
        for key in ("quadratic_weighted_kappa", "decisions.missed_fraction")
    )
    yield from prose(
        f"By stretches minus by visits, paired by photo: kappa {kappa}, referable photographs not referred {missed}."
    )
    yield ""
    own, alone = (read_json(by_stretch / "difference.json")["missed"][name] for name in ("corrected", "alone"))
    yield from prose(
        "By the bounds of [that study](../studies/lesion_grades/README.md), taken from stretches, it misses at most "
        f"{own['next']:.2f} of the referable photographs of the next stretch of visits (95 %; what others say of one "
        f"held for {own['held']} of {len(own['shares'])}), and `idrid_lite0` on the same photographs "
        f"{alone['next']:.2f} ({alone['held']} of {len(alone['shares'])}). By a rule that promises 10 %, "
        f"{own['bounded']['needless']:.2f} of the others would be referred, and by `idrid_lite0` "
        f"{alone['bounded']['needless']:.2f}."
    )


def _out_of_fold(results: Path, folds: str) -> Iterator[str]:
    measured, difference = (read_json(results / f"{name}.json") for name in ("cross_validated", "difference"))
    yield from head([f"{measured['n']} photographs, out of fold, by {folds}", *_NAMES.values()])
    values = [_nested(measured, key) for key in _NAMES]
    yield row([f"`{LESIONS_DEFAULT}`", *(with_ci(*each, digits=3) for each in values)])
    each = [difference["differences"][key] for key in _NAMES]
    yield row([f"minus `{DEFAULT}`", *(with_ci(its["difference"], its["ci"], 3, "+") for its in each)])
    yield row(["*aim*", *(AIMS.get(key, "") for key in _NAMES)])


def _elsewhere(results: Path) -> Iterator[str]:
    own, alone = (read_json(folder / "external.json") for folder in (results, RESULTS_ALONE))
    yield from head([f"{own['n']} photographs of another clinic", *_NAMES_ELSEWHERE.values()])
    for name, measured in ((LESIONS_DEFAULT, own), (DEFAULT, alone)):
        values = (_nested(measured, key) for key in _NAMES_ELSEWHERE)
        yield row([f"`{name}`", *(with_ci(*each, digits=3) for each in values)])
    yield row(["*aim*", *(AIMS_ELSEWHERE.get(key, "") for key in _NAMES_ELSEWHERE)])


def _nested(measured: dict[str, Any], key: str) -> tuple[float, list[float] | None]:
    section, _, name = key.rpartition(".")
    its = measured[section] if section else measured
    return its[name], its["ci"][name] if section else measured["ci"][name]


PAGE = FiguresPage(ROOT / "docs" / "lesions.md", __file__, RESULTS, _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
