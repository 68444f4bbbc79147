"""Make the study's page from the tables alone; every number on it is computed here.

python -m studies.idrid.page [RESULTS] [--out FOLDER]

RESULTS: the tables that run.py wrote; results/core beside this file when not given. Writes README.md, differences.svg
and curves.svg into --out, measures.csv, differences.csv and convergence.csv into RESULTS. When --out is not given, the
page of results/core comes into this folder, and every other one beside its tables.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.intervals import RESAMPLES
from biranet.files import write_bytes
from biranet.grades import GRADE_COUNT
from biranet.tables import write_table
from studies.commands import command_parser, exit_status_of, run_as_command
from studies.idrid.analysis import (
    COLLECTED_WITH,
    KEYS,
    LEVEL_SHARE,
    External,
    Results,
    convergence,
    differences,
    grouped,
    measures,
    of_kappa,
    read_results,
)
from studies.idrid.drawings import draw_curves, draw_differences
from studies.idrid.grid import HERE, LOSS_TITLES
from studies.idrid.sentences import (
    NOTHING,
    ahead_or_behind,
    at_the_edges,
    difference_with_interval,
    leaves_out_zero,
    name_of,
    number,
    sooner,
    standing,
    with_interval,
)
from studies.idrid.variants import ARCHITECTURES, VARIANTS

CORE = HERE / "results" / "core"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("results", metavar="RESULTS", type=Path, nargs="?", default=CORE)
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples of each interval")
    given = parser.parse_args(arguments)
    out = given.out or page_place(given.results)

    def work() -> None:
        write_page(given.results, out, given.resamples)
        print(f"Written: {out / 'README.md'}")

    return exit_status_of(__file__, work)


def page_place(results: Path) -> Path:
    """Where the page of some tables belongs: that of the core grid beside the scripts, others beside their tables."""
    return HERE if results.resolve() == CORE else results


def write_page(results: Path, out: Path, resamples: int = RESAMPLES) -> None:
    """Write the page, its drawings, and the tables of the numbers on it.

    Args:
        results: Folder with the tables; one that holds only budget.csv gives a page that says so.
        out: Folder for the page.
        resamples: Bootstrap resamples of each interval.

    Raises:
        InputError: If a table is missing, or nothing can be written.
    """
    values: dict[str, Any] = {
        "folder": f"results/{results.name}",
        "up": "../.." if results.name == CORE.name else "../../../..",  # from where the page belongs
        "results": (results / "settings.csv").exists(),
    }
    if not values["results"]:
        values |= _budget(results / "budget.csv")
    else:
        found = read_results(results)
        tables = {
            "measures": measures(found.tables, resamples),
            "differences": differences(found.tables, resamples),
            "convergence": convergence(found),
        }
        for name, table in tables.items():
            write_table(results / f"{name}.csv", table)
        draw_differences(tables["differences"], found.external, out / "differences.svg")
        draw_curves(found, out / "curves.svg")
        values |= _values(found, resamples, **tables)
    # autoescape would turn the quotes of Markdown into entities
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    page = environment.get_template("page.md.jinja").render(values)
    write_bytes(out / "README.md", f"{page.strip()}\n".encode())


def _values(
    found: Results, resamples: int, measures: pd.DataFrame, differences: pd.DataFrame, convergence: pd.DataFrame
) -> dict[str, Any]:
    settings = found.settings
    is_ablation = differences["question"] == "ablation"
    ablations, compared = differences[is_ablation], differences[~is_ablation]
    return {
        "settings": settings,
        "grades": _grades(settings),
        "validation_percent": f"{100 * float(settings['validation_fraction']):g}",
        "keys": KEYS,
        "names": {key: meaning_of(key).name for key in KEYS},
        "table": _measured(measures),
        "paired": _paired(compared),
        "ablations": [
            {"title": VARIANTS[other].title, "cells": _cells(rows, difference_with_interval, "difference")}
            for (other,), rows in grouped(ablations, "other")
        ],
        "models": [
            {
                "title": VARIANTS[row["variant"]].title,
                "weights": f"{row['weights'] / 1e6:.2f}",
                "trained": f"{row['trained'] / 1e6:.2f}",
            }
            for _, row in found.models.iterrows()
        ],
        "chosen": _chosen(found.choices),
        "tried": [f"{rate:g}" for rate in sorted(set(found.choices["lr"]))],
        "at_the_edges": at_the_edges(found.choices),
        "external": found.external and _external(found.external),
        "claims": _claims(differences),
        "short": [_telling(ablations), sooner(convergence, "Convergence, all architectures"), _highest(measures)],
        "comparisons": len(of_kappa(compared)),
        "standing": {name: ahead_or_behind(rows) for name, rows in _of_two_measures(compared)},
        "versions": ", ".join(
            f"{name.removeprefix(COLLECTED_WITH)} {version}"
            for name, version in settings.items()
            if name.startswith(COLLECTED_WITH)
        ),
        "seeds": "1 seed" if " " not in settings["seeds"] else f"{len(settings['seeds'].split())} seeds",
        "resamples": f"{resamples:,}",
        "interval_percent": f"{100 * LEVEL:g}",
        "chance_percent": f"{100 * (1 - LEVEL):g}",
        "level_percent": f"{100 * LEVEL_SHARE:g}",
        **_counted(differences),
        "sooner": [
            sooner(convergence[convergence["variant"] == name], VARIANTS[name].title)
            for name in ARCHITECTURES
            if name in set(convergence["variant"])
        ],
        "convergence": [
            {
                "title": VARIANTS[row["variant"]].title,
                "loss": LOSS_TITLES[row["loss"]],
                "seed": row["seed"],
                "fold": row["fold"],
                "lr": f"{row['lr']:g}",
                "final": number(row["final_kappa"]),
                "epochs": "–" if pd.isna(row["epochs_to_level"]) else row["epochs_to_level"],
            }
            for _, row in convergence.iterrows()
        ],
        "times": [
            {
                "title": VARIANTS[variant].title,
                "part": part,
                "trainings": len(rows),
                "seconds": f"{rows['seconds'].mean():.0f}",
                "hours": f"{rows['seconds'].sum() / 3600:.2f}",
            }
            for (variant, part), rows in grouped(found.times, "variant", "part")
        ],
        "hours": f"{found.times['seconds'].sum() / 3600:.1f}",
    }


def _counted(differences: pd.DataFrame) -> dict[str, int]:
    """How many intervals of differences there are, how many leave out 0, and the same for kappa alone."""
    counts = {}
    for name, table in (("all", differences), ("kappa", of_kappa(differences))):
        known = table.dropna(subset=["low"])
        counts[f"intervals_{name}"] = len(known)
        counts[f"excluding_{name}"] = sum(map(leaves_out_zero, known["low"], known["high"]))
    return counts


def _chosen(choices: pd.DataFrame) -> list[dict[str, Any]]:
    """How often each learning rate was chosen, for each architecture and loss."""
    rates = sorted(set(choices["lr"]))
    return [
        {
            "title": VARIANTS[variant].title,
            "loss": LOSS_TITLES[loss],
            "counts": [int(rows.loc[rows["lr"] == rate, "chosen"].sum()) for rate in rates],
        }
        for (variant, loss), rows in grouped(choices, "variant", "loss")
    ]


def _external(external: External) -> dict[str, Any]:
    rates = [
        f"{name_of(*pair)}: {' and '.join(f'{rate:g}' for rate in dict.fromkeys(rows['lr']))}"
        for pair, rows in grouped(external.rates, "variant", "loss")
    ]
    return {
        **_counted(external.differences),
        "rates": "; ".join(rates),
        "settings": external.settings,
        "grades": _grades(external.settings),
        "table": _measured(external.measures),
        "paired": _paired(external.differences),
        "claims": _claims(external.differences),
        "highest": _highest(external.measures),
    }


def _grades(settings: dict[str, str]) -> str:
    return ", ".join(settings[f"photos_of_grade_{grade}"] for grade in range(GRADE_COUNT))


def _measured(measures: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table of values."""
    return [
        {"title": VARIANTS[variant].title, "loss": LOSS_TITLES[loss], "cells": _cells(rows, with_interval, "value")}
        for (variant, loss), rows in grouped(measures, "variant", "loss")
    ]


