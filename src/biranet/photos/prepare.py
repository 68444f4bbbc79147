"""From one photo to its prepared square, and to all that is measured on the way.

`prepare_photo` is the one way from a photo to the bytes of its prepared image, for the prepared folder and for grading;
`decode_prepared` is the one way back.
"""

import dataclasses
import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from biranet.errors import InputError, PhotoError
from biranet.files import read_json
from biranet.photos import PREPARATION_NAME
from biranet.photos.cut import Cut
from biranet.photos.field import Field, cut_square, find_field, resize_square
from biranet.photos.fingerprint import fingerprint
from biranet.photos.formats import PhotoFile
from biranet.photos.formats.limits import check_pixels
from biranet.photos.quality import MEASURED_PX, Quality, measure_quality
from biranet.photos.read import decode_photo, read_photo, read_source
from biranet.setting_names import setting

VERSION = 2
"""Rises whenever the same photo would give other pixels."""

JPEG_QUALITY = 95
"""Quality of the stored JPEG, always with full colour resolution (4:4:4)."""

_TOO_LARGE = "needs more memory than there is"

_RENAMED_SETTINGS = {"whole": "already_cropped"}
"""Settings in the folders of earlier versions."""

MIN_SIZE_PX, MAX_SIZE_PX = 32, 8192
"""Sides of a prepared square: to a network a smaller one is a single cell, and no camera gives a larger one."""


@dataclass(frozen=True)
class Preparation:
    """How photos are prepared; it travels in the checkpoint, which refuses photos prepared otherwise.

    Attributes:
        version: Version of the method.
        size_px: Side of the prepared square.
        jpeg_quality: JPEG quality, 1 to 95.
        already_cropped: Whether photos are square cut-outs already (RetinaMNIST): no field is looked for, nothing is
            measured.

    Example:
        >>> import biranet
        >>> biranet.Preparation(size_px=320).jpeg_quality
        95
    """

    version: int = VERSION
    size_px: int = 610
    jpeg_quality: int = JPEG_QUALITY
    already_cropped: bool = False

    def __post_init__(self) -> None:
        """Refuse what no network could use, and no encoder make."""
        if not MIN_SIZE_PX <= self.size_px <= MAX_SIZE_PX:
            bound = f"at least {MIN_SIZE_PX}" if self.size_px < MIN_SIZE_PX else f"at most {MAX_SIZE_PX}"
            raise InputError(f"{setting('size_px', flag='size')} must be {bound} pixels, not {self.size_px}")
        if not 1 <= self.jpeg_quality <= JPEG_QUALITY:
            raise InputError(f"the JPEG quality must lie between 1 and {JPEG_QUALITY}, not {self.jpeg_quality}")

    def as_dict(self) -> dict[str, int]:
        """Return the settings as plain values."""
        return dataclasses.asdict(self)

    def describe_difference(self, other: "Preparation") -> str:
        """Describe how these settings differ from others, in words; empty where they are the same.

        Args:
            other: The settings to compare with.

        Example:
            >>> Preparation(size_px=64).describe_difference(Preparation())
            'photos of 64 px and JPEG quality 95, not of 610 px and 95'
        """
        if self.already_cropped != other.already_cropped:
            kinds = ("photographs that were cut to their field", "squares that were published as such")
            return f"{kinds[self.already_cropped]}, not {kinds[other.already_cropped]}"
        if self == other:
            return ""
        return (
            f"photos of {self.size_px} px and JPEG quality {self.jpeg_quality}, "
            f"not of {other.size_px} px and {other.jpeg_quality}"
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any], origin: str) -> "Preparation":
        """Build from plain values.

        Args:
            values: As `as_dict` gives them.
            origin: Where they come from, for the error.

        Raises:
            InputError: If they are not the settings of this version.
        """
        if not isinstance(values, dict):
            raise InputError(f"{origin} does not hold the settings of a preparation")
        version = values.get("version")
        if isinstance(version, int) and version != VERSION:
            raise InputError(
                f"{origin} was made by version {version} of the preparation, this is version {VERSION}; "
                "prepare the photographs anew into another folder"
            )
        values = {_RENAMED_SETTINGS.get(name, name): value for name, value in values.items()}
        for name in ("version", "size_px", "jpeg_quality"):
            if name not in values:
                raise InputError(f"{origin} does not hold the settings of a preparation: {name} is missing")
        for name, value in values.items():
            # Exactly: True is an int, and 64.7 or "64" would be made one.
            if type(value) is not (bool if name == "already_cropped" else int):
                raise InputError(f"{origin} does not hold the settings of a preparation: {name} is {value!r}"[:300])
        try:
            return cls(**values)
        except (TypeError, InputError) as error:
            raise InputError(f"{origin} does not hold the settings of a preparation: {error}") from error


