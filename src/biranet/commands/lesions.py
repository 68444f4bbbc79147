"""The commands that find lesions and learn to find them."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.commands.flags import Command, command_line
from biranet.config import Device, check_opacity
from biranet.errors import InterruptedRunError
from biranet.grades import DISCLAIMER
from biranet.learning.lesions.settings import LesionConfig
from biranet.words import counted

_SHOWN = 5


@dataclass(frozen=True)
class Lesions(Command):
    """Find microaneurysms, haemorrhages and exudates: their number, area and place, one row per photo."""

    photos: Annotated[Positional[tuple[str, ...]], arg(metavar="PHOTO|FOLDER|TABLE")]
    """Picture files, folders of them, or tables with a column `file`; or addresses of them, as `grade` takes them."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """What finds them: RUN/lesions.safetensors of a training on photos in which lesions are drawn, or a model that
    grades and has a lesion branch; the one that ships when not given."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("biranet_lesions.csv")
    """Table to write, .csv, .jsonl or .parquet; an earlier one is replaced, any other file is not."""
    overlay: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Draw a picture of each photo into this folder: the outlines of its lesions, a colour a kind, and their number;
    with a grade, by the model that finds them or else the default one, and beside it the evidence of that."""
    overlay_opacity: float = 0.0
    """How strongly the colours cover the lesions: 0, outlines alone, to 1."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def run(self) -> int:
        """Write the table, and tell of the first photos."""
        from biranet.inference.grader import Grader, load
        from biranet.inference.inputs import claim_pictures, list_photos, parse_input
        from biranet.inference.lesion_reader import GradingFinder, load_lesions
        from biranet.inference.lesion_table import COLUMNS, LESIONS_TABLE, Pictures, lesion_rows
        from biranet.outputs import claim_output
        from biranet.signals import stop_signals
        from biranet.typed_tables import check_table_format, write_typed

        check_opacity(self.overlay_opacity)
        inputs = [parse_input(text) for text in self.photos]
        listed = list_photos(inputs)
        check_table_format(self.out)
        reader = load_lesions(self.checkpoint, self.device)
        checkpoint = () if self.checkpoint is None else (self.checkpoint,)
        read = (*(each for each in (*inputs, *listed.files) if isinstance(each, Path)), *checkpoint)
        rows: list[dict[str, Any]] = []
        with ExitStack() as locks:
            out, pictures = locks.enter_context(claim_output(self.out, LESIONS_TABLE, read)), None
            if self.overlay is not None:
                folder = locks.enter_context(claim_pictures(self.overlay, inputs, listed.files, [out]))
                own = reader.finder.predictor if isinstance(reader.finder, GradingFinder) else None
                grader = load(device=self.device) if own is None else Grader(own)
                pictures = Pictures(folder, self.overlay_opacity, grader)
            with stop_signals() as stopped:
                for row, lines in lesion_rows(reader, listed, pictures):
                    rows.append(row)
                    if len(rows) <= _SHOWN:
                        print("\n".join(lines))
                    if stopped:
                        break
            write_typed(out, COLUMNS, rows)
        failed = sum(row["status"] != "ok" for row in rows)
        print(f"{counted(len(rows) - failed, 'photo')} looked through, {failed} not usable: {self.out}")
        for sentence in listed.skipped:
            print(f"{sentence}.")
        print(DISCLAIMER)
        if len(rows) < len(listed.files):
            raise InterruptedRunError(
                f"stopped after {len(rows)} of {counted(len(listed.files), 'photo')}, whose rows are in {self.out}; "
                "give the others, or all again into another file"
            )
        return 1 if failed else 0


@dataclass(frozen=True)
class TrainLesions(Command):
    """Learn to find lesions from photos in which they are drawn."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Photos and masks of IDRiD, DDR or FGADR as they were published; the published test part teaches nothing."""
    out: Annotated[Path, arg(metavar="RUN")] = Path("runs/lesions")
    """Folder for the run."""
    resume: bool = False
    """Go on with the run in --out from where it stopped, with the same settings."""
    config: OmitArgPrefixes[LesionConfig] = field(default_factory=LesionConfig)

    def run(self) -> int:
        """Train in the run folder."""
        from biranet.learning.lesions.train import train_lesions

        train_lesions(self.folder, self.out, self.config, resume=self.resume)
        return 0

    def next_step(self) -> str:
        """Look for lesions in new photos."""
        return command_line("lesions", "NEW_PHOTOS", "--checkpoint", self.out / "lesions.safetensors")
