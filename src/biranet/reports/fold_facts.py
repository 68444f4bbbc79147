"""Kinds of facts on a cross-validation: its division, figures and rules."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, FiniteFloat

from biranet.validated import STRICT

OfFolds = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
"""A number of each fold, in their order; there is no cross-validation without folds."""

GradeThresholds = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


@dataclass(frozen=True)
class DivisionFact:
    """How the photos of a cross-validation were divided into folds.

    Attributes:
        folds: How many there are.
        seed: Seed of the division; None where the manifest was divided before.
        by: What was never divided, as `PatientsFact.unit` says it.

    Example:
        >>> print(DivisionFact(5, 1))
        5 folds, divided by patient, with seed 1
    """

    __pydantic_config__ = STRICT

    folds: int
    seed: int | None
    by: str = "patient"

    def __str__(self) -> str:
        divided = "as the manifest was" if self.seed is None else f"by {self.by}, with seed {self.seed}"
        return f"{self.folds} folds, divided {divided}"


@dataclass(frozen=True)
class FoldFigure:
    """A measure over the folds of a cross-validation.

    Attributes:
        key: Its key.
        name: Its name.
        mean: Its mean over the folds that have it.
        low: The lowest.
        high: The highest.
        folds: How many have it.
        of: How many folds there are.

    Example:
        >>> print(FoldFigure("aca", "ACA", 0.625, 0.5, 0.75, 2, 3))
        ACA: mean 0.625, from 0.500 to 0.750, of the 2 folds that have it
    """

    __pydantic_config__ = STRICT

    key: str
    name: str
    mean: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    folds: int
    of: int

    def __str__(self) -> str:
        which = f", of the {self.folds} folds that have it" if self.folds < self.of else ""
        return f"{self.name}: mean {self.mean:.3f}, from {self.low:.3f} to {self.high:.3f}{which}"


@dataclass(frozen=True)
class FoldRulesFact:
    """The rules of a cross-validation, of which each fold has its own.

    Attributes:
        fitted_on: What those of a fold were fitted on.
        temperatures: That of each fold, in their order.

    Example:
        >>> print(FoldRulesFact((1.2, 1.4)))
        fitted for each fold on the answers for the others; temperatures 1.200, 1.400
    """

    __pydantic_config__ = STRICT

    temperatures: OfFolds
    fitted_on: str = "the answers for the others"

    def __str__(self) -> str:
        listed = ", ".join(f"{each:.3f}" for each in self.temperatures)
        return f"fitted for each fold on {self.fitted_on}; temperatures {listed}"


@dataclass(frozen=True)
class FoldDecoderFact:
    """How probabilities became a grade in a cross-validation, of which each fold has its own thresholds.

    Attributes:
        decoder: Its name.
        fold_thresholds: Where grades 1 to 4 begin on the scale of the expected grade, for each fold in their order.

    Example:
        >>> print(FoldDecoderFact("expected_grade", ((0.5, 1.5, 2.5, 3.5), (0.6, 1.5, 2.5, 3.5))))
        expected_grade, thresholds of each fold 0.500, 1.500, 2.500, 3.500; 0.600, 1.500, 2.500, 3.500
    """

    __pydantic_config__ = STRICT

    decoder: str
    fold_thresholds: Annotated[tuple[GradeThresholds, ...], Field(min_length=1)]

    def __str__(self) -> str:
        listed = "; ".join(", ".join(f"{end:.3f}" for end in ends) for ends in self.fold_thresholds)
        return f"{self.decoder}, thresholds of each fold {listed}"
