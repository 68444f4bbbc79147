"""Write the figures of README.md from the table that run.py wrote.

python -m studies.lesion_grades.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from biranet.files import read_json
from studies.commands import run_as_command
from studies.lesion_grades.measure import AIMS, AIMS_ELSEWHERE, COMPARED, CONDITIONS, WAYS
from studies.lesion_grades.run import HERE
from studies.pages import FiguresPage, estimate, head, prose, row, with_ci

_HEADINGS = {
    "visits": "Folds of visits, lesions at 1280 px",
    "stretches": "Folds of stretches of the numbering, lesions at 1280 px",
    "elsewhere": "The other clinic, lesions at 512 px",
}
_NAMES = {
    "quadratic_weighted_kappa": "kappa",
    "referable_auc": "referable AUC",
    "any_dr_auc": "any-DR AUC",
    "aca": "ACA",
    "missed_fraction": "referable, not referred",
    "needless_fraction": "others, referred",
    "asked_fraction": "left to a human",
}
_AIMED = tuple(AIMS)


def _figures(results: Path) -> Iterator[str]:
    found = {name: read_json(path) for name in CONDITIONS if (path := results / f"{name}.json").exists()}
    for condition, heading in _HEADINGS.items():
        if condition not in found:
            continue  # not asked yet
        its = found[condition]
        count = next(iter(its["ways"].values()))["n"]
        yield from ("", f"### {heading}", "", f"{count} photographs.", "")
        yield from _ways(its["ways"], AIMS_ELSEWHERE if condition == "elsewhere" else AIMS)
        yield from _all_differences(its["differences"])
        if "promise" in its:
            yield from _promises({"shipped": its["shipped"], **its["promise"]}, its)
            yield from _coverage(its["coverage"], its["level"])
    yield from _chosen(found)


def _ways(ways: Mapping[str, Any], aims: Mapping[str, float]) -> Iterator[str]:
    yield from head(["", *_NAMES.values()])
    for way, its in ways.items():
        yield row([WAYS[way], *(estimate(its[name], 3) for name in _NAMES)])
    yield row(["*aim*", *(f"{aims[name]:g}" if name in aims else "" for name in _NAMES)])


def _all_differences(differences: Mapping[str, Any]) -> Iterator[str]:
    for first in COMPARED:
        yield from ("", *head([f"minus {WAYS[first]}", *(_NAMES[name] for name in _AIMED), _NAMES["missed_fraction"]]))
        for way, its in differences[first].items():
            each = [its[name] for name in (*_AIMED, "decisions.missed_fraction")]
            yield row([WAYS[way], *(_difference(one) for one in each)])


def _promises(promises: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    level, target = (f"{100 * about[name]:.0f} %" for name in ("level", "target"))
    yield from (
        "",
        *head(
            [
                "referable, not referred",
                "out of fold",
                f"mean of new stretches, at most ({level})",
                f"the next stretch, at most ({level})",
                "the bound of 9 stretches held in the tenth",
                f"by a rule that promises {target}: not referred",
                "others, referred",
                "kept in a stretch that it was not fitted on",
            ]
        ),
    )
    for way, its in promises.items():
        rule = its["bounded"]
        new = rule["of_new_stretches"]
        kept = sum(share <= about["target"] for share in new)
        yield row(
            [
                WAYS.get(way, "*the model that ships, 353 photographs, its folds of visits*"),
                *(f"{its[name]:.3f}" for name in ("fraction", "mean", "next")),
                f"{its['held']} of {len(its['shares'])}",
                f"{rule['missed']:.3f}",
                f"{rule['needless']:.3f}",
                f"{kept} of {len(new)}",
            ]
        )


def _coverage(rows: Sequence[Mapping[str, float]], level: float) -> Iterator[str]:
    text = (
        f"How often these bounds of {100 * level:.0f} % hold, counted on drawn shares (beta-binomial) of stretches "
        "that have as many referable photographs as the real ones:"
    )
    yield from ("", *prose(text), "")
    yield from head(["mean share", "correlation within a stretch", "of the next stretch", "of the mean"])
    for its in rows:
        yield row([its["mean"], its["correlation"], f"{its['next']:.3f}", f"{its['of_mean']:.3f}"])


def _chosen(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "### What was chosen, and what it cost", "")
    conditions = [name for name in CONDITIONS if name in found]
    yield from head(["", *(f"{name}: chosen in so many folds" for name in conditions), "seconds of one core"])
    for way in WAYS:
        each = ["; ".join(f"{n} x {told}" for told, n in found[name]["chosen"][way].items()) for name in conditions]
        seconds = sum(found[name]["seconds"][way] for name in conditions)
        yield row([WAYS[way], *(told or "-" for told in each), f"{seconds:,.0f}"])
    own = found["visits"]["seconds_a_photo"]["own"]
    yield from (
        "",
        *prose(
            "To look at a photo and its mirror image, by the backbone at three sizes and by five heads at two, took "
            f"{own:.1f} seconds of one core."
        ),
    )


def _difference(its: Mapping[str, Any]) -> str:
    return "-" if its["difference"] is None else with_ci(its["difference"], its["ci"], 3, "+")


PAGE = FiguresPage(HERE / "README.md", __file__, HERE / "results", _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
