"""The methods and results of a report in sentences to take over: only what its facts say, with pandoc's citations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from biranet.grades import DISCLAIMER
from biranet.reports.fact_kinds import AuditFact
from biranet.reports.facts import AUDIT_FACT, Fact
from biranet.reports.figures.drawing import Figure
from biranet.reports.pages.differences import Difference
from biranet.reports.paper.data import describe_data
from biranet.reports.paper.known import count_tables, known_facts, known_thresholds
from biranet.reports.paper.model import describe_model, describe_probe
from biranet.reports.paper.patients import patients_of, photos_and_patients
from biranet.reports.paper.results import describe_differences, describe_results
from biranet.reports.paper.rules import describe_rules
from biranet.reports.paper.statistics import (
    describe_intervals,
    describe_measures,
    describe_paired,
    describe_software,
)
from biranet.reports.paper.tables import Table
from biranet.reports.paper.training import describe_training
from biranet.reports.paper.wording import as_markdown, enumerate_words
from biranet.reports.probe import list_probe_differences
from biranet.reports.table_provenance import Provenance

FILE_MARKER = "<!-- the methods of a report of biranet's -->"
"""Begins the file."""


def write_methods(
    title: str,
    table: pd.DataFrame,
    metrics: Mapping[str, Any],
    provenance: Provenance,
    figures: Iterable[Figure],
    tables: Sequence[Table],
) -> str:
    """Write the methods and results of a report, and the legends of its figures and tables.

    Args:
        title: Title of the report.
        table: A predictions table.
        metrics: The content of its `metrics.json`.
        provenance: Where its figures come from.
        figures: Those that were drawn.
        tables: Those that were made.

    Returns:
        Markdown.
    """
    facts, beside_probe = known_facts(provenance), list_probe_differences(metrics)
    paragraphs = {
        "Data": describe_data(table, metrics, facts),
        "Model": describe_model(facts, count_tables(provenance)),
        "Training": describe_training(facts),
        "Calibration and decisions": describe_rules(metrics, facts, known_thresholds(provenance)),
        "Reference model": describe_probe(facts) if beside_probe else (),
        "Measures": describe_measures(metrics, curves=True),
        "Statistical analysis": [
            *describe_intervals(metrics, patients_of(facts)),
            *([describe_paired()] if beside_probe else []),
        ],
        "Software": describe_software(facts),
        "Results": describe_results(metrics, facts, beside_probe),
    }
    cautions = [note.statement for note in provenance.notes] + list(_list_leaks(facts.get(AUDIT_FACT)))
    caution_section = (
        ["## To be said with the figures", "\n".join(f"* {as_markdown(each)}" for each in cautions)] if cautions else []
    )
    return _as_file(title, paragraphs, [*caution_section, "## Legends", *_list_legends(figures, tables)])


def write_comparison_methods(
    title: str,
    comparison: Mapping[str, Any],
    differences: Mapping[str, Sequence[Difference]],
    figures: Sequence[Figure],
    tables: Sequence[Table],
) -> str:
    """Write the methods and results of a comparison, and the legends.

    Args:
        title: Title of the comparison.
        comparison: The content of `comparison.json`.
        differences: The main measures of each model after the first, by its name, beside those of the first.
        figures: Those that were drawn.
        tables: Those that were made.

    Returns:
        Markdown.
    """
    first, *others = comparison["names"]
    measured = comparison["measures"][first]
    compared = enumerate_words([as_markdown(name) for name in others])
    models = [
        f"Predictions of {compared} were compared with those of {as_markdown(first)} on the same "
        f"{photos_and_patients(comparison)}."
    ]
    results = [sentence for name in others for sentence in describe_differences(first, name, differences[name])]
    paragraphs = {
        "Models": models,
        "Measures": describe_measures(measured, curves=False),
        "Statistical analysis": [*describe_intervals(measured, patients_of({})), describe_paired()],
        "Results": results,
    }
    return _as_file(title, paragraphs, ["## Legends", *_list_legends(figures, tables)])


def _as_file(title: str, paragraphs: Mapping[str, Iterable[str]], rest: Sequence[str]) -> str:
    parts = [FILE_MARKER, f"# {as_markdown(title)}", DISCLAIMER]
    for heading, sentences in paragraphs.items():
        if text := " ".join(sentences):
            parts += [f"## {heading}", text]
    return "\n\n".join([*parts, *rest]) + "\n"


def _list_leaks(audit: Fact | None) -> Iterator[str]:
    if isinstance(audit, AuditFact) and audit.leaks:
        yield from audit.findings


def _list_legends(figures: Iterable[Figure], tables: Iterable[Table]) -> Iterator[str]:
    for figure in figures:
        yield f"**figures/{figure.name}.** {as_markdown(f'{figure.title}.')} {as_markdown(figure.caption)}"
    for table in tables:
        yield f"**tables/{table.name}.** {as_markdown(table.caption)}"