def _paired(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table of differences."""
    return [
        {
            "first": name_of(first, first_loss),
            "other": name_of(other, other_loss),
            "cells": _cells(rows, difference_with_interval, "difference"),
        }
        for (first, first_loss, other, other_loss), rows in grouped(
            differences, "first", "first_loss", "other", "other_loss"
        )
    ]


def _cells(rows: pd.DataFrame, write: Any, column: str) -> list[str]:
    by_key = rows.set_index("measure").loc[list(KEYS)]
    return [write(*ends) for ends in zip(by_key[column], by_key["low"], by_key["high"], strict=True)]


def _highest(measures: pd.DataFrame) -> str:
    kappas = of_kappa(measures)
    best = kappas.sort_values("value", ascending=False, kind="stable").iloc[0]
    return (
        f"Highest kappa: {name_of(best['variant'], best['loss'])}, "
        f"{with_interval(best['value'], best['low'], best['high'])}; being the highest of {len(kappas)}, it is likely "
        "too good."
    )


def _of_two_measures(differences: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of the two measures that the summary speaks of, each with its name."""
    yield "Kappa", of_kappa(differences)
    yield "Referable AUC", differences[differences["measure"] == "referable_auc"]


def _claims(differences: pd.DataFrame) -> list[str]:
    """The answers to the questions of the study."""
    subjects = {
        "method": "The whole method (BiRA-Net, grading loss, against the plain network, cross-entropy)",
        "attention": "Attention (RA-Net against the plain network; it brings a hidden layer and dropout along)",
        "bilinear": "Two streams and the bilinear head (BiRA-Net against RA-Net)",
        "whole": "Both of these (BiRA-Net against the plain network)",
        "loss": "The grading loss, against cross-entropy",
    }
    said = []
    for question, subject in subjects.items():
        asked = differences[differences["question"] == question]
        if len(asked):
            answers = [
                standing(rows, name, [_place(row) for _, row in rows.iterrows()])
                for name, rows in _of_two_measures(asked)
            ]
            said.append(" ".join([f"**{subject}.**", *answers]))
    return said


def _place(row: pd.Series) -> str:
    """What tells a difference from the others that answer the same question."""
    if row["question"] == "method":
        return ""
    return f" ({VARIANTS[row['other']].title if row['question'] == 'loss' else LOSS_TITLES[row['other_loss']]})"


def _telling(ablations: pd.DataFrame) -> str:
    """By how many measures each change of BiRA-Net is told apart from it."""
    found = {VARIANTS[other].title: ahead_or_behind(rows) for (other,), rows in grouped(ablations, "other")}
    told = [f"{title}: {said} measures" for title, said in found.items() if said != NOTHING]
    silent = f"{NOTHING} in {len(found) - len(told)}"
    return f"BiRA-Net with one thing changed, {len(found)} versions. {'; '.join([*told, silent])}."


def _budget(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"budget": []}
    table = pd.read_csv(path)
    rows = [
        {
            "title": VARIANTS[row["variant"]].title,
            "part": row["part"],
            "trainings": row["trainings"],
            "epochs": row["epochs"],
            "seconds": f"{row['processor_seconds_per_epoch']:.1f}",
            "hours": f"{row['hours']:.2f}",
        }
        for _, row in table.iterrows()
    ]
    return {"budget": rows, "budget_trainings": table["trainings"].sum(), "budget_hours": f"{table['hours'].sum():.1f}"}


if __name__ == "__main__":
    run_as_command(main)
