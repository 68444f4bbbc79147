"""The picture of a photo that was graded, with the words under it; imported when one is drawn."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from biranet.decisions.columns import referable_score
from biranet.errors import PhotoError
from biranet.grades import DISCLAIMER, GRADE_NAMES, REFERABLE_GRADE
from biranet.inference.original import Original
from biranet.learning.transforms import Pixels
from biranet.photos.cut import Cut
from biranet.photos.overlay import NamedMap, attention_maps, evidence_map
from biranet.photos.sheet import Caption, Picture, draw_sheet

ATTENTION_NOTE = "Attention is what the network weighed, not where lesions are."
EVIDENCE_NOTE = "Evidence is what the log-odds of referral would lose without a cell, not where lesions are."


def caption_of(
    file: str,
    grade: int,
    probabilities: NDArray[np.float64],
    decision: str,
    grade_range: tuple[int, int] | None,
    model: str,
) -> Caption:
    """Put an answer into words.

    Args:
        file: The photo's name, as it stands in the table; empty for one without.
        grade: Its grade.
        probabilities: Of the five grades, calibrated, (5,).
        decision: What to do.
        grade_range: Lowest and highest grade of the prediction set, if there is one.
        model: Which model says so.

    Example:
        >>> caption = caption_of("a/eye.jpg", 2, np.array([0, 0.1, 0.7, 0.2, 0]), "refer", (1, 3), "idrid_lite0")
        >>> caption.title, caption.lines[0]
        ('Grade 2 (moderate), refer', 'Probability of referable retinopathy (grade 2 or more): 0.90.')
        >>> caption.names
        ('a/eye.jpg', 'Model: idrid_lite0')
    """
    shares = ", ".join(f"{share:.2f}" for share in probabilities)
    ends = " to ".join(map(str, sorted(set(grade_range or ()))))
    possible = f"; prediction set: {ends}" if ends else ""
    score = referable_score(probabilities)
    lines = (
        f"Probability of referable retinopathy (grade {REFERABLE_GRADE} or more): {score:.2f}.",
        f"Probabilities of the grades 0 to 4: {shares}{possible}.",
    )
    names = tuple(name for name in (file, f"Model: {model}") if name)
    return Caption(f"Grade {grade} ({GRADE_NAMES[grade]}), {decision}", lines, names)


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
    known = [] if evidence is None else [evidence_map(evidence)]
    notes = (*([ATTENTION_NOTE] if len(attention) else []), *([EVIDENCE_NOTE] if known else []))
    return [*attention_maps(attention), *known], caption._replace(lines=(*caption.lines, *notes))


def draw_answer(
    original: Original, seen: Pixels, maps: Sequence[NamedMap], caption: Caption, opacity: float
) -> Picture:
    """Draw a photo that was graded, and maps over it; what the network saw where it cannot be read any more.

    Args:
        original: Where the photo can be read.
        seen: What the network saw of it, (H, H, 3), uint8, RGB.
        maps: Maps of what the network saw.
        caption: What to write under it.
        opacity: How strongly colours cover the photo, from 0 to 1.

    Raises:
        InputError: If the opacity is no number from 0 to 1.
    """

    def draw(photo: Pixels, cut: Cut, heading: str, note: str) -> Picture:
        said = caption._replace(heading=heading, lines=(*caption.lines, *filter(None, (note, DISCLAIMER))))
        return draw_sheet(photo, cut, maps, said, opacity=opacity)

    try:
        note = "" if original.cut.shows_all else "A grey line is around what the network saw."
        return draw(original.read(seen), original.cut, "The photo as it was taken", note)
    except (PhotoError, MemoryError, cv2.error) as error:
        why = str(error) if isinstance(error, PhotoError) else "that takes more memory than there is"
        note = f"The photo as it was taken is not shown: {why}."
    return draw(seen, Cut.whole(len(seen)), "What the network saw", note)
