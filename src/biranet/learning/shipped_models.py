"""Models that ship with biranet: three files each in the folder `shipped`, so that photos can be graded at once.

`NAME.safetensors` is a checkpoint in half precision; `NAME.onnx` is the same model for ONNX Runtime, as `biranet
export` writes it, with the digest of the checkpoint; `NAME.toml` is the model's card, which says in words and figures
what it was made of, what it can do, and what it must not be used for. What the checkpoint says of itself, such as
backbone, image size or thresholds, does not stand there.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

from biranet.errors import InputError
from biranet.files import read_toml
from biranet.grades import GRADE_COUNT
from biranet.training_record import TrainingRecord
from biranet.validated import STRICT, validated

SHIPPED = Path(__file__).parents[1] / "shipped"
"""Folder of the models that ship; there is none in a checkout that lacks the weights."""

DEFAULT = "idrid_lite0"
"""Name of the model that is used where none is named."""

LESIONS_DEFAULT = "idrid_lite0_lesions"
"""Name of the model that finds lesions where none is named."""


@dataclass(frozen=True)
class CardFigure:
    """A number of `metrics.json` with its 95 % interval, which holds it."""

    __pydantic_config__ = STRICT

    value: float
    ci: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.ci[0] <= self.value <= self.ci[1]:
            raise InputError(f"the interval {self.ci[0]} to {self.ci[1]} does not hold the value {self.value}")


@dataclass(frozen=True)
class MeasuredOn:
    """Figures that were measured in one way.

    Attributes:
        how: On which photos, how many of them, and what had a say in the figures.
        figures: By key, as in `metrics.json`; those that tell most come first.
    """

    __pydantic_config__ = STRICT

    how: str
    figures: dict[str, CardFigure]

    def __post_init__(self) -> None:
        if not self.figures:
            raise InputError(f"{self.how!r} has no figures")
        from biranet.evaluation.estimates import meaning_of  # late: grading asks for no figure of the card's

        for key in self.figures:
            meaning_of(key)


@dataclass(frozen=True)
class MissedAtMost:
    """What is known of the referable photos that a model tells not to refer.

    Attributes:
        out_of_fold: The share of them by folds of visits: too good, since visits of one time are alike.
        out_of_stretch: The share of them by folds of whole stretches of visits, in order of time.
        next_stretch: An upper bound of the share in the next stretch of visits of the same clinic.
        level: With which probability the bound should hold.
        stretches: So many stretches it rests on, each answered for by a network that had seen nothing of it.
    """

    __pydantic_config__ = STRICT

    out_of_fold: float
    out_of_stretch: float
    next_stretch: float
    level: float
    stretches: int

    def __post_init__(self) -> None:
        if not (0 <= self.out_of_fold <= 1 and 0 <= self.out_of_stretch <= self.next_stretch <= 1):
            raise InputError("the shares of missed photos are none, or their bound is below that by folds of stretches")
        if not (0 < self.level < 1 and self.stretches > 1):
            raise InputError("the bound of missed photos has a level that is not within 0 and 1, or one stretch")

    def __str__(self) -> str:
        return (
            f"of the referable photographs of the next stretch of visits it tells at most {self.next_stretch:.2f} not "
            f"to be referred, with a probability of {100 * self.level:g} % (it was {self.out_of_fold:.2f} by folds of "
            f"visits, and {self.out_of_stretch:.2f} by folds of stretches, of which {self.stretches} bear the bound; "
            "networks had not seen the stretch that they answered for, but rules and settings know of all; of drawn "
            "shares as uneven as these 90 to 98 in 100 keep such a bound; for another clinic it says nothing)"
        )


@dataclass(frozen=True)
class LearnedFrom:
    """The data that a model has learned from.

    Attributes:
        name: What it is called.
        photographs: How many photos of it.
        grades: Of them, of grade 0, 1, 2, 3 and 4.
        license: Under which they were published.
        attribution: What their licence asks to be said, and the reference.
    """

    __pydantic_config__ = STRICT

    name: str
    photographs: int
    grades: tuple[int, int, int, int, int]
    license: str
    attribution: str

    def __post_init__(self) -> None:
        if sum(self.grades) != self.photographs:
            raise InputError(f"the {GRADE_COUNT} grades are {sum(self.grades)} photographs, not {self.photographs}")


@dataclass(frozen=True)
class ModelCard:
    """What people must know of a model before they use it.

    Attributes:
        title: What it is, in a line.
        summary: What it was made of and can do, in a line.
        date: Day on which it was trained.
        recipe: How it was trained, so that it can be trained again.
        start: The weights that training started from, and their licence.
        data: What it has learned from.
        metrics: What was measured; what tells most comes first.
        intended_use: What it is for, and what not.
        limits: What is known of where it fails, and what nobody knows of it; sentences.
        license: Of the weights.
        weights_sha256: SHA-256 of the checkpoint's file.
        training: How it was trained, where its checkpoint does not keep it.
        missed: What can be promised of missed photos.
    """

    __pydantic_config__ = STRICT

    title: str
    summary: str
    date: datetime.date
    recipe: str
    start: str
    data: LearnedFrom
    metrics: tuple[MeasuredOn, ...]
    intended_use: str
    limits: tuple[str, ...]
    license: str
    weights_sha256: str
    training: TrainingRecord | None = None
    missed: MissedAtMost | None = None

    def __post_init__(self) -> None:
        if not (self.metrics and self.limits):
            raise InputError("a model needs metrics and limits")


def shipped() -> tuple[str, ...]:
    """List the names of the models that ship, the default one first, then by name."""
    names = (path.stem for path in SHIPPED.glob("*.safetensors"))
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


def read_model_card(name: str) -> ModelCard:
    """Read the card of a model that ships.

    Args:
        name: One of `shipped()`.

    Returns:
        Its card.

    Raises:
        InputError: If no such model ships, or its card is missing, no TOML or no card.
    """
    if name not in shipped():
        raise InputError(f"no model {name!r} ships with this biranet; {_known()}")
    path = SHIPPED / f"{name}.toml"
    return validated(ModelCard, read_toml(path, "the model card"), f"{path} is no model card")


def find_checkpoint(name_or_path: Path | str | None = None) -> Path:
    """Find the file of a model that somebody names.

    Args:
        name_or_path: The name of a model that ships, always that model, whatever lies in the working folder (a file of
            that very name, without suffix, is reached by its whole path); or a path. The default model when not given.

    Returns:
        The path. That a checkpoint stands there, and of a model that ships the one that its card is about, is for
        `load_checkpoint` to find out.

    Raises:
        InputError: If it is a word that names neither a file nor a model that ships; or the default is asked for, and
            does not ship with this biranet.
    """
    name = DEFAULT if name_or_path is None else str(name_or_path)
    if name in shipped():
        return SHIPPED / f"{name}.safetensors"
    if name_or_path is None:
        raise InputError(
            f"the model {DEFAULT} does not ship with this biranet, as in a checkout without the weights; give a "
            "checkpoint of your own, such as RUN/best.safetensors"
        )
    path = Path(name_or_path)
    if path.name == name and not path.suffix and not path.exists():
        raise InputError(f"{name!r} is neither a file nor a model that ships with this biranet; {_known()}")
    return path


def is_shipped(checkpoint: Path) -> bool:
    """Whether a file that `find_checkpoint` found is a model that ships."""
    return checkpoint.parent == SHIPPED


def check_card(checkpoint: Path, sha256: str) -> None:
    """Refuse a model that ships if it is not the file that its card is about.

    Args:
        checkpoint: Its file.
        sha256: SHA-256 of the file, as it was read.

    Raises:
        InputError: If it is another one.
    """
    if sha256 != read_model_card(checkpoint.stem).weights_sha256:
        raise InputError(
            f"{checkpoint} is not the file that its card {checkpoint.stem}.toml is about: it is damaged, or was "
            "replaced; install biranet anew"
        )


def model_name(origin: str) -> str:
    """Name a model: as `biranet models` does if it ships, else by its file or whatever else it comes from.

    Example:
        >>> model_name(str(SHIPPED / "idrid_lite0.onnx")), model_name("runs/first/best.safetensors")
        ('idrid_lite0', 'runs/first/best.safetensors')
    """
    return Path(origin).stem if is_shipped(Path(origin)) else origin


def describe_model(checkpoint: Path) -> str:
    """Say which model a file that `find_checkpoint` found is, in a line.

    Example:
        >>> describe_model(Path("runs/first/best.safetensors"))
        'runs/first/best.safetensors'
    """
    if not is_shipped(checkpoint):
        return str(checkpoint)
    return (
        f"{checkpoint.stem}, which ships with biranet; its data, figures and limits: biranet models {checkpoint.stem}"
    )


def _known() -> str:
    names = shipped()
    return f"those that do are: {', '.join(names)}" if names else "none does"
