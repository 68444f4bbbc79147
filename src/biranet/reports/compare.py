"""Two or more models on the same photos: what each measures, how they differ, and how sure the difference is.

Two models are mostly wrong on the same hard photos, so a difference is known better than either value. Therefore the
same draws of groups serve all tables, and the interval is that of the difference; whether the intervals of two values
overlap says little.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from biranet.config import EvaluationConfig
from biranet.decisions.columns import has_decisions
from biranet.decisions.predictions import pool_predictions
from biranet.errors import InputError
from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.intervals import measure_with_intervals, paired_differences
from biranet.files import write_bytes, write_json
from biranet.grades import DECISIONS, DISCLAIMER, REFERABLE_GRADE
from biranet.outputs import folder_kind, holds_keys
from biranet.public_paths import public_names
from biranet.reports.figures.referral import draw_roc_of_models
from biranet.reports.figures.svg import as_svg_element
from biranet.reports.pages.differences import Difference, chart_differences, list_differences, select_main, shorten
from biranet.reports.pages.listing import Numbers
from biranet.reports.pages.page import is_page, render_page
from biranet.reports.paper.folder import PAPER_PARTS, write_paper
from biranet.reports.paper.methods import write_comparison_methods
from biranet.reports.paper.tables import differences_table, models_table
from biranet.reports.published import PUBLISHED, PUBLISHED_NOTE
from biranet.words import counted

Tables = Mapping[str, pd.DataFrame]
"""Predictions by the name of what made them, the first being what the others are compared with."""


def read_tables(paths: Sequence[Path], names: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """Read predictions to compare, and name each by what tells its path from the others.

    Args:
        paths: Files that `read_predictions` reads, each of all photos; at least two.
        names: A name for each, instead.

    Returns:
        The tables by name, in order.

    Raises:
        InputError: If there are fewer than two files, one is given twice, one cannot be read, or `check_same_photos`
            refuses them; the sentence names file, row and column. Or if the names are not one for each, or not
            different.
    """
    if len(paths) < 2:
        raise InputError("comparing needs at least two predictions files, each of all photos")
    names = _check_names(names, len(paths))
    resolved = [path.resolve() for path in paths]
    for position, path in enumerate(resolved):
        if path in resolved[:position]:
            raise InputError(f"{paths[position]} is given twice; name each predictions file once")
    read = {str(path): pool_predictions(path) for path in paths}
    check_same_photos({path: each.table.set_index(each.rows) for path, each in read.items()})
    return dict(zip(names or short_names(resolved), (each.table for each in read.values()), strict=True))


def _check_names(names: Sequence[str], tables: int) -> list[str]:
    """The names on one line each, where there are any."""
    lines = [" ".join(name.split()) for name in names]
    if lines and len(lines) != tables:
        raise InputError(
            f"--names gives {counted(len(lines), 'name')} for {tables} tables; give one for each, in their order"
        )
    if not all(lines) or len(set(lines)) < len(lines):
        raise InputError("--names must give each table a name of its own, and none that is empty")
    return lines


def short_names(paths: Sequence[Path]) -> list[str]:
    """Shorten different paths to what tells them apart.

    Args:
        paths: Different absolute paths.

    Returns:
        A name for each: its path without the folders that all share, at the beginning and, with equal file names, at
        the end. Suffixes are left out where the names stay different.

    Example:
        >>> short_names([Path("/runs/a/report/predictions.csv"), Path("/runs/b/report/predictions.csv")])
        ['a', 'b']
        >>> short_names([Path("/runs/first.csv"), Path("/runs/second.csv")])
        ['first', 'second']
    """
    without = [path.with_suffix("") for path in paths]
    parts = [path.parts for path in (without if len(set(without)) == len(paths) else paths)]
    for _ in ("beginning", "end"):
        shared_columns = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
        # Something must be left of the shortest.
        shared = min(len(list(shared_columns)), min(map(len, parts)) - 1)
        parts = [part[shared:][::-1] for part in parts]
    return ["/".join(part) for part in parts]


def check_same_photos(tables: Tables) -> None:
    """Refuse tables that do not hold the same photos, with the same truth and the same groups.

    Args:
        tables: Predictions tables by name; the index of each is the row that the error names.

    Raises:
        InputError: If they differ; the sentence names both tables, row and column.
    """
    (first_name, first), *others = tables.items()
    rows = pd.Series(first.index, index=first["file"])
    for name, table in others:
        unknown = ~table["file"].isin(rows.index)
        if unknown.all():
            raise InputError(
                f"{name} and {first_name} share no photo: {name}, row {table.index[0]}, column 'file' holds "
                f"{table['file'].iloc[0]!r}; compare predictions for the same photos"
            )
        missing = ~first["file"].isin(table["file"])
        for lacking, here, there, table_here in (
            (unknown, name, first_name, table),
            (missing, first_name, name, first),
        ):
            if lacking.any():
                number, file = table_here.index[lacking][0], table_here["file"][lacking].iloc[0]
                raise InputError(
                    f"{here}, row {number}, column 'file': {file!r} does not stand in {there} "
                    f"({counted(int(lacking.sum()), 'such photo')}); compare predictions for the same photos"
                )
        other = first.set_index("file").loc[table["file"]]
        for column, hint in (
            ("grade", "the truth must be the same"),
            ("group", "copy the column into the table that knows less, so that both know whose photos they are"),
        ):
            wrong = table[column].to_numpy() != other[column].to_numpy()
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                file = table["file"].iloc[row]
                raise InputError(
                    f"{name}, row {table.index[row]}, column {column!r}: {table[column].iloc[row]} for {file!r}, but "
                    f"{other[column].iloc[row]} in {first_name}, row {rows[file]}; {hint}"
                )


def compare(tables: Tables, config: EvaluationConfig | None = None) -> dict[str, Any]:
    """Measure every table, and how each differs from the first.

    Args:
        tables: At least two predictions tables of the same photos, by name, in any order of rows.
        config: How to measure.

    Returns:
        The content of `comparison.json`: `n` photos, `groups`, `names`; `measures`, by name what
        `measure_with_intervals` answers; `differences`, by the name of each table after the first, that table minus the
        first, by key of the measure: `difference` and `ci`, each None where it is not defined; `referral`, by the same
        names, for each rule the photos by what became of them (see `disagreements`); `original_table`, the table of the
        paper on BiRA-Net, whose rows say where they were measured; what else must be known to read it.

    Raises:
        InputError: If there are fewer than two tables, or `check_same_photos` refuses them.
    """
    config = config or EvaluationConfig()
    if len(tables) < 2:
        raise InputError("comparing needs at least two predictions tables")
    check_same_photos(tables)
    first_name, *other_names = tables
    photos = tables[first_name]["file"]
    aligned = {
        name: table.iloc[pd.Index(table["file"]).get_indexer(photos)].reset_index(drop=True)
        for name, table in tables.items()
    }
    # Drawn anew for each: so an interval is to the digit that of the model's own report, whose draws depend on its own
    # predictions alone, while those for all tables at once depend on all.
    measures = {name: measure_with_intervals(table, config) for name, table in aligned.items()}
    differences = paired_differences(list(aligned.values()), config)
    first = measures[first_name]
    return {
        "n": first["n"],
        "groups": first["groups"],
        "names": list(tables),
        "measures": measures,
        "differences": dict(zip(other_names, differences, strict=True)),
        "referral": {name: _referral(aligned[first_name], aligned[name]) for name in other_names},
        "original_table": original_table(measures),
        "original_table_note": PUBLISHED_NOTE,
        "ci_method": first["ci_method"],
        "disclaimer": DISCLAIMER,
    }


COMPARISON_NAME, PAGE_NAME = "comparison.json", "comparison.html"

COMPARISON = folder_kind(
    "a comparison",
    {
        COMPARISON_NAME: lambda path: holds_keys(path, "names", "measures", "differences"),
        PAGE_NAME: is_page,
    },
    PAPER_PARTS,
)
"""What `write_comparison` writes, and whatever of it a kill has left."""


def write_comparison(
    out: Path,
    paths: Sequence[Path],
    config: EvaluationConfig | None = None,
    *,
    names: Sequence[str] = (),
    title: str = "",
    facts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compare predictions files, and write the comparison, and what a paper takes from it, into a folder.

    Args:
        out: The folder; made where missing. Files of ours are replaced, each whole or not at all.
        paths: At least two predictions files of the same photos; the first is what the others are compared with.
        config: How to measure.
        names: Names of the models, one for each file; taken from the paths where there are none.
        title: Title of the page; the names of the models when empty.
        facts: How this was compared (versions, command), by its name.

    Returns:
        The content of `comparison.json`: that of `compare`, and the `facts`.

    Raises:
        InputError: If the files cannot be read or compared, or nothing can be written.
    """
    tables = read_tables(paths, names)
    files = {f"Predictions of {name}": file for name, file in zip(tables, public_names(paths), strict=True)}
    comparison = {**compare(tables, config), "facts": {**files, **(facts or {})}}
    first, *others = comparison["names"]
    title = title or f"{', '.join(others)} compared with {first}"
    sections = []
    for name in others:
        rows = _list_rows(comparison, name)
        kappa = next(row for row in rows if row.key == "quadratic_weighted_kappa")
        section = {"name": name, "rows": rows, "chart": chart_differences(rows), "kappa": kappa}
        sections.append({**section, "referral": comparison["referral"][name]})
    figure = draw_roc_of_models(tables, {name: Numbers(each) for name, each in comparison["measures"].items()})
    drawn = [figure] if figure else []
    values = {
        "title": title,
        "comparison": comparison,
        "first": first,
        "roc": figure and Markup(as_svg_element(figure)),
        "sections": sections,
        "numbers": {name: Numbers(measures) for name, measures in comparison["measures"].items()},
        "level": LEVEL,
        "shorten": shorten,
    }
    page = render_page("compare.html.jinja", values)
    write_json(out / COMPARISON_NAME, comparison)
    paper = [models_table(comparison["measures"]), differences_table(comparison)]
    differences = {name: select_main(_list_rows(comparison, name)) for name in others}
    write_paper(out, drawn, paper, write_comparison_methods(title, comparison, differences, drawn, paper))
    write_bytes(out / PAGE_NAME, page.encode())
    return comparison


