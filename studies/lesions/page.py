"""Write the figures of docs/lesions.md from the tables that run.py wrote.

python -m studies.lesions.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biranet.files import write_bytes
from biranet.lesion_kinds import DISC, LESIONS
from studies.commands import ROOT, command_parser, exit_status_of, run_as_command
from studies.lesions.run import HERE

PAGE = ROOT / "docs" / "lesions.md"
BEGIN, END = "<!-- figures: studies/lesions/page.py -->\n", "<!-- end of figures -->\n"

ELSEWHERE = {"MA": 0.50, "HE": 0.65, "EX": 0.88, "SE": 0.70}
"""About what the best of the IDRiD challenge of 2018 reached on its whole test part, 27 photos, each on one kind."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("results", metavar="RESULTS", type=Path, nargs="?", default=HERE / "results")
    given = parser.parse_args(arguments)

    def write() -> None:
        write_bytes(PAGE, with_figures(PAGE.read_text(), given.results).encode())

    return exit_status_of(__file__, write)


def with_figures(page: str, results: Path) -> str:
    """Put the figures of the tables into the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    test, healthy = (json.loads((results / f"{name}.json").read_text()) for name in ("test", "healthy"))
    return before + BEGIN + "\n".join(["", *_figures(test), "", *_healthy(healthy), "", ""]) + END + after


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


def _figures(test: dict[str, Any]) -> Iterator[str]:
    full = test["measured"][0]
    yield from _prose(
        f"Learned from {test['photos_learned_from']} photographs, measured on {full['photos']} of the official test "
        f"part ({full['groups']} visits) at {full['size_px']} pixels across the field; in brackets 95 % intervals over "
        "visits."
    )
    yield from (
        "",
        "| | AUPR over pixels | chance | reported elsewhere | photographs with it |",
        "|---|---|---|---|---|",
    )
    for kind, name in {**LESIONS, DISC: "optic disc"}.items():
        its = full["kinds"][kind]
        elsewhere = f"{ELSEWHERE[kind]:.2f}" if kind in ELSEWHERE else "-"
        yield f"| {name} | {_value(its['aupr'], its['ci'])} | {its['prevalence']:.4f} | {elsewhere} | {its['photos']} |"
    yield from ("", "| found at false marks a photo | lesions | 1 | 4 | 10 |", "|---|---|---|---|---|")
    for kind, name in LESIONS.items():
        its = full["kinds"][kind]["free_response"]
        shares = " | ".join(_value(each["value"], each["ci"]) for each in its["sensitivity"].values())
        yield f"| {name} | {its['lesions']:,} | {shares} |"
    sizes = [each["size_px"] for each in test["measured"]]
    yield from (
        "",
        f"| AUPR at pixels across the field | {' | '.join(map(str, sizes))} |",
        "|---|" + "---|" * len(sizes),
    )
    for kind, name in LESIONS.items():
        values = " | ".join(f"{each['kinds'][kind]['aupr']:.2f}" for each in test["measured"])
        yield f"| {name} | {values} |"
    needed = ", ".join(f"{name} {needed_px(test)[kind]}" for kind, name in LESIONS.items())
    yield from ("", *_prose(f"So these are looked for from so many pixels across the field on: {needed}."))
    yield from ("", f"| found at 4 false marks | {' | '.join(map(str, sizes))} |", "|---|" + "---|" * len(sizes))
    for kind, name in LESIONS.items():
        found = [each["kinds"][kind]["free_response"]["sensitivity"]["4"]["value"] for each in test["measured"]]
        yield f"| {name} | {' | '.join(f'{value:.2f}' for value in found)} |"


def _healthy(its: dict[str, Any]) -> Iterator[str]:
    yield from _prose(
        f"On {its['photos']} photographs of grade 0, one a visit, at the thresholds of `biranet lesions`: what is "
        "counted there is wrong."
    )
    yield from ("", "| counted in healthy eyes | photographs with any | a photograph |", "|---|---|---|")
    for kind, name in LESIONS.items():
        marked, marks = its["kinds"][kind]["marked"], its["kinds"][kind]["marks"]
        yield f"| {name} | {_value(marked['value'], marked['ci'])} | {_value(marks['value'], marks['ci'])} |"
    yield from ("", *_prose(f"A photograph takes {its['cpu_seconds_a_photo']:.1f} seconds of one core."))


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _value(value: float, ci: Sequence[float] | None) -> str:
    return f"{value:.2f}" + (f" [{ci[0]:.2f}, {ci[1]:.2f}]" if ci else "")


if __name__ == "__main__":
    run_as_command(main)
