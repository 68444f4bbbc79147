"""What is known of the answers in a report: by its own facts, or by those of the tables that it measures again."""

from collections.abc import Iterator, Mapping, Sequence

from biranet.reports.facts import MODEL_FACT, THRESHOLDS_FACT, Fact, Facts, SourceTable, Thresholds
from biranet.reports.table_provenance import Provenance


def known_facts(provenance: Provenance) -> Mapping[str, Fact]:
    """Collect what is known of the answers: the facts of the report, or those of the tables that it measures again.

    Returns:
        The facts by name; of several tables those that all of them share.
    """
    first, *others = _sources(provenance.facts, provenance.tables)
    return {name: fact for name, fact in first.items() if all(each.get(name) == fact for each in others)}


def count_tables(provenance: Provenance) -> int:
    """Count the tables that the answers come from."""
    return len(list(_sources(provenance.facts, provenance.tables)))


def known_thresholds(provenance: Provenance) -> Thresholds:
    """The thresholds of operating points, where they are known: one for all photos, or that of each fold."""
    here = provenance.facts.get(THRESHOLDS_FACT, known_facts(provenance).get(THRESHOLDS_FACT))
    return here if isinstance(here, Mapping) else {}


def _sources(facts: Facts, tables: Sequence[SourceTable]) -> Iterator[Facts]:
    """The facts of each report that an answer comes from; those of a report win over those of its tables."""
    if MODEL_FACT in facts or not tables:
        yield facts
        return
    for table in tables:
        for inner in _sources(table.facts, table.tables):
            yield {**inner, **facts}
