"""The command that grades photographs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from biranet.commands.flags import check_counts
from biranet.errors import InterruptedRunError
from biranet.grades import DECISIONS, DISCLAIMER


@dataclass(frozen=True)
class Grade:
    """Grade photographs with a trained model: one row per photo, with grade, probabilities and decision."""

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="PHOTO|FOLDER|TABLE")]
    """Picture files, folders of them, or tables (CSV, TSV or Parquet) with a column `file`."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """Model to grade with: a file such as RUN/best.safetensors, or the name of a model that ships; the default one of
    `biranet models` when not given."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("biranet_grades.csv")
    """Table to write; an earlier one is replaced, any other file is not."""
    attention: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder for one picture per photo of what the model looked at."""
    keep_ungradable: bool = False
    """Grade ungradable photos like all others, instead of saying why they are ungradable."""
    batch_size: int = 16
    """Photos at a time."""
    workers: int = 2
    """Processes that prepare photos."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU."""

    def run(self) -> int:
        """Write the table row by row."""
        from biranet.console import progress_bar
        from biranet.decisions.fit import doubts_of
        from biranet.decisions.rules import describe_decoder
        from biranet.inference.grader import TABLE_COLUMNS, load
        from biranet.inference.inputs import list_photos, outputs_of_grading, save_picture
        from biranet.inference.models import describe_choice, find_checkpoint
        from biranet.signals import stop_signals
        from biranet.tables import write_rows

        check_counts(workers=(self.workers, 0), batch_size=(self.batch_size, 1))
        listed = list_photos(self.photos)
        files = listed.files
        checkpoint = find_checkpoint(self.checkpoint)
        counts: Counter[str] = Counter()
        surprising = 0
        earlier = self.out.exists()

        def rows(stopped: list[int]) -> Iterator[dict[str, str]]:
            nonlocal surprising
            answers = grader.grade_many(
                files,
                batch_size=self.batch_size,
                workers=self.workers,
                keep_ungradable=self.keep_ungradable,
                refused=listed.refused,
            )
            for number, answer in enumerate(progress_bar(answers, total=len(files), unit="photo", leave=False)):
                if stopped and earlier:
                    raise InterruptedRunError(f"stopped; {self.out} holds the table of before, which is unchanged")
                if stopped and not number:
                    raise InterruptedRunError("stopped before a photo was graded; nothing was written")
                if stopped:
                    return
                yield answer.row()
                counts[answer.decision] += 1
                surprising += answer.grade != answer.most_probable
                if self.attention is not None:
                    save_picture(self.attention, number, answer)

        with outputs_of_grading(self.out, self.attention, self.photos, files, checkpoint) as out:
            grader = load(checkpoint, no_cuda=self.no_cuda)
            with stop_signals() as stopped:
                write_rows(out, TABLE_COLUMNS, rows(stopped))
        failed, done = counts[""], counts.total()
        decided = ", ".join(f"{counts[decision]} {decision}" for decision in reversed(DECISIONS) if counts[decision])
        print(f"{done - failed} of {len(files)} photos graded, {failed} not usable: {self.out}")
        for sentence in listed.passed_by:
            print(f"{sentence}.")
        print(f"Decisions: {decided or 'none'}")
        if done > failed:
            print(describe_decoder(grader.card.rules, surprising, done - failed))
        print("".join(f"{doubt}\n" for doubt in (*grader.card.doubts, *doubts_of(grader.card.rules))), end="")
        print(f"Model: {describe_choice(checkpoint)}\n{DISCLAIMER}")
        if done < len(files):
            raise InterruptedRunError(
                f"stopped after {done} of {len(files)} photos, whose rows are in {self.out}; grade the others, or all "
                "again into another file"
            )
        return 1 if failed else 0
