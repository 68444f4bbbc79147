"""What the name of a file says of patient and eye, by a pattern that the user states."""

import posixpath
import re

from biranet.errors import InputError
from biranet.photos.formats import PHOTO_SUFFIXES
from biranet.words import ANY_EYE_WORD, parse_eye

_FIELDS = ("{patient}", "{eye}")
_MAX_WILDCARDS = 2
"""With more, a long name could be read in so many ways that trying them takes minutes."""


class NamePattern:
    """A pattern such as `{patient}_{eye}`, which the end of a path must fit.

    Args:
        text: `{patient}` stands for a part of the name, `{eye}` for an eye as `biranet.words.parse_eye` reads it, `*`
            for anything, none of them across a slash; all else for itself, in any case. The ending of a picture may be
            left out.

    Raises:
        InputError: If it names neither patient nor eye, one of them twice, or something else in braces.

    Example:
        >>> NamePattern("{patient}_Retina_{eye}_*").read("in/007_Retina_OD_20260102_101112.jpg")
        ('007', 'right')
        >>> NamePattern("{patient}/{eye}").read("clinic/P1/left.png")
        ('P1', 'left')
        >>> NamePattern("{patient}_{eye}").read("1_macula.png")  # no eye, so nothing
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parts = [part for part in re.split(r"(\{[^{}]*\}|\*+)", text) if part]
        fields = [part for part in parts if part.startswith("{")]
        unknown = [part for part in fields if part not in _FIELDS]
        if unknown or not fields or len(set(fields)) < len(fields):
            wrong = f"{unknown[0]} is neither" if unknown else f"{text!r} holds {len(fields)} of them"
            raise InputError(
                "--name-pattern takes a pattern such as '{patient}_{eye}', with {patient}, {eye} or both, each once; "
                f"{wrong}"
            )
        if sum(part.startswith("*") for part in parts) > _MAX_WILDCARDS:
            raise InputError(
                f"--name-pattern {text!r} holds more than {_MAX_WILDCARDS} '*'; write more of the names out"
            )
        self._has_suffix = _suffix(text) in PHOTO_SUFFIXES
        # What may be short or long is tried both ways: where they differ, the pattern does not settle it.
        self._readers = [_compile(parts, lazy) for lazy in ("", "?")]

    def read(self, file: str) -> tuple[str, str] | None:
        """Read patient and eye from a path with forward slashes.

        Args:
            file: The path.

        Returns:
            The patient and the eye, `left` or `right`, each empty where the pattern does not name it; None where the
            path does not fit.

        Raises:
            InputError: If it fits in two ways.
        """
        name = file if self._has_suffix or _suffix(file) not in PHOTO_SUFFIXES else posixpath.splitext(file)[0]
        readings = [_values(match) for reader in self._readers if (match := reader.search(name))]
        if not readings:
            return None
        first, last = readings
        if first != last:
            choices = " or ".join(f"patient {patient!r}, eye {eye!r}" for patient, eye in readings)
            raise InputError(
                f"{file} fits --name-pattern {self.text!r} in two ways, {choices}; write more of the name out"
            )
        return first


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _compile(parts: list[str], lazy: str) -> re.Pattern[str]:
    fields = {"{patient}": rf"(?P<patient>[^/]+{lazy})", "{eye}": rf"(?P<eye>{ANY_EYE_WORD})"}
    body = "".join(rf"[^/]*{lazy}" if part.startswith("*") else fields.get(part, re.escape(part)) for part in parts)
    return re.compile(rf"(?:^|/){body}\Z", re.IGNORECASE)


def _values(match: re.Match[str]) -> tuple[str, str]:
    groups = match.groupdict()
    return (groups.get("patient") or "").strip(), parse_eye(groups.get("eye") or "")
