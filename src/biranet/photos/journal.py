"""What became of each photo, on disk: it survives a kill, keeps others out, and costs no memory.

While a run lasts, the prepared folder holds `progress.jsonl`, one line a photo. To look up photos by name, the journal
and the manifest of an earlier run are also held in a database beside it, which vanishes with the process.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from biranet.errors import InputError
from biranet.files import parse_json
from biranet.locks import exclusive_file

JOURNAL_NAME = "progress.jsonl"

Outcome = dict[str, str]
"""What became of a photo: cells of the manifest by column."""

INDEX_NAME = ".progress.sqlite"
"""Name that the database has for a moment, as an empty file, before it has none."""

_SAME_LENGTH_LIMIT = 16


class Journal:
    """The outcomes of this run and of earlier ones; made by `open_journal`.

    Attributes:
        resumed: Whether an earlier run did not come to its end.
    """

    def __init__(self, path: Path, file: TextIO, index: sqlite3.Connection, *, resumed: bool) -> None:
        self.resumed = resumed
        self._path, self._file, self._index = path, file, index

    def remember(self, file: str, outcome: Outcome) -> None:
        """Take an outcome that is on disk already, such as a row of the manifest, into the index."""
        row = (file, outcome.get("source_bytes", ""), json.dumps(outcome))
        with _disk_errors(self._path):
            self._index.execute("INSERT OR REPLACE INTO outcome VALUES (?, ?, ?)", row)

    def add(self, file: str, outcome: Outcome) -> None:
        """Write an outcome down; from here on a kill does not lose it."""
        with _disk_errors(self._path):
            self._file.write(json.dumps({"file": file, **outcome}) + "\n")
            self._file.flush()
        self.remember(file, outcome)

    def find(self, file: str) -> Outcome | None:
        """The outcome of a photo, or None."""
        with _disk_errors(self._path):
            row = self._index.execute("SELECT cells FROM outcome WHERE file = ?", (file,)).fetchone()
        return None if row is None else json.loads(row[0])

    def same_length(self, source_bytes: str) -> list[Outcome]:
        """Some outcomes of files of this length: one of them may be the same photo under another name."""
        with _disk_errors(self._path):
            rows = self._index.execute(
                "SELECT cells FROM outcome WHERE source_bytes = ? LIMIT ?", (source_bytes, _SAME_LENGTH_LIMIT)
            ).fetchall()
        return [json.loads(cells) for (cells,) in rows]


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
    path, columns = folder / JOURNAL_NAME, tuple(columns)
    with ExitStack() as opened:
        with _disk_errors(path):
            resumed = path.exists()
            file = opened.enter_context(exclusive_file(path))
            if file is None:
                raise InputError(
                    f"another biranet prepare is at work in {folder}; wait until it has ended, "
                    "or name another folder for the prepared photos"
                )
            index = opened.enter_context(_index(folder / INDEX_NAME))
        journal = Journal(path, file, index, resumed=resumed)
        file.seek(0)
        last = ""
        for last in file:
            try:
                row = parse_json(last)
                outcome = {name: row[name] for name in columns}
                if all(isinstance(cell, str) for cell in (row["file"], *outcome.values())):
                    journal.remember(row["file"], outcome)
            except (ValueError, KeyError, TypeError):
                continue  # The line that the kill tore; its photo is prepared again.
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
        path.unlink()


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
        index.execute("CREATE INDEX by_length ON outcome (source_bytes)")
        yield index


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn what a full or broken disk does to the journal or its index into one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"cannot write {path}: {reason}; make room and run the command again, finished photos are kept"
        ) from error
