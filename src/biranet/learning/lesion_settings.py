"""What a lesion branch is, in numbers: the cells of its maps, and what a network that has one says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from biranet.errors import InputError
from biranet.lesion_kinds import KINDS
from biranet.validated import STRICT

CELL_PX = 4
"""Side of a cell of the maps, in pixels of the photo that the network sees."""

PATCH_STEP_PX = 32
"""Sides and corners of patches are multiples of this, the stride of the last stage."""

LARGEST_WIDTH, LARGEST_FACTOR = 1024, 64
"""Wider layers, and smaller copies, make no sense."""

DEFAULT_THRESHOLD = 0.5
"""From this share of a cell on it counts, as long as no other was chosen."""


@dataclass(frozen=True)
class LesionBranch:
    """The lesion branch of a network that grades, and what it has learned from.

    Attributes:
        width: Channels of the layers on the stages of the backbone.
        factor: So many pixels a side of the image are averaged to one of what the network itself sees.
        thresholds: From which share of a cell on it counts as a lesion, by kind.
        trained_on: What it has learned from, in words.
        photos: How many photos.
        photos_sha256: A sum of their names and masks.

    Example:
        >>> LesionBranch(width=48, factor=4).thresholds["HE"]
        0.5
    """

    __pydantic_config__ = STRICT

    width: int
    factor: int
    thresholds: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, DEFAULT_THRESHOLD))
    trained_on: str = ""
    photos: int = 0
    photos_sha256: str = ""

    def __post_init__(self) -> None:
        if not (1 <= self.width <= LARGEST_WIDTH and 1 <= self.factor <= LARGEST_FACTOR):
            raise InputError(f"width must lie between 1 and {LARGEST_WIDTH}, and factor between 1 and {LARGEST_FACTOR}")
        check_thresholds(self.thresholds)


def check_thresholds(thresholds: Mapping[str, float]) -> None:
    """Refuse thresholds that are not one for each kind.

    Raises:
        InputError: If they are not.
    """
    if set(thresholds) != set(KINDS) or not all(0 < each < 1 for each in thresholds.values()):
        raise InputError(f"thresholds must be numbers between 0 and 1 for {', '.join(KINDS)}")
