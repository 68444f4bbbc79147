"""Where tables of predictions come from: their own hashes, and what the reports they lie in say of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from biranet.errors import InputError
from biranet.files import read_json

METRICS_NAME = "metrics.json"
"""Lies beside `predictions.csv` in the folder of a report, and holds its notes and facts."""


def describe_tables(paths: Sequence[Path]) -> tuple[dict[str, list[str]], list[str]]:
    """Take over what is known of tables that are measured again, or pooled.

    Args:
        paths: Files of predictions that can be read.

    Returns:
        Facts by the name of each file: its hash, and the facts of the report it lies in. Notes: those of these reports,
        each once, with the files they are about where not all have them; of several tables also that they are pooled.
    """
    facts: dict[str, list[str]] = {}
    about: dict[str, list[str]] = {}
    for path in paths:
        report = _report_beside(path)
        facts[str(path)] = [f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"]
        for name, text in report.get("facts", {}).items():
            facts[str(path)] += [f"{name}: {each}" for each in ([text] if isinstance(text, str) else text)]
        for note in report.get("notes", []):
            about.setdefault(note, []).append(str(path))
    notes = [f"{len(paths)} tables are pooled here: no single model has these figures."] if len(paths) > 1 else []
    for note, files in about.items():
        notes.append(note if len(files) == len(paths) else f"{', '.join(files)}: {note}")
    return facts, notes


def _report_beside(path: Path) -> dict[str, dict[str, str | list[str]]]:
    """The notes and facts of the report that a table is part of; empty where it is part of none."""
    try:
        report = read_json(path.with_name(METRICS_NAME))
    except InputError:
        return {}
    is_ours = isinstance(report, dict) and isinstance(report.get("facts"), dict) and "notes" in report
    return report if is_ours and path.name == "predictions.csv" else {}
