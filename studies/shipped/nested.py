"""Measure what choosing the settings is worth: choose inside each fold, and answer for the fold by the choice.

OMP_NUM_THREADS=1 python -m studies.shipped.make prepared --backbone-weights FILE [--out FOLDER]
OMP_NUM_THREADS=1 python -m studies.shipped.nested prepared --backbone-weights FILE [--out FOLDER]

The settings of the model that ships were chosen on the photos that measure it. Here each of the five folds of `make.py`
chooses some of them anew, on the photos it learns from alone: a quarter of these is held back, every setting learns
from the rest, and the option with the highest kappa on the quarter is the choice; trained on all of them, it answers
for the fold. The working folder is that of `make.py`, whose trainings are those of the recipe for the folds:

    nested/fold_0/photos/ …     the prepared photos; the manifest lists those that a fold learns from, and in its column
                                `split` the quarter is `test`
    nested/fold_0/NAME/ …       answers of a setting: for the quarter (inner); of the recipe and of what was chosen for
                                the fold, too (outer)
    nested/chosen/              report of the choices' answers
    nested/recipe/              report of the recipe's answers with rules of the same kind, to compare with

Rules of a fold are fitted on the quarter, so no rule has seen the photos it answers for. They differ from those that
ship: there are fewer photos, and the model that answered for them learned from three quarters of what the other did.

Several processes may be given the same command at once and share the work. Given again, it goes on where it was
stopped. Answers, choices and figures go to `results/` beside this file.
"""

import contextlib
import dataclasses
import functools
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from biranet.config import CalibrationConfig, SplitConfig, TrainConfig
from biranet.decisions.cross_fit import decide_by_fold
from biranet.decisions.fit import check_disjoint, fit_rules
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.files import write_json
from biranet.learning.run_folder import LAST_NAME
from biranet.learning.shipped_models import DEFAULT
from biranet.learning.split import split_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.train import train_or_resume
from biranet.learning.training import TrainingPlan
from biranet.locks import exclusive_file
from biranet.manifest import FOLD_PREFIX, fold_columns, read_manifest
from biranet.reports.compare import compare
from biranet.tables import write_table
from studies.commands import exit_status_of, run_as_command
from studies.shipped.measured import measure_answers
from studies.shipped.options import (
    FLIP_MODES,
    OPTIONS,
    RECIPE,
    SETTINGS,
    Option,
    kappa_of,
    recipe_option,
    refuse_too_few,
    set_flip,
)
from studies.shipped.steps import (
    FOLDS,
    OUTER,
    copy_with_manifest,
    read_config,
    split_copy,
    training_parser,
)
from studies.trainings import fingerprint_of_inputs, mark_folder, predict_test_part

_METHOD = (
    "Rules of a fold were fitted on answers for a quarter of the photos it learned from, by a model that had not "
    "learned from that quarter."
)

INNER = SplitConfig(test=0.25, validation=0, calibration=0)
"""How the photos that a fold learns from are divided."""

Part = Literal["inner", "outer"]
"""`inner` learns from three quarters of what `outer` learns from."""


class Training(NamedTuple):
    """A setting in a fold."""

    part: Part
    fold: int
    setting: str

    def __str__(self) -> str:
        return f"fold {self.fold}, {self.setting}, {self.part}"

    def photos(self, out: Path) -> Path:
        """The prepared folder it learns from; the test part of its division is what it answers for."""
        return out / "nested" / f"fold_{self.fold}" / "photos" if self.part == "inner" else out / "folds"

    def run(self, out: Path) -> Path:
        """Its run folder; an outer one of the recipe is that of `make.py`."""
        if (self.part, self.setting) == ("outer", RECIPE):
            return out / f"fold_{self.fold}"
        return out / "nested" / f"fold_{self.fold}" / self.setting / self.part

    def config(self, recipe: TrainConfig) -> TrainConfig:
        """Its settings."""
        return dataclasses.replace(SETTINGS[self.setting](recipe), fold=None if self.part == "inner" else self.fold)

    def answers(self, out: Path, view: str) -> Path:
        """File with its answers."""
        return out / "nested" / f"fold_{self.fold}" / self.setting / f"{self.part}_{view}.csv"

    def finished(self, out: Path) -> bool:
        """Whether all its answers are there."""
        return all(self.answers(out, view).exists() for view in FLIP_MODES)


