"""What every benchmark writes: results, and what one needs to judge them: machine, load, versions, commit."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
"""One file a benchmark, named after its script; `page.py` makes docs/benchmarks.md of them."""

BUSY = 0.1
"""Processors that others may use on the average before the machine counts as busy."""


def start_record(parser: argparse.ArgumentParser) -> None:
    """Give a script the flag `--out`, where `write_record` writes; without it, results are only printed."""
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"such as {RESULTS / 'NAME.json'}")


def write_record(results: dict[str, Any], out: Path | None, packages: Sequence[str] = ()) -> None:
    """Print results, and write them with the facts about the machine.

    Args:
        results: What was measured, as plain values.
        out: Where to; None prints only.
        packages: Those whose versions matter.
    """
    record = {"measured": _facts(packages), "results": results}
    text = json.dumps(record, indent=1, ensure_ascii=False)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


def _facts(packages: Sequence[str]) -> dict[str, Any]:
    others = _others_processors()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()}",
        "versions": {"Python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
        "seconds": round(time.monotonic() - _STARTED[0]),
        "processors_used_by_others": others,
        "busy": others is None or others > BUSY,
    }


def commit() -> str:
    """The commit that is measured, with a + where more than results and pages was changed since."""
    others = (":(top)", ":(top,exclude)benchmarks/results", ":(top,exclude)docs")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *others)
    return _git("rev-parse", "--short", "HEAD") + "+" * bool(changed)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _times() -> tuple[float, float | None]:
    """Seconds on the clock, and seconds that all processors have worked for others than this benchmark."""
    own = sum(os.times()[:4])
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    except OSError:
        return time.monotonic(), None
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return time.monotonic(), (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - own


def pause() -> None:
    """Do nothing for a while, and see how busy others keep the processors meanwhile.

    The processes of a Ray cluster end each other: afterwards nobody can tell what they used from what others did.
    """
    time.sleep(_SETTLING_S)
    before = _times()
    time.sleep(_PAUSE_S)
    _PAUSES.append((before, _times()))


def _others_processors() -> float | None:
    """How many processors others kept busy in the pauses, or since this module was imported where there were none.

    Returns:
        None where nobody knows.
    """
    seconds = used = 0.0
    for (begun, before), (ended, after) in _PAUSES or [(_STARTED, _times())]:
        if before is None or after is None:
            return None
        seconds, used = seconds + ended - begun, used + max(0.0, after - before)
    return round(used / seconds, 2)


_SETTLING_S, _PAUSE_S = 1.0, 1.0
_PAUSES: list[tuple[tuple[float, float | None], tuple[float, float | None]]] = []
_STARTED = _times()
