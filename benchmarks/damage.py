"""Damage to what tables, JSON and TOML say, as strangers and their programs do it: still well-formed, or nearly so."""

import codecs
import copy
import csv
import io
import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

CELLS = (
    *("", " ", "NA", "nan", "NaN", "inf", "-inf", "None", "NULL", "1e999", "5", "-1", "4.0", "4.5", "04", "+3", "1e0"),
    *("1_0", "0x1", "0,25", "0.2500001", "-0.0000001", "1.0000001", "١", "²", "１", "½", "True", "no DR", "R1", "yes"),
    *(
        "=1+1",
        "@SUM(A1)",
        "-2+3",
        "+cmd|' /C calc'!A0",
        "'=1",
        "'",
        "''",
        "\t3",
        "3\n",
        "3\r",
        "a\r\nb",
        '"',
        '"3',
        '3"',
    ),
    *(
        "\0",
        "a\0.jpg",
        "\x1b[31m3",
        "\u202e3",
        "\ufeff3",
        "3\ufeff",
        "\u2028",
        "\x85",
        "\x1c",
        "\ud800",
        "e\u0301",
        "é",
    ),
    *(
        "..",
        ".",
        "/",
        "//",
        "../../etc/passwd",
        "/dev/zero",
        "C:\\a.jpg",
        "~",
        "CON",
        "a/",
        "%s",
        "{0}",
        "${x}",
    ),
    *("left", "OD", "RE", "1", "train", "ok", "unreadable", "a" * 300, "9" * 5_000, "0." + "3" * 400, "z" * 200_000),
)
"""Cells that people, spreadsheets and other programs write, and that no column expects."""

HEADERS = (
    "",
    " ",
    "file",
    "grade",
    "File",
    "file ",
    "grade\n",
    "p0",
    "refer_",
    "refer_ ",
    "split",
    "fold_",
    "fold_0",
    "=1",
)

VALUES = (
    *(None, True, False, 0, 1, -1, 3, 5, 0.5, -0.0, 1e-300, 1e308, 10**30, -(10**30), 2**63, 2**64, math.nan, math.inf),
    *(-math.inf, "", " ", "0", "nan", "\0", "\x1b[31m", "\ud800", "x" * 300, "x" * 20_000, "/dev/zero", "=1+1", [], {}),
    *([None], [1, 2, 3], [0.5] * 5, {"": 0}, {"a": {"b": []}}, [[0] * 5] * 5, [["a"]], "argmax", "test_resnet"),
)
"""Values that JSON can hold, and that no key expects."""

TOKENS = (
    *(
        "nan",
        "inf",
        "-inf",
        "true",
        "0",
        "-1",
        "1e400",
        "9" * 40,
        "9" * 5_000,
        '""',
        '"\\u0000"',
        '"\\u001b[31m"',
        "[]",
        "{}",
    ),
    *(
        '"a"',
        "[1, 2, 3]",
        "2026-11-26",
        "2026-11-26T00:00:00",
        "00:00:00",
        "[" * 2_000,
        "{a = {b = 1}}",
        "0.5",
        "1_000",
    ),
    *("'''", '"""', "", "0x10", "[[0.1, 0.2]]", '["a", 1]', "99999-01-01", '"' + "x" * 30_000 + '"'),
)
"""What may stand behind an equals sign in TOML, or may not."""

ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7")


def damage_rows(rows: list[list[str]], rng: random.Random) -> list[list[str]]:
    """Damage a table in none to four places."""
    rows = [list(row) for row in rows]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        if rows:
            rng.choice(ROW_DAMAGES)(rows, rng)
    return rows


def _replace_cell(rows: list[list[str]], rng: random.Random) -> None:
    row = rng.choice(rows)
    if row:
        row[rng.randrange(len(row))] = rng.choice(CELLS)


def _replace_column(rows: list[list[str]], rng: random.Random) -> None:
    at, cell = rng.randrange(max(1, len(rows[0]))), rng.choice(CELLS)
    for row in rows[1:]:
        row[at : at + 1] = [cell]


def _rename_column(rows: list[list[str]], rng: random.Random) -> None:
    if rows[0]:
        rows[0][rng.randrange(len(rows[0]))] = rng.choice((*HEADERS, *CELLS, rng.choice(rows[0])))


def _drop_column(rows: list[list[str]], rng: random.Random) -> None:
    at = rng.randrange(max(1, len(rows[0])))
    for row in rows:
        del row[at : at + 1]


def _repeat_column(rows: list[list[str]], rng: random.Random) -> None:
    at, name = rng.randrange(max(1, len(rows[0]))), rng.choice(("", "x", *rows[0]))
    for number, row in enumerate(rows):
        row.insert(rng.choice((0, at, len(row))), name if not number else rng.choice((*row, *CELLS)))


