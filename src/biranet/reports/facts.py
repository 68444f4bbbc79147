"""What was measured and how: facts as data, and as the lines that `metrics.json` holds beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import FiniteFloat

from biranet.config import describe_network
from biranet.validated import STRICT

MODEL_FACT, CHECKPOINT_FACT, TRAINED_ON_FACT, STARTED_FROM_FACT = "Model", "Checkpoint", "Trained on", "Started from"
EPOCH_FACT, TRAINED_WITH_FACT = "Epoch", "Trained with"
PHOTOS_FACT, SPLIT_FACT, AUDIT_FACT, TABLE_FACT = "Photos", "Split", "Audit", "Table"
GRADES_FACT, DECODER_FACT, RULES_FACT, THRESHOLDS_FACT = "Grades", "Decoder", "Rules", "Thresholds"
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


@dataclass(frozen=True)
class ModelFact:
    """The network that gave the answers.

    Attributes:
        model: Its architecture.
        backbone: Its backbone, by the name in timm.
        image_size: Side of the images it looks at, in pixels.
        test_time_flip: Whether it looks at the mirror image, too.

    Example:
        >>> print(ModelFact("biranet", "resnet18", 224, False))
        biranet, backbone resnet18, images of 224 px
    """

    __pydantic_config__ = STRICT

    model: str
    backbone: str
    image_size: int
    test_time_flip: bool

    def __str__(self) -> str:
        return describe_network(self.model, self.backbone, self.image_size, test_time_flip=self.test_time_flip)


@dataclass(frozen=True)
class TrainedOnFact:
    """What the network has learned from.

    Attributes:
        source: Name of the training data.
        seed: Seed of the training.
        other_folds: Whether these are the photos of a cross-validation, of which each model learned from other folds
            than it answered for.

    Example:
        >>> print(TrainedOnFact("idrid", 3))
        idrid, seed 3
    """

    __pydantic_config__ = STRICT

    source: str
    seed: int
    other_folds: bool = False

    def __str__(self) -> str:
        if self.other_folds:
            return f"the other folds of each, seed {self.seed}; photos of {self.source}"
        return f"{self.source}, seed {self.seed}"


@dataclass(frozen=True)
class RulesFact:
    """The rules that probabilities became decisions by.

    Attributes:
        fitted_on: What they were fitted on; None where none were.
        temperature: That of the probabilities.
        keep_grades: Whether the grades are nevertheless those of the tables that are measured.

    Example:
        >>> print(RulesFact("40 photos", 1.4))
        fitted on 40 photos, temperature 1.400
        >>> print(RulesFact(None, 1.0))
        none fitted
    """

    __pydantic_config__ = STRICT

    fitted_on: str | None
    temperature: FiniteFloat
    keep_grades: bool = False

    def __str__(self) -> str:
        if self.fitted_on is None:
            return "none fitted"
        kept = "; grades are scored as given" if self.keep_grades else ""
        return f"fitted on {self.fitted_on}, temperature {self.temperature:.3f}{kept}"


Fact = str | ModelFact | TrainedOnFact | RulesFact | HashedFile | Sequence[str | HashedFile] | Mapping[str, FiniteFloat]
"""A sentence; what a sentence is made of; a file; several of either; or thresholds by the names of their operating
points in `metrics.json`."""

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
        return [f"{name}: {value:.4f}" for name, value in fact.items()]
    if isinstance(fact, Sequence) and not isinstance(fact, str):
        return [str(each) for each in fact]
    return str(fact)


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
