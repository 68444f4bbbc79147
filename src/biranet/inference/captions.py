"""What is said of a photo under its picture."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from biranet.decisions.columns import referable_score
from biranet.grades import GRADE_NAMES, REFERABLE_GRADE
from biranet.lesion_kinds import LESIONS
from biranet.photos.sheet import Caption

ATTENTION_NOTE = "Attention is what the network weighed, not where lesions are."
SMALLEST_SHARE = 1e-6
"""Nearer to 0 or 1 no score is told."""
EVIDENCE_NOTE = "Evidence is what a cell adds to the log-odds of referral, to first order, not where lesions are."


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


def with_lesion_evidence(
    caption: Caption,
    evidence: NDArray[np.float32] | None,
    probabilities: NDArray[np.float64],
    unseen: Collection[str] = (),
) -> Caption:
    """Add a line on what the kinds of lesions have to do with the referral score.

    Args:
        caption: What is said without it.
        evidence: How much each of `LESIONS` moved the log-odds of referral, (4,); None adds nothing.
        probabilities: Of the five grades, calibrated, (5,).
        unseen: Kinds that the photo is too small to show; what moved the score there only looks like them.

    Example:
        >>> evidence, probabilities = np.array([0.4, 1.2, 0, -0.1]), np.array([0.3, 0.2, 0.2, 0.2, 0.1])
        >>> with_lesion_evidence(Caption("", (), ()), evidence, probabilities).lines[-1]
        'Log-odds of referral: +0.00; of that by microaneurysms +0.40, haemorrhages +1.20, hard exudates +0.00, \
soft exudates -0.10.'
        >>> with_lesion_evidence(Caption("", (), ()), evidence, probabilities, ["MA"]).lines[-1].partition(" haem")[0]
        'Log-odds of referral: +0.00; of that by what looks like microaneurysms (too small to see) +0.40,'
    """
    if evidence is None:
        return caption
    score = float(referable_score(probabilities))
    odds = np.log(max(score, SMALLEST_SHARE) / max(1 - score, SMALLEST_SHARE))
    names = (f"what looks like {name} (too small to see)" if kind in unseen else name for kind, name in LESIONS.items())
    moved = ", ".join(f"{name} {value:+.2f}" for name, value in zip(names, evidence, strict=True))
    return caption._replace(lines=(*caption.lines, f"Log-odds of referral: {odds:+.2f}; of that by {moved}."))
