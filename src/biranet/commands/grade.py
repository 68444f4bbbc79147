"""The command that grades photographs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.cluster import check_address, open_cluster
from biranet.commands.flags import (
    FILE_OR_FOLDER,
    INPUTS,
    Command,
    Computing,
    RayAddress,
    check_counts,
    command_line,
)
from biranet.config import OVERLAY_OPACITY, Engine, check_opacity
from biranet.errors import InputError, InterruptedRunError
from biranet.grades import DECISIONS, DISCLAIMER
from biranet.words import counted

if TYPE_CHECKING:
    from biranet.inference.grading import GradingSummary
    from biranet.inference.inputs import PhotoList, PhotoPath
    from biranet.learning.checkpoint_info import CheckpointInfo


@dataclass(frozen=True)
class Grade(Command):
    """Grade photographs with a trained model: one row per photo, with grade, probabilities and decision."""

    photos: Annotated[Positional[tuple[str, ...]], arg(metavar=INPUTS)]
    """Picture files, folders of them, or tables (CSV, TSV, JSON lines or Parquet) with a column `file`; or their
    addresses, at s3://, gs:// or https://."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """Model to grade with: a file such as RUN/best.safetensors, one that `biranet export` wrote, or the name of a model
    that ships; the default one of `biranet models` when not given."""
    out: Annotated[Path | None, arg(metavar=FILE_OR_FOLDER)] = None
    """Table to write, as CSV, JSON lines or Parquet by its ending: .csv, .jsonl or .parquet; biranet_grades.csv when
    not given, with --ray the folder biranet_grades. An earlier one is replaced, and what has not changed since is taken
    over, not graded again; any other file is not replaced."""
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
    retry_failed: bool = False
    """Grade again what could not be used in an earlier run, not only what is new or changed."""
    shard: Annotated[str, arg(metavar="N/OF")] = ""
    """Grade one of several parts of the photos, such as 3/16, for arrays of jobs, each with a table of its own. Photos
    of a patient whom a table or --name-pattern tells stay together."""
    batch_size: int = 16
    """Photos at a time."""
    ray: RayAddress = None
    """Grade on a Ray cluster, all nodes of which share photos, model and --out, then a folder of Parquet parts:
    HOST:PORT of its head, or auto on one of its nodes; without an address, on a cluster of this process alone, with
    --workers. Needs the extra ray."""
    engine: Engine = "auto"
    """What computes: torch; for models that ship and exported ones also onnx, ONNX Runtime, which auto takes where it
    can and no GPU is asked for, and openvino."""
    computing: OmitArgPrefixes[Computing] = field(default_factory=Computing)

    @property
    def table(self) -> Path:
        """Where the table is to stand."""
        return self.out or Path("biranet_grades.csv" if self.ray is None else "biranet_grades")

    def run(self) -> int:
        """Grade what is left to do, and write the tables."""
        from biranet.inference.engines import load_engine
        from biranet.inference.grading import GradingOptions, grade_listed
        from biranet.inference.inputs import beside, list_photos, outputs_of_grading, parse_input
        from biranet.inference.shards import Shard
        from biranet.learning.shipped_models import find_checkpoint
        from biranet.photos.datasets.name_pattern import NamePattern

        computing = self.computing.resolve()
        check_counts(batch_size=(self.batch_size, 1))
        check_opacity(self.overlay_opacity)
        if self.ray is not None:
            check_address(self.ray)
        inputs = [parse_input(text) for text in self.photos]
        listed = list_photos(inputs, NamePattern(self.name_pattern) if self.name_pattern else None)
        if self.shard:
            listed = Shard.parse(self.shard).of(listed)
        checkpoint = find_checkpoint(self.checkpoint)
        if self.ray is not None:
            return self._run_on_cluster(self.ray, inputs, listed, checkpoint)
        with outputs_of_grading(self.table, self.overlay, inputs, listed.files, checkpoint) as out:
            predictor = load_engine(checkpoint, self.engine, computing.device)
            options = GradingOptions(
                self.table,
                self.overlay,
                self.overlay_opacity,
                keep_ungradable=self.keep_ungradable,
                retry_failed=self.retry_failed,
                batch_size=self.batch_size,
                workers=computing.workers,
                shard=self.shard,
            )
            graded = grade_listed(predictor, listed, out, options)
        print("\n".join(self._describe(graded, listed, predictor.info, checkpoint, beside(self.table, "patients"))))
        done = graded.decisions.total()
        if not graded.is_whole:
            raise InterruptedRunError(
                f"stopped after {done} of {counted(graded.photos, 'photo')}, whose rows are in {self.table}; grade the "
                "others with the same command"
            )
        return 1 if graded.decisions[""] else 0

    def _run_on_cluster(
        self, address: str, inputs: "Sequence[PhotoPath]", listed: "PhotoList", checkpoint: Path
    ) -> int:
        """Grade what is left to do on a cluster, and write the tables."""
        for flag, value in (("--overlay", self.overlay), ("--shard", self.shard)):
            if value:
                raise InputError(f"{flag} is not for a cluster; leave it out, or --ray")
        computing = self.computing.resolve()
        with open_cluster(address, computing.workers) as cluster:
            from biranet.inference.ray_grading import ClusterOptions, beside_parts, grade_on_cluster, outputs_on_cluster

            options = ClusterOptions(
                self.engine, computing.device, self.keep_ungradable, self.retry_failed, self.batch_size
            )
            with outputs_on_cluster(self.table, inputs, listed.files, checkpoint) as out:
                graded, info = grade_on_cluster(listed, out, checkpoint, cluster, options)
        print("\n".join(self._describe(graded, listed, info, checkpoint, beside_parts(self.table, "patients"))))
        return 1 if graded.decisions[""] else 0

    def _describe(
        self, graded: "GradingSummary", listed: "PhotoList", info: "CheckpointInfo", checkpoint: Path, patients: Path
    ) -> Iterator[str]:
        """Say what was decided, how grades were made, and what makes one doubt them."""
        from biranet.decisions.rule_doubts import find_doubts
        from biranet.decisions.rules import describe_decoder
        from biranet.learning.shipped_models import describe_model

        counts = graded.decisions
        failed, done = counts[""], counts.total()
        yield f"{done - failed} of {counted(graded.photos, 'photo')} graded, {failed} not usable: {self.table}"
        if graded.taken_over:
            yield f"For {counted(graded.taken_over, 'photo')} the answer of an earlier run was taken over."
        if graded.dropped:
            yield f"The table of before held {counted(graded.dropped, 'photo')} more, which are no longer listed."
        if graded.outdated_by:
            yield f"The answers of before were given with another {graded.outdated_by}: all photos were graded anew."
        if graded.removed:
            pictures = counted(graded.removed, "picture")
            yield f"Removed from {self.overlay}: {pictures} of photos that have no answer any more."
        yield from (f"{sentence}." for sentence in listed.skipped)
        yield from graded.patients.describe(patients)
        decided = ", ".join(f"{counts[decision]} {decision}" for decision in reversed(DECISIONS) if counts[decision])
        yield f"Decisions: {decided or 'none'}"
        if usable := done - failed:
            yield describe_decoder(info.rules, graded.not_most_probable, usable)
        yield from (*info.doubts, *find_doubts(info.rules))
        yield f"Model: {describe_model(checkpoint)}\n{DISCLAIMER}"

    def next_step(self) -> str:
        """Measure the grades, once the true ones are known."""
        from biranet.tables import read_header

        measure = command_line("evaluate", "--predictions", self.table)
        if "grade" in read_header(self.table):
            return measure
        return f"once the table has a column grade with the true grades, measure it: {measure}"
