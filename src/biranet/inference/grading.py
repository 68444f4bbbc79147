"""A run of `biranet grade`: what is known already is taken over, the rest is graded, and then the tables are written.

What is found out goes into the journal batch by batch, and from there into the tables in the order of the list. So a
run that is stopped, however, loses at most the batch under way, and memory grows with the list of photos alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from biranet.config import OVERLAY_OPACITY
from biranet.console import progress_bar
from biranet.decisions.patients import NOBODY, PatientAnswer, answer_patient
from biranet.errors import InterruptedRunError
from biranet.inference.addresses import Address, UnreachableError, check_reachable
from biranet.inference.grade_journal import (
    GradeJournal,
    Record,
    has_readable_header,
    make_record,
    open_grade_journal,
    read_answer,
)
from biranet.inference.grader import Grader
from biranet.inference.inputs import Outputs, PhotoList
from biranet.inference.loading import LoadedPhoto, PhotoTask
from biranet.inference.patient_tables import PatientTally, write_patients
from biranet.inference.pictures import PictureMark, find_picture, picture_name, remove_picture, save_picture
from biranet.inference.prediction import Prediction
from biranet.inference.rows import GradeRows
from biranet.learning.predictor import LoadedPredictor
from biranet.photos.file_state import file_state
from biranet.signals import stop_signals
from biranet.typed_tables import Columns, Row, write_typed


@dataclass(frozen=True)
class GradingOptions:
    """How photos are to be graded.

    Attributes:
        out: The table of photos, as it was named.
        overlay: Folder for a picture of each photo; None for none.
        opacity: How strongly its colours cover the photo, from 0 to 1.
        keep_ungradable: Grade ungradable photos like all others.
        retry_failed: Grade again what could not be used before.
        batch_size: Photos at a time, from 1.
        workers: Processes that prepare photos, 0 for this one.
        shard: Which shard of a list the photos are, such as `3/16`; empty for all.
    """

    out: Path
    overlay: Path | None = None
    opacity: float = OVERLAY_OPACITY
    keep_ungradable: bool = False
    retry_failed: bool = False
    batch_size: int = 16
    workers: int = 2
    shard: str = ""


@dataclass
class GradingSummary:
    """What has become of the photos.

    Attributes:
        photos: How many there are, each row of a list counted.
        taken_over: For how many the answer was known from an earlier run.
        dropped: How many photos of an earlier run are no longer listed.
        outdated_by: What was another one in the earlier run, so that all is graded anew, in words; else empty.
        removed: How many pictures of photos that have no answer any more were removed.
        is_whole: Whether all of them have an answer; else a signal came.
        decisions: How often there was each decision; an empty one for photos that cannot be used.
        not_most_probable: How many photos have a grade that is not the most probable one.
        patients: What is to be said of patients.
    """

    photos: int
    patients: PatientTally
    taken_over: int = 0
    dropped: int = 0
    outdated_by: str = ""
    removed: int = 0
    is_whole: bool = False
    decisions: Counter[str] = field(default_factory=Counter)
    not_most_probable: int = 0

    def count(self, answer: Prediction) -> bool:
        """Count a photo; tell whether it counts for the answer of a patient."""
        self.decisions[answer.decision] += 1
        self.not_most_probable += answer.grade != answer.most_probable
        return self.patients.count_photo(answer.file, answer.subject)


def grade_listed(
    predictor: LoadedPredictor, listed: PhotoList, out: Outputs, options: GradingOptions
) -> GradingSummary:
    """Grade the photos of a list and write the tables, or go on where an earlier run was stopped.

    Args:
        predictor: The model.
        listed: The photos.
        out: The tables, claimed for this process.
        options: How.

    Returns:
        What has become of the photos. Where a signal came, there may be rows for some only.

    Raises:
        InputError: If something cannot be written, the journal is that of another run that did not end, or no server of
            the photos can be reached any more; what was found out is kept.
        InterruptedRunError: If a signal came before there was a table to write; what was found out is kept.
    """
    settings = {
        "model": predictor.sha256,
        "engine": predictor.package,
        "biranet": version("biranet"),
        "setting of --keep-ungradable": options.keep_ungradable,
    }
    before = out.photos.exists()
    with open_grade_journal(out.photos, options.out) as journal, stop_signals() as stopped:
        journal.begin(settings, {"retry_failed": options.retry_failed, "shard": options.shard}, map(str, listed.files))
        run = _Run(journal, listed, options)
        tally = PatientTally(is_shard=bool(options.shard))
        graded = GradingSummary(len(listed.files), tally, dropped=run.dropped, outdated_by=journal.outdated_by)
        graded.is_whole = run.grade(Grader(predictor), stopped)
        graded.taken_over = run.taken_over
        if not graded.is_whole:
            if before and not journal.is_partial:
                raise InterruptedRunError(
                    f"stopped; {options.out} holds the table of before, which is unchanged; the same command goes on"
                )
            if not run.done:
                raise InterruptedRunError("stopped before a photo was graded; nothing was written")
        columns, rows = run.table(graded)
        journal.note_earlier(*out)
        write_typed(out.photos, columns, rows, partial(journal.note_table, whole=graded.is_whole))
        # Of any patient a photo may not have been graded yet.
        patients = run.patients if graded.is_whole else tuple
        write_patients(out.eyes, out.patients, patients, graded.patients, journal.note_beside)
        if graded.is_whole:
            graded.removed, left = run.remove_pictures()
            journal.finish(run.numbers, left)
    return graded


class _Run:
    """A run under way.

    Attributes:
        places: By the name of each photo: where it stands in the list for the first time.
        taken_over: For how many rows of the list the answer was known.
        dropped: How many photos are known that are not listed.
        done: For how many there is an answer.
    """

    def __init__(self, journal: GradeJournal, listed: PhotoList, options: GradingOptions) -> None:
        self.taken_over = self.done = 0
        self.numbers: dict[str, int] = {}
        for number, file in enumerate(listed.files):
            self.numbers.setdefault(str(file), number)
        self.dropped = len(journal) - sum(journal.find(name) is not None for name in self.numbers)
        self._rows_of = Counter(map(str, listed.files))
        self._journal, self._listed, self._options = journal, listed, options
        self._outdated: set[str] = set()

    def grade(self, grader: Grader, stopped: Sequence[int]) -> bool:
        """Grade what is left to do, until a signal comes; tell whether all is done."""
        options, left = self._options, [number for number in self.numbers.values() if not self._is_known(number)]
        self.done = before = len(self.numbers) - len(left)
        self.taken_over = len(self._listed.files) - sum(self._rows_of[str(self._listed.files[each])] for each in left)
        # One batch is prepared before processes have started.
        batches = grader.grade_tasks(
            map(self._task, left),
            batch_size=options.batch_size,
            workers=options.workers if len(left) > options.batch_size else 0,
            keep_ungradable=options.keep_ungradable,
        )
        bar = progress_bar(total=len(self.numbers), initial=self.done, unit="photo", leave=False)
        with closing(batches), bar:
            for batch in batches:
                if all(isinstance(loaded.error, UnreachableError) for loaded, _ in batch):
                    # No row would say more than that the network is down: better nothing than failures for all.
                    addresses = (file for file in self._listed.files if isinstance(file, Address))
                    check_reachable(addresses, "what was graded is kept, so run the same command again")
                self._journal.add([self._record(*each) for each in batch])
                self.done += len(batch)
                bar.update(len(batch))
                if stopped:
                    break
        remaining = left[self.done - before :]
        self._outdated = {str(self._listed.files[each]) for each in remaining if not self._is_of_today(each)}
        return self.done == len(self.numbers)

    def _state(self, number: int) -> dict[str, str] | None:
        """A photo's file as it is now, and why it must not be read; None where only asking its server would tell."""
        file = self._listed.files[number]
        if isinstance(file, Address):
            return None
        return {**file_state(file), "refused": self._listed.refused.get(file, "")}

    def _is_known(self, number: int) -> bool:
        """Whether the answer for a photo stands, as far as one can tell without reading the file."""
        record = self._journal.find(str(self._listed.files[number]))
        return record is not None and self._is_usable(record) and self._is_of_today(number)

    def _is_of_today(self, number: int) -> bool:
        """Whether an answer is that for a photo's file as it is now."""
        record = self._journal.find(str(self._listed.files[number]))
        return record is not None and record["state"] == self._state(number)

    def _is_usable(self, record: Record) -> bool:
        """Whether the answer for a photo is to be taken over if its file is the same."""
        if self._options.retry_failed and record["status"] != "ok" and not self._journal.is_new(record):
            return False
        return has_readable_header(record) and self._has_picture(record)

    def _has_picture(self, record: Record) -> bool:
        """Whether a photo has the picture that was drawn of it, where one is asked for."""
        folder, opacity = self._options.overlay, self._options.opacity
        if folder is None or record["status"] != "ok":
            return True
        return bool(record["picture"] == find_picture(folder, record["file"], opacity))

    def remove_pictures(self) -> tuple[int, list[PictureMark]]:
        """Remove the pictures that runs of this table drew of photos that have no answer any more.

        Returns:
            How many there were, and those that are left to a run that has pictures to draw.
        """
        folder = self._options.overlay
        shown = {picture_name(name) for name in self.numbers if (self._journal.find(name) or {}).get("picture")}
        marks = (mark for mark in self._journal.pictures() if mark["name"] not in shown)
        old = list({(mark["name"], mark["sha256"]): mark for mark in marks}.values())
        return (0, old) if folder is None else (sum(remove_picture(folder, mark) for mark in old), [])

    def _task(self, number: int) -> PhotoTask:
        file = self._listed.files[number]
        record = self._journal.find(str(file))
        sha256, state = "", self._state(number)
        if record is not None and self._is_usable(record):
            sha256, state = record["sha256"], state or record["state"]
        refused, subject = self._listed.refused.get(file, ""), self._listed.subjects.get(file, NOBODY)
        return PhotoTask(file, refused, subject, str(file), state, sha256)

    def _record(self, loaded: LoadedPhoto, answer: Prediction | None) -> Record:
        """What is to be kept of a photo; its picture is saved before."""
        if answer is None:
            self.taken_over += self._rows_of[loaded.name]
            return {**(self._journal.find(loaded.name) or {}), "state": dict(loaded.state)}
        folder = self._options.overlay
        picture = None if folder is None else save_picture(folder, answer, self._options.opacity)
        return make_record(loaded, answer, picture)

    def table(self, graded: GradingSummary) -> tuple[Columns, Iterator[Row]]:
        """The table of photos, as far as there are answers, in the order of the list; they are counted on the way."""
        rows = GradeRows(self._listed.columns)
        return rows.columns, self._rows(rows, graded)

    def _rows(self, rows: GradeRows, graded: GradingSummary) -> Iterator[Row]:
        for number, further in enumerate(self._listed.further):
            answer = self._answer(number)
            if answer is not None and answer.file not in self._outdated:
                if graded.count(answer):
                    self._journal.note_patient(answer.subject.patient, number)
                yield rows.row(answer, further)

    def patients(self) -> Iterator[PatientAnswer]:
        """The patients by name."""
        for patient, numbers in self._journal.patients():
            answers = map(self._answer, numbers)
            yield answer_patient(patient, [answer.for_patient() for answer in answers if answer is not None])

    def _answer(self, number: int) -> Prediction | None:
        file = self._listed.files[number]
        record = self._journal.find(str(file))
        return None if record is None else read_answer(record, self._listed.subjects.get(file, NOBODY))
