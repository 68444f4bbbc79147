"""The journal that `biranet grade` keeps beside its table: the answer for each photo, exact to the last bit.

A line a batch of photos: a batch is there whole or not at all, so a run that goes on computes the same batches as one
that was never stopped, and gets the same last digits. When all is graded the journal is written anew, with what the
table needs and no more, and stays: the next run takes from it what has not changed.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from biranet.decisions.patients import Subject
from biranet.errors import InputError
from biranet.files import atomic_write, parse_json, sha256_of
from biranet.inference.loading import Header, LoadedPhoto, whose
from biranet.inference.pictures import PictureMark
from biranet.inference.prediction import Prediction
from biranet.outputs import file_kind, head_of
from biranet.photos.journal import Journal, open_lines
from biranet.photos.privacy.pseudonyms import keyed_hash
from biranet.words import counted

_MAX_NAME_BYTES = 255

_LINE_PHOTOS = 16
"""Photos in a line of a finished journal."""

Record = dict[str, Any]
"""What is known of one photo: see `make_record`."""


def journal_path(table: Path) -> Path:
    """Name the journal of a table.

    Example:
        >>> journal_path(Path("out/grades.csv")).name
        '.grades.csv.journal'
    """
    name = f".{table.name}.journal"
    return table.with_name(name if len(os.fsencode(name)) <= _MAX_NAME_BYTES else f".{_short_name(table)}.journal")


def _short_name(table: Path) -> str:
    return hashlib.sha256(os.fsencode(table.name)).hexdigest()[:16]


def _is_journal(path: Path) -> bool:
    """Whether a file begins as a journal does, or as one whose first line a kill has torn."""
    head = head_of(path)[: len(_FIRST)]
    return bool(head) and _FIRST.startswith(head)


_FIRST = b'{"settings": '

JOURNAL = file_kind("a journal", _is_journal)


def was_written(path: Path, table: Path) -> bool | None:
    """Whether a file is, to the byte, what was written as a table, or beside it.

    Args:
        path: The file.
        table: The table of photos, whose journal remembers all that was written.

    Returns:
        None where there is no journal, or none of a table that was written.
    """
    noted: set[str] = set()
    try:
        with journal_path(Path(os.path.realpath(table))).open(encoding="utf-8", errors="replace") as lines:
            noted.update(_digest_in(line) for line in lines if line.startswith(('{"table": ', '{"beside": ')))
    except OSError:
        return None
    return sha256_of(path) in noted if noted else None


def _digest_in(line: str) -> str:
    try:
        noted = parse_json(line)
        return str(noted.get("table") or noted["beside"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def make_record(loaded: LoadedPhoto, answer: Prediction, picture: PictureMark | None) -> Record:
    """Write down what was found out of a photo.

    Args:
        loaded: What was loaded.
        answer: What the model says.
        picture: What tells its picture from others, if it has one.

    Returns:
        Plain values, from which `read_answer` makes the same answer again.
    """
    header = loaded.header
    return {
        "file": loaded.name,
        "state": dict(loaded.state),
        "sha256": loaded.sha256,
        "status": answer.status,
        "reason": answer.reason,
        "grade": answer.grade,
        "probabilities": None if answer.probabilities is None else answer.probabilities.tolist(),
        "decision": answer.decision,
        "grade_range": answer.grade_range,
        "temperature": answer.temperature,
        "margin": answer.margin,
        "action": answer.action,
        "header": list(header),
        "key": _key_mark() if header.patient else "",
        "picture": picture,
    }


def read_answer(record: Record, subject: Subject) -> Prediction:
    """Make the answer of a photo from what was written down.

    Args:
        record: From `make_record`.
        subject: Whose photo it is by lists and names, which may have changed since.
    """
    shares, ends = record["probabilities"], record["grade_range"]
    return Prediction(
        record["file"],
        record["status"],
        record["reason"],
        record["grade"],
        None if shares is None else np.array(shares, np.float64),
        record["decision"],
        None if ends is None else (ends[0], ends[1]),
        record["temperature"],
        margin=record["margin"],
        action=record["action"],
        subject=whose(subject, Header(*record["header"])),
    )


def has_readable_header(record: Record) -> bool:
    """Whether what a header said of its patient still stands: the key is there, and is the one of then."""
    patient, _, problem = record["header"]
    return not problem and (not patient or record["key"] == _key_mark())


def _key_mark() -> str:
    try:
        return keyed_hash("")
    except InputError:
        return ""


class GradeJournal:
    """The journal of a table of grades; made by `open_grade_journal`.

    Attributes:
        table: The table, as it was named.
        is_partial: Whether the table that was written last holds a part of the photos, since that run was stopped.
        outdated_by: What was another one when what is known was found out, so that it counts for nothing, in words.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self.is_partial = False
        self.outdated_by = ""
        self._journal: Journal
        self._head: dict[str, Any] = {}
        self._run = 0
        self._finished = True
        self._waiting = False
        self._written = ""
        self._beside: list[str] = []

    def read(self, journal: Journal, line: Any) -> None:
        """Take a line of the file."""
        if "photos" in line:
            self._remember(journal, _records(line))
        elif "settings" in line:
            head = {"settings": dict(line["settings"]), "run": dict(line["run"])}
            if head["settings"] != self._head.get("settings"):
                journal.forget()
            self._head, self._finished = head, False
            self._run += 1
        elif "table" in line:
            self.is_partial, self._written, self._beside = not line["whole"], str(line["table"]), []
        elif "beside" in line:
            self._beside.append(str(line["beside"]))
        elif "finished" in line:
            self._finished = True

    def _remember(self, journal: Journal, records: Iterable[Record]) -> None:
        for record in records:
            journal.remember(record["file"], {**record, "run": self._run})

    def begin(self, settings: Mapping[str, Any], run: Mapping[str, Any], files: Iterable[str]) -> None:
        """Begin a run, or go on with the last one where that was asked for in the same way and did not end.

        Args:
            settings: What answers depend on, in words: with others, those that are known count for nothing.
            run: How the run is asked for, beside that.
            files: The photos.

        Raises:
            InputError: If an unfinished run had other settings or other photos, or the table is that of another shard.
        """
        head, count = {"settings": dict(settings), "run": dict(run)}, len(self._journal)
        same = head["settings"] == self._head.get("settings")
        if count and run["shard"] not in ("", self._head["run"].get("shard")):
            raise InputError(
                f"{self.table} holds {_shard_in_words(self._head['run'].get('shard'))}, which {run['shard']} would "
                "replace; give each shard a table of its own with --out"
            )
        if count and not self._finished:
            if not same:
                was = self._head["settings"]
                self._refuse(f"with another {', '.join(key for key in settings if was.get(key) != settings[key])}")
            if not any(self.find(file) for file in files):
                self._refuse("on other photos")
        if not self._finished and head == self._head:
            return
        if not same:
            was = self._head.get("settings", {})
            self.outdated_by = ", ".join(key for key in settings if count and was.get(key) != settings[key])
            self._journal.forget()
        self._head, self._finished, self._waiting = head, False, True
        self._run += 1

    def _refuse(self, how: str) -> None:
        photos = counted(len(self._journal), "photo")
        raise InputError(
            f"{self.table} is that of a run {how}, which was stopped after {photos}; give its command again to go on "
            f"with it, name another file with --out, or delete {self._journal.path} to begin anew"
        )

    def __len__(self) -> int:
        return len(self._journal)

    def find(self, file: str) -> Record | None:
        """What is known of a photo."""
        return self._journal.find(file)

    def note_patient(self, patient: str, number: int) -> None:
        """Remember for now that a photo, by its place in the list, is of a patient."""
        self._journal.note_member(patient, number)

    def patients(self) -> Iterator[tuple[str, list[int]]]:
        """The patients in the order of their names, each with the places of the photos."""
        return self._journal.groups()

    def is_new(self, record: Record) -> bool:
        """Whether it was found out in this run, before it was stopped perhaps."""
        return bool(record["run"] == self._run)

    def add(self, records: Sequence[Record]) -> None:
        """Write a batch down; from here on a kill does not lose it."""
        if self._waiting:
            self._journal.write(self._head)
            self._waiting = False
        self._journal.write(_line(records))
        self._remember(self._journal, records)

    def note_earlier(self, table: Path, *others: Path) -> None:
        """Write down tables of before there was this journal, so that they are known as ours whenever a kill comes."""
        if not self._written and table.exists():
            self.note_table(sha256_of(table), whole=True)
            for path in others:
                if path.exists():
                    self.note_beside(sha256_of(path))

    def note_table(self, sha256: str, *, whole: bool) -> None:
        """Write down that a table is about to get its name, so that it is known as ours."""
        self._journal.write({"table": sha256, "whole": whole})
        self.is_partial, self._written, self._beside = not whole, sha256, []

    def note_beside(self, sha256: str) -> None:
        """Write down that a table beside that of photos is about to get its name."""
        self._journal.write({"beside": sha256})
        self._beside.append(sha256)

    def pictures(self) -> Iterator[PictureMark]:
        """The pictures that runs of this table have drawn, also those of answers that count for nothing any more."""
        with self._journal.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith('{"pictures": ') or '"picture": {' in line:
                    yield from _pictures_in(line)

    def finish(self, files: Iterable[str], pictures: Sequence[PictureMark]) -> None:
        """Write the journal anew: what is known of these photos, and that all are graded.

        Args:
            files: The photos.
            pictures: Which pictures of other photos a later run has to remove.
        """
        with atomic_write(self._journal.path) as file:
            for line in self._lines(iter(files), pictures):
                file.write(f"{json.dumps(line)}\n".encode())

    def _lines(self, files: Iterator[str], pictures: Sequence[PictureMark]) -> Iterator[Mapping[str, Any]]:
        yield self._head
        yield {"table": self._written, "whole": True}
        yield from ({"beside": sha256} for sha256 in self._beside)
        if pictures:
            yield {"pictures": pictures}
        while names := list(islice(files, _LINE_PHOTOS)):
            yield _line([record for name in names if (record := self.find(name)) is not None])
        yield {"finished": True}


