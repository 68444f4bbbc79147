"""Sentences that depend on the numbers: what an interval allows to say, and no more."""

from collections.abc import Sequence

import pandas as pd

from analysis import LEVEL_SHARE
from grid import BASE, LOSS_TITLES
from variants import ABLATIONS, VARIANTS


def number(value: float) -> str:
    """Three decimals; a dash where there is nothing."""
    return "–" if pd.isna(value) else f"{_rounded(value):.3f}"


def signed(value: float) -> str:
    """Three decimals with the sign; a dash where there is nothing."""
    return "–" if pd.isna(value) else f"{_rounded(value):+.3f}"


def _rounded(value: float) -> float:
    return round(value, 3) + 0.0  # which turns -0.0 into 0.0


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


def verdict(row: pd.Series, what: str) -> str:
    """Say what a difference of kappa shows.

    Args:
        row: A row of differences.csv.
        what: What is compared, such as `RA-Net against the plain network`.

    Example:
        >>> row = pd.Series({"difference": 0.1, "low": 0.02, "high": 0.18})
        >>> verdict(row, "RA-Net against the plain network")
        'RA-Net against the plain network: ahead, kappa differs by +0.100 [+0.020, +0.180].'
        >>> verdict(row * [1, -1, 1], "RA-Net against the plain network").partition("nothing")[2]
        ' shown, kappa differs by +0.100 [-0.020, +0.180], which leaves room for 0.020 behind and 0.180 ahead.'
    """
    if pd.isna(row["difference"]):
        return f"{what}: not measured."
    values = f"kappa differs by {signed(row['difference'])}"
    if pd.isna(row["low"]):
        return f"{what}: nothing shown, {values}, and no interval can be given."
    low, high = row["low"], row["high"]
    values += f" [{signed(low)}, {signed(high)}]"
    if leaves_out_zero(low, high):
        return f"{what}: {'ahead' if low > 0 else 'behind'}, {values}."
    return f"{what}: nothing shown, {values}, which leaves room for {number(-low)} behind and {number(high)} ahead."


def claim(rows: pd.DataFrame, what: str, places: Sequence[str]) -> str:
    """Say what all differences of a measure that a claim rests on show together.

    Args:
        rows: Rows of differences.csv.
        what: The measure, such as `Kappa`.
        places: What tells the rows from each other, such as ` (cross-entropy)`.

    Example:
        >>> rows = pd.DataFrame({"difference": [0.1, 0.0], "low": [0.02, -0.1], "high": [0.18, 0.1]})
        >>> claim(rows, "Kappa", [" (cross-entropy)", " (grading loss)"])[:68]
        'Kappa: ahead in 1 of 2, **+0.100 [+0.020, +0.180]** (cross-entropy);'
        >>> claim(rows[1:], "Kappa", [""])
        'Kappa: nothing shown, +0.000 [-0.100, +0.100].'
    """
    counts = {"ahead": int((rows["low"] > 0).sum()), "behind": int((rows["high"] < 0).sum())}
    shown = " and ".join(f"{name} in {count} of {len(rows)}" for name, count in counts.items() if count)
    values = [difference_with_interval(*row) for row in rows[["difference", "low", "high"]].to_numpy()]
    listed = "; ".join(f"{value}{place}" for value, place in zip(values, places, strict=True))
    return f"{what}: {shown or 'nothing shown'}, {listed}."


def sooner(convergence: pd.DataFrame, variant: str) -> str:
    """Say how often the grading loss reached its level before cross-entropy did, over folds and seeds.

    Args:
        convergence: The rows of convergence.csv.
        variant: An architecture.
    """
    rows = convergence[convergence["variant"] == variant]
    pairs = rows.pivot(index=["seed", "fold"], columns="loss", values=["epochs_to_level", "lr"])
    wide = pairs["epochs_to_level"].dropna()
    title = VARIANTS[variant].title
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
