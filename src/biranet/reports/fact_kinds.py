"""Kinds of facts on how figures came about: as data, and each as the line that `metrics.json` holds beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, FiniteFloat

from biranet.config import describe_network
from biranet.training_record import TrainingRun, TrainingSettings
from biranet.validated import STRICT


@dataclass(frozen=True)
class ModelFact:
    """The network that gave the answers.

    Attributes:
        model: Its architecture.
        backbone: Its backbone, by the name in timm.
        image_size: Side of the images it looks at, in pixels.
        test_time_flip: Whether it looks at the mirror image, too.
        network_px: Side of what the network itself sees where lesions that are found in the image correct its answer.

    Example:
        >>> print(ModelFact("biranet", "resnet18", 224, False))
        biranet, backbone resnet18, images of 224 px
    """

    __pydantic_config__ = STRICT

    model: str
    backbone: str
    image_size: int
    test_time_flip: bool
    network_px: int | None = None

    def __str__(self) -> str:
        lesions_px = self.image_size if self.network_px else None
        seen_px, flip = self.network_px or self.image_size, self.test_time_flip
        return describe_network(self.model, self.backbone, seen_px, test_time_flip=flip, lesions_px=lesions_px)


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
class StartFact:
    """The checkpoint whose weights a training started from.

    Attributes:
        file: Its name.
        sha256: Hash of its bytes.
        trained_on: Name of its training data; empty where nobody knows.

    Example:
        >>> print(StartFact("best.safetensors", "0a1b", "aptos"))
        best.safetensors, sha256 0a1b, trained on aptos
    """

    __pydantic_config__ = STRICT

    file: str
    sha256: str
    trained_on: str

    def __str__(self) -> str:
        return f"{self.file}, sha256 {self.sha256}, trained on {self.trained_on or 'nobody knows what'}"


@dataclass(frozen=True)
class TrainingFact:
    """How the network was trained, or those of all folds were.

    Attributes:
        freeze: The stage up to which the backbone was not trained.
        settings: What was the same in all runs.
        runs: One, or that of each fold.

    Example:
        >>> from biranet.config import OptimizerConfig
        >>> settings = TrainingSettings(OptimizerConfig(), "imagenet", 30, "fundus", True, 10, 10, "fp32", "cpu")
        >>> print(TrainingFact("stage2", settings, (TrainingRun(80, 55, 0, epochs=10),)))
        80 photos, 10 of at most 10 epochs, batches of 30, sgd, rate 0.0002 (plateau), weight decay 1e-08, loss \
