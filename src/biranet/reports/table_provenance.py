"""Where tables of predictions come from: their hashes, and what the reports they lie in say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from biranet.errors import InputError
from biranet.files import read_json, sha256_of
from biranet.public_paths import public_names
from biranet.reports.facts import PROBE_FACT, TABLE_FACT, Facts, HashedFile, SourceTable, fact_text, source_lines
from biranet.reports.notes import Note
from biranet.table_parts import table_sha256
from biranet.validated import STRICT

PREDICTIONS_NAME, METRICS_NAME = "predictions.csv", "metrics.json"
"""The table in the folder of a report, and the file beside it that holds the notes and facts of that report."""


@dataclass(frozen=True)
class Provenance:
    """Where the figures of a report come from.

    Attributes:
        notes: What must be known before they are read.
        facts: What was measured and how.
        tables: Those that were measured again, or pooled.
    """

    __pydantic_config__ = STRICT

    notes: tuple[Note, ...] = ()
    facts: Facts = field(default_factory=dict)
    tables: tuple[SourceTable, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The keys of `metrics.json` that hold it: in sentences as `notes` and `facts`, and as data."""
        return {
            "notes": [note.sentence for note in self.notes],
            "facts": {
                **{table.file: source_lines(table) for table in self.tables},
                **{name: fact_text(fact) for name, fact in self.facts.items()},
            },
            "provenance": TypeAdapter(Provenance).dump_python(self, mode="json"),
        }


def parse_provenance(report: Any) -> Provenance | None:
    """Find out where the figures of a report come from.

    Args:
        report: The content of `metrics.json`.

    Returns:
        The data; None where there are none, as in a report of an earlier biranet, or they do not say the same as its
        notes and facts, as after somebody has edited either.
    """
    try:
        provenance = TypeAdapter(Provenance).validate_python(report["provenance"])
    except (KeyError, TypeError, ValidationError):
        return None
    return provenance if provenance.as_json() == {key: report.get(key) for key in provenance.as_json()} else None


def describe_tables(paths: Sequence[Path], *, new_rules: bool = False) -> tuple[tuple[SourceTable, ...], list[Note]]:
    """Take over what is known of tables that are measured again, or pooled.

    Args:
        paths: Files of predictions that can be read.
        new_rules: Whether other rules are fitted for them, so that notes on their models' rules hold no more.

    Returns:
        Each file with its hash, and the facts of the report that was made of it. Notes: those of these reports, each
        once, with the files they are about where not all have them; of several tables also that they are pooled.

    Raises:
        InputError: If the report that was made of a table was edited, or written by an earlier biranet.
    """
    dropped = ("table", "rules") if new_rules else ("table",)
    tables: list[SourceTable] = []
    about: dict[Note, list[str]] = {}
    for name, path in zip(public_names(paths), paths, strict=True):
        content = HashedFile(PREDICTIONS_NAME, table_sha256(path))
        report = _provenance_of(path, content)
        facts = {key: fact for key, fact in report.facts.items() if key not in (TABLE_FACT, PROBE_FACT)}
        tables.append(SourceTable(name, content.sha256, facts, report.tables))
        for note in report.notes:
            if note.about not in dropped:
                about.setdefault(note, []).append(name)
    taken_over = [Note.of("pooled", tables=len(paths))] if len(paths) > 1 else []
    for note, files in about.items():
        taken_over.append(note if len(files) == len(paths) else Note(note.kind, note.statement, tuple(files)))
    return tuple(tables), taken_over


def find_probe_tables(paths: Sequence[Path]) -> list[Path]:
    """Find the predictions of the linear probes that reports show beside tables.

    Args:
        paths: Files of predictions that can be read.

    Returns:
        The file beside each table, as the report there names it; none where not every table has one.

    Raises:
        InputError: If such a file is not the one that its report tells of.
    """
    probes = []
    for path in paths:
        named = _provenance_of(path, HashedFile(PREDICTIONS_NAME, table_sha256(path))).facts.get(PROBE_FACT)
        if not isinstance(named, HashedFile) or not (probe := path.with_name(named.file)).is_file():
            return []
        if sha256_of(probe) != named.sha256:
            raise InputError(
                f"{probe} is not the table of the linear probe that {METRICS_NAME} beside it tells of; make the report "
                "again, or delete the file to measure without a probe"
            )
        probes.append(probe)
    return probes


def check_unchanged(paths: Sequence[Path], tables: Sequence[SourceTable]) -> None:
    """Refuse tables that were replaced after `describe_tables` had named their hashes.

    Args:
        paths: Their files.
        tables: What it said of them. Called once the tables have been read, this makes sure that it said it of what was
            read.

    Raises:
        InputError: If one is another file now.
    """
    for table, path in zip(tables, paths, strict=True):
        if table_sha256(path) != table.sha256:
            raise InputError(f"{path} was replaced while it was read; run the command again")


def _provenance_of(path: Path, content: HashedFile) -> Provenance:
    """What the report that was made of a table says of it; nothing where there is none."""
    try:
        report: Any = read_json(path.with_name(METRICS_NAME))
    except InputError:
        return Provenance()
    facts = report.get("facts") if isinstance(report, dict) else None
    # A table that was put into the folder later is not the one that the report tells of.
    if not isinstance(facts, dict) or facts.get(TABLE_FACT) != str(content):
        return Provenance()
    provenance = parse_provenance(report)
    if provenance is None:
        # It may have said what makes the figures doubtful, so it is not passed over.
        raise InputError(
            f"{path.with_name(METRICS_NAME)} tells of {path.name}, but its notes and facts are not what a report of "
            "this biranet holds: it was edited, or an earlier biranet wrote it; make the report again, or delete it to "
            "measure the table without them"
        )
    return provenance
