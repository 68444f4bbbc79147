"""The heads of a study, trained where they are missing, and what they see of photos."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from biranet.files import sha256_of
from biranet.learning.data import PreparedPhotos
from biranet.learning.lesions.patches import read_square
from biranet.learning.lesions.train import choose_photos
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.datasets.masks import MaskedPhoto
from biranet.photos.lesion_masks import find_copies_of_test
from biranet.tables import write_table
from studies.lesion_grades.divisions import WHOLE, Folds, HeadName, head_names, heads_of
from studies.lesion_grades.heads import (
    CONFIG,
    Backbone,
    FastHead,
    Teacher,
    describe_heads,
    head_path,
    load_heads,
    train_heads,
)
from studies.lesion_grades.look import Arrays, look_at_all, read_kept
from studies.lesion_grades.seen import ELSEWHERE, Seen

COLUMNS = ["file", "group", "grade"]

_VIEWS, _PATCHES = 4, 16


def teaching_photos(folder: Path) -> list[MaskedPhoto]:
    """Find the photos with masks that may teach: none of the published test part, and none of unknown visits."""
    found = find_masked_photos(folder).photos
    learned = choose_photos(found, find_copies_of_test(folder, found))
    known = [photo for photo in learned.photos if photo.group]
    print(*learned.told, f"{len(learned.photos) - len(known)} more are of unknown visits, and teach nothing.", sep="\n")
    return known


def masks_digest(folder: Path) -> str:
    """The SHA-256 of all photos with masks: their names, parts and visits, what was looked for, and all bytes."""
    digest = hashlib.sha256()
    for photo in sorted(find_masked_photos(folder).photos, key=lambda photo: photo.file):
        masks = [(kind, mask.bit, sha256_of(folder / mask.file)) for kind, mask in sorted(photo.masks.items())]
        stated = (photo.file, photo.drawn, photo.split, photo.group, sha256_of(folder / photo.file), masks)
        digest.update(repr(stated).encode())
    return digest.hexdigest()


def masked_teachers(folder: Path, photos: Sequence[MaskedPhoto]) -> list[Teacher]:
    """Let photos with masks teach."""
    numbers = {file: number for number, file in enumerate(sorted(photo.file for photo in photos))}
    return [
        Teacher(
            photo.file,
            photo.group,
            functools.partial(read_square, folder, photo, CONFIG.image_size),
            [numbers[photo.file]],
            _VIEWS,
            _PATCHES,
        )
        for photo in photos
    ]


class Looking:
    """Trains heads where that was not done before, and looks at photos.

    Args:
        backbone: What all heads stand on.
        out: Working folder.
        own: The photos that are divided.
        divisions: Their folds.
        teachers: What teaches, as far as it is of no visit that a head must not know.

    Attributes:
        names: The heads.
    """

    def __init__(
        self,
        backbone: Backbone,
        out: Path,
        own: pd.DataFrame,
        divisions: Mapping[str, Folds],
        teachers: Sequence[Teacher],
    ) -> None:
        self._backbone, self._out, self._own, self._divisions = backbone, out, own, divisions
        self.names = list(head_names(divisions))
        if not all(head_path(out / "heads", name).exists() for name in self.names):
            teaching = {name: _teaching(teachers, name, own, divisions) for name in self.names}
            train_heads(backbone, teaching, out / "heads")
        self._heads: Mapping[HeadName, FastHead] = load_heads(backbone, out / "heads", self.names)

    def describe(self, results: Path) -> None:
        """Write what the heads have learned from, and what that cost."""
        results.mkdir(parents=True, exist_ok=True)
        write_table(results / "heads.csv", describe_heads(self._out / "heads", self.names))

    def seen_own(self, prepared: Path) -> Seen:
        """Look at the photos that are divided."""
        kept: list[Arrays] = [{} for _ in range(len(self._own))]
        for division, folds in self._divisions.items():
            names = [heads_of({division: fold}) for fold in folds.tolist()]
            its = self._look(prepared, self._own, names, self._out / f"own_{division}")
            kept = [before | more for before, more in zip(kept, its, strict=True)]
        return Seen(self._own[COLUMNS], kept, self._divisions)

    def seen_both(self, own: Seen, external: Path, elsewhere: pd.DataFrame) -> Seen:
        """Look at the photos of the other clinic, and put them below the others."""
        names = [heads_of({})] * len(elsewhere)
        kept = self._look(external, elsewhere, names, self._out / "elsewhere")
        beyond = np.full(len(elsewhere), ELSEWHERE)
        return Seen(
            pd.concat([own.photos, elsewhere[COLUMNS]], ignore_index=True),
            [*own.kept, *kept],
            {name: np.concatenate([folds, beyond]) for name, folds in self._divisions.items()},
        )

    def _look(
        self, prepared: Path, photos: pd.DataFrame, names: Sequence[Sequence[HeadName]], out: Path
    ) -> list[Arrays]:
        heads = [{name: self._heads[name] for name in its} for its in names]
        look_at_all(self._backbone, heads, PreparedPhotos(prepared, photos), out)
        return read_kept(out, len(photos))


def _teaching(
    teachers: Sequence[Teacher], name: HeadName, own: pd.DataFrame, divisions: Mapping[str, Folds]
) -> list[Teacher]:
    """What teaches a head: photos whose visits do not stand in the folds that it leaves out."""
    if name == WHOLE:
        return list(teachers)
    left_out = set(own["group"][np.isin(divisions[name.division], name.left_out)])
    return [teacher for teacher in teachers if teacher.group not in left_out]
