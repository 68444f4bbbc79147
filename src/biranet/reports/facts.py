"""What was measured and how: facts as data, and as the lines that `metrics.json` holds beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import FiniteFloat

from biranet.reports.fact_kinds import (
    AuditFact,
    DecoderFact,
    EpochFact,
    GradesFact,
    LeftOutFact,
    ModelFact,
    PatientsFact,
    PhotosFact,
    RulesFact,
    SplitFact,
    StartFact,
    TrainedOnFact,
    TrainingFact,
)
from biranet.reports.fold_facts import DivisionFact, FoldDecoderFact, FoldFigure, FoldRulesFact, OfFolds
from biranet.validated import STRICT

MODEL_FACT, CHECKPOINT_FACT, TRAINED_ON_FACT, STARTED_FROM_FACT = "Model", "Checkpoint", "Trained on", "Started from"
TRAINING_FACT, EPOCH_FACT, TRAINED_WITH_FACT, DIVISION_FACT = "Training", "Epoch", "Trained with", "Division"
PHOTOS_FACT, LEFT_OUT_FACT, SPLIT_FACT, AUDIT_FACT, TABLE_FACT = "Photos", "Left out", "Split", "Audit", "Table"
GRADES_FACT, DECODER_FACT, RULES_FACT, THRESHOLDS_FACT = "Grades", "Decoder", "Rules", "Thresholds"
FOLDS_FACT, PROBE_FACT, PATIENTS_FACT, DIVIDED_PATIENTS_FACT = "Folds", "Linear probe", "Patients", "Divided patients"
"""Facts that are asked for, or written in more than one place, by their names in `metrics.json`; `biranet.version` has
those of a measurement."""


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


Thresholds = Mapping[str, FiniteFloat | OfFolds]
"""Thresholds by the names of their operating points in `metrics.json`: one for all photos, or that of each fold."""

Fact = (
    str
    | ModelFact
    | TrainedOnFact
    | StartFact
    | TrainingFact
    | EpochFact
    | PhotosFact
    | PatientsFact
    | LeftOutFact
    | SplitFact
    | AuditFact
    | DivisionFact
    | GradesFact
    | DecoderFact
    | RulesFact
    | FoldRulesFact
    | FoldDecoderFact
    | HashedFile
    | Sequence[str | HashedFile | FoldFigure]
    | Thresholds
)
"""A sentence; what a sentence is made of; a file; several of these; or thresholds."""

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
    if isinstance(fact, Mapping):
        return [f"{name}: {threshold_text(value)}" for name, value in fact.items()]
    if isinstance(fact, Sequence) and not isinstance(fact, str):
        return [str(each) for each in fact]
    return list(fact.findings) if isinstance(fact, AuditFact) and fact.findings else str(fact)


def threshold_text(threshold: float | Sequence[float], digits: int = 4) -> str:
    """Write a threshold, or from where to where those of the folds go.

    Example:
        >>> threshold_text(0.15954), threshold_text((0.3, 0.25, 0.41), 2)
        ('0.1595', '0.25 to 0.41')
    """
    if not isinstance(threshold, Sequence):
        return f"{threshold:.{digits}f}"
    low, high = (f"{end:.{digits}f}" for end in (min(threshold), max(threshold)))
    return low if low == high else f"{low} to {high}"


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
