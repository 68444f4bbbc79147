"""What became of each photo, on disk: it survives a kill, and costs no memory.

A journal is a file of lines of JSON, to which each line is added whole. To look up photos by name, what it says is also
held in a database beside it, which vanishes with the process. `biranet prepare` keeps `progress.jsonl` in the prepared
folder while a run lasts, one line a photo; `biranet grade` keeps one beside its table, see
`biranet.inference.grade_journal`.
"""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from biranet.errors import InputError
from biranet.files import parse_json
from biranet.locks import exclusive_file

JOURNAL_NAME = "progress.jsonl"

Outcome = dict[str, str]
"""What became of a photo that was prepared: cells of the manifest by column."""

INDEX_NAME = ".progress.sqlite"
"""Name that the database has for a moment, as an empty file, before it has none."""

_SAME_LENGTH_LIMIT = 16


class Journal:
    """The outcomes of this run and of earlier ones; made by `open_lines`.

    Attributes:
        path: The file.
        resumed: Whether it was there before.
    """

    def __init__(self, path: Path, file: TextIO, index: sqlite3.Connection, *, resumed: bool) -> None:
        self.path, self.resumed = path, resumed
        self._file, self._index = file, index

    def remember(self, file: str, outcome: Mapping[str, Any]) -> None:
        """Take an outcome that is on disk already, such as a row of the manifest, into the index."""
        row = (file, outcome.get("source_bytes", ""), json.dumps(outcome))
        with _disk_errors(self.path):
            self._index.execute("INSERT OR REPLACE INTO outcome VALUES (?, ?, ?)", row)

    def forget(self) -> None:
        """Empty the index; the file stays as it is."""
        with _disk_errors(self.path):
            self._index.execute("DELETE FROM outcome")

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line; from here on a kill does not lose it."""
        with _disk_errors(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def add(self, file: str, outcome: Outcome) -> None:
        """Write an outcome down in a line of its own."""
        self.write({"file": file, **outcome})
        self.remember(file, outcome)

    def find(self, file: str) -> dict[str, Any] | None:
        """The outcome of a photo, or None."""
        with _disk_errors(self.path):
            row = self._index.execute("SELECT cells FROM outcome WHERE file = ?", (file,)).fetchone()
        return None if row is None else json.loads(row[0])

    def __len__(self) -> int:
        with _disk_errors(self.path):
            return int(self._index.execute("SELECT COUNT(*) FROM outcome").fetchone()[0])

    def note_member(self, group: str, number: int) -> None:
        """Take into the index, not into the file, that a group has this member."""
        with _disk_errors(self.path):
            self._index.execute("INSERT OR REPLACE INTO member VALUES (?, ?)", (group, number))

    def groups(self) -> Iterator[tuple[str, list[int]]]:
        """The groups that were noted, in the order of their names, with their members, in order."""
        with _disk_errors(self.path):
            rows = self._index.execute("SELECT name, number FROM member ORDER BY name, number")
            for name, members in groupby(rows, key=itemgetter(0)):
                yield name, [number for _, number in members]

    def same_length(self, source_bytes: str) -> list[Outcome]:
        """Some outcomes of files of this length: one of them may be the same photo under another name."""
        with _disk_errors(self.path):
            rows = self._index.execute(
                "SELECT cells FROM outcome WHERE source_bytes = ? LIMIT ?", (source_bytes, _SAME_LENGTH_LIMIT)
            ).fetchall()
        return [json.loads(cells) for (cells,) in rows]


@contextmanager
def open_lines(path: Path, index: Path, busy: str, read: Callable[[Journal, Any], object]) -> Iterator[Journal]:
    """Open a journal for this process alone.

    Args:
        path: The file; its folder exists. Where the block raises before a line was written, it is deleted again.
        index: Where its database is made.
        busy: What to say where another process has it open.
        read: Takes what a line says into the journal; lines for which it raises ValueError, KeyError or TypeError, such
            as one that a kill tore, count for nothing.

    Yields:
        The journal, with all that it says.

    Raises:
        InputError: If another process has it open, or there is no room to write.
    """
    with ExitStack() as opened:
        with _disk_errors(path):
            resumed = path.exists()
            file = opened.enter_context(exclusive_file(path))
            if file is None:
                raise InputError(busy)
            database = opened.enter_context(_index(index))
        journal = Journal(path, file, database, resumed=resumed)
        file.seek(0)
        last = ""
        for last in file:
            with suppress(ValueError, KeyError, TypeError):
                read(journal, parse_json(last))
        if last and not last.endswith("\n"):
            file.write("\n")
        try:
            yield journal
        except BaseException:
            # Nothing was done, so there is nothing to go on with. Where the folder is gone, the first error says more.
            with suppress(OSError):
                if not path.stat().st_size:
                    path.unlink()
            raise


@contextmanager
def open_journal(folder: Path, columns: Iterable[str]) -> Iterator[Journal]:
    """Open the journal of a prepared folder, for this process alone, and delete it when all went well.

    Args:
        folder: The prepared folder; it exists.
        columns: What an outcome holds; lines of the journal without them, or torn by a kill, count for nothing.

    Yields:
        The journal, with the outcomes of a run that did not come to its end.

    Raises:
        InputError: If another process is at work in the folder, or there is no room to write.
    """
    columns = tuple(columns)

    def read(journal: Journal, row: Any) -> None:
        outcome = {name: row[name] for name in columns}
        if all(isinstance(cell, str) for cell in (row["file"], *outcome.values())):
            journal.remember(row["file"], outcome)

    busy = (
        f"another biranet prepare is at work in {folder}; wait until it has ended, "
        "or name another folder for the prepared photos"
    )
    with open_lines(folder / JOURNAL_NAME, folder / INDEX_NAME, busy, read) as journal:
        yield journal
        journal.path.unlink()


@contextmanager
def _index(path: Path) -> Iterator[sqlite3.Connection]:
    """An empty database that nobody else sees and that needs to survive nothing: a new run builds it again."""
    path.unlink(missing_ok=True)
    # No locks, which network file systems may not have: the journal's own keeps others out.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?nolock=1", uri=True, isolation_level=None)) as index:
        index.execute("PRAGMA synchronous = OFF")
        index.execute("PRAGMA journal_mode = OFF")
        index.execute("SELECT * FROM sqlite_master")
        # Without a name it is gone with the process, however that ends; before it holds anything.
        path.unlink()
        index.execute("CREATE TABLE outcome (file TEXT PRIMARY KEY, source_bytes TEXT, cells TEXT) WITHOUT ROWID")
        index.execute("CREATE TABLE member (name TEXT, number INTEGER, PRIMARY KEY (name, number)) WITHOUT ROWID")
        index.execute("CREATE INDEX by_length ON outcome (source_bytes)")
        yield index


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn what a full or broken disk does to the journal or its index into one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        reason = os.strerror(errno.ENOSPC) if full else getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write {path}: {reason}; make room and run the command again, finished photos are kept"
        ) from error
