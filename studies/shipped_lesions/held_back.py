"""Maps of lesions of photos with masks, by heads that have learned from no photo of the same visit."""

from collections.abc import Mapping
from pathlib import Path

import torch

from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.normalization import normalize
from biranet.learning.shipped_models import DEFAULT
from biranet.lesion_kinds import KINDS
from biranet.photos.prepare import Preparation, decode_prepared, prepare_photo
from studies.lesion_grades.divisions import HeadName
from studies.lesion_grades.heads import NORMALIZATION, Backbone, load_heads
from studies.lesion_grades.look import LESION_PX
from studies.shipped_lesions.answers import DIVISION


class HeldBackFinder:
    """Finds lesions, in each photo by the head of its fold; a `LesionFinder`.

    Args:
        work: Working folder with the heads.
        folder: Of the photos.
        folds: The fold of each photo, by its file in that folder.
    """

    def __init__(self, work: Path, folder: Path, folds: Mapping[str, int]) -> None:
        self._backbone = Backbone(Path(DEFAULT), work / "backbone.onnx")
        names = [HeadName.of(DIVISION, fold) for fold in sorted(set(folds.values()))]
        self._heads = load_heads(self._backbone, work / "heads", names)
        self._folds = {folder / file: fold for file, fold in folds.items()}
        self.thresholds: Mapping[str, float] = dict.fromkeys(KINDS, 0.5)

    def find(self, source: Path | str | bytes, size_px: int | None = None) -> LesionMaps:
        """Find the lesions of one of the photos, as the model that ships does."""
        size_px = size_px or max(LESION_PX)
        prepared = prepare_photo(source, Preparation(size_px=size_px))
        seen = torch.from_numpy(decode_prepared(prepared.jpeg))[None]
        image = normalize(seen, NORMALIZATION)
        head = self._heads[HeadName.of(DIVISION, self._folds[Path(str(source))])]
        straight, mirrored = (head(self._backbone.maps(each)).sigmoid() for each in (image, image.flip(-1)))
        return LesionMaps(((straight + mirrored.flip(-1)) / 2)[0].numpy(), prepared.cut, size_px)
