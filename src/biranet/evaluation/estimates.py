"""A number of `metrics.json`: its key, and what is known of it.

Here alone a key is text, and here alone the numbers are nested as in the file.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from biranet.errors import InputError
from biranet.evaluation.measures import MEANINGS, GradeCounts, Meaning, Measure, point_name
from biranet.grades import GRADE_COUNT, GRADE_NAMES, GRADES

EYE_COMBINATIONS = {"worst_eye": "worst eye of a patient", "mean": "mean over a patient's eyes"}
"""The ways of combining a patient's eyes; below each, all measures stand once more."""


class Key(NamedTuple):
    """Names a number.

    Attributes:
        section: The section that it stands in; empty at the top.
        point: The operating point; empty but for those.
        name: Its own name.
        grade: Its place in a list of numbers, or None for the list, and for a number that stands alone.
        eyes: How the eyes of patients were combined; empty for numbers of photos.

    Example:
        >>> Key.parse("operating_points.cost_2.5.ppv")
        Key(section='operating_points', point='cost_2.5', name='ppv', grade=None, eyes='')
        >>> str(Key("", "", "recall_per_grade", 3))
        'recall_per_grade.3'
    """

    section: str
    point: str
    name: str
    grade: int | None = None
    eyes: str = ""

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a key as it is written: dotted, the way to the number through `metrics.json`."""
        parts, eyes, grade = text.split("."), "", None
        if parts[0] == "patients" and len(parts) > 2 and parts[1] in EYE_COMBINATIONS:
            eyes, parts = parts[1], parts[2:]
        if len(parts) > 1 and parts[-1].isdecimal():
            grade = int(parts.pop())
        # A point that somebody else named may have dots in its name, as in cost_2.5.
        return cls("" if len(parts) == 1 else parts[0], ".".join(parts[1:-1]), parts[-1], grade, eyes)

    def __str__(self) -> str:
        eyes = f"patients.{self.eyes}" if self.eyes else ""
        grade = "" if self.grade is None else str(self.grade)
        return ".".join(filter(None, (eyes, self.section, self.point, self.name, grade)))


class Estimate(NamedTuple):
    """What is known of a number.

    Attributes:
        value: The number; a list of numbers under a key without a grade. None where it is not defined.
        interval: Its two ends, or a list of such; None where there is none.
        reason: Why it is not defined, in one clause; else empty.
    """

    value: Any
    interval: Any = None
    reason: str = ""


def meaning_of(key: str | Key) -> Meaning:
    """Look up what a number means.

    Args:
        key: Its key.

    Returns:
        Its meaning; the name also says which grade, which operating point, or which way of combining a patient's eyes.

    Raises:
        InputError: If there is no such number.

    Example:
        >>> meaning_of("recall_per_grade.3").name
        'Recall, grade 3 (severe)'
        >>> meaning_of("operating_points.youden.ppv").name
        "Positive predictive value, at Youden's index"
    """
    parsed = Key.parse(key) if isinstance(key, str) else key
    meaning = MEANINGS.get(str(Key(parsed.section, "", parsed.name)))
    if meaning is None or not _exists(meaning, parsed):
        raise InputError(f"metrics.json has no number {str(key)!r}")
    details = [meaning.name]
    if parsed.grade is not None and parsed.name == "size_fractions":
        details.append(f"{parsed.grade + 1} of {GRADE_COUNT} grades")
    elif parsed.grade is not None:
        details.append(f"grade {parsed.grade} ({GRADE_NAMES[parsed.grade]})")
    if parsed.point:
        details.append(f"at {point_name(parsed.point)}")
    if parsed.eyes:
        details.append(EYE_COMBINATIONS[parsed.eyes])
    return replace(meaning, name=", ".join(details))


def to_json(estimates: Mapping[Key, Estimate]) -> dict[str, Any]:
    """Nest estimates as they stand in `metrics.json`.

    Args:
        estimates: By key, those of a list under the key of the list.

    Returns:
        The values; beside them, as the last item of the top, of each section and of each operating point, their
        intervals as `ci`.

    Example:
        >>> aca, asked = Key.parse("aca"), Key.parse("decisions.asked_fraction")
        >>> to_json({aca: Estimate(0.5, [0.4, 0.6]), asked: Estimate(1)})
        {'aca': 0.5, 'decisions': {'asked_fraction': 1, 'ci': {'asked_fraction': None}}, 'ci': {'aca': [0.4, 0.6]}}
    """
    nested: dict[str, Any] = {}
    for field in ("value", "interval"):
        for key, estimate in estimates.items():
            level = nested
            for step in filter(None, (key.section, key.point, "ci" if field == "interval" else "")):
                level = level.setdefault(step, {})
            level[key.name] = getattr(estimate, field)
    return nested


def from_json(metrics: Mapping[str, Any]) -> dict[Key, Estimate]:
    """Find every number of a `metrics.json`, or of a part of it that has `undefined` of its own.

    Args:
        metrics: Its content; keys may be missing.

    Returns:
        By key, in the order of `MEANINGS`, each number of a list under a key of its own, with the reason for its own
        grade. No counts in the confusion matrix, and nothing of sections that are not there.

    Example:
        >>> reasons = {"recall_per_grade": "no photo has grade 1 or 2"}
        >>> recall = {"recall_per_grade": [0.5, None, None, 0, 1], "ci": {}, "undefined": reasons}
        >>> metrics = recall | {"confusion_matrix": [[4, 4, 0, 0, 0], [0] * 5, [0] * 5, [1] * 5, [0, 0, 0, 0, 1]]}
        >>> found = from_json(metrics)
        >>> found[Key.parse("recall_per_grade.0")]
        Estimate(value=0.5, interval=None, reason='')
        >>> found[Key.parse("recall_per_grade.1")].reason
        'no photo has grade 1'
    """
    estimates: dict[Key, Estimate] = {}
    for meaning in MEANINGS.values():
        section = metrics.get(meaning.section) if meaning.section else metrics
        if section is None or len(meaning.shape) > 1:
            continue
        for point, numbers in section.items() if meaning.section == "operating_points" else [("", section)]:
            if meaning.key in numbers:
                key = Key(meaning.section, point, meaning.key)
                reason = metrics.get("undefined", {}).get(str(key), "")
                listed = Estimate(numbers[meaning.key], numbers.get("ci", {}).get(meaning.key), reason)
                estimates |= _by_grade(key, meaning, listed, metrics) if meaning.shape else {key: listed}
    return estimates


def _exists(meaning: Meaning, key: Key) -> bool:
    """Whether a key is one of the places of a number."""
    if key.grade is not None and not (len(meaning.shape) == 1 and key.grade in GRADES):
        return False
    return not key.point or key.section == "operating_points"


def _by_grade(key: Key, meaning: Meaning, listed: Estimate, metrics: Mapping[str, Any]) -> dict[Key, Estimate]:
    """Part a list; a reason that names all grades with a gap becomes that of each alone."""
    gaps = [grade for grade in GRADES if listed.value[grade] is None]
    reasons = dict.fromkeys(gaps, listed.reason)
    if gaps and listed.reason and isinstance(meaning, Measure):
        grade_counts = GradeCounts(tuple(sum(row) for row in metrics["confusion_matrix"]))
        if listed.reason == list_reason(meaning, grade_counts, gaps):
            reasons = {grade: meaning.why_undefined(grade_counts, grade) for grade in gaps}
    return {
        key._replace(grade=grade): Estimate(
            listed.value[grade], listed.interval and listed.interval[grade], reasons.get(grade, "")
        )
        for grade in GRADES
    }


def list_reason(measure: Measure, grade_counts: GradeCounts, gaps: list[int]) -> str:
    """Why a list has gaps: one clause that names their grades."""
    return measure.why_undefined(grade_counts, None).format(" or ".join(map(str, gaps)))
