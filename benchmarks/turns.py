"""Ways of doing one thing, timed in turns, each time in a process of its own: no way profits from another."""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from records import pause


def time_in_turns(script: str, ways: Sequence[str], rounds: int, *arguments: object) -> dict[str, list[float]]:
    """Ask a script for the seconds of each way, turn by turn.

    Args:
        script: The file of the script. Called with `--way NAME` and the arguments it prints seconds.
        ways: The names of the ways.
        rounds: How many turns count; one more goes before, which fills the system's caches.
        arguments: What else the script is called with.
    """
    taken: dict[str, list[float]] = {way: [] for way in ways}
    # One thread a process; and modules are compiled once, as an installation does it.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    for turn in range(rounds + 1):
        for way in ways:
            pause()
            command = [sys.executable, script, *map(str, arguments), "--way", way]
            answer = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
            if answer.returncode:
                sys.exit(f"{script}: {way} failed: {answer.stderr}")
            if turn:
                taken[way].append(float(answer.stdout))
    return taken


def speedup(taken: Mapping[str, Sequence[float]], way: str, of: str) -> float:
    """How many times as fast as another way one way is: the median over the turns."""
    return round(statistics.median(b / a for a, b in zip(taken[way], taken[of], strict=True)), 2)