grading, augmentation fundus, grades balanced, backbone from imagenet and frozen up to stage2
    """

    __pydantic_config__ = STRICT

    freeze: str
    settings: TrainingSettings
    runs: Annotated[tuple[TrainingRun, ...], Field(min_length=1)]

    def __str__(self) -> str:
        its, optimizer = self.settings, self.settings.optimizer
        photos = ", ".join(str(run.photos) for run in self.runs)
        epochs = ", ".join("?" if run.epochs is None else str(run.epochs) for run in self.runs)
        return (
            f"{photos} photos, {epochs} of at most {its.epochs} epochs, batches of {its.batch_size}, "
            f"{optimizer.optimizer}, rate {optimizer.lr:g} ({optimizer.schedule}), weight decay "
            f"{optimizer.weight_decay:g}, loss {optimizer.loss}, augmentation {its.augmentation}, grades "
            f"{'balanced' if its.balance else 'as they come'}, backbone from {its.backbone_start} and frozen up to "
            f"{self.freeze}"
        )


@dataclass(frozen=True)
class EpochFact:
    """The epoch that a network is of.

    Attributes:
        epoch: Its number, from 1; 0 before the first.
        validation_kappa: Kappa on the photos that chose it; None where none did.
        chosen_by: What chose it; empty where nothing did.

    Example:
        >>> print(EpochFact(7, None, ""))
        7, no epoch was chosen, as there was no validation part
    """

    __pydantic_config__ = STRICT

    epoch: int
    validation_kappa: FiniteFloat | None
    chosen_by: str

    def __str__(self) -> str:
        if self.validation_kappa is None:
            return f"{self.epoch}, no epoch was chosen, as there was no validation part"
        return (
            f"{self.epoch}, validation kappa (of the most probable grades) {self.validation_kappa:.3f}; epochs were "
            "chosen by it, so it is too good"
        )


@dataclass(frozen=True)
class PhotosFact:
    """The photos that were measured.

    Attributes:
        folder: Name of their prepared folder.
        part: The part of the split, `all`, or `each fold`.
        column: The manifest's column with the split; empty where none has a say.

    Example:
        >>> print(PhotosFact("prepared", "test", "split"))
        prepared, part test of the column 'split'
    """

    __pydantic_config__ = STRICT

    folder: str
    part: str
    column: str = ""

    def __str__(self) -> str:
        if self.column:
            return f"{self.folder}, part {self.part} of the column {self.column!r}"
        return f"{self.folder}, {'all' if self.part == 'all' else 'each answered for once'}"


@dataclass(frozen=True)
class PatientsFact:
    """How the patients of photos are known.

    Attributes:
        photos: How many photos there are.
        unknown: Of how many the patient is unknown, so that each is a group of its own.
        guessed: Of how many the patient is a guess.
        guessed_from: What it is guessed from: `name` of the file, `folder`, or both.

    Example:
        >>> print(PatientsFact(24, 20, 2, ("name",)))
        of 24 photos: of 20 unknown, of 2 guessed
        >>> PatientsFact(24, 24).unit, PatientsFact(24, 20).unit
        ('photo, as no patient is known', 'patient, where known')
    """

    __pydantic_config__ = STRICT

    photos: int
    unknown: int = 0
    guessed: int = 0
    guessed_from: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"of {self.photos} photos: of {self.unknown} unknown, of {self.guessed} guessed"

    @property
    def all_unknown(self) -> bool:
        """Whether nobody knows any of them."""
        return 0 < self.photos == self.unknown

    @property
    def unit(self) -> str:
        """What is kept whole where photos are divided."""
        if self.all_unknown:
            return "photo, as no patient is known"
        return f"patient{', where known' if self.unknown else ''}{', some of them guessed' if self.guessed else ''}"


@dataclass(frozen=True)
class LeftOutFact:
    """The photos that were listed, and those of them that have no part in the figures.

    Attributes:
        listed: How many there were.
        reasons: How many were left out, by their status, such as `ungradable`.

    Example:
        >>> print(LeftOutFact(83, {"ungradable": 2, "unreadable": 1}))
        3 of 83 photos: 2 ungradable, 1 unreadable
    """

    __pydantic_config__ = STRICT

    listed: int
    reasons: Mapping[str, int]

    def __str__(self) -> str:
        named = ", ".join(f"{count} {status}" for status, count in self.reasons.items())
        return f"{sum(self.reasons.values())} of {self.listed} photos{f': {named}' if named else ''}"


@dataclass(frozen=True)
class SplitFact:
    """How the photos of the prepared folder are divided.

    Attributes:
        text: Parts and grades, in a line.
        parts: Photos of each part that has some.
        trained_by: Whether the network was trained by this very division.
    """

    __pydantic_config__ = STRICT

    text: str
    parts: Mapping[str, int]
    trained_by: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class AuditFact:
    """What a search for copies and leaks found.

    Attributes:
        findings: A line each.
        leaks: Whether copies of a photo, or patients, stood on both sides of the division.

    Example:
        >>> print(AuditFact((), leaks=False))
        nothing was found
    """

    __pydantic_config__ = STRICT

    findings: tuple[str, ...]
    leaks: bool

    def __str__(self) -> str:
        return "\n".join(self.findings) or "nothing was found"


@dataclass(frozen=True)
class GradesFact:
    """Which grade each value of the tables is, as it was said.

    Attributes:
        values: As `VALUE=GRADE,…`.
    """

    __pydantic_config__ = STRICT

    values: str

    def __str__(self) -> str:
        return f"by --grades {self.values}"


@dataclass(frozen=True)
class DecoderFact:
    """How probabilities became a grade.

    Attributes:
        decoder: Its name.
        thresholds: Where grades 1 to 4 begin on the scale of the expected grade; none of another decoder.

    Example:
        >>> print(DecoderFact("argmax"))
        argmax
    """

    __pydantic_config__ = STRICT

    decoder: str
    thresholds: tuple[FiniteFloat, ...] = ()

    def __str__(self) -> str:
        ends = ", ".join(f"{end:.3f}" for end in self.thresholds)
        return f"{self.decoder}, thresholds {ends}" if ends else self.decoder


@dataclass(frozen=True)
class RulesFact:
    """The rules that probabilities became decisions by.

    Attributes:
        fitted_on: What they were fitted on; None where none were.
        temperature: That of the probabilities.
        keep_grades: Whether the grades are nevertheless those of the tables that are measured.
        photos: How many photos they were fitted on; None where that is not known.
        calibration_part: Whether these are the calibration part of the division that the network was trained by.

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
    photos: int | None = None
    calibration_part: bool = False

    def __str__(self) -> str:
        if self.fitted_on is None:
            return "none fitted"
        kept = "; grades are scored as given" if self.keep_grades else ""
        return f"fitted on {self.fitted_on}, temperature {self.temperature:.3f}{kept}"
