"""Measuring anyone's tables of predictions: pooled, perhaps with rules fitted on other patients, and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from biranet.config import CalibrationConfig, ReportConfig
from biranet.decisions.fit import check_disjoint, fit_rules
from biranet.decisions.predictions import PooledPredictions, pool_predictions, read_predictions
from biranet.decisions.rules import Rules, apply_rules
from biranet.errors import InputError
from biranet.outputs import claim_output
from biranet.public_paths import public_names
from biranet.reports.fact_kinds import LeftOutFact, RulesFact
from biranet.reports.facts import LEFT_OUT_FACT, RULES_FACT, THRESHOLDS_FACT, Fact
from biranet.reports.notes import Note
from biranet.reports.report import REPORT, ReportExtras, write_report
from biranet.reports.table_provenance import Provenance, check_unchanged, describe_tables, find_probe_tables
from biranet.scale import Scale
from biranet.version import how_measured


@dataclass(frozen=True)
class CalibrationSet:
    """Predictions of other patients, on which the rules for those that are measured are fitted.

    Attributes:
        tables: Tables of predictions; none where the rules stay as they are.
        cost_of_missed: How many needless referrals weigh as much as one referable photo that is missed; that of
            `CalibrationConfig` when None.
    """

    tables: Sequence[Path] = ()
    cost_of_missed: float | None = None


def measure_tables(
    tables: Sequence[Path],
    out: Path,
    *,
    config: ReportConfig = ReportConfig(),  # noqa: B008 (frozen)
    calibration: CalibrationSet = CalibrationSet(),
    scale: Scale | None = None,
    facts: Mapping[str, Fact] = MappingProxyType({}),
) -> dict[str, Any]:
    """Measure tables of predictions and write the report.

    Args:
        tables: Tables of predictions; several, such as those of all folds, are pooled.
        out: Folder for the report.
        config: How to measure, and the title; the name of the table when empty.
        calibration: What to fit temperature, operating points and prediction sets on; grades are scored as given.
        scale: What the values of the tables mean, where they are on another scale.
        facts: Further facts on how it was measured, by name.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: If a table cannot be used, or the report would replace it.
        RefusedError: If the rules would be fitted on photos or patients that are measured.
    """
    sources = [*tables, *calibration.tables]
    with claim_output(out, REPORT, sources) as folder:
        replaced = out / "predictions.csv"
        if replaced.resolve() in (path.resolve() for path in sources):
            raise InputError(
                f"the report would replace {replaced}, which it is to read; choose another folder with --out"
            )
        described, notes = describe_tables(tables, new_rules=bool(calibration.tables))
        pooled = pool_predictions(*tables, scale=scale)
        check_unchanged(tables, described)
        table = pooled.table
        probes = find_probe_tables(tables)
        probe = _same_photos(read_predictions(*probes, scale=scale), table, probes) if probes else None
        more_facts: dict[str, Fact] = {}
        if pooled.left_out:
            listed = pooled.left_out.total() + len(table)
            more_facts[LEFT_OUT_FACT] = LeftOutFact(listed, dict(sorted(pooled.left_out.items())))
            notes.append(_note_left_out(pooled))
        if calibration.tables:
            origin, measured = _join_names(calibration.tables), _join_names(tables)
            others = read_predictions(*calibration.tables, scale=scale)
            rules = _fit_disjoint(others, origin, table, measured, calibration.cost_of_missed)
            table = apply_rules(table, rules, origin=measured)
            more_facts |= _describe_rules(rules, origin, len(others))
            notes += [Note("calibration_doubt", doubt) for doubt in rules.doubts]
        what = _join_names(tables) if len(tables) == 1 else "several tables, pooled"
        return write_report(
            folder,
            table,
            title=config.title or f"Evaluation of {what}",
            config=config,
            provenance=Provenance(tuple(notes), {**facts, **more_facts, **how_measured()}, described),
            extras=ReportExtras(probe=probe),
        )


def _same_photos(probe: pd.DataFrame, table: pd.DataFrame, probes: Sequence[Path]) -> pd.DataFrame:
    """Bring the predictions of linear probes into the order of the table beside which they are shown."""
    rows = pd.Index(probe["file"]).get_indexer(table["file"])
    if len(probe) != len(table) or (rows < 0).any():
        raise InputError(f"{_join_names(probes)}: these are other photos than those measured; delete the file")
    ordered: pd.DataFrame = probe.iloc[rows].reset_index(drop=True)
    return ordered


def _join_names(paths: Sequence[Path]) -> str:
    return ", ".join(public_names(paths))


def _fit_disjoint(
    calibration: pd.DataFrame, origin: str, table: pd.DataFrame, measured: str, cost_of_missed: float | None
) -> Rules:
    """Fit rules on a table that shares no photo and no patient with the one that is measured."""
    check_disjoint(calibration, table, calibration_origin=origin, measured_origin=measured)
    cost = CalibrationConfig().cost_of_missed if cost_of_missed is None else cost_of_missed
    return fit_rules(calibration, cost_of_missed=cost, keep_grades=True, origin=origin)


def _describe_rules(rules: Rules, origin: str, photos: int) -> dict[str, Fact]:
    return {
        RULES_FACT: RulesFact(f"{rules.fitted_on} of {origin}", rules.temperature, keep_grades=True, photos=photos),
        THRESHOLDS_FACT: {point.name: point.threshold for point in rules.operating_points} or "none",
    }


def _note_left_out(pooled: PooledPredictions) -> Note:
    """What a reader of figures must know of the photos that have no grade."""
    left_out = pooled.left_out.total()
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(pooled.left_out.items()))
    return Note.of("left_out", left_out=left_out, photos=left_out + len(pooled.table), statuses=statuses)
