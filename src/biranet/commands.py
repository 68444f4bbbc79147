"""The commands: one dataclass each, whose fields are its flags and whose docstrings are its help.

Nothing heavy is imported before a command runs, so help and mistakes answer at once.
"""

import argparse
import csv
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from tyro.conf import OmitArgPrefixes, Positional, arg

from biranet.config import SplitConfig, TrainConfig, read_recipe, train_config_from
from biranet.errors import InputError, InterruptedRunError
from biranet.files import printable, read_json
from biranet.grades import DISCLAIMER

DatasetName = Literal[
    "auto", "eyepacs", "aptos", "messidor2", "idrid", "ddr", "deepdrid", "retinamnist", "fgadr", "gdrbench", "lists",
    "csv", "classes", "folder",
]  # fmt: skip
"""The layouts of `biranet.photos.datasets.DATASETS`, which help must not wait for."""

PreparedFolder = Annotated[Positional[Path], arg(metavar="PREPARED")]


class Command(Protocol):
    """What every command has."""

    def run(self) -> int:
        """Do the work and return the exit status: 0, or 1 where some photos failed."""


@dataclass(frozen=True)
class Demo:
    """Draw photographs, and run the whole chain on them: prepare, split, train, evaluate, grade.

    Takes a few minutes on two processors and needs nothing but this program.
    """

    out: Annotated[Path, arg(metavar="FOLDER")] = Path("demo")
    """Folder for everything the demo makes; an earlier demo in it is replaced."""

    def run(self) -> int:
        """Run the chain and say where the report is."""
        from biranet.demo import run_demo

        run_demo(self.out)
        return 0


@dataclass(frozen=True)
class Prepare:
    """Cut photographs to their field, make them square and small, and list them in a manifest.

    Photos that cannot be used get a row with the reason. Running it again does only what is new.
    """

    photos: Annotated[Positional[Path], arg(metavar="PHOTOS")]
    """Folder of photographs: a published data set, class folders 0 to 4, or any folder with a table of grades."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the prepared photos and their manifest.csv."""
    labels: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table (CSV, TSV or Parquet) with the columns file, grade and, where known, group (photos of one patient); or the
    label file of a published data set, where it does not lie among the photos."""
    dataset: DatasetName = "auto"
    """Layout of photos and labels; auto recognises it and says how."""
    columns: Annotated[str, arg(metavar="OURS=THEIRS,…")] = ""
    """What the columns of the table are called, for example file=image,grade=level,group=patient."""
    size: int = 610
    """Side of the stored squares in pixels."""
    keep_ungradable: bool = False
    """Use ungradable photos like all others; why they are ungradable still stands in the manifest."""
    workers: int = 2
    """Processes that prepare photos."""

    def run(self) -> int:
        """Prepare the folder and say what became of its photos."""
        from biranet.manifest import MANIFEST_NAME
        from biranet.photos.folder import CONTACT_SHEET_NAME, prepare_folder

        try:
            summary = prepare_folder(
                self.photos,
                self.out,
                labels=self.labels,
                dataset=self.dataset,
                columns=_pairs(self.columns, "--columns"),
                size_px=self.size,
                keep_ungradable=self.keep_ungradable,
                workers=self.workers,
            )
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; finished photos are kept, so run the same command again") from None
        print(f"Layout: {summary.dataset} ({summary.why})")
        for file, status, reason in summary.failures:
            print(f"  {status}: {printable(file)}: {reason}")
        failed = summary.photos - summary.statuses["ok"]
        if failed > len(summary.failures):
            left = failed - len(summary.failures)
            print(f"  … and {left} more; see the column reason of {self.out / MANIFEST_NAME}")
        print(
            f"{summary.statuses['ok']} of {summary.photos} photos prepared ({summary.graded} with a grade), "
            f"{failed} not usable: {self.out}"
        )
        if summary.unlisted:
            print(f"{summary.unlisted} further photos in {self.photos} have no row in the labels and are left out.")
        if summary.strangers:
            print(
                f"{summary.strangers} photos are of unknown patients, so each is its own group, and two eyes of one "
                "patient may come to stand in different parts; a column group in the labels prevents that."
            )
        if summary.measured:
            print(f"The least gradable ones, to look at: {self.out / CONTACT_SHEET_NAME}")
        if summary.split_dropped:
            print("The photos or their labels have changed, so the split is gone; make a new one with: biranet split")
        return 1 if failed else 0


@dataclass(frozen=True)
class Audit:
    """Look for what makes results wrong or gives people away: copies, conflicting labels, leaks, identifiers.

    Training asks the same before it begins, and refuses leaks between parts.
    """

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder, or the manifest.csv in it; all findings, with all files, go to its audit.json."""

    def run(self) -> int:
        """Print the findings, write them down, and say whether training would be refused."""
        from biranet.files import write_json
        from biranet.manifest import MANIFEST_NAME, read_manifest
        from biranet.photos.audit import AUDIT_NAME, as_json, audit, describe

        prepared = self.prepared.parent if self.prepared.name == MANIFEST_NAME else self.prepared
        table = read_manifest(prepared)
        findings = audit(table)
        write_json(prepared / AUDIT_NAME, as_json(table, findings))
        print(f"{describe(findings)}\n{len(table)} photos audited; all files: {prepared / AUDIT_NAME}")
        return 1 if any(finding.refuses for finding in findings) else 0


