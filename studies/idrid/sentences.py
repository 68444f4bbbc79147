"""Sentences that depend on the numbers: what an interval allows to say, and no more."""

from collections.abc import Sequence

import pandas as pd

from studies.idrid.analysis import LEVEL_SHARE
from studies.idrid.grid import BASE, LOSS_TITLES
from studies.idrid.variants import ABLATIONS, VARIANTS

NOTHING = "nothing shown"
"""Said where no interval leaves out 0."""


def number(value: float) -> str:
    """Three decimals; a dash where there is nothing."""
    return "–" if pd.isna(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with the sign; a dash where there is nothing."""
    return "–" if pd.isna(value) else f"{value:+.3f}"


def with_interval(value: float, low: float, high: float) -> str:
    """A value and its interval: `0.733 [0.668, 0.788]`."""
    return number(value) if pd.isna(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def difference_with_interval(value: float, low: float, high: float) -> str:
    """A difference and its interval; bold where the interval leaves out 0."""
    if pd.isna(low):
        return signed(value)
    text = f"{signed(value)} [{signed(low)}, {signed(high)}]"
    return f"**{text}**" if leaves_out_zero(low, high) else text


def leaves_out_zero(low: float, high: float) -> bool:
    """Whether an interval lies on one side of 0; an end at 0 does not."""
    return bool(low > 0 or high < 0)


def name_of(variant: str, loss: str) -> str:
    """A variant with its loss: `RA-Net, cross-entropy`; what was changed in BiRA-Net in brackets behind that name."""
    title = VARIANTS[variant].title
    return f"{f'{VARIANTS[BASE[0]].title} ({title})' if variant in ABLATIONS else title}, {LOSS_TITLES[loss]}"


def standing(rows: pd.DataFrame, measure: str, places: Sequence[str]) -> str:
    """Say where the second of two models stands in all comparisons that answer one question.

    Args:
        rows: Rows of differences.csv, all of one measure.
        measure: Its name.
        places: What tells the rows from each other, such as ` (cross-entropy)`.

    Example:
        >>> rows = pd.DataFrame({"difference": [0.1, 0.0], "low": [0.02, -0.1], "high": [0.18, 0.1]})
        >>> standing(rows, "Kappa", [" (here)", " (there)"])
        'Kappa: ahead in 1 of 2, **+0.100 [+0.020, +0.180]** (here); +0.000 [-0.100, +0.100] (there).'
        >>> standing(rows[1:], "Kappa", [""])
        'Kappa: nothing shown, +0.000 [-0.100, +0.100].'
    """
    values = [difference_with_interval(*row) for row in rows[["difference", "low", "high"]].to_numpy()]
    listed = "; ".join(f"{value}{place}" for value, place in zip(values, places, strict=True))
    return f"{measure}: {ahead_or_behind(rows)}, {listed}."


def ahead_or_behind(rows: pd.DataFrame) -> str:
    """Count the differences whose interval lies above 0, and those below: `ahead in 1 of 2`.

    Args:
        rows: Rows of differences.csv.
    """
    counts = {"ahead": int((rows["low"] > 0).sum()), "behind": int((rows["high"] < 0).sum())}
    of_all = f" of {len(rows)}" if len(rows) > 1 else ""
    said = [f"{name} in {count}{of_all}" if of_all else name for name, count in counts.items() if count]
    return " and ".join(said) or NOTHING


def sooner(rows: pd.DataFrame, title: str) -> str:
    """Say how often the grading loss reached its level before cross-entropy did, over folds and seeds.

    Args:
        rows: Rows of convergence.csv.
        title: Whose trainings they are.
    """
    pairs = rows.pivot(index=["variant", "seed", "fold"], columns="loss", values=["epochs_to_level", "lr"])
    wide = pairs["epochs_to_level"].dropna()
    if wide.empty:
        return f"{title}: no pair of trainings ended above kappa 0 with both losses, so nothing can be said."
    gain = wide["ce"] - wide["grading"]
    earlier, later = int((gain > 0).sum()), int((gain < 0).sum())
    means = ", ".join(f"{LOSS_TITLES[loss]} {float(wide[loss].mean()):.1f}" for loss in ("ce", "grading"))
    alike = int((pairs["lr"]["ce"] == pairs["lr"]["grading"]).sum())
    said = (
        f"{title}: mean epochs to {100 * LEVEL_SHARE:g} % of the final kappa: {means}; the grading loss was earlier in "
        f"{earlier}, later in {later} and level in {len(gain) - earlier - later} of {len(gain)} pairs of trainings, "
        f"{alike} of {len(pairs)} at the same rate"
    )
    left = len(pairs) - len(wide)
    return f"{said}; {left} did not end above kappa 0 with both." if left else f"{said}."


def at_the_edges(choices: pd.DataFrame) -> str:
    """Say how often the highest or lowest of the learning rates was the best, so that a better one may lie beyond.

    Args:
        choices: The rows of choices.csv.
    """
    chosen = choices.loc[choices["chosen"] == 1, "lr"]
    highest, lowest = (int((chosen == end).sum()) for end in (choices["lr"].max(), choices["lr"].min()))
    return (
        f"The highest rate was chosen in {highest} of {len(chosen)} cases, the lowest in {lowest}; there a better one "
        "may lie beyond."
    )
