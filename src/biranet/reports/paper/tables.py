"""The tables of a paper: the same rows as CSV, for programs, and as LaTeX, for print."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.measures import MEANINGS, point_name
from biranet.files import write_bytes
from biranet.grades import GRADE_NAMES, GRADES, REFERABLE_GRADE
from biranet.reports.facts import Thresholds, threshold_text
from biranet.reports.figures.words import in_text
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import decimal, thousands
from biranet.reports.pages.tables import COLUMNS_OF, ROWS_OF, SHARES
from biranet.reports.paper.latex import write_tabular
from biranet.tables import write_rows
from biranet.words import counted

Cell = str | int | float | Number | tuple[float, ...] | None
"""A number of `metrics.json` stands with its interval, and the thresholds of folds from the lowest to the highest: in
one cell in print, in three columns for programs, of which the first then is their median."""

BY_PART = {key: MEANINGS[key].head for _, key in COLUMNS_OF["subgroups"]}
"""What is said of subgroups and of models side by side, and the heads of these columns."""

_INTERVALS = f"In brackets: {100 * LEVEL:.0f} % intervals."
_WITHOUT = " A value without brackets has no interval: too little varies."
_AREA = "AUC: area under the receiver operating characteristic"
_PARTS = (
    f"Kappa: with quadratic weights. ACA: average classification accuracy. {_AREA}; it, sensitivity and specificity "
    "are those of referable photos (grade 2 and above)."
)
_PREDICTIVE = "PPV, NPV: positive and negative predictive value"


TABLE_NAMES = (
    *("headline", "per_grade", "confusion_matrix", "operating_points", "probe", "subgroups"),
    *("models", "differences"),
)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its name, without a suffix.
        caption: What it shows.
        columns: By their names for programs, their heads in print; those of words first. One without a head is for
            programs only.
        rows: A cell for each column.
        words: How many columns hold words.
    """

    name: str
    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1


def list_tables(metrics: Mapping[str, Any], thresholds: Thresholds) -> Iterator[Table]:
    """Make the tables of a report.

    Args:
        metrics: The content of `metrics.json`.
        thresholds: Of the operating points, by name, where they are known.
    """
    numbers = Numbers(metrics)
    yield _headlines(metrics, numbers)
    yield _per_grade(metrics, numbers)
    yield _confusion(metrics["confusion_matrix"])
    yield _operating_points(metrics, numbers, thresholds)
    if "control" in metrics:
        yield _beside_probe(metrics, numbers)
    if metrics["subgroups"]:
        yield _subgroups(metrics)


def _explain_numbers(rows: Sequence[Sequence[Cell]]) -> str:
    """Say in a caption what stands in brackets, and why there is nothing where a measured value has no interval.

    Args:
        rows: The cells of the table.
    """
    measured = [cell for row in rows for cell in row if isinstance(cell, Number) and cell.measured]
    bare = any(number.value is not None and not number.interval for number in measured)
    return f"{_INTERVALS}{_WITHOUT if bare else ''}"


def write_table_files(folder: Path, table: Table) -> None:
    """Write `NAME.csv` and `NAME.tex`.

    Raises:
        InputError: If they cannot be written.
    """
    printed = [
        [_print(cell) for cell, head in zip(row, table.columns.values(), strict=True) if head] for row in table.rows
    ]
    heads = list(filter(None, table.columns.values()))
    text = write_tabular(table.caption, table.name.replace("_", "-"), heads, printed, words=table.words)
    # That in LaTeX first, as it is what the other one is known by.
    write_bytes(folder / f"{table.name}.tex", text.encode())
    write_rows(folder / f"{table.name}.csv", *_spread(table))


def _headlines(metrics: Mapping[str, Any], numbers: Numbers) -> Table:
    shown = [number for key in ROWS_OF["headline"] if (number := numbers.get(key)) is not None]
    rows = [(number.meaning.name, str(number.key), number) for number in shown]
    return Table(
        "headline",
        f"Agreement of predicted with true grades: {counted(metrics['n'], 'photo')} of "
        f"{counted(metrics['groups'], 'patient or group', 'patients or groups')}. Referable: grade 2 and "
        f"above; any DR (diabetic retinopathy): grade 1 and above. {_AREA}; AUPRC: that under precision against "
        f"recall. {_explain_numbers(rows)}",
        {"measure": "Measure", "key": "", "value": "Value"},
        rows,
    )


def _per_grade(metrics: Mapping[str, Any], numbers: Numbers) -> Table:
    matrix = metrics["confusion_matrix"]
    heads = {key: head for head, key in COLUMNS_OF["grades"] if key in metrics}
    rows: list[tuple[Cell, ...]] = [
        (
            f"{grade} {GRADE_NAMES[grade]}",
            sum(matrix[grade]),
            sum(row[grade] for row in matrix),
            *(numbers(key, grade) for key in heads),
        )
        for grade in GRADES
    ]
    columns = {"grade": "Grade", "photos": "Photos", "given_it": ""}
    caption = f"Each grade. {_AREA}, of its photos against all others. {_explain_numbers(rows)}"
    return Table("per_grade", caption, columns | heads, rows)


def _confusion(matrix: Sequence[Sequence[int]]) -> Table:
    columns = {"true_grade": "True grade", **{f"predicted_{grade}": str(grade) for grade in GRADES}}
    rows: list[tuple[Cell, ...]] = [
        (f"{grade} {GRADE_NAMES[grade]}", *matrix[grade], sum(matrix[grade])) for grade in GRADES
    ]
    caption = "Photos by true grade (down) and predicted grade (across)."
    return Table("confusion_matrix", caption, columns | {"photos": "All"}, rows)


