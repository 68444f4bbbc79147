"""Pages that people write, and into which a study writes its figures, between two marks."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biranet.errors import InputError
from biranet.files import write_bytes
from studies.commands import ROOT, command_parser, exit_status_of

END = "<!-- end of figures -->\n"


@dataclass(frozen=True)
class FiguresPage:
    """A page, and what writes the figures in it.

    Attributes:
        path: Of the page.
        script: The `__file__` of what writes the figures; the first mark names it.
        results: The folder of the tables that they come from, where no other is given.
        figures: Makes the lines of the figures, in Markdown, of a folder of tables.
    """

    path: Path
    script: str
    results: Path
    figures: Callable[[Path], Iterable[str]]

    def with_figures(self, text: str, results: Path) -> str:
        """Put the figures of these tables into the text of the page.

        Raises:
            InputError: Where the text lacks a mark.
        """
        name = Path(self.script).resolve().relative_to(ROOT).as_posix()
        begin = f"<!-- figures: {name} -->\n"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(END)
        if not (found and ended):
            raise InputError(f"{self.path}: no line {begin.strip()} with {END.strip()} below it: add both")
        return "\n".join([before + begin, *self.figures(results), "", END + after])

    def run(self, doc: str | None, arguments: Sequence[str] | None) -> int:
        """Run the command that writes the page, `[RESULTS]`, and return its exit status."""
        parser = command_parser(doc)
        parser.add_argument("results", metavar="RESULTS", type=Path, nargs="?", default=self.results)
        given = parser.parse_args(arguments)

        def write() -> None:
            text = self.path.read_text(encoding="utf-8")
            write_bytes(self.path, self.with_figures(text, given.results).encode())

        return exit_status_of(self.script, write)


def prose(text: str) -> list[str]:
    """Wrap a paragraph as all pages are."""
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def bullet(text: str) -> Iterator[str]:
    """Wrap a point of a list."""
    first, *rest = textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)
    yield from (f"* {first}", *(f"  {line}" for line in rest))


def with_ci(value: float, ci: Sequence[float] | None, digits: int = 2, sign: str = "") -> str:
    """Write a number and, where there is one, its interval; `sign` is `+` for differences."""
    return f"{value:{sign}.{digits}f}" + (f" [{ci[0]:{sign}.{digits}f}, {ci[1]:{sign}.{digits}f}]" if ci else "")


def estimate(measured: Mapping[str, Any], digits: int = 2) -> str:
    """Write what a table holds as `value` and `ci`."""
    return with_ci(measured["value"], measured["ci"], digits)


def head(cells: Sequence[object]) -> list[str]:
    """Make the first two lines of a table."""
    return [row(cells), "|" + "---|" * len(cells)]


def row(cells: Iterable[object]) -> str:
    """Make a line of a table."""
    return "".join(f"| {cell} " if cell != "" else "| " for cell in cells) + "|"
