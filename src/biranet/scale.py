"""What people call a grade: numbers of our scale, the usual words, or what `--grades` and `--ungradable` say."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from biranet.errors import InputError
from biranet.grades import GRADE_NAMES, GRADES, parse_grade
from biranet.words import is_empty

UNGRADABLE = "the labels say that it cannot be graded"
"""The reason of a photo whose label is named with `--ungradable`."""

_KIND = r"(nonproliferat(?:iv)?e|np)?(dr|retinopathy|diabeticretinopathy)?"
_WORDS = tuple(
    re.compile(words)
    for words in (
        r"(no|non|without|noapparent)(dr|retinopathy|diabeticretinopathy)|normal|healthy",
        f"mild{_KIND}",
        f"moderate{_KIND}",
        f"severe{_KIND}",
        r"pdr|prodr|proliferat(iv)?e(dr|retinopathy|diabeticretinopathy)?",
    )
)
_NUMBERED = re.compile(r"(?P<prefix>grade|level|icdr|dr)?(?P<number>[0-9])(?P<words>\D*)")
_OTHER_SCALES = (
    (r"r\d.*", "it is of a screening scale such as R0 to R3, whose steps are others"),
    (r"npdr|background.*|bdr", "it may mean several grades"),
    (r"y|n|yes|no|true|false|positive|negative|(non)?referable(dr)?|dr|sick|disease|abnormal", "it says yes or no"),
)

_SHOWN_CHARACTERS = 40


class GradeLabel(NamedTuple):
    """What a label says of a photo: its grade, if any, and why it cannot be graded, if so."""

    grade: int | None = None
    ungradable: str = ""


UNGRADABLE_IN_SET = GradeLabel(None, "the graders of the data set found it ungradable")
"""The label of a photo that a published data set calls ungradable."""


class Scale:
    """How the labels of one folder, or the grades of some tables, are read, and which of the words given they hold.

    Args:
        grades: Values of the labels and the grade of each; where there are any, nothing else is a grade.
        ungradable: Values that mean that nobody could grade the photo.
        flags: Which of `--grades` and `--ungradable` there are to advise.

    Raises:
        InputError: If a value has no grade from 0 to 4, or two meanings.

    Example:
        >>> Scale().read("No_DR"), Scale({"1": "0", "2": "1"}, ["-1"]).read("2.0")
        (GradeLabel(grade=0, ungradable=''), GradeLabel(grade=1, ungradable=''))
    """

    def __init__(
        self,
        grades: Mapping[str, str] | None = None,
        ungradable: Collection[str] = (),
        flags: Collection[str] = ("--grades", "--ungradable"),
    ) -> None:
        self._flags = flags
        self._meanings: dict[str, tuple[str, GradeLabel]] = {}
        self.is_custom = bool(grades)
        mapped = [
            (f"--grades {value}={text}", value, _parse_meaning(value, text)) for value, text in (grades or {}).items()
        ]
        mapped += [(f"--ungradable {value}", value, GradeLabel(None, UNGRADABLE)) for value in ungradable]
        for flag, value, meaning in mapped:
            first, other = self._meanings.setdefault(_key(value), (flag, meaning))
            if other != meaning:
                raise InputError(f"{first} and {flag} give one value two meanings; leave one of them out")
        self._unused = dict.fromkeys(self._meanings)
        self._word = self._none = ""

    def read(self, text: str) -> GradeLabel:
        """Read one label.

        Raises:
            InputError: If it is no grade; the sentence says what it may be, and how to say so.
        """
        key = _key(text)
        if key in self._meanings:
            self._unused.pop(key, None)
            return self._meanings[key][1]
        if is_empty(text):
            if text.strip().casefold() == "none":
                self._none = text.strip()
            self._refuse_none_among_words()
            return GradeLabel()
        if self.is_custom:
            raise InputError(
                f"{text!r} is not among the values of --grades; name it there with its grade, or where nobody could "
                f"grade the photo, {self._leave_out(text)}"
            )
        grade = named_grade(text)
        if grade is not None:
            self._word = text
            self._refuse_none_among_words()
            return GradeLabel(grade)
        try:
            return GradeLabel(parse_grade(text))
        except InputError as error:
            raise InputError(f"{error}; {self._hint(text, key)}") from error

    def has_meaning(self, value: str) -> bool:
        """Tell whether `--grades` or `--ungradable` give a value a meaning."""
        return _key(value) in self._meanings

    def refuse_unused(self) -> None:
        """Refuse values of `--grades` and `--ungradable` that no label has.

        Raises:
            InputError: If there are any; most are misspelt, and their photos would have been read otherwise.
        """
        for key in self._unused:
            raise InputError(f"{self._meanings[key][0]}: no label has this value; look at how the labels write it")

    def _refuse_none_among_words(self) -> None:
        if self._word and self._none:
            advice = (
                "say all values with --grades, this one as none=0" if "--grades" in self._flags else "write no DR or 0"
            )
            raise InputError(
                f"{self._none!r} stands among words such as {self._word!r}, so it may mean no retinopathy or no grade; "
                f"{advice}, or where nobody could grade the photo, {self._leave_out(self._none)}"
            )

    def _leave_out(self, text: str) -> str:
        return f"say so with --ungradable {_quoted(text)}" if "--ungradable" in self._flags else "leave its row out"

    def _hint(self, text: str, key: str) -> str:
        text = text.strip()
        if re.fullmatch(r"[+-]?\d+,\d*", text, re.ASCII) and len(text) <= _SHOWN_CHARACTERS:
            return f"it has a decimal comma: write decimals with a point, {text.replace(',', '.')} for {text}"
        # What a shell or a list of pairs reads as more than itself cannot stand in an example.
        if not text.isprintable() or len(text) > _SHOWN_CHARACTERS or set(text) & set("\"'`$\\=,"):
            text = "VALUE"
        ungradable = f"where nobody could grade the photo, {self._leave_out(text)}"
        if "--grades" not in self._flags:
            return f"write grades from {GRADES[0]} to {GRADES[-1]} or words such as {GRADE_NAMES[1]}, or {ungradable}"
        if key == str(GRADES[-1] + 1):
            pairs = ",".join(f"{grade + 1}={grade}" for grade in GRADES)
            return (
                f"where the scale begins with 1, say --grades {pairs}, and where {text} means that nobody could grade "
                f"the photo, {self._leave_out(text)}"
            )
        for pattern, why in _OTHER_SCALES:
            if re.fullmatch(pattern, key):
                return f'{why}; where each value has its grade, say so with --grades "{text}=0,…"'
        return f'where it stands for one, say so with --grades "{text}=0,…" for all values, and {ungradable}'


def named_grade(text: str) -> int | None:
    """Find the grade that one of the usual names of a class means: words, or words and a number.

    Args:
        text: A name such as `No_DR`, `severe NPDR`, `Proliferate_DR`, `2 - moderate`, `grade_3`, or `bmilddr`, where a
            letter keeps the order.

    Returns:
        The grade, or None where it is no such name, or a number contradicts the words.

    Example:
        >>> named_grade("mild NPDR"), named_grade("cmoderatedr"), named_grade("1_No_DR"), named_grade("3")
        (1, 2, None, None)
    """
    key = _key(text)
    grade = _grade_of_words(key)
    if grade is not None:
        return grade
    numbered = _NUMBERED.fullmatch(key)
    if numbered and (numbered["prefix"] or numbered["words"]):
        number = int(numbered["number"])
        fits = not numbered["words"] or _grade_of_words(numbered["words"]) == number
        return number if fits and number in GRADES else None
    grade = _grade_of_words(key[1:])
    return grade if grade is not None and key[0] == "abcde"[grade] else None


def remarks(counts: Sequence[int]) -> list[str]:
    """Say what is odd about the grades that were read: what another scale, or no scale at all, would look like.

    Args:
        counts: How many photos have each grade, (K,).

    Returns:
        Sentences; none where all grades are there, or no photo has one.

    Example:
        >>> remarks([8, 0, 9, 3, 1])
        ['No photo has grade 1, but others have grades below and above it: was it merged with another?']
    """
    present = [grade for grade in GRADES if counts[grade]]
    if present in ([0, 1], [1]):
        return ["No photo has a grade above 1: are 0 and 1 grades, or yes and no (referable, diseased)?"]
    if len(present) < 2:
        return [f"All graded photos have grade {grade}." for grade in present]
    sentences = []
    if present[0] > 0:
        sentences.append(f"No photo has a grade below {present[0]}: does the scale of these labels begin there?")
    if missing := [str(grade) for grade in range(present[0], present[-1]) if grade not in present]:
        sentences.append(
            f"No photo has grade {' or '.join(missing)}, but others have grades below and above it: was it merged with "
            "another?"
        )
    if present[-1] < GRADES[-1]:
        sentences.append(f"No photo has a grade above {present[-1]}: does the scale of these labels end there?")
    return sentences


def _parse_meaning(value: str, text: str) -> GradeLabel:
    try:
        grade = parse_grade(text)
    except InputError as error:
        raise InputError(f"--grades {value}={text}: {error}") from error
    if grade is None:
        raise InputError(f"--grades {value}={text}: {text!r} is not a grade from {GRADES[0]} to {GRADES[-1]}")
    return GradeLabel(grade)


def _key(text: str) -> str:
    """What is compared of a label: numbers as numbers, of words only letters and digits."""
    text = text.strip().casefold()
    if number := re.fullmatch(r"([+-]?\d{1,9})(\.0*)?", text, re.ASCII):
        return str(int(number[1]))
    return re.sub(r"[\W_]", "", text) or text


def _grade_of_words(key: str) -> int | None:
    return next((grade for grade in GRADES if _WORDS[grade].fullmatch(key)), None)


def _quoted(text: str) -> str:
    """As a shell takes it for one word, on every system."""
    return text if re.fullmatch(r"[\w.+-]+", text) else f'"{text}"'