def _repeat_row(rows: list[list[str]], rng: random.Random) -> None:
    rows.insert(rng.randrange(len(rows) + 1), list(rng.choice(rows)))


def _drop_row(rows: list[list[str]], rng: random.Random) -> None:
    del rows[rng.randrange(len(rows))]


def _lengthen_row(rows: list[list[str]], rng: random.Random) -> None:
    rng.choice(rows).extend(rng.choice((["", ""], ["1"], [rng.choice(CELLS)], [rng.choice(CELLS[:40])] * 2_000)))


def _shorten_row(rows: list[list[str]], rng: random.Random) -> None:
    row = rng.choice(rows)
    del row[rng.randrange(len(row) + 1) :]


def _shuffle(rows: list[list[str]], rng: random.Random) -> None:
    rng.shuffle(rows)


def _add_empty(rows: list[list[str]], rng: random.Random) -> None:
    rows.insert(rng.randrange(len(rows) + 1), rng.choice(([], [""], ["", "", ""], [" "])))


ROW_DAMAGES: tuple[Callable[[list[list[str]], random.Random], None], ...] = (
    *(_replace_cell, _replace_cell, _replace_cell, _replace_column, _rename_column, _drop_column, _repeat_column),
    *(_repeat_row, _drop_row, _lengthen_row, _shorten_row, _shuffle, _add_empty),
)


def encode_rows(rows: list[list[str]], rng: random.Random) -> bytes:
    """Write a table as one of many programs would; half of the time as ours does."""
    plain = rng.random() < 0.5
    separator = "," if plain else rng.choice((",", ";", "\t", "|", " "))
    ending = "\n" if plain else rng.choice(("\n", "\r\n", "\r", "\n\n"))
    if not plain and rng.random() < 0.3:  # as programs do that never quote
        text = "".join(separator.join(row) + ending for row in rows)
    else:
        file = io.StringIO()
        quoting = csv.QUOTE_MINIMAL if plain else rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        csv.writer(file, delimiter=separator, lineterminator=ending, quoting=quoting).writerows(rows)
        text = file.getvalue()
    if plain:
        return text.encode("utf-8", "replace")
    if rng.random() < 0.1:
        text = f"sep={rng.choice((separator, ';', '', ' '))}{ending}{text}"
    if rng.random() < 0.1:
        text = rng.choice(("# a remark\n", "\n", "\ufeff", "﻿\n", '"')) + text
    encoding = rng.choice(ENCODINGS)
    try:
        data = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    except UnicodeError:
        data = text.encode("utf-8", "replace")
    return rng.choice((b"", b"", b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE)) + data


def damage_json(value: Any, rng: random.Random) -> bytes:
    """Damage a JSON value in none to three places, and write it."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        holders = list(_holders(value))
        holder = rng.choice(holders) if holders else None
        if not holder:
            value = rng.choice(VALUES)
            continue
        key = rng.choice(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        change = rng.choice(("replace", "replace", "replace", "delete", "add", "wrap", "swap"))
        if change == "delete":
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[rng.choice(("", "x", "\x1b[31m", f"{key} ", "version", "format"))] = copy.deepcopy(
                rng.choice(VALUES)
            )
        elif change == "wrap":
            holder[key] = rng.choice(([holder[key]], {"x": holder[key]}, str(holder[key])))
        elif change == "swap":
            holder[key] = copy.deepcopy(holder[rng.choice(sorted(holder) if isinstance(holder, dict) else [key])])
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(value)
    if rng.random() < 0.03:
        text = rng.choice(("[" * 100_000, text + text, text.replace(":", ": " + "9" * 5_000, 1), "\ufeff" + text, ""))
    return text.encode("utf-8", "surrogatepass")


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        if value:
            yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _holders(each)


def damage_toml(text: str, rng: random.Random) -> bytes:
    """Damage TOML in none to three lines."""
    lines = text.splitlines()
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        at = rng.randrange(len(lines)) if lines else 0
        key, equals, _ = lines[at].partition("=") if lines else ("", "", "")
        change = rng.choice(("value", "value", "value", "value", "key", "drop", "repeat", "section"))
        if change == "value" and equals:
            lines[at] = f"{key}= {rng.choice(TOKENS)}"
        elif change == "key":
            lines[at : at + 1] = [
                f"{rng.choice(('x', key.strip() + 'x', '', 'a.b.c', 'model'))} = {rng.choice(TOKENS)}"
            ]
        elif change == "drop":
            del lines[at : at + 1]
        elif change == "repeat":
            lines[at:at] = lines[at : at + rng.choice((1, 5))]
        elif change == "section":
            lines.insert(
                at, rng.choice(("[model]", "[data]", "[[metrics]]", "[x]", "[", "[a.b.c]", "[metrics.figures]"))
            )
    return "\n".join(lines).encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
