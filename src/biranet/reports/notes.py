"""What must be known before the figures of a report: notes by their kinds, and the one table of their sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, NamedTuple

from biranet.decisions.rule_doubts import FIT_RULES, NOT_CALIBRATED
from biranet.validated import STRICT
from biranet.words import counted


class NoteKind(NamedTuple):
    """What a note is about, and its sentence.

    Attributes:
        about: `table`: what a table shows by itself, so each report finds it out for its own; `rules`: the rules behind
            the answers, so it ends where others are fitted; `origin`: all else, which stays true of the answers.
        sentence: With the names of its values in braces; empty where the sentence comes from elsewhere.
        advice: What the user can do about it, which is no part of what a paper says.
    """

    about: Literal["table", "rules", "origin"]
    sentence: str = ""
    advice: str = ""


NOTE_KINDS: Mapping[str, NoteKind] = {
    "pooled": NoteKind("origin", "{tables} tables are pooled here: no single model has these figures."),
    "cross_validated": NoteKind(
        "origin",
        "These figures are of {folds} models by cross-validation, each on the photos that it had not seen, and of no "
        "single model; they say what to expect of a model that is trained so.",
    ),
    "cross_validated_before": NoteKind(
        "origin",
        "These photos had been cross-validated {times:time} before with other settings. Whatever was changed because "
        " of what was seen makes these figures too good.",
    ),
    "rules_cross_fitted": NoteKind(
        "rules",
        "Temperature, thresholds and prediction sets of each fold were fitted on the answers for the other folds.",
    ),
    "rules_not_fitted": NoteKind("rules", "No rules were fitted, so grades are the most probable ones: {why}."),
    "grade_not_learned": NoteKind(
        "origin",
        "Models that had learned from no photo of grade {grade} answered for {photos:photo} of it (of "
        "{patients:patient} in all).",
    ),
    "published_parts_left_out": NoteKind(
        "origin",
        "In no fold, since the data set was published with other parts for them: {photos:graded photo}.",
    ),
    "learned_from": NoteKind(
        "origin",
        "The model has learned from {photos} of these photos: the figures say nothing of new patients.",
    ),
    "learned_from_copies": NoteKind(
        "origin",
        "The model has learned from {photos} of these photos, as they are or in another version: the figures say "
        "nothing of new patients.",
    ),
    "start_learned_from": NoteKind(
        "origin",
        "The model that the training started from had learned from {photos} of these photos, as they are or in another "
        "version: the figures say nothing of new patients.",
    ),
    "start_learned_from_unknown": NoteKind(
        "origin",
        "Nobody knows from here whether the model that the training started from had learned from some of these "
        "photos.",
    ),
    "epoch_chosen_on": NoteKind(
        "origin",
        "The kappa on {photos} of these photos had a say in how long was trained and which epoch was kept, so the "
        "figures are too good; the test part has had no say in it.",
    ),
    "learned_from_unknown": NoteKind(
        "origin",
        "Nobody knows from here whether the model has learned from some of these photos: they are not divided as the "
        "photos were that it was trained on.",
    ),
    "rules_fitted_on": NoteKind(
        "rules",
        "Temperature, thresholds and prediction sets were fitted on {photos} of these photos, so the figures that come "
        "from them are too good.",
    ),
    "groups_guessed": NoteKind(
        "origin",
        "The patients of {photos} of these photos are guessed from the names of files or folders: where the guess is "
        "wrong, the intervals are too narrow, and a patient may have been learned from as well.",
    ),
    "groups_unknown": NoteKind(
        "origin",
        "The patients of {photos} of these photos are unknown, so each photo counts as one of its own: where two are "
        "of one patient, the intervals are too narrow, and one of them may have been learned from.",
    ),
    "copies": NoteKind(
        "origin",
        "{photos} of these photos show what another of them shows, as the same file or compressed, resized, turned or "
        "exposed anew, and each of them counts.",
    ),
    "grades_conflict": NoteKind(
        "origin",
        "{photos} of these photos have a copy with another grade at hand, so that one of the two grades must be wrong.",
    ),
    "training_doubt": NoteKind("origin", "Of its training: {doubt}"),
    "rules_doubt": NoteKind("rules", "Of its rules: {doubt}"),
    "not_calibrated": NoteKind("rules", NOT_CALIBRATED, FIT_RULES),
    "calibration_doubt": NoteKind("rules"),
    "decoder": NoteKind("origin"),
    "test_readings": NoteKind("origin"),
    "archive_readings": NoteKind(
        "origin",
        "Readings of the test part of an archive are counted in the report's folder only; nobody knows from here "
        "whether it was read for other reports.",
    ),
    "left_out": NoteKind(
        "origin",
        "No grade was predicted for {left_out} of {photos:photo} ({statuses}): they are left out, so the figures are "
        "of photos that can be graded.",
    ),
    "method": NoteKind("origin"),
    "no_groups": NoteKind(
        "table",
        "Each photo counts as a patient of its own, since no two have one group: where patients have several of these "
        "photos, the intervals are too narrow.",
    ),
    "absent_grades": NoteKind(
        "table",
        "No photo has grade {absent}: nothing is known of it, and figures averaged over grades, such as ACA, are over "
        "{others}.",
    ),
    "few_groups": NoteKind(
        "table",
        "Few patients: {referable} with referable photos, {others} with others. Below {fewest} of either, one patient "
        "more or less moves the figures by far: read their intervals.",
    ),
    "beside_probe": NoteKind(
        "table",
        "A linear probe, which is one linear layer on the features of the same backbone from before the training, had "
        "{probe} on the same photos; the model's less these: {differences}. {verdict}",
    ),
    "no_agreement": NoteKind(
        "table",
        "Kappa cannot be told from 0: nothing here shows that the grades agree with the truth better than by chance.",
    ),
}
"""All kinds of notes, by the names that `metrics.json` knows them by. A sentence may be reworded: nothing reads it."""


class _SentenceFormatter(Formatter):
    """Writes a count that is followed by the word for what is counted, in the singular."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return counted(value, format_spec) if format_spec else str(value)


@dataclass(frozen=True)
class Note:
    """What a reader must know before the figures.

    Attributes:
        kind: A key of `NOTE_KINDS`; `method` for what else there is to say of how the answers came about.
        text: The sentence.
        files: The tables it is about, where it is not about all that are measured.

    Raises:
        ValueError: If there is no such kind.
    """

    __pydantic_config__ = STRICT

    kind: str
    text: str
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in NOTE_KINDS:
            raise ValueError(f"there are no notes of the kind {self.kind!r}")

    @classmethod
    def of(cls, kind: str, **values: object) -> "Note":
        """Make a note whose sentence stands in `NOTE_KINDS`; `{photos:photo}` in it is written as `counted` does.

        Example:
            >>> Note.of("pooled", tables=2).text
            '2 tables are pooled here: no single model has these figures.'
        """
        return cls(kind, _SentenceFormatter().vformat(NOTE_KINDS[kind].sentence, (), values))

    @property
    def about(self) -> str:
        """What it is about; see `NoteKind`."""
        return NOTE_KINDS[self.kind].about

    @property
    def statement(self) -> str:
        """The text after the names of the files, without what the user can do about it."""
        return f"{', '.join(self.files)}: {self.text}" if self.files else self.text

    @property
    def sentence(self) -> str:
        """The text after the names of the files, for where there is one line for all.

        Example:
            >>> Note("method", "Read before.", ("a.csv", "b.csv")).sentence
            'a.csv, b.csv: Read before.'
        """
        advice = NOTE_KINDS[self.kind].advice
        return f"{self.statement} {advice}" if advice else self.statement
