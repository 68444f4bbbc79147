"""A run of `biranet grade` on a Ray cluster: what is left to do is graded there, and the answers are read back."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from biranet.cluster import Cluster
from biranet.config import Device, Engine
from biranet.console import progress_bar
from biranet.decisions.patients import NOBODY, answer_patients
from biranet.errors import InputError, InterruptedRunError
from biranet.files import printable
from biranet.inference.addresses import Address
from biranet.inference.engines import load_engine
from biranet.inference.grading import GradingSummary
from biranet.inference.inputs import EYES_TABLE, PATIENTS_TABLE, Outputs, PhotoList, PhotoPath, beside
from biranet.inference.loading import PhotoTask
from biranet.inference.patient_tables import PatientTally, write_patients
from biranet.inference.ray_nodes import NodeModel, write_parts
from biranet.inference.ray_parts import PARTS, ListedPhoto, answers_in, begin_parts, row_count, settle_parts
from biranet.inference.rows import GradeRows
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.shipped_models import is_shipped
from biranet.outputs import claim_output
from biranet.photos.file_state import file_state
from biranet.setting_names import setting
from biranet.table_parts import OWN_PREFIX, parts_in
from biranet.typed_tables import TABLE_FORMATS
from biranet.words import counted


@dataclass(frozen=True)
class ClusterOptions:
    """How photos are to be graded on a cluster.

    Attributes:
        engine: What computes.
        device: Where to compute: a GPU of a node where there is one and torch computes, or is asked to.
        keep_ungradable: Grade ungradable photos like all others.
        retry_failed: Grade again what could not be used before.
        batch_size: Photos at a time, from 1.
    """

    engine: Engine = "auto"
    device: Device = "auto"
    keep_ungradable: bool = False
    retry_failed: bool = False
    batch_size: int = 16


@contextmanager
def outputs_on_cluster(
    out: Path, inputs: Sequence[PhotoPath], files: Sequence[PhotoPath], checkpoint: Path
) -> Iterator[Outputs]:
    """Ask for the outputs of grading on a cluster, and keep all others from them meanwhile.

    Args:
        out: The folder for the parts; `grades_eyes.parquet` and `grades_patients.parquet` stand beside `grades`.
        inputs: What was given to grade: files, folders, lists.
        files: The photos behind it.
        checkpoint: The model.

    Yields:
        Where to write.

    Raises:
        InputError: If one of them would replace something else.
    """
    if out.suffix.lower() in TABLE_FORMATS:
        raise InputError(
            f"{out} is named as a table, and a cluster writes a folder of Parquet parts; name one with --out"
        )
    read = [each for each in (*inputs, *files, checkpoint) if isinstance(each, Path)]
    kinds = {out: PARTS, beside_parts(out, "eyes"): EYES_TABLE, beside_parts(out, "patients"): PATIENTS_TABLE}
    with ExitStack() as locks:
        yield Outputs(*(locks.enter_context(claim_output(path, kind, read)) for path, kind in kinds.items()))


def beside_parts(out: Path, what: str) -> Path:
    """Name a table after the folder of parts.

    Example:
        >>> beside_parts(Path("out/grades"), "eyes").name
        'grades_eyes.parquet'
    """
    return beside(out.with_name(f"{out.name}.parquet"), what)


def grade_on_cluster(
    listed: PhotoList, out: Outputs, checkpoint: Path, cluster: Cluster, options: ClusterOptions
) -> tuple[GradingSummary, CheckpointInfo]:
    """Grade the photos of a list and write the tables, or go on where an earlier run was stopped.

    Args:
        listed: The photos.
        out: The folder for the parts, which all nodes share, and the tables, claimed for this process.
        checkpoint: The model, from `find_checkpoint`.
        cluster: What computes.
        options: How.

    Returns:
        What has become of the photos, and the description of the model.

    Raises:
        InputError: If the folder holds parts that were made otherwise; a node lacks the model, a photo or the folder;
            or workers die again and again.
        InterruptedRunError: If a signal came; what was graded is kept.
    """
    if taken := [name for name in listed.columns if name.startswith(OWN_PREFIX)]:
        raise InputError(f"the column {printable(taken[0])} of a list is called like one of ours; rename it")
    model, engine, info = _describe_model(checkpoint, GradeRows(listed.columns), cluster, options)
    mark = {"model": model.checkpoint, "sha256": model.sha256, "engine": engine, "biranet": model.release}
    begin_parts(out.photos, mark | {"keep_ungradable": options.keep_ungradable})
    photos = list_for_cluster(listed)
    photo_of_id = {photo.id: photo for photo in photos}
    done = settle_parts(out.photos, photo_of_id, model.rows, lambda status: options.retry_failed and status != "ok")
    graded = GradingSummary(len(photos), PatientTally(), taken_over=done)
    if done < len(photos):
        try:
            with _progress(out.photos, len(photos), done):
                write_parts(photos, out.photos, model, cluster)
        except KeyboardInterrupt:
            done = sum(map(row_count, parts_in(out.photos)))
            raise InterruptedRunError(
                f"stopped after {done} of {counted(len(photos), 'photo')}, whose rows are in {out.photos}; run the "
                "same command again, and it goes on where it was"
            ) from None
        if (rows := settle_parts(out.photos, photo_of_id, model.rows)) < len(photos):
            raise RuntimeError(f"{len(photos) - rows} photos have no row")
    answers = [answer.for_patient() for answer in answers_in(out.photos) if graded.count(answer)]
    patients = answer_patients(answers)
    write_patients(out.eyes, out.patients, lambda: patients, graded.patients)
    graded.is_whole = True
    return graded, info


def _describe_model(
    checkpoint: Path, rows: GradeRows, cluster: Cluster, options: ClusterOptions
) -> tuple[NodeModel, str, CheckpointInfo]:
    """Load the model here, where there may be no GPU, to know what it is and what computes it."""
    engine: Engine = "torch" if (options.engine, options.device) == ("auto", "cuda") else options.engine
    predictor = load_engine(checkpoint, engine, "cpu" if engine == "torch" else options.device)
    device: Device = "cpu"
    if predictor.package == "torch" and options.device != "cpu" and cluster.gpus:
        device = "cuda"
    elif options.device not in ("auto", "cpu"):
        raise InputError(f"no node of the cluster has a GPU for {setting('device', options.device)}; leave it out")
    model = NodeModel(
        checkpoint=checkpoint.stem if is_shipped(checkpoint) else str(checkpoint.absolute()),
        sha256=predictor.sha256,
        engine=engine,
        device=device,
        preparation=predictor.info.preparation,
        image_size=predictor.info.image_size,
        keep_ungradable=options.keep_ungradable,
        batch_size=options.batch_size,
        rows=rows,
    )
    return model, predictor.package, predictor.info


def list_for_cluster(listed: PhotoList) -> list[ListedPhoto]:
    """Tell photos from each other, and from what they were before their files changed.

    Args:
        listed: The photos.

    Returns:
        One for each photo; whole paths, since nodes work in other folders.
    """
    times = Counter[str]()
    photos = []
    for file, further in zip(listed.files, listed.further, strict=True):
        name, refused, subject = str(file), listed.refused.get(file, ""), listed.subjects.get(file, NOBODY)
        times[name] += 1
        # What lies at an address is known by that: to ask millions of times whether it changed would take hours.
        state = None if isinstance(file, Address) else file_state(file)
        task = PhotoTask(file if isinstance(file, Address) else file.absolute(), refused, subject, name, state)
        # What a list says else is no part of it: that changes the row, not the answer.
        identity = repr((name, times[name], state, refused))
        photos.append(ListedPhoto(hashlib.sha256(identity.encode()).hexdigest()[:32], task, further))
    return photos


@contextmanager
def _progress(folder: Path, total: int, done: int) -> Iterator[None]:
    """Show how many photos have their rows."""
    ended = threading.Event()
    with progress_bar(total=total, initial=done, unit="photo", leave=False) as bar:

        def watch() -> None:
            written = set(parts_in(folder))
            while not ended.wait(1):
                for part in set(parts_in(folder)) - written:
                    written.add(part)
                    bar.update(row_count(part))

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join()
