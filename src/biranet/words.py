"""What people write for nothing and for an eye, understood in one place; and how many there are of something."""

import re

from biranet.errors import InputError

_EMPTY = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "nat", "none", "null"})
_LEFT = "left l os le oi og oe la sinister oculussinister links gauche izquierdo izquierda esquerdo esquerda 左 左眼"
_RIGHT = "right r od re ra dexter oculusdexter rechts droit droite derecho derecha direito direita 右 右眼"
_EYES = dict.fromkeys(_LEFT.split(), "left") | dict.fromkeys(_RIGHT.split(), "right")
_UNKNOWN_EYES = frozenset({"", "u", "unknown"})

ANY_EYE_WORD = rf"(?:{'|'.join(sorted(_EYES, key=len, reverse=True))})(?:[-_ ]?eye)?"
"""Pattern, without regard to case, of all that `parse_eye` takes for an eye: where it is known that an eye stands."""

EYES = ("left", "right")
"""What every table of ours calls the eyes."""

EYE_WORD = r"left|right|od|os"
"""Pattern, without regard to case, of the words that mean an eye wherever in a name they stand."""

_EYE_SUFFIX = re.compile(
    rf"(?:^|/)(?:([^/]+)[-_ ])?({EYE_WORD}|l|r|le|re|oi|og|oe)(?:[-_ ]?eye)?(?:\.[^./]*)?$", re.IGNORECASE
)
"""The eye at the end of a file's name, and what stands before it."""


def is_empty(text: str) -> bool:
    """Tell whether a cell says nothing: empty, or what R, pandas, SQL and spreadsheets write for that.

    Args:
        text: The cell.

    Example:
        >>> is_empty(" "), is_empty("NA"), is_empty("nan"), is_empty("0")
        (True, True, True, False)
    """
    return text.strip().casefold() in _EMPTY


def counted(count: int, one: str, many: str = "") -> str:
    """Write how many there are of something.

    Args:
        count: How many.
        one: What it is called where there is one.
        many: Where there are none or several; `one` with an s when not given.

    Example:
        >>> counted(1, "photo"), counted(0, "photo"), counted(2, "copy", "copies"), counted(50_000, "photo")
        ('1 photo', '0 photos', '2 copies', '50,000 photos')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def parse_eye(text: str) -> str:
    """Read which eye a photo shows, as people write it in tables.

    Args:
        text: left or right in words or letters, of several languages, in any case; or nothing.

    Returns:
        `left`, `right`, or empty where `text` is empty or says that it is unknown.

    Raises:
        InputError: If `text` is anything else.

    Example:
        >>> parse_eye("OD"), parse_eye("Left eye"), parse_eye("")
        ('right', 'left', '')
    """
    word = re.sub(r"[\W_]", "", text.casefold())
    word = word if word == "eye" else word.removesuffix("eye")
    if is_empty(text) or word in _UNKNOWN_EYES:
        return ""
    if word not in _EYES:
        number = " (numbers mean other eyes in other sets)" if word.isdigit() else ""
        raise InputError(f"{text!r} is not an eye{number}; write left or right, L or R, OS or OD, LE or RE, or nothing")
    return _EYES[word]


def split_eye_suffix(file: str) -> tuple[str, str]:
    """Split the name of a file into the eye that it ends in, and what stands before that, which may be a patient.

    Args:
        file: A path with forward slashes.

    Returns:
        What stands before, empty for `left.jpg`, and the eye, `left` or `right`; both empty where the name ends
        otherwise.

    Example:
        >>> split_eye_suffix("train/10_left.jpeg"), split_eye_suffix("P1/OD.png"), split_eye_suffix("x_color.jpg")
        (('10', 'left'), ('', 'right'), ('', ''))
    """
    match = _EYE_SUFFIX.search(file)
    return (match[1] or "", parse_eye(match[2])) if match else ("", "")
