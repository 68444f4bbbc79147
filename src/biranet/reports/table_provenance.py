"""Where tables of predictions come from: their hashes, and what the reports they lie in say of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biranet.decisions.fit import NOT_CALIBRATED
from biranet.errors import InputError
from biranet.files import read_json, sha256_of
from biranet.places import public_names

PREDICTIONS_NAME, METRICS_NAME = "predictions.csv", "metrics.json"
"""The table in the folder of a report, and the file beside it that holds the notes and facts of that report."""

TABLE_FACT = "Table"
"""The fact that names the hash of the table that a report was made of."""

RULES_FITTED_ON = "Temperature, thresholds and prediction sets were fitted on"
ABOUT_RULES = "Of its rules:"
"""How the notes on a model's rules begin, beside `NOT_CALIBRATED`; they end to be true where other rules are fitted."""

ABOUT_MODEL = "Of its training:"
"""How a note on the training of a model begins."""

NO_PATIENTS = "Each photo counts as a patient of its own"
NO_PHOTO = "No photo has grade"
FEW_PATIENTS = "Few patients:"
NO_AGREEMENT = "Kappa cannot be told from 0:"
"""How the notes on a table itself begin; each report finds them out for its own table."""


def name_content(path: Path) -> str:
    """Name the table of a report with its hash, for `TABLE_FACT`."""
    return f"{PREDICTIONS_NAME}, {_hash(path)}"


def describe_tables(paths: Sequence[Path], *, new_rules: bool = False) -> tuple[dict[str, list[str]], list[str]]:
    """Take over what is known of tables that are measured again, or pooled.

    Args:
        paths: Files of predictions that can be read.
        new_rules: Whether other rules are fitted for them, so that notes on their models' rules hold no more.

    Returns:
        Facts by the name of each file: its hash, and the facts of the report that was made of it. Notes: those of these
        reports, each once, with the files they are about where not all have them; of several tables also that they are
        pooled.

    Raises:
        InputError: If the report that was made of a table holds no notes and facts.
    """
    of_rules = (NOT_CALIBRATED, RULES_FITTED_ON, ABOUT_RULES) if new_rules else ()
    stale = (NO_PATIENTS, NO_PHOTO, FEW_PATIENTS, NO_AGREEMENT, *of_rules)
    facts: dict[str, list[str]] = {}
    about: dict[str, list[str]] = {}
    for name, path in zip(public_names(paths), paths, strict=True):
        told, notes = _report_of(path)
        facts[name] = [_hash(path), *told]
        for note in notes:
            if not note.startswith(stale):
                about.setdefault(note, []).append(name)
    taken_over = [f"{len(paths)} tables are pooled here: no single model has these figures."] if len(paths) > 1 else []
    for note, files in about.items():
        taken_over.append(note if len(files) == len(paths) else f"{', '.join(files)}: {note}")
    return facts, taken_over


def check_unchanged(paths: Sequence[Path], facts: Mapping[str, Sequence[str]]) -> None:
    """Refuse tables that were replaced after `describe_tables` had named their hashes.

    Args:
        paths: Their files.
        facts: What it said of them. Called once the tables have been read, this makes sure that it said it of what was
            read.

    Raises:
        InputError: If one is another file now.
    """
    for name, path in zip(public_names(paths), paths, strict=True):
        if _hash(path) != facts[name][0]:
            raise InputError(f"{path} was replaced while it was read; run the command again")


def _report_of(path: Path) -> tuple[list[str], list[str]]:
    """The facts, one a line, and the notes of the report that was made of a table; nothing where there is none."""
    try:
        report: Any = read_json(path.with_name(METRICS_NAME))
    except InputError:
        return [], []
    facts = report.get("facts") if isinstance(report, dict) else None
    # A table that was put into the folder later is not the one that the report tells of.
    if not isinstance(facts, dict) or facts.get(TABLE_FACT) != name_content(path):
        return [], []
    listed = {name: [text] if isinstance(text, str) else text for name, text in facts.items() if name != TABLE_FACT}
    notes = report.get("notes")
    for lines in (notes, *listed.values()):
        if not (isinstance(lines, list) and all(isinstance(line, str) for line in lines)):
            # It may have said what makes the figures doubtful, so it is not passed over.
            raise InputError(
                f"{path.with_name(METRICS_NAME)} tells of {path.name}, but its notes and facts are not what a report "
                "holds: it was edited; delete it to measure the table without them, or make the report again"
            )
    return [f"{name}: {line}" for name, lines in listed.items() for line in lines], notes


def _hash(path: Path) -> str:
    return f"sha256 {sha256_of(path)}"