@dataclass(frozen=True)
class Split:
    """Divide prepared photos into train, validation, calibration and test; patients and copies stay together."""

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder, whose manifest gets the split."""
    config: OmitArgPrefixes[SplitConfig] = field(default_factory=SplitConfig)

    def run(self) -> int:
        """Write the split into the manifest and show it."""
        from biranet.learning.split import describe_split, split_photos
        from biranet.manifest import fold_columns, read_manifest, write_manifest
        from biranet.photos.audit import audit, copies, refuse_leaks

        table = read_manifest(self.prepared)
        shown = copies(table)
        table = split_photos(table, self.config, shown)
        columns = fold_columns(table) or ["split"]
        refuse_leaks(audit(table, columns, shown))
        write_manifest(self.prepared, table)
        for column in columns:
            print(describe_split(table, column))
        return 0


@dataclass(frozen=True)
class Train:
    """Train a model on prepared photos.

    Settings come from the defaults below, then from the recipe, then from the flags.
    """

    prepared: PreparedFolder = Path("prepared")
    """Prepared folder."""
    out: Annotated[Path | None, arg(metavar="RUN")] = None
    """Folder for the run; runs/<date-time> when not given."""
    recipe: Annotated[Path | None, arg(metavar="FILE")] = None
    """TOML file with settings."""
    resume: bool = False
    """Go on with the run in --out, with its own settings, from where it stopped."""
    config: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Train":
        """Read the recipe, or the settings of the run to resume, before the other flags."""
        early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        early.add_argument("--recipe", type=Path)
        early.add_argument("--out", type=Path)
        early.add_argument("--resume", action="store_true")
        try:
            known, _ = early.parse_known_args(arguments)
        except argparse.ArgumentError:
            return cls()  # the parser of the whole command says it better
        if known.resume:
            if known.out is None:
                raise InputError("--resume needs the run folder: biranet train --resume --out RUN")
            if known.recipe is not None:
                raise InputError("--resume keeps the settings of the run; leave --recipe out")
            stored = read_json(path := known.out / "config.json")
            if not isinstance(stored, dict) or not {"prepared", "train"} <= stored.keys():
                raise InputError(f"{path} does not hold the settings of a training; it may have been edited by hand")
            return cls(prepared=Path(stored["prepared"]), config=train_config_from(stored["train"], str(path)))
        return cls(config=read_recipe(known.recipe)) if known.recipe else cls()

    def run(self) -> int:
        """Train in the run folder."""
        from biranet.learning.train import train

        if self.resume:
            kept = Train.defaults(["--resume", "--out", str(self.out)]).config
            if differences := _differences(self.config, kept):
                raise InputError(f"--resume keeps the settings of the run; leave out what differs: {differences}")
        run = self.out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
        train(self.prepared, run, self.config, resume=self.resume)
        return 0


@dataclass(frozen=True)
class Evaluate:
    """Measure a model on photos it has not learned from, or measure anyone's table of predictions."""

    checkpoint: Annotated[Positional[Path | None], arg(metavar="CHECKPOINT")] = None
    """Model to measure, such as RUN/best.safetensors."""
    prepared: PreparedFolder = Path("prepared")
    """Prepared folder with graded photos."""
    predictions: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Tables of predictions to measure instead of a model; several, such as those of all folds, are pooled."""
    out: Annotated[Path, arg(metavar="REPORT")] = Path("report")
    """Folder for report.html, metrics.json and predictions.csv."""
    split: Literal["train", "validation", "calibration", "test", "all"] = "test"
    """Part of the split to measure on."""
    workers: int = 2
    """Processes that load photos."""
    no_cuda: bool = False
    """Compute on the CPU even where there is a GPU."""

    def run(self) -> int:
        """Write the report and print its main figures."""
        from biranet.evaluation.predictions import read_predictions
        from biranet.evaluation.report import write_report

        if (self.checkpoint is None) == (not self.predictions):
            raise InputError("give either a CHECKPOINT with a PREPARED folder, or --predictions FILE")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"--out {self.out} is a file; name a folder for the report")
        _check_counts(workers=(self.workers, 0))
        if self.checkpoint is not None:
            from biranet.inference.evaluate import evaluate_checkpoint

            metrics = evaluate_checkpoint(
                self.checkpoint, self.prepared, self.out, part=self.split, workers=self.workers, no_cuda=self.no_cuda
            )
        else:
            names = ", ".join(map(str, self.predictions))
            metrics = write_report(
                self.out, read_predictions(*self.predictions), title="Evaluation", facts={"Predictions": names}
            )
        print(_summary(metrics))
        print(f"Report: {self.out / 'report.html'}\n{DISCLAIMER}")
        return 0


@dataclass(frozen=True)
class Grade:
    """Grade photographs with a trained model: one row per photo, with grade, probabilities and decision."""

    photos: Annotated[Positional[tuple[Path, ...]], arg(metavar="PHOTO|FOLDER|CSV")]
    """Picture files, folders of them, or CSV files with a column `file`."""
    checkpoint: Annotated[Path, arg(metavar="FILE")]
    """Model to grade with, such as RUN/best.safetensors."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("grades.csv")
    """Table to write."""
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
        from tqdm import tqdm

        from biranet.inference.grader import TABLE_COLUMNS, load
        from biranet.inference.inputs import list_photos, save_picture
        from biranet.tables import write_rows

        if self.out.is_dir():
            raise InputError(f"--out {self.out} is a folder; name a file for the table")
        _check_counts(workers=(self.workers, 0), batch_size=(self.batch_size, 1))
        files = list_photos(self.photos)
        grader = load(self.checkpoint, no_cuda=self.no_cuda)
        counts: Counter[str] = Counter()

        def rows() -> Iterator[dict[str, str]]:
            answers = grader.grade_many(
                files, batch_size=self.batch_size, workers=self.workers, keep_ungradable=self.keep_ungradable
            )
            for number, answer in enumerate(tqdm(answers, total=len(files), unit="photo", disable=None, leave=False)):
                yield answer.row()
                counts[answer.decision] += 1
                if self.attention is not None:
                    save_picture(self.attention, number, answer)

        write_rows(self.out, TABLE_COLUMNS, rows())
        failed, referred = counts[""], counts["refer"]
        done = len(files) - failed
        print(
            f"{done} of {len(files)} photos graded, {referred} to refer, {failed} not usable: {self.out}\n{DISCLAIMER}"
        )
        return 1 if failed else 0


