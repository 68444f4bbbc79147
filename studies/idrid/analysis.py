"""From the tables of a grid to its numbers: measures, paired differences, convergence. No number is made elsewhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from biranet.decisions.columns import PROBABILITIES, referable_score
from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.evaluation.intervals import RESAMPLES, measure_some, paired_differences
from studies.idrid.grid import BASE, LOSSES
from studies.idrid.variants import ABLATIONS, ARCHITECTURES

KEYS = ("quadratic_weighted_kappa", "aca", "macro_f1", "macro_f1_of_means", "micro_f1", "referable_auc")
"""The measures of the study, as `metrics.json` calls them; more is better in all of them."""

LEVEL_SHARE = 0.95
"""Share of its final kappa at which a training counts as converged."""

LAST_SHARE = 0.25
"""Share of the epochs, the last ones, whose mean validation kappa is the final one: a single one is too noisy."""

COLLECTED_WITH = "collected_with_"
"""How the settings begin that say what the tables were written with, not what they depend on."""

Pair = tuple[str, str]
"""A variant and a loss."""


@dataclass(frozen=True)
class External:
    """What was measured on photos of another clinic.

    Attributes:
        settings: How many photos of which grades, by name.
        rates: The learning rate of each model.
        measures: As `measures` gives them.
        differences: As `differences` gives them.
    """

    settings: dict[str, str]
    rates: pd.DataFrame
    measures: pd.DataFrame
    differences: pd.DataFrame


@dataclass(frozen=True)
class Results:
    """The tables of a finished grid.

    Attributes:
        settings: What all trainings shared, by name.
        tables: Out-of-fold predictions by variant and loss, as `pool` gives them.
        choices: Every learning rate tried.
        epochs: Every epoch.
        times: Seconds of each training.
        models: How many weights each variant has, and how many of them are trained.
        external: The external test, where there was one.
    """

    settings: dict[str, str]
    tables: dict[Pair, pd.DataFrame]
    choices: pd.DataFrame
    epochs: pd.DataFrame
    times: pd.DataFrame
    models: pd.DataFrame
    external: External | None


def read_results(results: Path) -> Results:
    """Read the tables that run.py wrote.

    Args:
        results: Their folder.

    Raises:
        InputError: If a table is missing, or what was measured elsewhere is of other models.
    """
    try:
        settings = read_settings(results)
        choices, epochs, times, models = _read(results, "choices", "epochs", "times", "models")
        external = _read_external(results)
    except OSError as error:
        raise InputError(
            f"{results} does not hold the tables of a finished grid ({error}); run python -m studies.idrid.run"
        ) from error
    seeds = settings["seeds"].split()
    tables: dict[Pair, pd.DataFrame] = {}
    for variant, loss in (
        epochs.loc[epochs["part"] == "outer", ["variant", "loss"]].drop_duplicates().itertuples(index=False, name=None)
    ):
        paths = [results / "predictions" / f"{variant}_{loss}_s{seed}.csv" for seed in seeds]
        tables[variant, loss] = pool([read_predictions(path) for path in paths])
    return Results(settings, tables, choices, epochs, times, models, external)


def _read(folder: Path, *names: str) -> list[pd.DataFrame]:
    return [pd.read_csv(folder / f"{name}.csv") for name in names]


def _read_external(results: Path) -> External | None:
    folder = results / "external"
    if not folder.exists():
        return None
    settings = read_settings(folder)
    if settings["models_digest"] != models_digest(results):
        raise InputError(
            f"{folder} holds what was measured of other models than those of {results}; "
            "run python -m studies.idrid.run with --external, or delete it"
        )
    return External(settings, *_read(folder, "rates", "measures", "differences"))


def models_digest(results: Path) -> str:
    """Sum up what the models of a finished grid depend on: its settings, photos and learning rates.

    Args:
        results: Folder with the tables.

    Returns:
        SHA-256 of choices.csv, and of settings.csv but for the versions.
    """
    settings = [pair for pair in read_settings(results).items() if not pair[0].startswith(COLLECTED_WITH)]
    return hashlib.sha256(f"{settings}{(results / 'choices.csv').read_text()}".encode()).hexdigest()


def read_settings(folder: Path) -> dict[str, str]:
    """Read settings.csv: the values by name."""
    listed = pd.read_csv(folder / "settings.csv", dtype=str)
    return dict(zip(listed["name"], listed["value"], strict=True))


def pool(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the answers of several models into one table: those of the folds, and those of several seeds.

    With several seeds a photo stands in it once for each, in the same group, so that whole groups with all answers for
    them are drawn: the interval speaks of other groups, for trainings like these.

    Probabilities of different models are not on one scale, so each referable score becomes its rank within its model, a
    share. The area under the ROC curve depends on ranks alone; over folds of like mix it is nearly the mean of those of
    the folds.

    Args:
        tables: Predictions tables of the same photos, one a seed; `fold` says which model of a seed has answered.

    Returns:
        One table. `p0` to `p4` are no longer probabilities: `p2` is the rank, in (0, 1], and `p0` what is missing to 1,
        so of all that is measured from them only the referable AUC means anything.

    Example:
        >>> columns = ["file", "fold", "p0", "p1", "p2", "p3", "p4"]
        >>> photos = [["a", 0, 0.2, 0, 0, 0, 0.8], ["b", 0, 0.9, 0, 0.1, 0, 0], ["c", 1, 0.7, 0, 0, 0.3, 0]]
        >>> one = pd.DataFrame(photos, columns=columns)
        >>> pool([one])["p2"].tolist(), pool([one, one])["file"].tolist()[2:4]
        ([1.0, 0.5, 1.0], ['c, seed 1', 'a, seed 2'])
    """
    if len(tables) > 1:
        tables = [table.assign(file=table["file"] + f", seed {number}") for number, table in enumerate(tables, 1)]
    return pd.concat([_ranked(table) for table in tables], ignore_index=True)


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    scores = pd.Series(referable_score(table[list(PROBABILITIES)].to_numpy()), index=table.index)
    ranks = scores.groupby(table["fold"]).rank(pct=True)
    return table.assign(p0=1 - ranks, p1=0.0, p2=ranks, p3=0.0, p4=0.0)


