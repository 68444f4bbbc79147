"""Graded photos, those of them in which lesions are drawn, and the test part that is asked where it looks."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.errors import InputError
from biranet.files import sha256_of
from biranet.learning.data import PreparedPhotos
from biranet.learning.lesions.patches import MaskedSquare, read_square
from biranet.manifest import graded_photos, read_manifest
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from studies.cached_maps import Drawing

_ID, _SAME = "image_id", "grading_image_id"
"""Column of the graded photos, and column of the masks that names the graded photo which is the same one."""


@dataclass(frozen=True)
class Photos:
    """What is learned from, and what is asked.

    Attributes:
        graded: Rows of the manifest.
        drawn: By place among the graded photos: the same photo among those with masks. None is of a visit that is known
            to have a photo in the test part.
        test: The test part of the photos with masks, which no grade is asked of.
        tests: (N,) which graded photos are of a known visit of the test part; those of a visit that nothing tells
            cannot be kept out.
    """

    prepared: Path
    folder: Path
    graded: pd.DataFrame
    drawn: dict[int, MaskedPhoto]
    test: list[MaskedPhoto]
    tests: NDArray[np.bool_]

    @property
    def names(self) -> list[str]:
        """A name for each photo: the graded ones, then the test part."""
        graded = [f"graded_{Path(file).stem}" for file in self.graded["file"]]
        return [*graded, *(f"test_{Path(photo.file).stem}" for photo in self.test)]

    def digest(self) -> str:
        """Sum up the photos with masks: their content, that of their masks, and which graded photo each of them is.

        Raises:
            InputError: If one cannot be read.
        """
        shown = [*self.drawn.items(), *((len(self.graded) + place, photo) for place, photo in enumerate(self.test))]
        files = {photo.file for _, photo in shown} | {mask.file for _, photo in shown for mask in photo.masks.values()}
        content = {file: sha256_of(self.folder / file) for file in files}
        told = [
            (
                place,
                content[photo.file],
                sorted((kind, content[mask.file], mask.bit) for kind, mask in photo.masks.items()),
                sorted(photo.drawn),
            )
            for place, photo in shown
        ]
        return hashlib.sha256(json.dumps(sorted(told)).encode()).hexdigest()

    def read(self, place: int, size_px: int) -> Drawing:
        """Read a photo by its place among the names, with what is drawn in it, at a size in pixels."""
        masked = self.drawn.get(place) if place < len(self.graded) else self.test[place - len(self.graded)]
        if masked is not None:
            square: MaskedSquare = read_square(self.folder, masked, size_px)
            return Drawing(square.pixels, square.covered, square.known)
        return Drawing(PreparedPhotos(self.prepared, self.graded, size_px).photo(place))


def find_photos(prepared: Path, folder: Path) -> Photos:
    """Find all photos of a study.

    Args:
        prepared: The graded photos, prepared, with the column `image_id`.
        folder: Photos with masks, listed in a table with the column `grading_image_id`.

    Raises:
        InputError: If one of them is not that, or there is no test part.
    """
    graded = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    masked = find_masked_photos(folder).photos
    test = [photo for photo in masked if photo.split == "test"]
    if not test or _ID not in graded:
        raise InputError(f"{folder} has no test part, or {prepared} no column {_ID}: nothing can be measured")
    visits = {photo.group for photo in test} - {""}
    places = dict(zip(graded[_ID].astype(str), range(len(graded)), strict=True))
    same = _same_photos(folder, masked)
    drawn = {
        places[same[photo.file]]: photo
        for photo in masked
        if photo.split != "test" and photo.group not in visits and same.get(photo.file) in places
    }
    return Photos(prepared, folder, graded, drawn, test, graded["group"].isin(visits).to_numpy())


def _same_photos(folder: Path, masked: Sequence[MaskedPhoto]) -> dict[str, str]:
    """By file of a photo with masks, the `image_id` of the graded photo that it is."""
    photos, same = PhotoFolder(folder, None), dict[str, str]()
    for path in photos.tables_with("image", _SAME):
        for row, (image, graded_id), _ in table_rows(path, ("image", _SAME)):
            same[photos.find("/".join(image.split("/")[-2:]), row)] = graded_id
    if not same.keys() >= {photo.file for photo in masked}:
        raise InputError(f"{folder} has no table with the columns image and {_SAME} of all its photos with masks")
    return {file: graded_id for file, graded_id in same.items() if graded_id}
