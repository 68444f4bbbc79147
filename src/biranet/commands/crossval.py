"""The command that cross-validates."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from biranet.commands.flags import check_title, command_line
from biranet.commands.photos import Prepare
from biranet.commands.training import TrainingCommand, default_settings, early_flags
from biranet.config import ReportConfig, TrainConfig
from biranet.errors import InputError
from biranet.grades import DISCLAIMER

DEFAULT_VALIDATION = 0.15


@dataclass(frozen=True)
class Crossval(TrainingCommand):
    """Train and measure fold by fold, each photo by a model that has not seen its patient, and train a model on all.

    Settings come as those of train. Stopped, the very same command goes on from where it was.
    """

    prepared: Annotated[Positional[Path], arg(metavar="PREPARED|PHOTOS")] = Path("prepared")
    """Prepared folder; or a folder of photographs, which are prepared first, at --image-size, into OUT/prepared."""
    out: Annotated[Path, arg(metavar="OUT")] = Path("crossval")
    """Folder for all of it: report/report.html, model.safetensors, a run for each fold."""
    labels: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of grades of a folder of photographs, with the columns file, grade and, where known, group; whose columns
    or grades are called otherwise, use prepare first."""
    folds: int | None = None
    """Into how many parts the photos are divided, patients never; when not given those of biranet split, where PREPARED
    has some, or 5."""
    validation: float | None = None
    """Share of the photos to learn from that chooses the epoch. When not given 0.15, or 0 where none is chosen: for a
    probe, or with --early-stop 0 and a schedule without plateau."""
    title: str = ""
    """Title of the report; what was cross-validated when not given."""
    by: tuple[str, ...] = ()
    """Columns of the labels whose values make subgroups in the report, as for evaluate."""

    @classmethod
    def defaults(cls, arguments: Sequence[str]) -> "Crossval | None":
        """Read the model to start from and the recipe before the other flags."""
        early = early_flags(arguments)
        settings = None if early is None else default_settings(early.recipe, getattr(early, "from"))
        return None if settings is None else cls(**settings)

    def run(self) -> int:
        """Cross-validate, and print the main figures."""
        from biranet.commands.evaluate import main_figures
        from biranet.inference.crossval import MODEL_NAME, REPORT_NAME, FoldPlan, cross_validate, is_finished
        from biranet.inference.crossval_inputs import CROSSVAL, check_same_inputs, settings_of
        from biranet.inference.crossval_report import FOLDS_NAME
        from biranet.outputs import claim_output
        from biranet.reports.facts import FOLDS_FACT
        from biranet.reports.probe import describe_probe_differences
        from biranet.reports.table_provenance import PREDICTIONS_NAME

        config, start = self.combine_settings()
        if config.fold is not None:
            raise InputError("--fold is for biranet train; crossval goes through all folds, so leave it out")
        if self.folds is not None and self.folds < 2:
            raise InputError(f"--folds must be at least 2, not {self.folds}")
        validation = self._share(config)
        report = ReportConfig(by=self.by, title=check_title(self.title))
        with claim_output(self.out, CROSSVAL, (self.prepared,)):
            prepare = self._preparing(config)
            status = 0
            if prepare is not None:
                check_same_inputs(self.out, settings_of(config, start, validation=validation))
                status = prepare.run()
            finished = is_finished(self.out)
            metrics = cross_validate(
                self.prepared if prepare is None else prepare.out,
                self.out,
                config,
                FoldPlan(self.folds, validation),
                start=start,
                report=report,
            )
        if finished:
            print("It was finished before, so there was nothing to do; for another one choose another --out")
            if self.by or self.title:
                table = self.out / REPORT_NAME / PREDICTIONS_NAME
                again = command_line("evaluate", "--predictions", table, "--out", "REPORT")
                print(f"Its report stays as it is; one with another title or other subgroups makes: {again}")
        of_folds = [f"  {line}" for line in metrics["facts"].get(FOLDS_FACT, [])]
        figures = [*main_figures(metrics), *describe_probe_differences(metrics), "Of the folds one by one:", *of_folds]
        print("\n".join([*figures, *metrics["notes"]]))
        folder = self.out / REPORT_NAME
        print(f"Report: {folder / 'report.html'}; figures of each fold: {folder / FOLDS_NAME}")
        print(f"A model of all photos, for which such figures can be expected: {self.out / MODEL_NAME}\n{DISCLAIMER}")
        return status

    def next_step(self) -> str:
        """Grade new photographs by the model of all photos."""
        from biranet.inference.crossval import MODEL_NAME

        return command_line("grade", "NEW_PHOTOS", "--checkpoint", self.out / MODEL_NAME)

    def _share(self, config: TrainConfig) -> float:
        """The share of the photos to learn from that chooses the epoch."""
        plateau = config.optimizer.schedule == "plateau"
        if self.validation is None and config.model.model == "probe":
            return 0.0  # it has no epochs to choose from
        if self.validation is None:
            return DEFAULT_VALIDATION if config.early_stop or plateau else 0.0
        if not 0 <= self.validation < 1:
            raise InputError(f"--validation must be at least 0 and below 1, not {self.validation}")
        if plateau and not self.validation:
            raise InputError(
                "--schedule plateau follows the validation kappa; with --validation 0 use cosine or constant"
            )
        return self.validation

    def _preparing(self, config: TrainConfig) -> Prepare | None:
        """What prepares a folder of photographs; None for one that is prepared."""
        from biranet.manifest import MANIFEST_NAME
        from biranet.photos import PREPARATION_NAME
        from biranet.photos.output_folder import check_output_folder

        photos = self.prepared
        if not photos.is_dir() or any(os.path.lexists(photos / name) for name in (MANIFEST_NAME, PREPARATION_NAME)):
            if self.labels is not None:
                raise InputError(f"--labels is for a folder of photographs, and {photos} is none; leave it out")
            return None
        prepared = self.out / "prepared"
        check_output_folder(photos, prepared)
        self._check_labels()
        size, workers = config.data.image_size, config.data.workers
        return Prepare(photos=photos, out=prepared, labels=self.labels, size=size, workers=workers)

    def _check_labels(self) -> None:
        """Refuse photographs without grades, of too few patients or of one grade, before any is prepared."""
        from biranet.inference.crossval import FOLDS
        from biranet.inference.crossval_folds import refuse_one_grade, refuse_too_few_patients
        from biranet.photos.datasets import LabelSource, read_labels

        listed = read_labels(self.prepared, LabelSource(self.labels)).photos
        # A photo of which nobody tells the patient is one of its own.
        graded = [(photo.group or photo.file, photo.grade) for photo in listed if photo.grade is not None]
        if not graded:
            raise InputError(
                f"no photo in {self.prepared} has a grade; give a table with the columns file and grade: --labels FILE"
            )
        refuse_too_few_patients(self.prepared, len({patient for patient, _ in graded}), self.folds or FOLDS)
        refuse_one_grade(self.prepared, (grade for _, grade in graded))
