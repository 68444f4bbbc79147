"""Lesions that were found in one photo, for every front end: counted, and drawn on the photo as it was taken."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.errors import PhotoError
from biranet.inference.addresses import Address, open_source
from biranet.inference.lesion_findings import LesionFinding, describe_finding, describe_lesions, find_disc
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.transforms import Pixels
from biranet.lesion_kinds import DISC, KINDS, LESIONS
from biranet.photos.cut import Cut, scaled_px
from biranet.photos.read import decode_photo
from biranet.photos.sheet import Picture

if TYPE_CHECKING:
    from biranet.inference.lesion_drawing import Graded
    from biranet.inference.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Lesions:
    """Lesions that were found in a photo.

    Attributes:
        file: The photo's name, as it was given.
        maps: What was found: `maps.shares`, (5, h, w), float32, the share of each cell of the square that is a
            microaneurysm (MA), a haemorrhage (HE), a hard exudate (EX), a soft exudate (SE) and the optic disc (OD), as
            a probability; and `maps.cut`, where the square lies in the photo.
        thresholds: From which share on a cell counts, by kind.
        source: The file, its address, or its bytes. The pixels are not kept.
        sha256: SHA-256 of the file.

    Example:
        >>> import biranet
        >>> shares = np.zeros((5, 256, 256), np.float32)
        >>> shares[1, 100:104, 120:124] = 0.9  # a haemorrhage of 16 pixels a side
        >>> from biranet.inference.loading import encode_photo
        >>> photo = encode_photo(biranet.draw_photo(grade=4, seed=7, width_px=1024, height_px=1024))
        >>> digest = hashlib.sha256(photo).hexdigest()
        >>> maps = LesionMaps(shares, biranet.Cut.whole(1024), 1024)
        >>> found = biranet.Lesions("eye.png", maps, dict.fromkeys(KINDS, 0.5), photo, digest)
        >>> {kind: finding.count for kind, finding in found.findings.items()}
        {'MA': 0, 'HE': 1, 'EX': 0, 'SE': 0}
        >>> found.on_original().shape
        (5, 1024, 1024)
    """

    file: str
    maps: LesionMaps
    thresholds: Mapping[str, float]
    source: Path | Address | bytes = field(repr=False)
    sha256: str = field(repr=False)

    @cached_property  # grading asks for none
    def findings(self) -> Mapping[str, LesionFinding]:
        """Number, area and place of the lesions of each kind."""
        return describe_lesions(self.maps, self.thresholds)

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{kind} {'-' if each.count is None else each.count}" for kind, each in self.findings.items()
        )
        return f"Lesions({self.file!r}, {counts})"

    @property
    def unseen(self) -> tuple[str, ...]:
        """The kinds that were not looked for, since the photo is too small to show them."""
        return tuple(kind for kind, each in self.findings.items() if each.count is None)

    @property
    def drawn(self) -> dict[str, float]:
        """Thresholds of the kinds that a picture outlines: those that were looked for, and the disc where it is one."""
        shown = {kind: self.thresholds[kind] for kind in self.findings if kind not in self.unseen}
        if find_disc(self.maps.shares[KINDS.index(DISC)], self.thresholds[DISC]):
            shown[DISC] = self.thresholds[DISC]
        return shown

    @property
    def sentences(self) -> dict[str, str]:
        """What was found, in words, by kind; of a kind that was not looked for, why."""
        sentences = {
            kind: each.not_told if each.count is None else describe_finding(LESIONS[kind], each)
            for kind, each in self.findings.items()
        }
        return sentences | ({DISC: "the optic disc"} if DISC in self.drawn else {})

    def on_original(self) -> NDArray[np.float32]:
        """The shares in the pixels of the upright photo: (5, height_px, width_px); 0 where nothing was seen of it."""
        return self.maps.on_photo((self.maps.cut.height_px, self.maps.cut.width_px))

    def outlined(self, *, opacity: float = 0.0, most_px: int | None = None) -> Pixels:
        """Draw the outlines of the lesions into the photo as it was taken, a colour a kind, without words.

        The photo is read again, at its full size.

        Args:
            opacity: How strongly the colours cover the lesions, from 0, outlines alone, to 1.
            most_px: Longer side of the result at most: a larger photo is made smaller before.

        Returns:
            (height_px, width_px, 3), uint8, RGB.

        Raises:
            InputError: If the opacity is no number from 0 to 1.
            PhotoError: If the file cannot be read any more, or holds another photo by now.
        """
        from biranet.inference.lesion_drawing import outline

        photo, scale = self._read(), 1.0
        if most_px is not None and max(photo.shape) > most_px:
            scale = most_px / max(photo.shape)
            size = (scaled_px(photo.shape[1], scale), scaled_px(photo.shape[0], scale))
            photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
        return outline(photo, self.maps, self.drawn, opacity=opacity, scale=scale)

    def picture(self, answer: "Prediction | None" = None, *, opacity: float = 0.0) -> Picture:
        """Draw the photo with these outlines as `outlined` does and, below it, what was found, in words.

        Args:
            answer: What a model that grades says of the photo: then grade and score stand below it as well, and the
                evidence is drawn beside it.
            opacity: As for `outlined`.

        Raises:
            InputError: As for `outlined`.
            PhotoError: Likewise.
        """
        from biranet.inference.lesion_drawing import draw_lesions  # what draws letters is for pictures alone

        graded = describe_answer(answer, self.file, self.maps.cut)
        return draw_lesions(self._read(), self.maps, self.drawn, self.sentences, graded, opacity=opacity)

    def _read(self) -> Pixels:
        file = open_source(self.source)
        if hashlib.sha256(file.data).hexdigest() != self.sha256:
            raise PhotoError("unreadable", "the file holds another photo now")
        return decode_photo(file, None).pixels


def describe_answer(answer: "Prediction | None", file: str, cut: Cut) -> "Graded":
    """Say in words and maps what a model that grades says of a photo, if one was asked.

    Args:
        answer: What it says.
        file: What the photo is called.
        cut: Where a map would lie, where there is none.
    """
    from biranet.inference.captions import EVIDENCE_NOTE, caption_of, with_lesion_evidence
    from biranet.inference.lesion_drawing import Graded
    from biranet.photos.overlay import evidence_map
    from biranet.photos.sheet import Caption

    if answer is None or answer.grade is None or answer.probabilities is None:
        why = f": {answer.reason}" if answer is not None and answer.reason else ""
        return Graded(Caption(f"Lesions, no grade{why}", (), (file,) if file else ()), cut)
    stated = (answer.grade, answer.probabilities, answer.decision, answer.grade_range)
    caption = caption_of(file, *stated, answer.model)
    unseen = () if answer.lesions is None else answer.lesions.unseen
    caption = with_lesion_evidence(caption, answer.lesion_evidence, answer.probabilities, unseen)
    if answer.evidence is None or answer.original is None:
        return Graded(caption, cut)
    caption = caption._replace(lines=(*caption.lines, EVIDENCE_NOTE))
    return Graded(caption, answer.original.cut, [evidence_map(answer.evidence)])
