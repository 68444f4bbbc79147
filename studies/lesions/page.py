"""Write the figures of docs/lesions.md from the tables that run.py wrote.

python -m studies.lesions.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.lesion_kinds import DISC, LESIONS
from studies.commands import ROOT, run_as_command
from studies.lesions.run import HERE
from studies.pages import FiguresPage, head, prose, row, with_ci

ELSEWHERE = {"MA": 0.50, "HE": 0.65, "EX": 0.88, "SE": 0.70}
"""About what the best of the IDRiD challenge of 2018 reached on its whole test part, 27 photos, each on one kind."""


def needed_px(test: dict[str, Any]) -> dict[str, int]:
    """Say from how many pixels across the field on each kind can be found.

    Args:
        test: The table of the test part.

    Returns:
        By kind, the fewest at which the AUPR is at least half of the best one, as at all resolutions above.
    """
    needed = {}
    for kind in LESIONS:
        values = {each["size_px"]: each["kinds"][kind]["aupr"] for each in test["measured"]}
        half, needed[kind] = max(values.values()) / 2, max(values)
        for size_px in sorted(values, reverse=True):
            if values[size_px] < half:
                break
            needed[kind] = size_px
    return needed


def _figures(results: Path) -> Iterator[str]:
    test, healthy = (json.loads((results / f"{name}.json").read_text()) for name in ("test", "healthy"))
    yield from _found(test)
    yield ""
    yield from counted_in_healthy(healthy)


def _found(test: dict[str, Any]) -> Iterator[str]:
    full = test["measured"][0]
    yield from prose(
        f"Learned from {test['photos_learned_from']} photographs, measured on {full['photos']} of the official test "
        f"part ({full['groups']} visits) at {full['size_px']} pixels across the field; in brackets 95 % intervals over "
        "visits."
    )
    yield from ("", *precision(full), "", *free_response(full))
    sizes = [each["size_px"] for each in test["measured"]]
    yield from ("", *head(["AUPR at pixels across the field", *sizes]))
    for kind, name in LESIONS.items():
        yield row([name, *(f"{each['kinds'][kind]['aupr']:.2f}" for each in test["measured"])])
    needed = ", ".join(f"{name} {needed_px(test)[kind]}" for kind, name in LESIONS.items())
    yield from ("", *prose(f"So these are looked for from so many pixels across the field on: {needed}."))
    yield from ("", *head(["found at 4 false marks", *sizes]))
    for kind, name in LESIONS.items():
        found = [each["kinds"][kind]["free_response"]["sensitivity"]["4"]["value"] for each in test["measured"]]
        yield row([name, *(f"{value:.2f}" for value in found)])


def precision(measured: dict[str, Any]) -> Iterator[str]:
    """Tell the average precision of each kind, as `measure_lesions` gives it."""
    yield from head(("", "AUPR over pixels", "chance", "reported elsewhere", "photographs with it"))
    for kind, name in {**LESIONS, DISC: "optic disc"}.items():
        its = measured["kinds"][kind]
        elsewhere = f"{ELSEWHERE[kind]:.2f}" if kind in ELSEWHERE else "-"
        yield row([name, with_ci(its["aupr"], its["ci"]), f"{its['prevalence']:.4f}", elsewhere, its["photos"]])


def free_response(measured: dict[str, Any]) -> Iterator[str]:
    """Tell the lesions that are found at some false marks a photo, as `measure_lesions` gives them."""
    yield from head(("found at false marks a photo", "lesions", 1, 4, 10))
    for kind, name in LESIONS.items():
        its = measured["kinds"][kind]["free_response"]
        shares = [with_ci(each["value"], each["ci"]) for each in its["sensitivity"].values()]
        yield row([name, f"{its['lesions']:,}", *shares])


def counted_in_healthy(its: dict[str, Any]) -> Iterator[str]:
    """Tell what is counted in healthy eyes, as `measure_marks` gives it, and what a photo takes."""
    yield from prose(
        f"On {its['photos']} photographs of grade 0, one a visit, at the thresholds of `biranet lesions`: what is "
        "counted there is wrong."
    )
    yield from ("", *head(("counted in healthy eyes", "photographs with any", "a photograph")))
    for kind, name in LESIONS.items():
        marked, marks = its["kinds"][kind]["marked"], its["kinds"][kind]["marks"]
        yield row([name, *(with_ci(each["value"], each["ci"]) for each in (marked, marks))])
    yield from ("", *prose(f"A photograph takes {its['cpu_seconds_a_photo']:.1f} seconds of one core."))


PAGE = FiguresPage(ROOT / "docs" / "lesions.md", __file__, HERE / "results", _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
