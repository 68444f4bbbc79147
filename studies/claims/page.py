"""Write the figures of the study's page from the tables that run.py wrote.

python -m studies.claims.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.evaluation.estimates import meaning_of
from biranet.files import read_json
from studies.claims.between import BETWEEN_NAME
from studies.claims.drawings import KAPPA, name_of, pair_of
from studies.claims.run import CHOICES_NAME, HERE, SUMS_NAME
from studies.claims.sums import KEYS, POWER
from studies.commands import run_as_command
from studies.idrid.sentences import ahead_or_behind, number, signed, with_interval
from studies.pages import FiguresPage, bullet, head, prose, row

QUESTIONS = {
    "probe": "BiRA-Net against the linear probe",
    "whole": "The whole method, BiRA-Net with the grading loss, against the plain network with cross-entropy",
    "attention": "Attention: RA-Net against the plain network, and BiRA-Net against BiRA-Net without it",
    "taught": "Attention that is taught with masks of lesions (our own idea), against attention that is not",
    "streams": "Two streams and the bilinear form: BiRA-Net against RA-Net",
    "normalization": "Signed square root and L2 norm: BiRA-Net against BiRA-Net without them",
    "loss": "The grading loss against cross-entropy",
}
"""In the order of their weight."""

LEVEL = 0.05

_ADJUSTED = (
    f"p adjusted by Holm over the table's rows, within a measure; bold where it is below {LEVEL:g}. The last column is "
    f"the smallest true difference of kappa that would be found, alone, with a probability of {POWER:g}."
)

FURTHER = {
    "longer": (
        "With longer trainings",
        "shorter ones",
        "What longer trainings and lower rates to choose among do for each arm, by the same seeds and folds",
    ),
    "1024": (
        "At 1024 px",
        "at 320 px",
        "What the larger photographs do for each arm, by the same seeds and folds",
    ),
}
"""Other runs with the same seeds and folds, by their folder in the results: title, what they are compared with, how."""


def _figures(results: Path) -> Iterator[str]:
    found = read_json(results / SUMS_NAME)
    yield from ("## In short", "", *_in_short(found), "", *_drawing("differences", "Differences of kappa"))
    yield from ("## A control that is tuned badly", "", *_controls(found), "", *_drawing("controls", "Tuned and not"))
    yield from ("## Every comparison", "", *_comparisons(found), "", "## Every arm", "", *_arms(found), "")
    yield from ("## What was chosen", "", *_chosen(results))
    for folder in FURTHER:
        yield from ("", *_run(results, folder))


def _run(results: Path, folder: str) -> Iterator[str]:
    """What another run has brought, and how it differs from the first."""
    title, first, what = FURTHER[folder]
    found, between = read_json(results / folder / SUMS_NAME), read_json(results / folder / BETWEEN_NAME)["arms"]
    yield from (f"## {title}", "", *_in_short(found), "", *_drawing(f"{folder}/differences", "Differences of kappa"))
    yield from (*_controls(found), "", *_drawing(f"{folder}/controls", "Tuned and not"))
    yield from (*_comparisons(found), "", *prose(f"{what}; {_ADJUSTED}"), "")
    columns = [text for key in KEYS for text in (_short(key), f"minus {first}", "p")]
    yield from head(["arm", *columns, "could find"])
    for arm, told in between.items():
        cells = []
        for key in KEYS:
            its = found["arms"][arm][key]
            cells += [with_interval(its["value"], *its["ci"]), _difference(told[key]), number(told[key]["p_adjusted"])]
        yield row([name_of(arm), *cells, number(told[KAPPA]["detectable"])])
    yield from ("", *_chosen(results / folder))


def _drawing(name: str, title: str) -> Iterator[str]:
    yield from (f"![{title}](results/{name}.svg)", "")


def _in_short(found: dict[str, Any]) -> Iterator[str]:
    kappas = [each[KAPPA] for each in found["comparisons"]]
    smallest, largest = (f"{limit(each['detectable'] for each in kappas):.3f}" for limit in (min, max))
    kept = {key: sum(each[key]["p_adjusted"] < LEVEL for each in found["comparisons"]) for key in KEYS}
    yield from prose(
        f"{found['photos']} photographs of {found['groups']} visits, {found['seeds']} seeds, each with its own "
        f"division into {found['folds']} folds by visit; {found['cpu_seconds'] / 60:.0f} minutes of one core. *Ahead* "
        f"and *behind* where a 95 % interval leaves out 0. Of {len(kappas)} comparisons, adjusted together (Holm), "
        f"differ: {', '.join(f'{count} by {_short(key)}' for key, count in kept.items())}."
    )
    yield ""
    for question, title in QUESTIONS.items():
        asked = [each for each in found["comparisons"] if each["question"] == question]
        if asked:
            yield from bullet(f"**{title}**: {_standing(asked)}.")
    yield from bullet(
        f"**What this study can find**: a true difference of kappa of {smallest} to {largest}, depending on the "
        f"comparison, would have been found alone with a probability of {POWER:g}. Smaller ones may be there."
    )


def _standing(asked: Sequence[dict[str, Any]]) -> str:
    """Say how comparisons stand by each measure, and the differences of kappa; the others are in the table."""
    by_standing: dict[str, list[str]] = {}
    for key in KEYS:
        rows = pd.DataFrame([each[key]["ci"] for each in asked], columns=["low", "high"])
        by_standing.setdefault(ahead_or_behind(rows), []).append(_short(key))
    standing = "; ".join(f"{said} by {', '.join(keys)}" for said, keys in by_standing.items())
    several = len(asked) > 1
    kappas = [f"{_difference(each[KAPPA])}{f' ({pair_of(each)})' if several else ''}" for each in asked]
    return f"{standing}. Kappa: {'; '.join(kappas)}"


def _difference(told: dict[str, Any]) -> str:
    text = f"{signed(told['value'])} [{', '.join(map(signed, told['ci']))}]"
    return f"**{text}**" if told.get("p_adjusted", 1) < LEVEL else text


def _short(key: str) -> str:
    return {KAPPA: "kappa", "aca": "ACA"}.get(key, meaning_of(key).name[0].lower() + meaning_of(key).name[1:])


def _controls(found: dict[str, Any]) -> Iterator[str]:
    yield from prose(
        "The same BiRA-Net (cross-entropy), the same photographs, the same folds; what differs is how much care the "
        "control was given:"
    )
    yield from ("", *head(["BiRA-Net minus", *(_short(key) for key in KEYS)]))
    for each in found["controls"]:
        yield row([name_of(each["first"]), *(_difference(each[key]) for key in KEYS)])


def _comparisons(found: dict[str, Any]) -> Iterator[str]:
    yield from prose(f"The second minus the first, mean over seeds; {_ADJUSTED}")
    columns = [text for key in KEYS for text in (_short(key), "p")]
    yield from ("", *head(["first", "second", *columns, "could find"]))
    for each in found["comparisons"]:
        told = [text for key in KEYS for text in (_difference(each[key]), number(each[key]["p_adjusted"]))]
        yield row([name_of(each["first"]), name_of(each["other"]), *told, number(each[KAPPA]["detectable"])])
    for each in found["prices"]:
        yield ""
        yield from prose(
            f"Heads see {found['channels']} directions of the backbone's channels, which hold "
            f"{100 * found['share_kept']:.1f} % of its sum of squares. What that costs the probe: "
            + ", ".join(f"{_short(key)} {_difference(each[key])}" for key in KEYS)
            + "."
        )


def _arms(found: dict[str, Any]) -> Iterator[str]:
    yield from head(["arm", *(_short(key) for key in KEYS), "lowest and highest kappa of a seed"])
    for arm, measured in found["arms"].items():
        seeds = measured[KAPPA]["by_seed"]
        told = [with_interval(measured[key]["value"], *measured[key]["ci"]) for key in KEYS]
        yield row([name_of(arm), *told, f"{number(min(seeds))}, {number(max(seeds))}"])


def _chosen(results: Path) -> Iterator[str]:
    choices = pd.read_csv(results / CHOICES_NAME, keep_default_na=False)
    yield from prose(
        "How often each rate (of a probe, each penalty) was chosen, how often the lowest or the highest there was, and "
        "how often no training could have been longer:"
    )
    yield from ("", *head(["arm", "chosen: times", "lowest", "highest", "longest"]))
    for arm, rows in choices.groupby("arm", sort=False):
        times = rows["setting"].value_counts().sort_index()
        listed = ", ".join(f"{value:.2g}: {count}" for value, count in times.items())
        edges = [f"{(rows['at_edge'] == edge).sum()} of {len(rows)}" for edge in ("lowest", "highest")]
        steps = f"{(rows['longest'].astype(str) == 'True').sum()} of {len(rows)}" if rows["steps"].max() else "-"
        yield row([name_of(str(arm)), listed, *edges, steps])


PAGE = FiguresPage(HERE / "README.md", __file__, HERE / "results", _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)
