"""Cells of tables that people open: what a spreadsheet would compute is marked as text, and read back as it was."""

import re

_FORMULA = re.compile(r"'*(?:[=@\t\r\n\uff1d\uff20]|[-+\uff0b\uff0d](?=.))", re.DOTALL)
"""How a cell begins that a spreadsheet takes for a formula, wide signs included, or one that is marked already."""

_NUMBER = re.compile(r"[-+](?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|[-+]inf")


def as_cell(text: str) -> str:
    """Mark what a spreadsheet would compute with an apostrophe, as spreadsheets themselves mark text; numbers stay.

    Example:
        >>> as_cell("=1+1"), as_cell("-1.5"), as_cell("a=b")
        ("'=1+1", '-1.5', 'a=b')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(text: str) -> str:
    """Take the mark of `as_cell` away.

    Example:
        >>> from_cell("'=1+1"), from_cell("'tis")
        ('=1+1', "'tis")
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text, 1) else text