def _records(line: Mapping[str, Any]) -> list[Record]:
    """The records of a line of a journal."""
    records: list[Record] = line["photos"]
    if line["sha256"] != _digest(records):
        raise ValueError("the line is damaged")
    return records


def _pictures_in(line: str) -> list[PictureMark]:
    """The pictures that a line of a journal speaks of; none where it was torn or damaged."""
    try:
        record = parse_json(line)
        marks = record["pictures"] if "pictures" in record else [photo["picture"] for photo in _records(record)]
        return [{"name": mark["name"], "sha256": mark["sha256"]} for mark in marks if mark is not None]
    except (ValueError, KeyError, TypeError):
        return []


def _shard_in_words(shard: str | None) -> str:
    return f"the shard {shard}" if shard else "all photos"


def _line(records: Iterable[Record]) -> dict[str, Any]:
    written = [{key: value for key, value in record.items() if key != "run"} for record in records]
    return {"photos": written, "sha256": _digest(written)}


def _digest(records: Sequence[Record]) -> str:
    return hashlib.sha256(json.dumps(records).encode()).hexdigest()[:16]


@contextmanager
def open_grade_journal(table: Path, named: Path) -> Iterator[GradeJournal]:
    """Open the journal of a table, for this process alone.

    Args:
        table: The table, which this process has claimed.
        named: What to call it.

    Yields:
        The journal, with what earlier runs have found out.

    Raises:
        InputError: If there is no room to write.
    """
    path = journal_path(table)
    grade_journal = GradeJournal(named)
    busy = f"another biranet is at work on {named}; wait until it has ended, or name another file"
    with open_lines(path, path.with_name(f".{_short_name(table)}.sqlite"), busy, grade_journal.read) as journal:
        grade_journal._journal = journal
        with suppress(OSError):  # there is no table yet; or it is not ours, nor is the journal
            path.chmod(stat.S_IMODE(table.stat().st_mode) | 0o600)  # it tells what the table tells, so to nobody else
        yield grade_journal
