"""The grid: what is trained with which loss, seed and fold, and which learning rates are tried."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from biranet.config import TrainConfig
from biranet.errors import InputError
from biranet.files import read_toml
from biranet.validated import STRICT, validated
from studies.idrid.variants import ABLATIONS, ARCHITECTURES, VARIANTS
from studies.trainings import with_weights

HERE = Path(__file__).resolve().parent

Loss = Literal["ce", "grading"]
LOSSES: tuple[Loss, ...] = ("ce", "grading")
LOSS_TITLES = {"ce": "cross-entropy", "grading": "grading loss"}

Part = Literal["inner", "outer", "external"]
"""What a training is for: the choice of a rate, the answers of an outer fold, or those for another clinic's photos."""

BASE: tuple[str, Loss] = ("biranet", "grading")
"""What the ablations change one thing of, and whose learning rate they take."""


@dataclass(frozen=True)
class Cell:
    """What is trained with which loss and seed, and the outer fold whose test photos it answers for.

    Attributes:
        variant: What is trained.
        loss: With which loss.
        seed: Seed of the training.
        fold: The outer fold; None: it learns from all photos, for the external test.
    """

    variant: str
    loss: Loss
    seed: int
    fold: int | None

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.table}_whole" if self.fold is None else f"{self.table}_f{self.fold}"

    @property
    def table(self) -> str:
        """Name of the table that the cells of all folds make together."""
        return f"{self.variant}_{self.loss}_s{self.seed}"

    @property
    def pair(self) -> tuple[str, str]:
        """What is compared: the variant and the loss."""
        return self.variant, self.loss

    @property
    def tuned(self) -> "Cell":
        """The cell whose choice of the learning rate this one takes: itself, or for an ablation BiRA-Net's."""
        return self if self.variant in ARCHITECTURES else dataclasses.replace(self, variant=BASE[0], loss=BASE[1])


@dataclass(frozen=True)
class Training:
    """One training of a cell.

    Attributes:
        cell: The cell.
        rate: Learning rate that is tried on the inner split; None: the one that was chosen, and what is measured.
    """

    cell: Cell
    rate: float | None

    @property
    def part(self) -> Part:
        """What it is for, which says what it learns from."""
        if self.rate is not None:
            return "inner"
        return "external" if self.cell.fold is None else "outer"

    def __str__(self) -> str:
        """Say which one it is, for the line about its end."""
        learns_from = "all photos" if self.cell.fold is None else f"fold {self.cell.fold}"
        aim = "to be measured" if self.rate is None else f"choosing, rate {self.rate:g}"
        return f"{self.cell.variant} {self.cell.loss} seed {self.cell.seed} {learns_from}: {aim}"


@dataclass(frozen=True)
class Grid:
    """A grid, as its TOML file says.

    Attributes:
        rates: Learning rates to choose from, in rising order.
        seeds: Seeds of the training; the folds are the same for all.
        folds: Number of outer folds.
        validation: Share of an outer fold's training photos that chooses the rate, by group.
        architectures: Those trained with each loss.
        ablations: What BiRA-Net is changed by.
        train: Settings that all share.
    """

    __pydantic_config__ = STRICT

    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    folds: int
    validation: float
    architectures: tuple[str, ...]
    ablations: tuple[str, ...]
    train: TrainConfig

    def __post_init__(self) -> None:
        for name, known in (("architectures", ARCHITECTURES), ("ablations", ABLATIONS)):
            for each in getattr(self, name):
                if each not in known:
                    raise InputError(f"{name}: there is no {each!r}; known are {', '.join(known)}")
        if BASE[0] not in self.architectures:
            raise InputError(f"architectures must hold {BASE[0]}, which everything else is compared with")
        if not self.rates or list(self.rates) != sorted(set(self.rates)):
            raise InputError("rates must be different learning rates in rising order")

    def with_weights(self, weights: Path | None) -> "Grid":
        """The grid whose trainings start from a file of the backbone's weights; where none is given, from their own.

        Raises:
            InputError: If they start from ImageNet weights, and there is no file of them.
        """
        return dataclasses.replace(self, train=with_weights(self.train, weights))

    def cells(self) -> list[Cell]:
        """All cells in the order in which they run: an ablation after what it is a change of."""
        pairs = [(name, loss) for name in self.architectures for loss in LOSSES]
        pairs += [(name, BASE[1]) for name in self.ablations]
        return [
            Cell(name, loss, seed, fold) for seed in self.seeds for name, loss in pairs for fold in range(self.folds)
        ]

    def external_cells(self) -> list[Cell]:
        """The trainings on all photos, for the external test."""
        return [Cell(name, loss, seed, None) for seed in self.seeds for name in self.architectures for loss in LOSSES]

    def settings(self, cell: Cell, rate: float) -> TrainConfig:
        """The settings of one training."""
        optimizer = dataclasses.replace(self.train.optimizer, loss=cell.loss, lr=rate)
        config = dataclasses.replace(self.train, optimizer=optimizer, seed=cell.seed, fold=None)
        return VARIANTS[cell.variant].settings(config)

    def costs(self, *, external: bool = False) -> dict[Training, float]:
        """Every training in the order in which it runs, with its cost in whole trainings of BiRA-Net.

        Args:
            external: Count those of the external test too.

        Returns:
            By training; a choice that several cells take is made once.
        """
        costs: dict[Training, float] = {}
        for cell in self.cells():
            for rate in self.rates:
                costs.setdefault(Training(cell.tuned, rate), VARIANTS[cell.tuned.variant].cost * (1 - self.validation))
            costs[Training(cell, None)] = VARIANTS[cell.variant].cost
        if external:
            costs |= {Training(cell, None): VARIANTS[cell.variant].cost for cell in self.external_cells()}
        return costs


def read_grid(name: str) -> Grid:
    """Read a grid by its name, or from a TOML file.

    Args:
        name: `core`, `full`, or the path of a file.

    Raises:
        InputError: If there is no such grid, or it holds what it must not.
    """
    path = Path(name) if name.endswith(".toml") else HERE / f"{name}.toml"
    return validated(Grid, read_toml(path, "the grid", "give core, full or a file"), str(path))
