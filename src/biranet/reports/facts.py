"""What was measured and how: facts as data, and as the lines that `metrics.json` holds beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import FiniteFloat

from biranet.validated import STRICT


@dataclass(frozen=True)
class HashedFile:
    """A file and its content.

    Attributes:
        file: Its name.
        sha256: Hash of its bytes.

    Example:
        >>> print(HashedFile("best.safetensors", "0a1b"))
        best.safetensors, sha256 0a1b
    """

    __pydantic_config__ = STRICT

    file: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.file}, sha256 {self.sha256}"


Fact = str | HashedFile | Sequence[str] | Mapping[str, FiniteFloat]
"""A sentence, a file, several sentences, or thresholds by the names of their operating points in `metrics.json`."""

Facts = Mapping[str, Fact]
"""What was measured and how, by its name."""


@dataclass(frozen=True)
class SourceTable:
    """A table of predictions that was measured, and what is known of it.

    Attributes:
        file: Its name.
        sha256: Hash of its bytes.
        facts: Those of the report that was made of it before; none where it is nobody's report.
        tables: The tables that were pooled in it.
    """

    __pydantic_config__ = STRICT

    file: str
    sha256: str
    facts: Facts
    tables: tuple["SourceTable", ...] = ()


def fact_text(fact: Fact) -> str | list[str]:
    """Write a fact in words.

    Returns:
        One line, or a list where it is a list.

    Example:
        >>> fact_text({"cost_5": 0.15954})
        ['cost_5: 0.1595']
    """
    if isinstance(fact, str):
        return fact
    if isinstance(fact, HashedFile):
        return str(fact)
    return [f"{name}: {value:.4f}" for name, value in fact.items()] if isinstance(fact, Mapping) else list(fact)


def fact_lines(fact: Fact) -> list[str]:
    """Write a fact in words, one line or more."""
    text = fact_text(fact)
    return [text] if isinstance(text, str) else text


def source_lines(table: SourceTable) -> list[str]:
    """Write what is known of a table: its hash, the lines of the tables pooled in it, and its facts, after their names.

    Example:
        >>> source_lines(SourceTable("b.csv", "0a", {"Seed": "1"}, (SourceTable("a.csv", "1b", {}),)))
        ['sha256 0a', 'a.csv: sha256 1b', 'Seed: 1']
    """
    pooled = [f"{inner.file}: {line}" for inner in table.tables for line in source_lines(inner)]
    lines = [f"{name}: {line}" for name, fact in table.facts.items() for line in fact_lines(fact)]
    return [f"sha256 {table.sha256}", *pooled, *lines]
