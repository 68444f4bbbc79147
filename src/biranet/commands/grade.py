"""The command that grades photographs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.commands.flags import Command, Computing, check_counts, command_line
from biranet.config import OVERLAY_OPACITY, Engine, check_opacity
from biranet.errors import InterruptedRunError
from biranet.grades import DECISIONS, DISCLAIMER
from biranet.words import counted

if TYPE_CHECKING:
    from biranet.decisions.patients import PatientAnswer, PhotoAnswer
    from biranet.inference.grader import Prediction
    from biranet.learning.checkpoint_info import CheckpointInfo


@dataclass(frozen=True)
class Grade(Command):
    """Grade photographs with a trained model: one row per photo, with grade, probabilities and decision."""

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="PHOTO|FOLDER|TABLE")]
    """Picture files, folders of them, or tables (CSV, TSV or Parquet) with a column `file`."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """Model to grade with: a file such as RUN/best.safetensors, one that `biranet export` wrote, or the name of a model
    that ships; the default one of `biranet models` when not given."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("biranet_grades.csv")
    """Table to write; an earlier one is replaced, any other file is not."""
    name_pattern: Annotated[str, arg(metavar="PATTERN")] = ""
    """How the names of files tell patient and eye, such as {patient}_{eye} or {patient}/*_{eye}_*; * is anything. Where
    patients are known, by this, by columns of a table or by DICOM headers, tables of eyes and patients are written
    beside --out."""
    overlay: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder for a picture of each graded photo as it was taken, with what the model looked at over it."""
    overlay_opacity: float = OVERLAY_OPACITY
    """How strongly its colours cover the photo: 0, contours alone, to 1."""
    keep_ungradable: bool = False
    """Grade ungradable photos like all others, instead of saying why they are ungradable."""
    batch_size: int = 16
    """Photos at a time."""
    engine: Engine = "auto"
    """What computes: torch; for models that ship and exported ones also onnx, ONNX Runtime, which auto takes where it
    can and no GPU is asked for, and openvino."""
    computing: OmitArgPrefixes[Computing] = field(default_factory=Computing)

    def run(self) -> int:
        """Write the table row by row."""
        from biranet.inference.engines import load_engine
        from biranet.inference.grader import TABLE_COLUMNS, Grader
        from biranet.inference.inputs import beside, list_photos, outputs_of_grading
        from biranet.inference.patient_tables import describe_patients, write_patients
        from biranet.learning.shipped_models import describe_model, find_checkpoint
        from biranet.photos.datasets.name_pattern import NamePattern
        from biranet.signals import stop_signals
        from biranet.tables import write_rows

        computing = self.computing.resolve()
        check_counts(batch_size=(self.batch_size, 1))
        check_opacity(self.overlay_opacity)
        listed = list_photos(self.photos, NamePattern(self.name_pattern) if self.name_pattern else None)
        checkpoint = find_checkpoint(self.checkpoint)
        graded = _Graded(len(listed.files), before=self.out.exists())
        with outputs_of_grading(self.out, self.overlay, self.photos, listed.files, checkpoint) as out:
            grader = Grader(load_engine(checkpoint, self.engine, computing.device))
            answers = grader.grade_many(
                listed.files,
                batch_size=self.batch_size,
                workers=computing.workers,
                keep_ungradable=self.keep_ungradable,
                refused=listed.refused,
                subjects=listed.subjects,
            )
            with stop_signals() as stopped:
                write_rows(out.photos, TABLE_COLUMNS, graded.rows(answers, stopped, self))
            patients = graded.patients()
            write_patients(out.eyes, out.patients, patients)
        failed, done = graded.decisions[""], graded.decisions.total()
        print(f"{done - failed} of {counted(graded.photos, 'photo')} graded, {failed} not usable: {self.out}")
        for sentence in listed.skipped:
            print(f"{sentence}.")
        for sentence in describe_patients(patients, graded.answers, beside(self.out, "patients")):
            print(sentence)
        print("\n".join([*graded.describe(grader.info), f"Model: {describe_model(checkpoint)}\n{DISCLAIMER}"]))
        if done < graded.photos:
            raise InterruptedRunError(
                f"stopped after {done} of {counted(graded.photos, 'photo')}, whose rows are in {self.out}; grade "
                "the others, or all again into another file"
            )
        return 1 if failed else 0

    def next_step(self) -> str:
        """Measure the grades, once the true ones are known."""
        measure = command_line("evaluate", "--predictions", self.out)
        return f"once the table has a column grade with the true grades, measure it: {measure}"


class _Graded:
    """What has become of the photos so far.

    Args:
        photos: How many there are.
        before: Whether there was a table before.

    Attributes:
        decisions: How often there was each decision; an empty one for photos that cannot be used.
        not_most_probable: How many photos have a grade that is not the most probable one.
        answers: What counts of each photo for the answers of patients.
    """

    def __init__(self, photos: int, *, before: bool) -> None:
        self.photos, self.before = photos, before
        self.decisions: Counter[str] = Counter()
        self.not_most_probable = 0
        self.answers: list[PhotoAnswer] = []

    def rows(self, answers: "Iterator[Prediction]", stopped: list[int], command: Grade) -> Iterator[dict[str, str]]:
        """Yield the row of each photo, and save its picture, until a signal comes."""
        from biranet.console import progress_bar
        from biranet.inference.pictures import save_picture

        for number, answer in enumerate(progress_bar(answers, total=self.photos, unit="photo", leave=False)):
            if stopped and self.before:
                raise InterruptedRunError(f"stopped; {command.out} holds the table of before, which is unchanged")
            if stopped and not number:
                raise InterruptedRunError("stopped before a photo was graded; nothing was written")
            if stopped:
                return
            yield answer.row()
            self.decisions[answer.decision] += 1
            self.answers.append(answer.for_patient())
            self.not_most_probable += answer.grade != answer.most_probable
            if command.overlay is not None:
                save_picture(command.overlay, number, answer, command.overlay_opacity)

    def patients(self) -> "list[PatientAnswer]":
        """Answer for the patients, once all photos are graded: before, any of them might miss an eye."""
        from biranet.decisions.patients import answer_patients

        return answer_patients(self.answers) if len(self.answers) == self.photos else []

    def describe(self, info: "CheckpointInfo") -> Iterator[str]:
        """Say what was decided, how grades were made, and what makes one doubt them."""
        from biranet.decisions.rule_doubts import doubts_of
        from biranet.decisions.rules import describe_decoder

        counts = self.decisions
        decided = ", ".join(f"{counts[decision]} {decision}" for decision in reversed(DECISIONS) if counts[decision])
        yield f"Decisions: {decided or 'none'}"
        if usable := counts.total() - counts[""]:
            yield describe_decoder(info.rules, self.not_most_probable, usable)
        yield from (*info.doubts, *doubts_of(info.rules))
