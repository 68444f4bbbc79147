"""Maps of lesions of photos, each by a head of one's choice: one that has learned from no photo of the same visit."""

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


class HeldBackFinder:
    """Finds lesions, in each photo by its head; a `LesionFinder`.

    Args:
        work: Working folder with the heads.
        heads: The head of each photo.
    """

    def __init__(self, work: Path, heads: Mapping[Path, HeadName]) -> None:
        self._backbone = Backbone(Path(DEFAULT), work / "backbone.onnx")
        self._heads = load_heads(self._backbone, work / "heads", sorted(set(heads.values())))
        self._of_photo = heads
        self.thresholds: Mapping[str, float] = dict.fromkeys(KINDS, 0.5)

    def find(self, source: Path | str | bytes, size_px: int | None = None) -> LesionMaps:
        """Find the lesions of one of the photos, as the model that ships does."""
        size_px = size_px or max(LESION_PX)
        prepared = prepare_photo(source, Preparation(size_px=size_px))
        seen = torch.from_numpy(decode_prepared(prepared.jpeg))[None]
        image = normalize(seen, NORMALIZATION)
        head = self._heads[self._of_photo[Path(str(source))]]
        straight, mirrored = (head(self._backbone.maps(each)).sigmoid() for each in (image, image.flip(-1)))
        return LesionMaps(((straight + mirrored.flip(-1)) / 2)[0].numpy(), prepared.cut, size_px)
