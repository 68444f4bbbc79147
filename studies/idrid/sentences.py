"""Sentences that depend on the numbers: what an interval allows to say, and no more."""

import pandas as pd

from analysis import LEVEL_SHARE
from grid import LOSS_TITLES
from variants import VARIANTS

NOTHING = "not measured"


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
    """A variant with its loss: `RA-Net, cross-entropy`."""
    return f"{VARIANTS[variant].title}, {LOSS_TITLES[loss]}"


def verdict(row: pd.Series, what: str) -> str:
    """Say what a difference of kappa shows.

    Args:
        row: A row of differences.csv.
        what: The subject, such as `the attention`.

    Example:
        >>> row = pd.Series({"difference": 0.1, "low": 0.02, "high": 0.18})
        >>> verdict(row, "the attention")
        'the attention helps: kappa differs by +0.100 [+0.020, +0.180]'
        >>> verdict(row * [1, -1, 1], "the attention")
        'whether the attention helps is not shown: kappa differs by +0.100 [-0.020, +0.180], which holds 0'
    """
    if pd.isna(row["difference"]):
        return f"whether {what} helps is {NOTHING}"
    values = f"kappa differs by {signed(row['difference'])}"
    if pd.isna(row["low"]):
        return f"whether {what} helps is not shown: {values}, and no interval can be given"
    values += f" [{signed(row['low'])}, {signed(row['high'])}]"
    if row["low"] > 0:
        return f"{what} helps: {values}"
    if row["high"] < 0:
        return f"{what} harms: {values}"
    return f"whether {what} helps is not shown: {values}, which holds 0"


def ablation_verdict(row: pd.Series) -> str:
    """Say what changing one part of BiRA-Net shows.

    Args:
        row: A row of differences.csv, for kappa.
    """
    name = VARIANTS[row["other"]].title
    values = difference_with_interval(row["difference"], row["low"], row["high"])
    if pd.isna(row["low"]):
        return f"{name}: kappa differs by {values}, and no interval can be given."
    if row["low"] > 0:
        return f"{name}: better than BiRA-Net as it is, by {values}."
    if row["high"] < 0:
        return f"{name}: worse than BiRA-Net as it is, by {values}."
    return f"{name}: no difference shown, {values}."


def sooner(convergence: pd.DataFrame, variant: str) -> str:
    """Say how often the grading loss reached its level before cross-entropy did, over folds and seeds.

    Args:
        convergence: The rows of convergence.csv.
        variant: An architecture.
    """
    rows = convergence[convergence["variant"] == variant]
    wide = rows.pivot(index=["seed", "fold"], columns="loss", values="epochs_to_level").dropna()
    if wide.empty:
        return f"{VARIANTS[variant].title}: no training rose above kappa 0 with both losses, so nothing can be said."
    gain = wide["ce"] - wide["grading"]
    earlier, later = int((gain > 0).sum()), int((gain < 0).sum())
    means = ", ".join(f"{LOSS_TITLES[loss]} {float(wide[loss].mean()):.1f}" for loss in ("ce", "grading"))
    return (
        f"{VARIANTS[variant].title}: mean epochs to {100 * LEVEL_SHARE:g} % of the final kappa: {means}; the grading "
        f"loss was earlier in {earlier}, later in {later} and level in {len(gain) - earlier - later} of {len(gain)} "
        "pairs of trainings."
    )
