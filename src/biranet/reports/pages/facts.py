"""What was measured and how, laid out to be read: long lists of facts by name, thresholds by their aim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biranet.evaluation.meanings import point_name

Facts = Mapping[str, str | Sequence[str]]
"""What was measured and how, by its name; several sentences make a list."""

HASH = "sha256 "
"""How the facts of a file begin; those of the report it lies in follow, each after its name."""

THRESHOLDS = "Thresholds"
"""The fact that names operating points by their names in `metrics.json`."""


@dataclass(frozen=True)
class Fact:
    """One fact, or all facts of a file.

    Attributes:
        name: What it is about.
        lines: The sentences.
        parts: The facts of a file, which has no lines of its own.
    """

    name: str
    lines: Sequence[str] = ()
    parts: Sequence["Fact"] = ()


def list_facts(facts: Facts) -> list[Fact]:
    """Lay out facts.

    Args:
        facts: By name.

    Returns:
        In their order; those of a file are parted at their own names, and thresholds say what they were chosen for.

    Example:
        >>> facts = {"Seed": "1", "a.csv": ["sha256 0a", "Seed: 2", "Thresholds: cost_5: 0.1", "Thresholds: x: 0.2"]}
        >>> seed, file = list_facts(facts)
        >>> seed.lines
        ['1']
        >>> [(part.name, part.lines) for part in file.parts]
        [('sha256', ['0a']), ('Seed', ['2']), ('Thresholds', ['cost of 5 for a missed one (cost_5): 0.1', 'x: 0.2'])]
    """
    listed = {name: [text] if isinstance(text, str) else list(text) for name, text in facts.items()}
    return [_file(name, lines) if _is_of_file(lines) else _fact(name, lines) for name, lines in listed.items()]


def part_note(note: str, facts: Facts) -> tuple[str, list[str]]:
    """Part a note into its sentence and the files that stand before it.

    Args:
        note: A sentence, after the names of the files it is about where it is not about all.
        facts: Those of the same report; they know the files.

    Returns:
        The sentence, and the files.

    Example:
        >>> part_note("a.csv, b.csv: Read before.", {"a.csv": ["sha256 0a"], "b.csv": ["sha256 0b"]})
        ('Read before.', ['a.csv', 'b.csv'])
        >>> part_note("Attention: new.", {})
        ('Attention: new.', [])
    """
    files = []
    rest = note
    known = [name for name, text in facts.items() if _is_of_file(text)]
    while found := next((name for name in known if rest.startswith((f"{name}, ", f"{name}: "))), None):
        files.append(found)
        ended = rest[len(found)] == ":"
        rest = rest[len(found) + 2 :]
        if ended:
            return rest, files
    return note, []


def _is_of_file(text: str | Sequence[str]) -> bool:
    return not isinstance(text, str) and len(text) > 0 and text[0].startswith(HASH)


def _fact(name: str, lines: list[str]) -> Fact:
    return Fact(name, [_readable(line) for line in lines] if name == THRESHOLDS else lines)


def _file(name: str, lines: list[str]) -> Fact:
    parts: dict[str, list[str]] = {HASH.strip(): [lines[0].removeprefix(HASH)]}
    for line in lines[1:]:
        part, _, text = line.partition(": ")
        parts.setdefault(part, []).append(text)
    return Fact(name, parts=[_fact(part, texts) for part, texts in parts.items()])


def _readable(line: str) -> str:
    point, colon, threshold = line.partition(": ")
    name = point_name(point)
    return line if not colon or name == point else f"{name} ({point}): {threshold}"
