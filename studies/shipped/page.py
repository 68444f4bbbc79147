"""Write what others measured of the model that ships, and why it is worse, into docs/model.md, from the tables alone.

python -m studies.shipped.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.evaluation.estimates import Estimate, Key, from_json
from biranet.files import read_json, write_bytes
from biranet.learning.shipped_models import DEFAULT
from studies.commands import ROOT, command_parser, exit_status_of, run_as_command
from studies.shipped.card import RESULTS
from studies.shipped.outside import Told, read_outside
from studies.shipped.promise import PROMISE_NAME

PAGE = ROOT / "docs" / "model.md"
BEGIN, END = "<!-- figures: studies/shipped/page.py -->\n", "<!-- end of figures -->\n"

COLUMNS = {
    "quadratic_weighted_kappa": "kappa",
    "referable_auc": "referable AUC",
    "aca": "ACA",
    "accuracy": "accuracy",
    "decisions.missed_fraction": "referable photos it does not refer",
}

OURS = {
    "cross_validated": "*ours:* 353 of IDRiD, out of fold",
    "external": "*ours:* 418 of the other clinic",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("results", metavar="RESULTS", type=Path, nargs="?", default=RESULTS)
    given = parser.parse_args(arguments)

    def write() -> None:
        write_bytes(PAGE, with_figures(PAGE.read_text(encoding="utf-8"), given.results).encode())

    return exit_status_of(__file__, write)


def with_figures(page: str, results: Path) -> str:
    """Put the figures of the tables into the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    promise = read_json(results / PROMISE_NAME)
    lines = [*_outside(results), "", *_stretches(promise["stretches"]), "", *_folds(promise["folds"])]
    return "\n".join([before + BEGIN, *lines, "", END + after])


def _outside(results: Path) -> Iterator[str]:
    yield from _head(["photographs", *COLUMNS.values()])
    outside = read_outside(results)
    for measured in outside.measured if outside else ():
        if measured.model == DEFAULT:
            yield _row([measured.on, *(_told(measured.figures.get(key)) for key in COLUMNS)])
    for name, what in OURS.items():
        estimates = from_json(read_json(results / f"{name}.json"))
        each = [estimates.get(Key.parse(key), Estimate(None)) for key in COLUMNS]
        yield _row([what, *(_told(Told(one.value, one.interval and tuple(one.interval))) for one in each)])


def _stretches(found: dict[str, Any]) -> Iterator[str]:
    yield from _head(["visits that begin at photograph", "referable", "of them grade 2", "not referred"])
    for each in found["each"]:
        share = f"{each['missed']} = {each['missed'] / each['referable']:.3f}"
        yield _row([f"{each['first']} to {each['last']}", each["referable"], each["grade_2"], share])
    ends = (_told(Told(found["fraction"], tuple(found[f"ci_of_{what}"]))) for what in ("visits", "stretches"))
    visits, stretches = ends
    all_of_them = f"{found['missed']} = {visits}; drawing {found['drawn']} stretches, not visits: {stretches}"
    yield _row(["all", found["referable"], sum(each["grade_2"] for each in found["each"]), all_of_them])


def _folds(found: dict[str, Any]) -> Iterator[str]:
    yield from _head(["a layer on the same backbone", "kappa", "referable AUC", "not referred", "least and most"])
    for kind in ("visits", "stretches"):
        mean, each = found[kind]["mean"], [one["missed_fraction"] for one in found[kind]["each"]]
        values = [f"{mean[name]:.3f}" for name in ("quadratic_weighted_kappa", "referable_auc", "missed_fraction")]
        yield _row([f"folds of {kind}, mean of {found['divisions']}", *values, f"{min(each):.3f}, {max(each):.3f}"])


def _told(told: Told | None) -> str:
    if told is None or told.value is None:
        return "-"
    ends = f" [{told.ci[0]:.3f}, {told.ci[1]:.3f}]" if told.ci else ""
    return (f"{told.counts} = " if told.counts else "") + f"{told.value:.3f}{ends}"


def _head(cells: Sequence[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    run_as_command(main)
