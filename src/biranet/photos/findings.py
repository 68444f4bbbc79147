"""What an audit found: one kind of case at a time, and how that is told."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from biranet.errors import RefusedError
from biranet.files import printable

_MAX_LISTED = 3


@dataclass(frozen=True)
class Finding:
    """One kind of thing that the audit found.

    Attributes:
        kind: What it is, such as `byte-identical files`.
        refuses: Whether training is refused for it.
        count: How many cases there are.
        cases: The files of each case.
        sentence: What was found, with the first case as example, and what to do.

    Example:
        >>> Finding("conflicting grades", False, 1, [["a.jpg", "b.jpg"]], "a.jpg and b.jpg: ...").count
        1
    """

    kind: str
    refuses: bool
    count: int
    cases: list[list[str]] = field(repr=False)
    sentence: str


def summarize_cases(kind: str, cases: list[list[str]], sentence: str) -> Finding:
    """Sum up the cases of one kind, none of which refuses.

    Args:
        kind: What they are.
        cases: The files of each case.
        sentence: With `{first}` for the files of the first case and `{n}` for how many cases there are.

    Returns:
        The finding; its count is 0 where there is no case.
    """
    first = cases[0] if cases else []
    names = " and ".join(map(printable, first[:_MAX_LISTED])) + (
        f" and {len(first) - _MAX_LISTED} more" if len(first) > _MAX_LISTED else ""
    )
    # Not by format, since the names of files may hold braces.
    sentence = sentence.replace("{n}", str(len(cases))).replace("{first}", names)
    return Finding(kind, False, len(cases), cases, sentence)


def refuse_leaks(findings: Sequence[Finding]) -> None:
    """Refuse to go on where a finding says so.

    Raises:
        RefusedError: With the sentence of the first such finding.
    """
    for finding in findings:
        if finding.refuses:
            raise RefusedError(finding.sentence)


def describe_warnings(findings: Sequence[Finding], prepared: Path) -> str:
    """Tell in one line what was found that does not stop a training; empty where there is nothing."""
    warnings = ", ".join(f"{finding.kind} ({finding.count})" for finding in findings if not finding.refuses)
    return f"The audit warns of: {warnings}; see all with: biranet audit {prepared}" if warnings else ""


def describe_findings(findings: Sequence[Finding]) -> str:
    """Lay out the findings as a table for people: kind, cases, whether training is refused, the sentence."""
    if not findings:
        return "The audit found nothing."
    width = max(len(finding.kind) for finding in findings)
    lines = [f"{'found':{width}}  {'cases':>6}  training"]
    for finding in findings:
        lines.append(f"{finding.kind:{width}}  {finding.count:6}  {'refused' if finding.refuses else 'allowed'}")
        lines.append(f"    {finding.sentence}.")
    return "\n".join(lines)


def as_json(table: pd.DataFrame, findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as plain values, with all files."""
    return {
        "photos": len(table),
        "refused": any(finding.refuses for finding in findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