def describe_comparison(comparison: Mapping[str, Any]) -> str:
    """Write the main differences for a terminal.

    Args:
        comparison: What `compare` answers.

    Returns:
        A paragraph for each table after the first: both values of a measure, their difference, and its interval.
    """
    first, *others = comparison["names"]
    photos, groups = counted(comparison["n"], "photo"), counted(comparison["groups"], "group")
    lines = [f"{photos} in {groups}; {100 * LEVEL:.0f} % intervals"]
    for name in others:
        lines.append(f"{name} minus {first}")
        for row in select_main(_list_rows(comparison, name)):
            interval = f"  [{row.ci[0]:+.3f}, {row.ci[1]:+.3f}]" if row.ci else ""
            lines.append(f"  {row.meaning.name:32} {row.other:.3f} - {row.first:.3f} = {row.difference:+.3f}{interval}")
    return "\n".join(lines)


def disagreements(first: pd.DataFrame, other: pd.DataFrame, rule: str) -> list[dict[str, Any]]:
    """Count the photos by what each of two models did with them.

    Args:
        first: A predictions table.
        other: Another one, of the same photos in the same order.
        rule: The column that says what is done: `predicted_grade` (refer from grade 2 on) or `decision`.

    Returns:
        One item for each pair of outcomes: that of `first` and that of `other` (`right`, `wrong`, and with decisions
        also `asked`), and how many photos of a `referable` and of a `not_referable` grade had it.

    Example:
        >>> grades = pd.DataFrame({"grade": [0, 3, 4], "predicted_grade": [0, 3, 1]})
        >>> for item in disagreements(grades, grades.assign(predicted_grade=[2, 2, 2]), "predicted_grade"):
        ...     print(item)
        {'first': 'right', 'other': 'right', 'referable': 1, 'not_referable': 0}
        {'first': 'right', 'other': 'wrong', 'referable': 0, 'not_referable': 1}
        {'first': 'wrong', 'other': 'right', 'referable': 1, 'not_referable': 0}
        {'first': 'wrong', 'other': 'wrong', 'referable': 0, 'not_referable': 0}
    """
    referable = first["grade"].to_numpy() >= REFERABLE_GRADE
    of_first, of_other = (_outcomes(table, rule) for table in (first, other))
    outcomes = ("right", "wrong") if rule == "predicted_grade" else ("right", "asked", "wrong")
    items = []
    for pair in itertools.product(outcomes, outcomes):
        had = (of_first == pair[0]) & (of_other == pair[1])
        counts = {"referable": int((had & referable).sum()), "not_referable": int((had & ~referable).sum())}
        items.append({"first": pair[0], "other": pair[1], **counts})
    return items


