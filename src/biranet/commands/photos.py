"""The commands on photographs before anything learns: prepare, audit, split."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.commands.flags import (
    GRADES_EXAMPLE,
    Command,
    PreparedFolder,
    RayAddress,
    check_counts,
    command_line,
    open_workers,
    read_pairs,
)
from biranet.config import SplitConfig
from biranet.errors import InterruptedRunError
from biranet.files import printable
from biranet.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from biranet.photos.folder import Summary

DatasetName = Literal[
    "auto", "eyepacs", "aptos", "messidor2", "idrid", "ddr", "deepdrid", "retinamnist", "fgadr", "gdrbench", "lists",
    "csv", "classes", "folder",
]  # fmt: skip
"""The layouts of `biranet.photos.datasets.DATASETS`, which help must not wait for."""

_SHOWN_LABELS = 5


@dataclass(frozen=True)
class Prepare(Command):
    """Cut photographs to their field, make them square and small, and list them in a manifest.

    Photos that cannot be used get a row with the reason. Running it again does only what is new.
    """

    photos: Annotated[Positional[Path], arg(metavar="PHOTOS")]
    """Folder of photographs: a published data set, class folders 0 to 4, or any folder with a table of grades."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the prepared photos and their manifest.csv."""
    labels: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table (CSV, TSV, JSON lines or Parquet) with the columns file, grade and, where known, group (photos of one
    patient); or the label file of a published data set, where it does not lie among the photos."""
    dataset: DatasetName = "auto"
    """Layout of photos and labels; auto recognises it and says how."""
    columns: Annotated[str, arg(metavar="OURS=THEIRS,…")] = ""
    """What the columns of the table are called, for example file=image,grade=level,group=patient."""
    grades: Annotated[str, arg(metavar="VALUE=GRADE,…")] = ""
    """Which grade each value of the labels or class folder is, where they are on another scale or in words that are not
    known, for example "none=0,background=1,…"; nothing else is a grade then."""
    ungradable: Annotated[str, arg(metavar="VALUE,…")] = ""
    """Values of the grade that mean that nobody could grade the photo, for example -1."""
    size: int = 610
    """Side of the stored squares in pixels."""
    keep_ungradable: bool = False
    """Use ungradable photos like all others; why they are ungradable still stands in the manifest."""
    workers: int = 2
    """Processes that prepare photos; with 0, this one does."""
    ray: RayAddress = None
    """Prepare on a Ray cluster, all nodes of which share both folders: HOST:PORT of its head, or auto on one of its
    nodes; without an address, on a cluster of this process alone, with --workers. Needs the extra ray."""

    def run(self) -> int:
        """Prepare the folder and say what became of its photos."""
        from biranet.photos.datasets import LabelSource
        from biranet.photos.folder import prepare_folder

        check_counts(workers=(self.workers, 0))
        labels = LabelSource(
            self.labels,
            dataset=self.dataset,
            columns=read_pairs(self.columns, "--columns", "file=image,grade=level"),
            grades=read_pairs(self.grades, "--grades", GRADES_EXAMPLE),
            ungradable=[value.strip() for value in next(csv.reader([self.ungradable]), []) if value.strip()],
        )
        try:
            with open_workers(self.workers, self.ray) as workers:
                summary = prepare_folder(
                    self.photos,
                    self.out,
                    labels=labels,
                    size_px=self.size,
                    keep_ungradable=self.keep_ungradable,
                    workers=workers,
                )
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; finished photos are kept, so run the same command again") from None
        print(
            "\n".join([*_outcome(summary, self.out), *_remarks(summary, self.photos), *_leftovers(summary, self.out)])
        )
        return 1 if _failed(summary) else 0

    def next_step(self) -> str:
        """Audit what can be learned from, or say the grades."""
        from biranet.manifest import graded_photos, read_manifest

        if not graded_photos(read_manifest(self.out)).empty:
            return command_line("audit", self.out)
        return command_line("prepare", self.photos, self.out, "--labels", "FILE", "--size", self.size)


@dataclass(frozen=True)
class Audit(Command):
    """Look for what makes results wrong or gives people away: copies, conflicting labels, leaks, identifiers.

    Training asks the same before it begins, and refuses leaks between parts.
    """

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder, or the manifest.csv in it; all findings, with all files, go to its audit.json."""

    @property
    def folder(self) -> Path:
        """The prepared folder."""
        from biranet.manifest import MANIFEST_NAME

        return self.prepared.parent if self.prepared.name == MANIFEST_NAME else self.prepared

    def run(self) -> int:
        """Print the findings, write them down, and say whether training would be refused."""
        from biranet.files import write_json
        from biranet.manifest import read_manifest
        from biranet.outputs import claim_output
        from biranet.photos.audit import AUDIT, AUDIT_NAME, audit, audit_images
        from biranet.photos.findings import as_json, describe_findings

        prepared = self.folder
        table = read_manifest(prepared)
        findings = [*audit_images(prepared, table), *audit(table)]
        with claim_output(prepared / AUDIT_NAME, AUDIT) as out:
            write_json(out, as_json(table, findings))
        print(
            f"{describe_findings(findings)}\n{counted(len(table), 'photo')} audited; all files: {prepared / AUDIT_NAME}"
        )
        return 1 if any(finding.refuses for finding in findings) else 0

    def next_step(self) -> str:
        """Go on where nothing was refused; the sentences of what was refused say what to do."""
        from biranet.files import read_json
        from biranet.photos.audit import AUDIT_NAME

        return "" if read_json(self.folder / AUDIT_NAME)["refused"] else _step_to_training(self.folder)


