"""What is known of the answers in a report: by its own facts, or by those of the tables that it measures again."""

from collections.abc import Iterator, Mapping, Sequence

from biranet.manifest import GUESSED_FROM
from biranet.reports.fact_kinds import PatientsFact
from biranet.reports.facts import (
    DIVIDED_PATIENTS_FACT,
    MODEL_FACT,
    PATIENTS_FACT,
    THRESHOLDS_FACT,
    Fact,
    Facts,
    SourceTable,
    Thresholds,
)
from biranet.reports.table_provenance import Provenance


def known_facts(provenance: Provenance) -> Mapping[str, Fact]:
    """Collect what is known of the answers: the facts of the report, or those of the tables that it measures again.

    Returns:
        The facts by name; of several tables those that all of them share, and how patients are known in all together.
    """
    sources = list(_sources(provenance.facts, provenance.tables))
    first, *others = sources
    shared = {name: fact for name, fact in first.items() if all(each.get(name) == fact for each in others)}
    return shared | {
        name: _pool_patients([each.get(name) for each in sources])
        for name in (PATIENTS_FACT, DIVIDED_PATIENTS_FACT)
        if any(name in each for each in sources) and name not in shared
    }


def _pool_patients(facts: Sequence[Fact | None]) -> PatientsFact:
    """Add up how patients are known; a table of which nothing is said counts as one photo of a known one."""
    patients = [fact if isinstance(fact, PatientsFact) else PatientsFact(1) for fact in facts]
    return PatientsFact(
        sum(each.photos for each in patients),
        sum(each.unknown for each in patients),
        sum(each.guessed for each in patients),
        tuple(sorted({source for each in patients for source in each.guessed_from}, key=GUESSED_FROM.index)),
    )


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