COMMANDS: dict[str, type[Command]] = {
    "demo": Demo,
    "prepare": Prepare,
    "audit": Audit,
    "split": Split,
    "train": Train,
    "evaluate": Evaluate,
    "grade": Grade,
}


def _check_counts(**counts: tuple[int, int]) -> None:
    """Refuse flags whose value is below the lowest; both by the flag's name."""
    for name, (value, lowest) in counts.items():
        if value < lowest:
            raise InputError(f"--{name.replace('_', '-')} must be at least {lowest}, not {value}")


def _pairs(text: str, flag: str) -> dict[str, str]:
    """Read `ours=theirs,ours=theirs`; a name with a comma stands in double quotes together with its `ours=`."""
    pairs = {}
    for item in next(csv.reader([text]), []):
        ours, equals, theirs = (part.strip() for part in item.partition("="))
        if not (ours and equals and theirs):
            raise InputError(f"{flag} is a list such as file=image,grade=level, and {item!r} is no part of one")
        if ours in pairs:
            raise InputError(f"{flag} names {ours!r} twice")
        pairs[ours] = theirs
    return pairs


def _differences(given: TrainConfig, kept: TrainConfig) -> str:
    """Name the settings that differ between two configurations, but for those that leave no trace in the result."""
    from pandas import json_normalize

    ours, theirs = (json_normalize(dataclasses.asdict(config)).iloc[0].to_dict() for config in (given, kept))
    return ", ".join(
        f"{name} is {ours[name]} here and {theirs[name]} in the run"
        for name in ours
        if str(ours[name]) != str(theirs[name]) and name not in ("data.workers", "save_minutes")
    )


def _summary(metrics: dict[str, Any]) -> str:
    """The figures people ask for first, one a line."""
    names = {
        "quadratic_weighted_kappa": "quadratic weighted kappa",
        "aca": "average classification accuracy",
        "accuracy": "accuracy (= micro-F1)",
        "macro_f1": "macro-F1",
        "referable_auc": "referable AUC",
        "referable_sensitivity": "referable sensitivity",
        "referable_specificity": "referable specificity",
    }
    lines = [f"{metrics['n']} photos"]
    for key, name in names.items():
        value = metrics[key]
        text = f"not defined: {metrics['undefined'][key]}" if value is None else f"{value:.3f}"
        interval = metrics.get("ci", {}).get(key)
        lines.append(f"  {name:32} {text}{f'  [{interval[0]:.3f}, {interval[1]:.3f}]' if interval else ''}")
    return "\n".join(lines)