def _operating_points(metrics: Mapping[str, Any], numbers: Numbers, thresholds: Thresholds) -> Table:
    heads = {key: MEANINGS[f"operating_points.{key}"].head for key in (*SHARES, "referred_fraction")}
    referred = sum(sum(row[REFERABLE_GRADE:]) for row in metrics["confusion_matrix"]) / metrics["n"]
    rows: list[tuple[Cell, ...]] = [
        ("predicted grade of 2 or above", None, *(numbers(f"referable_{key}") for key in SHARES), referred)
    ]
    for point in metrics["operating_points"] or ():
        shares = [numbers(key, section="operating_points", point=point) for key in heads]
        threshold = thresholds.get(point)
        cell = tuple(threshold) if isinstance(threshold, Sequence) else threshold
        rows.append((point_name(point), cell, *shares))
    columns = {"referred_by": "Referred by", "threshold": "Threshold", **heads}
    of_folds = any(isinstance(each, Sequence) for each in thresholds.values())
    fold_note = "Each fold had thresholds of its own: from the lowest to the highest. " if of_folds else ""
    caption = (
        f"Referral: what each rule does to these photos. {fold_note}{_PREDICTIVE} among them. {_explain_numbers(rows)} "
        f"How many have a predicted grade of {REFERABLE_GRADE} or above is counted, without an interval."
    )
    return Table("operating_points", caption, columns, rows)


def _subgroups(metrics: Mapping[str, Any]) -> Table:
    parts = metrics["subgroups"]
    keys = [key for key in BY_PART if key in parts[0]]
    rows: list[tuple[Cell, ...]] = []
    for part in parts:
        numbers = Numbers(part)
        rows.append((part["column"], part["value"], part["n"], part["groups"], *(numbers(key) for key in keys)))
    columns = {"column": "By", "value": "Value", "photos": "Photos", "groups": "Groups"}
    caption = f"Subgroups. {_PARTS} {_explain_numbers(rows)}"
    return Table("subgroups", caption, columns | {key: BY_PART[key] for key in keys}, rows, words=2)


def _beside_probe(metrics: Mapping[str, Any], numbers: Numbers) -> Table:
    probe, differences = metrics["control"]["measures"], metrics["control"]["differences"]
    of_probe = Numbers(probe)
    rows: list[tuple[Cell, ...]] = []
    for key in ROWS_OF["differences"]:
        if key in differences:
            number = Number.of_difference(key, differences)
            rows.append((number.meaning.name, key, numbers.get(key), of_probe.get(key), number))
    return Table(
        "probe",
        "The model beside a linear probe: one linear layer on the features of the same backbone from before the "
        "training, fitted to the same photos. Differences are model less probe, drawn together. "
        f"{_explain_numbers(rows)}",
        {"measure": "Measure", "key": "", "model": "Model", "probe": "Linear probe", "difference": "Difference"},
        rows,
    )


def models_table(measures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Make the table of several models side by side.

    Args:
        measures: By name of the model, what was measured.
    """
    of_models = {name: Numbers(metrics) for name, metrics in measures.items()}
    keys = [key for key in BY_PART if all(numbers.get(key) for numbers in of_models.values())]
    rows: list[tuple[Cell, ...]] = [(name, *(numbers(key) for key in keys)) for name, numbers in of_models.items()]
    columns = {"model": "Model", **{key: BY_PART[key] for key in keys}}
    return Table("models", f"Models on the same photos. {_PARTS} {_explain_numbers(rows)}", columns, rows)


def differences_table(comparison: Mapping[str, Any]) -> Table:
    """Make the table of the differences between each model and the first.

    Args:
        comparison: The content of `comparison.json`.
    """
    first, *others = comparison["names"]
    rows = []
    for other in others:
        differences = comparison["differences"][other]
        for key in ROWS_OF["differences"]:
            if key in differences:
                number = Number.of_difference(key, differences)
                rows.append((other, number.meaning.name, key, number))
    return Table(
        "differences",
        f"Differences from {first} on the same photos, drawn together; DR: diabetic retinopathy. {_AREA}. "
        f"{_explain_numbers(rows)}",
        {"model": "Model", "measure": "Measure", "key": "", "difference": "Difference"},
        rows,
        words=2,
    )


def _spread(table: Table) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows of the CSV, where a number with an interval has three columns."""
    names: list[str] = []
    for index, name in enumerate(table.columns):
        numbered = any(isinstance(row[index], Number | tuple) for row in table.rows)
        names += [name, f"{name}_low", f"{name}_high"] if numbered else [name]
    rows = []
    for row in table.rows:
        cells = dict.fromkeys(names, "")
        for name, cell in zip(table.columns, row, strict=True):
            value = median(cell) if isinstance(cell, tuple) else cell.value if isinstance(cell, Number) else cell
            cells[name] = "" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
            ends = (min(cell), max(cell)) if isinstance(cell, tuple) else isinstance(cell, Number) and cell.interval
            if ends:
                cells[f"{name}_low"], cells[f"{name}_high"] = (f"{end:.9g}" for end in ends)
        rows.append(cells)
    return names, rows


def _print(cell: Cell) -> str:
    if isinstance(cell, Number):
        return in_text(cell)
    if isinstance(cell, tuple):
        return threshold_text(cell, 2)
    if isinstance(cell, int):
        return thousands(cell)
    return decimal(cell, 2) if cell is None or isinstance(cell, float) else cell
