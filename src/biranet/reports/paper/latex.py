r"""Tables as LaTeX, with booktabs: what comes from outside is escaped, and none is wider than the lines of a page."""

import itertools
import re
from collections.abc import Mapping, Sequence

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
    return "".join(f"{part}{{}}" if index % 2 else part for index, part in enumerate(parts))


TEXT_WIDTH_PT = 345.0
"""What a table has room in: the lines of LaTeX's class article. A column of two-column classes has some 246 pt."""

_SIZE_PT, _GAP_PT = 9.25, 8.0
"""Width of an em in `\\small`, and between two columns."""

_WORDS_PT = 150.0
"""So much of the width columns of words may claim; longer words are broken."""

_EM: Mapping[str, float] = {
    letter: width
    for letters, width in {
        "!',.:;[]il`|": 0.28,
        "fj -": 0.34,
        "()Irst": 0.4,
        "cez": 0.45,
        '?"$*/0123456789ago\\^_{}~\N{EN DASH}': 0.5,
        "SZLbdhknpquvxy": 0.63,
        "BEFP": 0.71,
    }.items()
    for letter in letters
}
"""How wide letters of Computer Modern are, in em, which are wider than those of Times; no other one is wider than 1.03.
"""


def text_width_pt(text: str) -> float:
    r"""Bound how wide LaTeX sets a text in `\small`, which nothing here can run.

    Example:
        >>> 60 < text_width_pt("0.81 (0.77–0.85)") < 70
        True
    """
    return _SIZE_PT * sum(_EM.get(letter, 0.84 if letter.isascii() and letter not in "MW" else 1.03) for letter in text)


def write_tabular(caption: str, label: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Write a table that stands by itself and is no wider than a page's lines.

    Columns of numbers that have no room beside each other go on below, beside the same words once more; words that are
    too long are broken.

    Args:
        caption: What stands above it.
        label: What it is referred to by.
        heads: Heads of the columns.
        rows: Their cells.
        words: So many columns at the left hold words; the others hold numbers, and are set to the right.
    """
    lines = [heads, *rows]
    plain = all(
        ord(letter) < 0x250 or letter in _WORDS for line in [[caption], *lines] for cell in line for letter in cell
    )
    needs = r"\usepackage{booktabs}" + ("" if plain else ", and LuaLaTeX or XeLaTeX with a font that has its letters")
    widths = [max(text_width_pt(line[column]) for line in lines) for column in range(len(heads))]
    blocks, room = _divide(widths, words)
    limits = _share(widths[:words], room)
    parts = [
        _tabular([[*line[:words], *(line[column] for column in block)] for line in lines], widths[:words], limits)
        for block in blocks
    ]
    return "\n".join(
        [
            f"{FILE_MARKER}; it needs {needs}",
            r"\begin{table}",
            r"  \centering\small\setlength{\tabcolsep}{" + f"{_GAP_PT / 2:g}pt}}",
            # Most classes leave space below a caption of a figure alone.
            r"  \setlength{\belowcaptionskip}{6pt}",
            rf"  \caption{{{as_latex(caption)}}}",
            rf"  \label{{tab:{label}}}",
            "\n\n  \\medskip\n".join(parts),
            r"\end{table}",
            "",
        ]
    )


def _divide(widths: Sequence[float], words: int) -> tuple[list[range], float]:
    """Divide the columns of numbers into the fewest blocks that fit, and say what is left for the words beside them."""
    numbers = len(widths) - words
    words_pt = min(sum(widths[:words]), _WORDS_PT)
    for count in range(1, numbers + 1):
        edges = [words + round(numbers * block / count) for block in range(count + 1)]
        blocks = [range(*ends) for ends in itertools.pairwise(edges)]
        rooms = [
            TEXT_WIDTH_PT - sum(widths[column] + _GAP_PT for column in block) - _GAP_PT * (words - 1)
            for block in blocks
        ]
        if min(rooms) >= words_pt:
            return blocks, min(rooms)
    return [range(column, column + 1) for column in range(words, len(widths))], words_pt


def _share(widths: Sequence[float], room: float) -> list[float]:
    """Divide a width among columns of words: none gets more than it needs, and none less than its equal share."""
    limits = [0.0] * len(widths)
    for left, column in zip(range(len(widths), 0, -1), sorted(range(len(widths)), key=widths.__getitem__), strict=True):
        limits[column] = min(widths[column], (room - sum(limits)) / left)
    return limits


def _tabular(lines: Sequence[Sequence[str]], needed: Sequence[float], limits: Sequence[float]) -> str:
    """Write the body of one block; columns of words that are wider than their limit are broken into lines."""
    kinds = ["l" if width <= limit else f"p{{{limit:.1f}pt}}" for width, limit in zip(needed, limits, strict=True)]
    numbers = len(lines[0]) - len(kinds)
    cells = []
    for line in lines:
        words = [
            as_latex(cell) if width <= limit else rf"\raggedright {_breakable(cell, limit)}"
            for cell, width, limit in zip(line, needed, limits, strict=False)
        ]
        cells.append("    " + " & ".join([*words, *map(as_latex, line[len(kinds) :])]) + r" \\")
    return "\n".join(
        [
            rf"  \begin{{tabular}}{{@{{}}{''.join(kinds)}{'r' * numbers}@{{}}}}",
            r"    \toprule",
            cells[0],
            r"    \midrule",
            *cells[1:],
            r"    \bottomrule",
            r"  \end{tabular}",
        ]
    )


def _breakable(text: str, limit: float) -> str:
    """Write a text that LaTeX may break within words that are too long for a line."""
    words = []
    for word in text.split():
        pieces = [""]
        for letter in word:
            if text_width_pt(pieces[-1] + letter) > limit:
                pieces.append("")
            pieces[-1] += letter
        words.append(r"\allowbreak{}".join(map(as_latex, pieces)))
    return " ".join(words)
