"""What a model says of one photo, and the columns in which that stands in the table of `biranet grade`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biranet.config import OVERLAY_OPACITY
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.patients import NOBODY, PhotoAnswer, Subject
from biranet.decisions.rules import expected_grade
from biranet.grades import GRADES
from biranet.inference.original import Original
from biranet.learning.transforms import Pixels
from biranet.typed_tables import Value, as_text

if TYPE_CHECKING:
    from biranet.inference.lesions import Lesions
    from biranet.photos.overlay import NamedMap
    from biranet.photos.sheet import Picture

TABLE_COLUMNS = (
    "file", "status", "reason", "predicted_grade", *PROBABILITIES, "decision", "lowest_grade", "highest_grade",
    "expected_grade", "temperature", "action", "group", "group_from", "eye", "eye_from",
)  # fmt: skip
"""Columns of the table of `biranet grade`. With a column `grade`, the truth, added, it is a predictions table."""

_WHOLE = ("predicted_grade", "lowest_grade", "highest_grade")
_FLOATS = (*PROBABILITIES, "expected_grade", "temperature")
COLUMN_TYPES = {name: int if name in _WHOLE else float if name in _FLOATS else str for name in TABLE_COLUMNS}
"""What stands in these columns."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one photo, or why it says nothing.

    Attributes:
        file: The photo's name, as it was given.
        status: `ok`, or why there is no grade: `unreadable`, `no_field` or `ungradable`.
        reason: One sentence where the status is not `ok`.
        grade: 0 to 4, by the decoder of the checkpoint; None without a grade, like all that follows.
        probabilities: Of the five grades, calibrated, (5,), float64, summing to 1.
        decision: `refer`, `do not refer` or `ask a human`; empty without a grade. A model that was not calibrated
            refers by the grade alone: from moderate DR on.
        grade_range: Lowest and highest grade of the prediction set, which holds the true grade of 9 photos in 10 like
            those it was fitted on; None where the model was not calibrated.
        temperature: What the probabilities were calibrated by; 1 where the model was not calibrated.
        attention: Mask of each stream, (streams, h, w), float32 in [0, 1].
        photo: What the network saw, (H, H, 3), RGB, uint8.
        margin: How far the photo is from being ungradable: 1 at the limit, more for a better one; None where nothing
            was measured.
        action: What to do now where the status is not `ok`, such as `retake: too dark (more light, or a wider pupil)`.
        subject: Whose photo it is, as far as that was said, or the header of its file says it.
        original: Where the photo can be read again as it was taken, and `original.cut`, where in it what the network
            saw lies.
        model: Which model says so: the name of one that ships, or the file of another; empty without a grade, and for
            answers of an earlier run.
        evidence: How much each cell of what the network saw moved the referral score, (h, w), float32: what it adds to
            the log-odds, to first order, so above 0 towards referral, below 0 away from it. Its cells are finer than
            those of the attention. None where the model does not say: networks of your own.
        lesions: The lesions that a model with a lesion branch found; None for other models.
        lesion_evidence: How much each of `LESIONS` moved the referral score, (4,), float32, as for `evidence`.

    Example:
        >>> import biranet
        >>> prediction = biranet.load().grade(biranet.draw_photo(grade=4, seed=7))
        >>> prediction.status, prediction.grade in range(5), prediction.probabilities.shape
        ('ok', True, (5,))
        >>> prediction.attention.shape, prediction.attention_on_original().shape  # as it is, and in the photo's pixels
        ((2, 10, 10), (2, 256, 320))
    """

    file: str
    status: str = "ok"
    reason: str = ""
    grade: int | None = None
    probabilities: NDArray[np.float64] | None = None
    decision: str = ""
    grade_range: tuple[int, int] | None = None
    temperature: float | None = None
    attention: NDArray[np.float32] | None = None
    photo: Pixels | None = None
    margin: float | None = None
    action: str = ""
    subject: Subject = NOBODY
    original: Original | None = None
    model: str = ""
    evidence: NDArray[np.float32] | None = None
    lesions: "Lesions | None" = None
    lesion_evidence: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        if self.probabilities is None:
            return f"Prediction({self.file!r}, {self.status}: {self.reason!r})"
        probabilities = " ".join(f"{probability:.3f}" for probability in self.probabilities)
        return f"Prediction({self.file!r}, grade {self.grade}, {self.decision}, probabilities {probabilities})"

    @property
    def expected_grade(self) -> float | None:
        """Mean of the grades, each with its probability, in [0, 4]; None without a grade.

        A model that decodes by it gives the grade that it reaches, which need not be the most probable one.
        """
        return None if self.probabilities is None else float(expected_grade(self.probabilities))

    @property
    def most_probable(self) -> int | None:
        """The grade with the highest probability, the lowest of equals; None without a grade."""
        return None if self.probabilities is None else int(self.probabilities.argmax())

    def row(self) -> dict[str, str]:
        """The row of the table of grades as text: cells by the names in `TABLE_COLUMNS`."""
        return {name: as_text(value) for name, value in self.values().items()}

    def values(self) -> dict[str, Value]:
        """The row of the table of grades: values by the names in `TABLE_COLUMNS`, None where there is none."""
        shares = [None] * len(GRADES) if self.probabilities is None else self.probabilities.tolist()
        ends = (None, None) if self.grade_range is None else self.grade_range
        values = (self.file, self.status, self.reason, self.grade, *shares, self.decision, *ends)
        whose = (self.subject.patient, self.subject.patient_from, self.subject.eye, self.subject.eye_from)
        values += (self.expected_grade, self.temperature, self.action, *whose)
        return dict(zip(TABLE_COLUMNS, values, strict=True))

    def for_patient(self) -> PhotoAnswer:
        """What counts for the answers of eye and patient, without pictures."""
        return PhotoAnswer(
            self.file, self.subject, self.grade, self.decision, self.expected_grade, self.margin, self.action
        )

    def attention_on_original(self) -> NDArray[np.float32] | None:
        """The attention of each stream in the pixels of the upright photo: (streams, height_px, width_px), in [0, 1].

        NaN where the network saw nothing of the photo; None without a grade. `original.cut.warp` does the same with any
        other map of what the network saw.
        """
        if self.original is None or self.attention is None:
            return None
        return self.original.lay_over(self.attention)

    def picture(
        self, maps: "Sequence[NamedMap] | None" = None, *, opacity: float = OVERLAY_OPACITY
    ) -> "Picture | None":
        """Draw the photo as it was taken and, beside it, maps over it, on their scale and stretched to their range.

        Where the model looks for lesions, their outlines are in the photo, a colour a kind.

        The photo is read again, at its full size. Where its file is gone, or holds another photo by now, what the
        network saw stands in its place, and the picture says so.

        Args:
            maps: Maps of what the network saw; the attention of each stream and the evidence when not given.
            opacity: How strongly the colours cover the photo, from 0, contours alone, to 1.

        Returns:
            The picture; None without a grade.

        Raises:
            InputError: If the opacity is no number from 0 to 1.
        """
        if self.original is None or self.photo is None or self.attention is None:
            return None
        if self.grade is None or self.probabilities is None:
            return None
        from biranet.inference.captions import caption_of, with_lesion_evidence
        from biranet.inference.drawing import draw_answer, with_own_maps

        answer = (self.grade, self.probabilities, self.decision, self.grade_range)
        caption = caption_of(self.file, *answer, self.model)
        if maps is None:
            maps, caption = with_own_maps(self.attention, self.evidence, caption)
        unseen = () if self.lesions is None else self.lesions.unseen
        caption = with_lesion_evidence(caption, self.lesion_evidence, self.probabilities, unseen)
        return draw_answer(self.original, self.photo, maps, caption, opacity, self.lesions)
