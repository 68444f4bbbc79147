"""The picture of a photo that was graded, with the words under it; imported when one is drawn."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.errors import PhotoError
from biranet.grades import DISCLAIMER
from biranet.inference.captions import ATTENTION_NOTE, EVIDENCE_NOTE
from biranet.inference.lesion_drawing import outline, tell_lesions
from biranet.inference.lesions import Lesions
from biranet.inference.original import Original
from biranet.learning.transforms import Pixels
from biranet.photos.cut import Cut
from biranet.photos.overlay import NamedMap, attention_maps, evidence_map
from biranet.photos.sheet import Caption, Picture, draw_sheet


def with_own_maps(
    attention: NDArray[np.float32], evidence: NDArray[np.float32] | None, caption: Caption
) -> tuple[list[NamedMap], Caption]:
    """Name the maps that a network gives itself, and say in the caption what they are.

    Args:
        attention: Mask of each stream, (streams, h, w) in [0, 1].
        evidence: (h, w), where there is any.
        caption: What to write under the picture.

    Returns:
        The attention of each stream and the evidence; and the caption with a line about each.
    """
    evidence_maps = [] if evidence is None else [evidence_map(evidence)]
    notes = (*([ATTENTION_NOTE] if len(attention) else []), *([EVIDENCE_NOTE] if evidence_maps else []))
    return [*attention_maps(attention), *evidence_maps], caption._replace(lines=(*caption.lines, *notes))


def draw_answer(
    original: Original,
    image: Pixels,
    maps: Sequence[NamedMap],
    caption: Caption,
    opacity: float,
    lesions: Lesions | None = None,
) -> Picture:
    """Draw a photo that was graded, and maps over it; what the network saw where it cannot be read any more.

    Args:
        original: Where the photo can be read.
        image: What the network saw of it, (H, H, 3), uint8, RGB.
        maps: Maps of what the network saw.
        caption: What to write under it.
        opacity: How strongly colours cover the photo, from 0 to 1.
        lesions: What was found in it: outlined in the photo without maps, and told.

    Raises:
        InputError: If the opacity is no number from 0 to 1.
    """
    if lesions is not None:
        caption = tell_lesions(caption, lesions.drawn, lesions.sentences)

    def draw(photo: Pixels, cut: Cut, heading: str, note: str) -> Picture:
        whole_caption = caption._replace(heading=heading, lines=(*caption.lines, *filter(None, (note, DISCLAIMER))))
        if lesions is None:
            return draw_sheet(photo, cut, maps, whole_caption, opacity=opacity)
        first = outline(photo, dataclasses.replace(lesions.maps, cut=cut), lesions.drawn)
        whole_caption = whole_caption._replace(heading=f"{heading}, with outlines")
        return draw_sheet(photo, cut, maps, whole_caption, opacity=opacity, first=first)

    try:
        note = "" if original.cut.shows_all else "A grey line is around what the network saw."
        return draw(original.read(image), original.cut, "The photo as it was taken", note)
    except (PhotoError, MemoryError, cv2.error) as error:
        why = str(error) if isinstance(error, PhotoError) else "that takes more memory than there is"
        note = f"The photo as it was taken is not shown: {why}."
    return draw(image, Cut.whole(len(image)), "What the network saw", note)