def measures(tables: dict[Pair, pd.DataFrame], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Measure every table.

    Args:
        tables: Predictions by variant and loss.
        resamples: Bootstrap resamples.

    Returns:
        Rows `variant, loss, measure, value, low, high`; the ends of the 95 % interval are missing where there is none.
    """
    rows = []
    for (variant, loss), table in tables.items():
        found = measure_some(table, KEYS, resamples=resamples)
        for key in KEYS:
            low, high = found["ci"][key] or (None, None)
            rows.append((variant, loss, key, found[key], low, high))
    return pd.DataFrame(rows, columns=["variant", "loss", "measure", "value", "low", "high"]).astype(
        {"low": float, "high": float}
    )


def comparisons(tables: dict[Pair, pd.DataFrame]) -> list[tuple[str, Pair, Pair]]:
    """What is compared with what: the question, the first, and the other, whose value is the minuend."""
    asked: list[tuple[str, Pair, Pair]] = [("method", ("plain", "ce"), BASE)]
    for loss in LOSSES:
        for question, first, other in (
            ("attention", "plain", "ranet"),
            ("bilinear", "ranet", "biranet"),
            ("whole", "plain", "biranet"),
        ):
            asked.append((question, (first, loss), (other, loss)))
    asked += [("loss", (name, "ce"), (name, "grading")) for name in ARCHITECTURES]
    asked += [("ablation", BASE, (name, BASE[1])) for name in ABLATIONS]
    return [(question, first, other) for question, first, other in asked if first in tables and other in tables]


def differences(tables: dict[Pair, pd.DataFrame], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Compare in pairs, over the same photos and the same draws of groups.

    Args:
        tables: Predictions by variant and loss.
        resamples: Bootstrap resamples.

    Returns:
        Rows `question, first, first_loss, other, other_loss, measure, difference, low, high`: other minus first.
    """
    rows = []
    for question, first, other in comparisons(tables):
        (found,) = paired_differences([tables[first], tables[other]], resamples=resamples)
        for key in KEYS:
            low, high = found[key]["ci"] or (None, None)
            rows.append((question, *first, *other, key, found[key]["difference"], low, high))
    columns = ["question", "first", "first_loss", "other", "other_loss", "measure", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"difference": float, "low": float, "high": float})


def curves(results: Results) -> pd.DataFrame:
    """The validation kappas of the inner trainings at the chosen rates.

    Returns:
        Rows `variant, loss, seed, fold, lr, epoch, validation_kappa`.
    """
    names = ["variant", "loss", "seed", "fold", "lr"]
    chosen = results.choices[results.choices["chosen"] == 1][names]
    inner = results.epochs[results.epochs["part"] == "inner"]
    return chosen.merge(inner, on=names)[[*names, "epoch", "validation_kappa"]]


def final_kappa(kappas: pd.Series) -> float:
    """The kappa at which a training ends: the mean of the last quarter of its epochs.

    Args:
        kappas: Validation kappa after each epoch.

    Example:
        >>> final_kappa(pd.Series([0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.4, 0.6]))
        0.5
    """
    return float(kappas.astype(float).tail(max(1, round(LAST_SHARE * len(kappas)))).mean())


def epochs_to_level(kappas: pd.Series) -> int | None:
    """Count the epochs until a training first reaches 95 % of its final kappa.

    Args:
        kappas: Validation kappa after each epoch.

    Returns:
        The epoch, from 1; None where the final kappa is not above 0, since no share of it is a level then.

    Example:
        >>> epochs_to_level(pd.Series([0.2, 0.5, 0.4, 0.5])), epochs_to_level(pd.Series([0.1, 0.0]))
        (2, None)
    """
    final = final_kappa(kappas)
    if not final > 0:
        return None
    return int((kappas >= LEVEL_SHARE * final).to_numpy().argmax()) + 1


def convergence(results: Results) -> pd.DataFrame:
    """How soon each chosen inner training converged.

    Returns:
        Rows `variant, loss, seed, fold, lr, final_kappa, epochs_to_level`; the last one is missing where the final
        kappa is not above 0.
    """
    rows = []
    names = ["variant", "loss", "seed", "fold", "lr"]
    for key, training in curves(results).groupby(names, sort=False):
        kappas = training.sort_values("epoch")["validation_kappa"]
        rows.append((*key, final_kappa(kappas), epochs_to_level(kappas)))
    return pd.DataFrame(rows, columns=[*names, "final_kappa", "epochs_to_level"]).astype({"epochs_to_level": "Int64"})


def grouped(table: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows with the same texts in some columns, in order of first appearance."""
    for key, rows in table.groupby(list(columns), sort=False):
        yield tuple(map(str, key)), rows


def of_kappa(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of kappa."""
    return table[table["measure"] == "quadratic_weighted_kappa"]