def original_table(measures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Set what was measured into the table of the paper on BiRA-Net.

    Args:
        measures: By name what `measure` answers.

    Returns:
        Rows with `model`, `source` ("measured here" or "reported elsewhere"), `n` (None where it is not known), `aca`,
        `macro_f1`, `macro_f1_of_means`, `micro_f1`. A reported macro-F1 stands under `macro_f1_as_reported` alone, as
        nobody here knows its definition.
    """
    columns = ("aca", "macro_f1", "macro_f1_of_means", "micro_f1")
    measured = [
        {
            "model": name,
            "source": "measured here",
            "n": values["n"],
            **{column: values[column] for column in columns},
            "macro_f1_as_reported": None,
        }
        for name, values in measures.items()
    ]
    reported = [
        {
            "model": row.model,
            "source": "reported elsewhere",
            "n": None,
            **dict.fromkeys(columns),
            "aca": row.aca,
            "micro_f1": row.micro_f1,
            "macro_f1_as_reported": row.macro_f1,
        }
        for row in PUBLISHED
    ]
    return [*measured, *reported]


def _list_rows(comparison: Mapping[str, Any], name: str) -> list[Difference]:
    measures = comparison["measures"]
    return list_differences(comparison["differences"][name], measures[comparison["names"][0]], measures[name])


def _referral(first: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    decided = has_decisions(first) and has_decisions(other)
    return {
        "predicted_grade": disagreements(first, other, "predicted_grade"),
        "decision": disagreements(first, other, "decision") if decided else None,
    }


def _outcomes(table: pd.DataFrame, rule: str) -> npt.NDArray[np.str_]:
    referable = table["grade"].to_numpy() >= REFERABLE_GRADE
    if rule == "predicted_grade":
        return np.where((table["predicted_grade"].to_numpy() >= REFERABLE_GRADE) == referable, "right", "wrong")
    no, ask, yes = DECISIONS
    decisions = table["decision"].to_numpy(str)
    right = decisions == np.where(referable, yes, no)
    return np.where(decisions == ask, "asked", np.where(right, "right", "wrong"))