INNER_TRAININGS = [Training("inner", fold, setting) for setting in SETTINGS for fold in range(FOLDS)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = training_parser(__doc__).parse_args(arguments)
    return exit_status_of(__file__, lambda: nest(given.prepared, read_config(given), given.out, given.results))


def nest(prepared: Path, config: TrainConfig, out: Path, results: Path) -> None:
    """Do what this file is for.

    Args:
        prepared: The prepared photos; the folder stays as it is.
        config: The recipe.
        out: Working folder, that of `make.make`.
        results: Folder for what was measured.

    Raises:
        InputError: If something given is wrong, the photos are too few, `out` was begun with something else, or a
            training fails, such as one that has diverged.
        InterruptedRunError: If a signal came; the state was saved.
    """
    inputs = fingerprint_of_inputs(prepared, config)
    for fold, table in enumerate(learned_from(split_photos(read_manifest(prepared), OUTER))):
        refuse_too_few(table, fold)  # before there is a working folder
    with exclusive_file(out / "lock", wait=True):
        mark_folder(out, inputs)
        settings = {name: dataclasses.asdict(change(config)) for name, change in SETTINGS.items()}
        mark_folder(out / "nested", {"settings": settings, "inner": dataclasses.asdict(INNER)})
        folds = split_copy(prepared, out / "folds", OUTER)
        for fold, table in enumerate(learned_from(read_manifest(folds))):
            copy_with_manifest(prepared, Training("inner", fold, RECIPE).photos(out), table)
    done = sum(training.finished(out) for training in INNER_TRAININGS)
    print(f"{len(INNER_TRAININGS)} trainings to choose by, {done} done before; then those to answer by", flush=True)
    for wait in (False, True):  # first what no other process does; then what they leave, once they have ended
        for training in INNER_TRAININGS:
            finish(training, out, config, wait=wait)
        for fold in range(FOLDS):
            if all(training.finished(out) for training in INNER_TRAININGS if training.fold == fold):
                for training in outer_trainings(out, fold, config):
                    finish(training, out, config, wait=wait)
    with exclusive_file(out / "lock", wait=True):
        collect(out, config, results)


def learned_from(folds: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Give for each fold of a manifest that of the photos it learns from, divided for the choice."""
    plain = folds.drop(columns=fold_columns(folds))
    for fold in range(FOLDS):
        yield split_photos(plain[folds[f"{FOLD_PREFIX}{fold}"] == "train"], INNER)


def finish(training: Training, out: Path, recipe: TrainConfig, *, wait: bool) -> None:
    """Do a training, from wherever it stands, unless it is finished.

    Args:
        training: The training.
        out: Working folder.
        recipe: The recipe.
        wait: Where another process is at it, wait for it, and do what it leaves undone; else leave it to that process.

    Raises:
        InputError: If the training fails.
        InterruptedRunError: If a signal came; the state was saved.
    """
    photos, run, config = training.photos(out), training.run(out), training.config(recipe)
    with exclusive_file(run.with_suffix(".txt"), wait=wait) as log:
        if log is None:
            return
        if not training.finished(out):
            started = time.monotonic()
            try:
                with contextlib.redirect_stdout(log):
                    train_or_resume(TrainingPlan(photos, run, config))
                predictor = load_predictor(run / LAST_NAME, config.device)
                for view, flip in FLIP_MODES.items():
                    by_view = dataclasses.replace(predictor, model=set_flip(predictor.model, flip=flip))
                    answers = predict_test_part(photos, by_view, config)
                    answers = answers.assign(fold=training.fold, setting=training.setting, view=view)
                    write_table(training.answers(out, view), answers)
            except InputError as error:
                raise InputError(f"{training}: {error}") from error
            print(f"{training}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
        if run.is_relative_to(out / "nested"):  # what is not is of use to make.py
            shutil.rmtree(run, ignore_errors=True)


def answers_of(out: Path, part: Part, fold: int, option: Option) -> pd.DataFrame:
    """The answers of an option for a fold, before any rule."""
    return read_predictions(Training(part, fold, option.setting).answers(out, option.view))


@functools.cache  # what is finished does not change
def kappas(out: Path, fold: int, calibration: CalibrationConfig) -> dict[Option, float]:
    """The kappa of every option on the quarter of a fold, once its inner trainings are finished."""
    return {option: kappa_of(option, answers_of(out, "inner", fold, option), calibration) for option in OPTIONS}


def choice(out: Path, fold: int, config: TrainConfig) -> Option:
    """What a fold chooses, once its inner trainings are finished."""
    measured = kappas(out, fold, config.calibration)
    return max(measured, key=measured.__getitem__)


def outer_trainings(out: Path, fold: int, config: TrainConfig) -> list[Training]:
    """Trainings that answer for a fold: the recipe's, and that of the choice where it is another one."""
    return [Training("outer", fold, name) for name in dict.fromkeys((RECIPE, choice(out, fold, config).setting))]


def decide_with_rules_fitted_on(others: pd.DataFrame, table: pd.DataFrame, config: CalibrationConfig) -> pd.DataFrame:
    """Decide on the photos of one predictions table by rules that are fitted on another.

    Raises:
        InputError: If there is too little to fit rules on.
        RefusedError: If the two share a photo or a group.
    """
    check_disjoint(others, table)
    rules = fit_rules(others, decoder=config.decoder, cost_of_missed=config.cost_of_missed)
    return decide_by_fold([table], [rules])


def collect(out: Path, config: TrainConfig, results: Path) -> None:
    """Write answers, choices and figures.

    Args:
        out: Working folder, where all is finished.
        config: The recipe.
        results: Folder for `nested_inner.csv` and `nested_outer.csv` (answers before any rule), `nested_choices.csv`
            (kappa of every option), `nested.json` (what was measured of the choices' answers), `nested_recipe.json` (of
            the recipe's) and `nested_difference.json` (the first minus the second, paired).
    """
    chosen = [choice(out, fold, config) for fold in range(FOLDS)]
    tables = {}
    for name, options, kept in (
        ("recipe", [recipe_option(config)] * FOLDS, "nested_recipe.json"),
        ("chosen", chosen, "nested.json"),
    ):
        parts = []
        for fold, option in enumerate(options):
            quarter, answers = answers_of(out, "inner", fold, option), answers_of(out, "outer", fold, option)
            calibration = dataclasses.replace(config.calibration, decoder=option.decoder)
            parts.append(decide_with_rules_fitted_on(quarter, answers, calibration))
        tables[name] = pd.concat(parts, ignore_index=True)
        measure_answers(
            tables[name],
            out / "nested" / name,
            results / kept,
            title=f"{DEFAULT}, {name} inside the folds",
            method=_METHOD,
            on=f"{FOLDS} folds by group",
        )
    compared = compare(tables)
    about_both = ("n", "groups", "names", "differences", "ci_method")
    write_json(results / "nested_difference.json", {key: compared[key] for key in about_both})
    rows = [
        {"fold": fold, **option._asdict(), "kappa": f"{kappa:.6f}", "chosen": int(option == chosen[fold])}
        for fold in range(FOLDS)
        for option, kappa in kappas(out, fold, config.calibration).items()
    ]
    write_table(results / "nested_choices.csv", pd.DataFrame(rows))
    outer = [training for fold in range(FOLDS) for training in outer_trainings(out, fold, config)]
    for part, trainings in (("inner", sorted(INNER_TRAININGS, key=lambda training: training.fold)), ("outer", outer)):
        paths = [training.answers(out, view) for training in trainings for view in FLIP_MODES]
        write_table(results / f"nested_{part}.csv", pd.concat([pd.read_csv(path, dtype=str) for path in paths]))
    print(f"Written: {results}; the report: {out / 'nested' / 'chosen' / 'report.html'}; card.py puts it on the card")


if __name__ == "__main__":
    run_as_command(main)