@dataclass(frozen=True)
class Split(Command):
    """Divide prepared photos into train, validation, calibration and test; patients and copies stay together."""

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder, whose manifest gets the split."""
    config: OmitArgPrefixes[SplitConfig] = field(default_factory=SplitConfig)

    def run(self) -> int:
        """Write the split into the manifest and show it."""
        from biranet.learning.split import describe_split, split_photos, too_few_to_calibrate
        from biranet.manifest import fold_columns, read_manifest, write_manifest
        from biranet.outputs import write_lock
        from biranet.photos.audit import audit_manifest, find_duplicate_sets
        from biranet.photos.findings import refuse_leaks

        with write_lock(self.prepared, folder=True):
            table = read_manifest(self.prepared)
            duplicate_sets = find_duplicate_sets(table)
            table = split_photos(table, self.config, duplicate_sets)
            columns = fold_columns(table) or ["split"]
            refuse_leaks(audit_manifest(table, columns, duplicate_sets))
            write_manifest(self.prepared, table)
        for column in columns:
            print(describe_split(table, column))
        for column in columns:
            if few := too_few_to_calibrate(table, column):
                print(few)
        return 0

    def next_step(self) -> str:
        """Train."""
        return _step_to_training(self.prepared)


def _step_to_training(prepared: Path) -> str:
    """The command by which photos that were looked through go on: split them, or train where that is done."""
    from biranet.manifest import fold_columns, graded_photos, read_manifest

    table = graded_photos(read_manifest(prepared))
    if table.empty:
        return ""
    if fold_columns(table):
        return command_line("train", prepared, "--fold", 0)
    return command_line("split" if (table["split"] == "").all() else "train", prepared)


def _failed(summary: "Summary") -> int:
    return summary.photos - summary.tally.statuses["ok"]


def _outcome(summary: "Summary", out: Path) -> "Iterator[str]":
    """Say what became of the photos."""
    from biranet.grades import GRADES
    from biranet.manifest import MANIFEST_NAME

    failed = _failed(summary)
    yield f"Layout: {summary.labels.dataset} ({summary.labels.why})"
    for file, status, reason in summary.tally.failures:
        yield f"  {status}: {printable(file)}: {reason}"
    if failed > len(summary.tally.failures):
        left = failed - len(summary.tally.failures)
        yield f"  … and {left} more; see the column reason of {out / MANIFEST_NAME}"
    yield (
        f"{summary.tally.statuses['ok']} of {counted(summary.photos, 'photo')} prepared "
        f"({sum(summary.grades)} with a grade), {failed} not usable: {out}"
    )
    if any(summary.grades):
        yield f"grades {'/'.join(map(str, GRADES))}: {'/'.join(map(str, summary.grades))}"


def _remarks(summary: "Summary", photos: Path) -> "Iterator[str]":
    """Say what was remarkable of labels, files and patients."""
    for remark in summary.remarks:
        yield f"  {remark}"
    if summary.remarks:
        yield '  If they are on another scale, prepare again and say which value is which: --grades "VALUE=GRADE,…"'
    if summary.labels.unlisted:
        one = f"further photo in {photos} has no row in the labels and is left out."
        many = f"further photos in {photos} have no row in the labels and are left out."
        yield counted(summary.labels.unlisted, one, many)
    if summary.labels.skipped:
        yield f"{summary.labels.skipped}."
    yield from _describe_patients(summary)


def _leftovers(summary: "Summary", out: Path) -> "Iterator[str]":
    """Say what to look at, what is gone, and what was not used."""
    from biranet.photos import CONTACT_SHEET_NAME

    if summary.has_contact_sheet:
        yield f"The least gradable ones, to look at: {out / CONTACT_SHEET_NAME}"
    if summary.deleted_images:
        one = "image of a photo that is no longer there, or not as it was, is deleted."
        many = "images of photos that are no longer there, or not as they were, are deleted."
        yield counted(summary.deleted_images, one, many)
    if summary.split_dropped:
        yield "The photos or their labels have changed, so the split is gone; make a new one with: biranet split"
    if files := summary.labels.unused_label_files:
        listed, more = files[:_SHOWN_LABELS], len(files) - _SHOWN_LABELS
        named = ", ".join(listed) + (f" and {more} more" if more > 0 else "")
        yield f"No photo has a grade; these files may hold labels and were not used: {named}"


def _describe_patients(summary: "Summary") -> "Iterator[str]":
    """Say which patients are guesses, and which are unknown."""
    from biranet.manifest import GUESSED_FROM, OWN_GROUP

    for origin in GUESSED_FROM:
        if count := summary.tally.groups_from.get(origin):
            file, group = map(printable, summary.tally.first_by_origin[origin])
            where = {"name": ("name", "names of their files"), "folder": ("folder", "folders they lie in")}[origin]
            one = f"photo is guessed from its {where[0]}"
            many = f"photos are guessed from the {where[1]}"
            whose = "The patient" if count == 1 else "The patients"
            yield (
                f"{whose} of {counted(count, one, many)} ({file}: patient {group}); look "
                "whether that is right, or name patients in a column group of the labels."
            )
    if count := summary.tally.groups_from.get(OWN_GROUP):
        yield (
            counted(
                count,
                "photo is of an unknown patient, so it is its own group",
                "photos are of unknown patients, so each is its own group",
            )
            + ", and two eyes of one patient may come to stand in different parts; a column group in the labels "
            "prevents that."
        )
