"""Write the figures of attention that is taught into docs/evidence.md, from the table that run.py wrote.

python -m studies.taught.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.lesion_kinds import LESIONS
from studies.commands import ROOT, run_as_command
from studies.evidence.sums import CHANCE
from studies.pages import FiguresPage, estimate, head, prose, row, with_ci
from studies.taught.run import HERE, RESULT
from studies.taught.sums import KEYS

LESSONS = {
    "untaught": "taught nothing",
    "same": "both streams taught all lesions",
    "red_bright": "A taught red, B bright ones",
}
"""What heads are called by what they were taught."""

MAPS = {"a": "attention of A", "b": "attention of B", "both": "mean of A and B", "evidence": "evidence, stride 32"}

MEASURES = {"quadratic_weighted_kappa": "kappa", "referable_auc": "referable AUC", "aca": "ACA"}


def _figures(results: Path) -> Iterator[str]:
    result = json.loads((results / RESULT).read_text())
    finding = result["finding"]
    drawn = finding["any"]["photos"]
    yield from prose(
        f"**Does it find lesions?** Learned from {result['learned_to_find_from']} photographs, {result['with_masks']} "
        f"of them with masks; measured on {drawn} of the official test part. Means of {result['seeds']} trainings; "
        "intervals are over visits alone: how far trainings are apart is not in them."
    )
    yield from ("", *_finding(finding["any"]["maps"]), "")
    yield from ("Average precision by cell, of each kind of lesion:", "", *_by_kind(finding), "")
    yield from (
        "How much the term counts, beside the loss of the grades; mean of A and B:",
        "",
        *_by_weight(finding, result["weights"]),
        "",
    )
    yield from prose(
        f"**Does it grade better?** {result['photos']} photographs of {result['visits']} visits, out of fold, five "
        f"folds by visit, {result['seeds']} divisions; intervals are over visits alone."
    )
    yield from ("", *_grading(result["grading"]))


def _finding(maps: dict[str, Any]) -> Iterator[str]:
    yield from head(
        ("", "", "share of its mass", "highest cell holds one", "average precision by cell", "more than untaught")
    )
    for lesson, of in _rows():
        measured = maps[f"{lesson} {of}"]
        cells = [estimate(measured["mass"], 3), *(estimate(measured[key]) for key in ("pointing", "precision"))]
        yield row([LESSONS[lesson], MAPS[of], *cells, _more(measured["precision"])])
    chance = maps[CHANCE]
    yield row(
        [CHANCE, "-", estimate(chance["mass"], 3), *(estimate(chance[key]) for key in ("pointing", "precision")), "-"]
    )


def _by_kind(finding: dict[str, Any]) -> Iterator[str]:
    kinds = {kind: name for kind, name in {"red": "red", "bright": "bright", **LESIONS}.items() if kind in finding}
    yield from head(["", "", *(f"{name} ({finding[kind]['photos']})" for kind, name in kinds.items())])
    for lesson, of in _rows():
        cells = [estimate(finding[kind]["maps"][f"{lesson} {of}"]["precision"]) for kind in kinds]
        yield row([LESSONS[lesson], MAPS[of], *cells])
    yield row([CHANCE, "-", *(estimate(finding[kind]["maps"][CHANCE]["precision"]) for kind in kinds)])


def _by_weight(finding: dict[str, Any], weights: Sequence[float]) -> Iterator[str]:
    yield from head(["", "weight", "chosen", "share of its mass", "average precision by cell"])
    for lesson, chosen in finding["chosen"].items():
        for weight in weights:
            measured = finding["any"]["maps"][f"{lesson}_{weight:g} both"]
            times = f"{chosen.count(weight)} of {len(chosen)} times"
            cells = estimate(measured["mass"], 3), estimate(measured["precision"])
            yield row([LESSONS[lesson], f"{weight:g}", times, *cells])


def _grading(grading: dict[str, Any]) -> Iterator[str]:
    names = [MEASURES[key] for key in KEYS]
    yield from head(["", "weights, times chosen", *names, *(f"{name}, more than untaught" for name in names)])
    for lesson, measured in grading.items():
        cells = [with_ci(measured[key], measured["ci"][key], 3) for key in KEYS]
        apart = measured.get("differences")
        more = [with_ci(apart[key]["difference"], apart[key]["ci"], 3, "+") if apart else "-" for key in KEYS]
        times = "; ".join(f"{weight}: {count}" for weight, count in measured["weights"].items()) if apart else "-"
        yield row([LESSONS[lesson], times, *cells, *more])


def _rows() -> Iterator[tuple[str, str]]:
    return ((lesson, of) for lesson in LESSONS for of in MAPS)


def _more(measured: dict[str, Any]) -> str:
    if "over_untaught" not in measured:
        return "-"
    return with_ci(measured["over_untaught"], measured["over_untaught_ci"], sign="+")


PAGE = FiguresPage(ROOT / "docs" / "evidence.md", __file__, HERE / "results", _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