@dataclass(frozen=True)
class Prepared:
    """A prepared photo.

    Attributes:
        jpeg: Bytes of the prepared image, without metadata.
        field: The square that was cut, in pixels of the upright photo.
        width_px: Width of the upright photo.
        height_px: Height of the upright photo.
        quality: How gradable the photo is; None where photos come as square cut-outs.
        measured: The square on which the photo was measured, (384, 384, 3), RGB, uint8.

    Example:
        >>> import biranet, io
        >>> from PIL import Image
        >>> picture = io.BytesIO()
        >>> Image.fromarray(biranet.draw_photo(grade=2, seed=7)).save(picture, "PNG")
        >>> prepared = biranet.prepare_photo(picture.getvalue())
        >>> prepared.pixels.shape, (prepared.width_px, prepared.height_px)
        ((610, 610, 3), (320, 256))
    """

    jpeg: bytes
    field: Field
    width_px: int
    height_px: int
    quality: Quality | None
    measured: npt.NDArray[np.uint8] = dataclasses.field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Prepared({len(self.jpeg):,} bytes of JPEG, of a photo of {self.width_px} x {self.height_px} px)"

    @cached_property
    def fingerprint(self) -> str:
        """What tells near-identical photos; see `biranet.photos.fingerprint`. Grading asks for none."""
        return fingerprint(self.measured)

    @property
    def cut(self) -> Cut:
        """How the prepared image was cut out of the photo: from its pixels to those of the photo, and back."""
        return Cut(self.field, self.width_px, self.height_px)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The prepared image as training and grading see it, RGB, (H, H, 3), uint8."""
        return decode_prepared(self.jpeg)


def prepare_photo(source: Path | str | bytes, preparation: Preparation | None = None) -> Prepared:
    """Prepare one photo: read it, cut it to its field, encode the square, and measure it.

    A JPEG is decoded at the smallest scale at which its field still has the pixels that are stored.

    Args:
        source: A picture file, or its bytes.
        preparation: Size and quality; those of `Preparation()` when not given.

    Returns:
        The bytes to store or to grade, with what is known of the photo.

    Raises:
        PhotoError: If the photo cannot be read or has no field.

    Example:
        >>> import biranet
        >>> biranet.prepare_photo("nowhere.jpg")
        Traceback (most recent call last):
            ...
        biranet.errors.PhotoError: no such file
    """
    return prepare_file(open_photo(source), preparation or Preparation())


def open_photo(source: Path | str | bytes) -> PhotoFile:
    """Read the file of a photo, as `prepare_photo` does.

    Raises:
        PhotoError: If it cannot be read.
    """
    try:
        return PhotoFile(read_source(Path(source) if isinstance(source, str) else source))
    except MemoryError:
        raise PhotoError("unreadable", _TOO_LARGE) from None


def prepare_file(file: PhotoFile, preparation: Preparation) -> Prepared:
    """Prepare a photo whose file has been read, as `prepare_photo` does."""
    try:
        return _prepare(file, preparation)
    except (MemoryError, cv2.error):
        raise PhotoError("unreadable", _TOO_LARGE) from None


def _prepare(file: PhotoFile, preparation: Preparation) -> Prepared:
    needed_px = min_side_px = max(preparation.size_px, MEASURED_PX)
    while True:
        photo = decode_photo(file, min_side_px)
        height_px, width_px = photo.pixels.shape[:2]
        if preparation.already_cropped:
            side_px = max(width_px, height_px)
            check_pixels(side_px, side_px, len(file.data))
            field = Field(-((side_px - width_px) // 2), -((side_px - height_px) // 2), side_px)
        else:
            field = find_field(photo.pixels)
        if photo.scale == 1 or field.side_px >= needed_px:
            break
        # The field is much smaller than the photo: once more, at twice the scale or more.
        min_side_px = min(width_px, height_px) + 1
    square = cut_square(photo.pixels, field)
    encoded = io.BytesIO()
    stored = Image.fromarray(resize_square(square, preparation.size_px))
    stored.save(encoded, "JPEG", quality=preparation.jpeg_quality, subsampling=0)
    measured = resize_square(square, MEASURED_PX)
    return Prepared(
        jpeg=encoded.getvalue(),
        field=field.scaled(photo.scale).translated(photo.left_px, photo.top_px),
        width_px=photo.width_px,
        height_px=photo.height_px,
        quality=None if preparation.already_cropped else measure_quality(measured, field.side_px * photo.scale),
        measured=measured,
    )


def decode_prepared(jpeg: bytes) -> npt.NDArray[np.uint8]:
    """Decode the bytes of a prepared image; training and grading both come through here.

    Args:
        jpeg: Bytes from `prepare_photo`, or of a file below `images/`.

    Returns:
        Pixels (H, W, 3), uint8, RGB.

    Raises:
        PhotoError: If the bytes are not a whole picture.
    """
    return read_photo(jpeg)


def read_preparation(prepared: Path) -> Preparation:
    """Read how a prepared folder was made.

    Raises:
        InputError: If the folder is not a prepared one, or another version made it.
    """
    path = prepared / PREPARATION_NAME
    if not os.path.lexists(path):
        raise InputError(f"{prepared} holds no {PREPARATION_NAME}; make it with: biranet prepare PHOTOS {prepared}")
    return Preparation.from_dict(read_json(path), str(path))
