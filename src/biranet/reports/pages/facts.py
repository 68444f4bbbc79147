"""What was measured and how, laid out to be read: thresholds by their aim, the facts of each table by themselves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from biranet.evaluation.measures import point_name
from biranet.reports.facts import Fact, Facts, SourceTable, fact_lines, source_lines, threshold_text


class FactEntry(NamedTuple):
    """One entry of a list of facts.

    Attributes:
        name: What it is about.
        lines: The sentences.
    """

    name: str
    lines: Sequence[str]


def list_facts(facts: Facts) -> list[FactEntry]:
    """Lay out facts, in their order; thresholds say what they were chosen for.

    Example:
        >>> for entry in list_facts({"Seed": "1", "Thresholds": {"cost_5": 0.1, "mine": 0.2}}):
        ...     print(entry.name, entry.lines)
        Seed ['1']
        Thresholds ['cost of 5 for a missed one (cost_5): 0.1000', 'mine: 0.2000']
    """
    return [FactEntry(name, _lines(fact)) for name, fact in facts.items()]


def list_tables(tables: Sequence[SourceTable]) -> list[tuple[str, list[FactEntry]]]:
    """Lay out what is known of tables.

    Returns:
        The name of each, its hash, an entry for each table that was pooled in it, and its facts.

    Example:
        >>> list_tables([SourceTable("a.csv", "0a", {"Seed": "2"})])
        [('a.csv', [FactEntry(name='sha256', lines=['0a']), FactEntry(name='Seed', lines=['2'])])]
    """
    return [
        (
            table.file,
            [
                FactEntry("sha256", [table.sha256]),
                *(FactEntry(pooled.file, source_lines(pooled)) for pooled in table.tables),
                *list_facts(table.facts),
            ],
        )
        for table in tables
    ]


def _lines(fact: Fact) -> list[str]:
    if not isinstance(fact, Mapping):
        return fact_lines(fact)
    aims = {point: point_name(point) for point in fact}
    return [
        f"{point if aims[point] == point else f'{aims[point]} ({point})'}: {threshold_text(threshold)}"
        for point, threshold in fact.items()
    ]
