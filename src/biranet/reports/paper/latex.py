r"""Tables as LaTeX, with booktabs: what comes from outside is escaped, and every row has as many cells as columns."""

import re
from collections.abc import Sequence

from biranet.console import escape_control

FILE_MARKER = "% a table of biranet's"
"""Begins every file."""

_WORDS = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{MINUS SIGN}": "$-$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
    # After the end of a row these would be read as its arguments.
    **{letter: f"{{{letter}}}" for letter in "[]*"},
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
_SPECIAL = re.compile("|".join(map(re.escape, _WORDS)))
_LIGATURE = re.compile(r"([-',\"])(?=\1)")
"""What two of become another sign."""


_WIDE = 6
"""A table of more columns is set in small type."""


def as_latex(text: str) -> str:
    r"""Write a text so that LaTeX prints it as it is.

    Args:
        text: Any text; letters that no special ones are stay, so those beyond Latin need LuaLaTeX or XeLaTeX.

    Example:
        >>> print(as_latex("50 % of a_b\\input{x}"))
        50 \% of a\_b\textbackslash{}input\{x\}
    """
    line = " ".join(escape_control(text).split())
    parts = [_SPECIAL.sub(lambda match: _WORDS[match[0]], part) for part in _LIGATURE.split(line)]
    # The parts at odd places are the letters that another one of their kind follows.
    return "".join(f"{part}{{}}" if place % 2 else part for place, part in enumerate(parts))


def write_tabular(caption: str, label: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Write a table that stands by itself.

    Args:
        caption: What stands above it.
        label: What it is referred to by.
        heads: Heads of the columns.
        rows: Their cells.
        words: So many columns at the left hold words; the others hold numbers, and are set to the right.
    """
    lines = [heads, *rows]
    cells = [" & ".join(map(as_latex, line)) + r" \\" for line in lines]
    plain = all(
        ord(letter) < 0x250 or letter in _WORDS for line in [[caption], *lines] for cell in line for letter in cell
    )
    needs = r"\usepackage{booktabs}" + ("" if plain else ", and LuaLaTeX or XeLaTeX with a font that has its letters")
    return "\n".join(
        [
            f"{FILE_MARKER}; it needs {needs}",
            r"\begin{table}",
            r"  \centering" + (r"\footnotesize\setlength{\tabcolsep}{4pt}" if len(heads) > _WIDE else ""),
            rf"  \caption{{{as_latex(caption)}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{'l' * words}{'r' * (len(heads) - words)}}}",
            r"    \toprule",
            f"    {cells[0]}",
            r"    \midrule",
            *(f"    {cell}" for cell in cells[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )
